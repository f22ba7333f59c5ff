"""Densities, entropies and divergences keep their digits at every shape.

Shapes run from 1e-6 to 1e15, in float64 and float32. References are the closed forms with 60
digits, at the parameters as the floating type holds them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from normix_expfam import (
    GIG,
    Gamma,
    InverseGamma,
    InverseGaussian,
    MultivariateNormal,
    to_gig,
)
from normix_expfam._kl_term import exp_gap, kl_term
from normix_expfam._stirling import stirling

mpf = mpmath.mpf
DIGITS = 60
SHAPES = [1e-6, 1e-3, 0.3, 1.0, 2.5, 7.9, 8.1, 60.0, 1e4, 1e8, 1e12, 1e15]
TYPES = [np.float64, np.float32]
DISTANCES = [-2.0, -0.5, 0.0, 0.7, 3.0]  # from the mean, in standard deviations


def gamma_log_prob(alpha, beta, y):
    return (
        alpha * mpmath.log(beta) - mpmath.loggamma(alpha) + (alpha - 1) * mpmath.log(y) - beta * y
    )


def inverse_gaussian_log_prob(mu, lam, y):
    kernel = -lam * (y - mu) ** 2 / (2 * mu**2 * y)
    return mpmath.log(lam / (2 * mpmath.pi * y**3)) / 2 + kernel


LOG_PROB = {
    Gamma: gamma_log_prob,
    InverseGamma: lambda alpha, beta, y: gamma_log_prob(alpha, beta, 1 / y) - 2 * mpmath.log(y),
    InverseGaussian: inverse_gaussian_log_prob,
}


def gamma_entropy(alpha, beta):
    log_gamma, slope = mpmath.loggamma(alpha), mpmath.digamma(alpha)
    return alpha - mpmath.log(beta) + log_gamma + (1 - alpha) * slope


def inverse_gaussian_entropy(mu, lam):
    # E log(Y/μ) = -e^(2λ/μ) E_1(2λ/μ)
    twice = 2 * lam / mu
    mean_log = mpmath.log(mu) - mpmath.exp(twice) * mpmath.e1(twice)
    return (1 + mpmath.log(2 * mpmath.pi / lam) + 3 * mean_log) / 2


ENTROPY = {
    Gamma: gamma_entropy,
    InverseGamma: lambda alpha, beta: (
        gamma_entropy(alpha, beta) + 2 * (mpmath.log(beta) - mpmath.digamma(alpha))
    ),
    InverseGaussian: inverse_gaussian_entropy,
}


def gamma_potential(alpha, beta):
    return mpmath.loggamma(alpha) - alpha * mpmath.log(beta)


def inverse_gaussian_potential(lam, rate):
    return -mpmath.log(lam) / 2 - mpmath.sqrt(lam * rate)


# ψ in coordinates that are linear in θ
POTENTIAL = {
    Gamma: (lambda *law: law, gamma_potential),
    InverseGamma: (lambda *law: law, gamma_potential),
    InverseGaussian: (lambda mu, lam: (lam, lam / mu**2), inverse_gaussian_potential),
}


def kl(family, p, q):
    if family is InverseGaussian:
        (mu, lam), (other, kappa) = p, q
        ratio = kappa / lam
        return (ratio - 1 - mpmath.log(ratio) + kappa * (other - mu) ** 2 / (mu * other**2)) / 2
    (alpha, beta), (shape, rate) = p, q
    return (
        (alpha - shape) * mpmath.digamma(alpha) - mpmath.loggamma(alpha) + mpmath.loggamma(shape)
        + shape * mpmath.log(beta / rate) + alpha * (rate - beta) / beta
    )  # fmt: skip


def renyi(family, p, q, order):
    to, psi = POTENTIAL[family]
    p, q = to(*p), to(*q)
    middle = [order * x + (1 - order) * y for x, y in zip(p, q, strict=True)]
    return (order * psi(*p) + (1 - order) * psi(*q) - psi(*middle)) / (1 - order)


def parameters(family, shape, dtype):
    """A member of that shape, whose mean or that of its inverse is 1 or nearly so."""
    return tuple(dtype(x) for x in ((1.0, shape) if family is InverseGaussian else (shape, shape)))


FAMILIES = [Gamma, InverseGamma, InverseGaussian]


def make(family, law):
    return family(*law, check=False)


@eqx.filter_jit
def log_probs(family, laws, points):
    return jax.vmap(lambda law, y: make(family, law).log_prob(y))(laws, points)


@eqx.filter_jit
def slopes(family, laws, points):
    def at(law, y):
        return make(family, law).log_prob(y)

    first = jax.grad(at, argnums=(0, 1))
    second = jax.jacfwd(first, argnums=(0, 1))
    return jax.vmap(first)(laws, points), jax.vmap(second)(laws, points)


@eqx.filter_jit
def entropies(family, laws):
    return jax.vmap(lambda law: make(family, law).entropy())(laws)


@eqx.filter_jit
def divergences(family, laws, others, order):
    def both(law, other):
        p, q = make(family, law), make(family, other)
        return p.kl_divergence(q), p.renyi_divergence(q, order), p.squared_hellinger(q)

    return jax.vmap(both)(laws, others)


def stacked(laws):
    return tuple(jnp.asarray(np.stack(column)) for column in zip(*laws, strict=True))


def grid(family, dtype):
    """Members and points within a few standard deviations; at small shapes within factors of e."""
    cases = []
    for shape in SHAPES:
        law = parameters(family, shape, dtype)
        for z in DISTANCES:
            y = dtype(1 + z / np.sqrt(shape) if shape > 10 else np.exp(z))
            cases.append((law, y))
    return cases


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_log_densities_have_the_digits_that_the_parameters_and_x_allow(family, dtype):
    cases = grid(family, dtype)
    found = log_probs(family, stacked([c[0] for c in cases]), jnp.asarray([c[1] for c in cases]))
    assert found.dtype == dtype
    with mpmath.workdps(DIGITS):
        for got, (law, y) in zip(np.asarray(found), cases, strict=True):
            at, point = [mpf(float(x)) for x in law], mpf(float(y))
            exact = LOG_PROB[family](*at, point)
            # what one rounding of x changes
            moved = abs(point * mpmath.diff(lambda t, at=at: LOG_PROB[family](*at, t), point))
            allowed = 12 * float(np.finfo(dtype).eps) * (1 + abs(exact) + moved)
            assert abs(mpf(float(got)) - exact) < allowed, (law, y)


def test_log_densities_of_the_largest_shapes():
    """The mean is exact, so that x has all its digits."""
    for family, law, y in (
        (Gamma, (1e12, 1e12), 1 + 7e-7),
        (InverseGamma, (1e12, 1e12), 1 + 7e-7),
        (InverseGaussian, (1.0, 1e14), 1 + 7e-8),
    ):
        with mpmath.workdps(DIGITS):
            exact = float(LOG_PROB[family](*(mpf(x) for x in law), mpf(y)))
        assert float(family(*law).log_prob(y)) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_log_densities_are_right_to_the_second_order(family):
    cases = [c for c in grid(family, np.float64) if c[0][-1] <= 1e12]
    laws, points = stacked([c[0] for c in cases]), jnp.asarray([c[1] for c in cases])
    first, second = slopes(family, laws, points)
    first = np.stack([*first[0], first[1]], -1)
    second = np.stack([np.stack([*row[0], row[1]], -1) for row in (*second[0], second[1])], -1)
    with mpmath.workdps(DIGITS):
        for k, (law, y) in enumerate(cases):
            at = [mpf(float(x)) for x in (*law, y)]
            for i in range(3):
                order = [int(j == i) for j in range(3)]
                exact = mpmath.diff(LOG_PROB[family], tuple(at), tuple(order))
                # one rounding of x moves it by so much
                and_x = (order[0], order[1], order[2] + 1)
                moved = abs(at[2] * mpmath.diff(LOG_PROB[family], tuple(at), and_x))
                assert abs(first[k, i] - exact) < 1e-13 * (abs(exact) + moved) + 1e-16, (law, y, i)
                for j in range(i + 1):
                    order = [int(m == i) + int(m == j) for m in range(3)]
                    exact = mpmath.diff(LOG_PROB[family], tuple(at), tuple(order))
                    scale = abs(exact) + max(at[0], at[1]) * (i == j == 2)
                    assert abs(second[k, i, j] - exact) < 1e-9 * scale + 1e-16, (law, y, i, j)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_entropies_have_all_digits(family, dtype):
    laws = [parameters(family, shape, dtype) for shape in SHAPES]
    found = entropies(family, stacked(laws))
    assert found.dtype == dtype
    with mpmath.workdps(DIGITS):
        for got, law in zip(np.asarray(found), laws, strict=True):
            exact = ENTROPY[family](*(mpf(float(x)) for x in law))
            allowed = 32 * float(np.finfo(dtype).eps) * (1 + abs(exact))
            assert abs(mpf(float(got)) - exact) < allowed, law


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_divergences_are_relatively_right_at_every_shape_and_distance(family, dtype):
    pairs = []
    for shape in SHAPES:
        law = parameters(family, shape, dtype)
        for apart in (1e-6, 1e-3, 0.2, 0.5, 3.0):
            pairs.append((law, tuple(dtype(x * (1 + apart)) for x in law)))
            pairs.append((law, (law[0], dtype(law[1] * (1 + apart / np.sqrt(shape))))))
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    order = np.asarray(0.3, dtype)
    found = divergences(family, *(stacked(side) for side in zip(*pairs, strict=True)), order)
    eps = float(np.finfo(dtype).eps)
    with mpmath.workdps(DIGITS):
        for got, mixed, hellinger, (p, q) in zip(*map(np.asarray, found), pairs, strict=True):
            at, to = [mpf(float(x)) for x in p], [mpf(float(x)) for x in q]
            exact = kl(family, at, to)
            assert abs(mpf(float(got)) - exact) < 2e3 * eps * exact, (p, q)
            # the means of the parameters are rounded, of which the divergence is a square
            exact = renyi(family, at, to, mpf(float(order)))
            assert abs(mpf(float(mixed)) - exact) < 2e3 * eps * exact, (p, q)
            exact = 1 - mpmath.exp(-renyi(family, at, to, mpf(1) / 2) / 2)
            assert abs(mpf(float(hellinger)) - exact) < 2e3 * eps * exact, (p, q)


def test_the_divergence_of_large_shapes_is_small_and_positive():
    law, other = Gamma(1e15, 1e15), Gamma(1.001e15, 1.001e15)
    assert float(law.kl_divergence(other)) == pytest.approx(2.498334582e-7, rel=1e-9)
    assert float(Gamma(1e12, 1e12).entropy()) == pytest.approx(-12.396572024759934, rel=1e-14)


@pytest.mark.parametrize("family", [Gamma, InverseGamma])
def test_information_and_deviations_of_small_and_large_shapes(family):
    """The information about (α, β) has the determinant (α ψ'(α) - 1) / β²."""
    for shape in (1e-12, 1e-6, 2.0, 1e6, 1e12):
        law = family(shape, 3.0)
        with mpmath.workdps(DIGITS):
            alpha = mpf(shape)
            trigamma = mpmath.polygamma(1, alpha)
            exact = mpmath.sqrt(alpha / (alpha * trigamma - 1))
            of_rate = 3 * mpmath.sqrt(trigamma / (alpha * trigamma - 1))
        found = law.information.deviations(law)
        assert float(found.alpha) == pytest.approx(float(exact), rel=1e-12)
        assert float(found.beta) == pytest.approx(float(of_rate), rel=1e-12)
        assert float(law.fisher_information()[0, 0]) == pytest.approx(float(trigamma), rel=1e-12)


@pytest.mark.parametrize("mu", [1e155, 1e200, 1e300])
def test_an_inverse_gaussian_of_large_mean_has_entropy_information_and_density(mu):
    law = InverseGaussian(mu, 2.0)
    # Y tends to 2 / χ²_1
    with mpmath.workdps(30):
        mean_log = mpmath.log(2) + mpmath.euler + mpmath.log(2)
        entropy = float((1 + mpmath.log(mpmath.pi)) / 2 + 1.5 * mean_log)
    assert float(law.entropy()) == pytest.approx(entropy, rel=1e-13)
    information = np.asarray(law.fisher_information())
    np.testing.assert_allclose(information[0, 0], 0.5, rtol=1e-14)
    np.testing.assert_allclose(information[0, 1], -mu / 2, rtol=1e-14)
    assert information[1, 1] == np.inf
    np.testing.assert_allclose(law.expectation_params(), [0.5, mu], rtol=1e-14)
    with mpmath.workdps(30):
        exact = float(inverse_gaussian_log_prob(mpf(mu), mpf(2), mpf(5)))
    assert float(law.log_prob(5.0)) == pytest.approx(exact, rel=1e-14)
    slope = jax.grad(lambda at: at.entropy())(law)
    assert np.all(np.isfinite(jax.tree.leaves(slope)))
    assert float(slope.lam) == pytest.approx(0.5, rel=1e-12)


def test_divergences_of_normals_far_from_the_origin_are_those_near_it():
    factor = np.array([[1.0, 0.0], [0.3, 0.8]])
    other = np.array([[1.1, 0.0], [0.2, 0.7]])
    shift = np.array([0.25, -0.5])
    for method in ("kl_divergence", "squared_hellinger"):
        near, far = (
            float(getattr(MultivariateNormal(at, factor), method)(
                MultivariateNormal(at + shift, other)
            ))
            for at in (np.zeros(2), np.full(2, 2.0**40))
        )  # fmt: skip
        assert far == pytest.approx(near, rel=1e-13)
    law = MultivariateNormal(np.full(2, 2.0**40), factor)
    exact = 1 + np.log(2 * np.pi) + np.log(0.8)
    assert float(law.entropy()) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_the_remainder_of_stirling_and_its_derivatives(order):
    x = np.array([1e-8, 0.1, 1.0, 3.0, 7.999, 8.0, 30.0, 1e3, 1e9, 1e16])

    def exact(t):
        t = mpf(t)
        return mpmath.loggamma(t) - (t - 0.5) * mpmath.log(t) + t - mpmath.log(2 * mpmath.pi) / 2

    def size(t):
        return abs(mpmath.polygamma(order - 1, mpf(t))) if order else abs(mpmath.loggamma(t))

    found = np.asarray(stirling(order, jnp.asarray(x)))
    with mpmath.workdps(120):
        for got, t in zip(found, x, strict=True):
            value = mpmath.diff(exact, mpf(t), order)
            # below 8 it is a difference
            digits = 1e-14 if order < 2 else 1e-12
            allowed = digits * abs(value) if t >= 8 else 1e-14 * (1 + abs(value) + size(t))
            assert abs(got - value) < allowed, t
    slope = jax.vmap(jax.grad(lambda t: stirling(order, t)))(jnp.asarray(x))
    np.testing.assert_array_equal(slope, stirling(order + 1, jnp.asarray(x)))


@pytest.mark.parametrize("dtype", TYPES)
def test_the_gap_of_the_logarithm_is_relatively_right_on_both_sides_of_its_seam(dtype):
    r = np.array([-0.9, -0.26, -0.24, -1e-3, -1e-9, 1e-9, 1e-4, 0.24, 0.26, 0.9, 30.0], dtype)
    one = jnp.ones_like(jnp.asarray(r))
    found = kl_term(one, one + r, jnp.asarray(r), one, jnp.log1p(jnp.asarray(r)))
    growth = exp_gap(jnp.asarray(r))
    with mpmath.workdps(DIGITS):
        exact = [mpf(float(t)) - mpmath.log1p(mpf(float(t))) for t in r]
        grown = [mpmath.expm1(mpf(float(t))) - mpf(float(t)) for t in r]
    rtol = 40 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, np.array(exact, float), rtol=rtol)
    np.testing.assert_allclose(growth, np.array(grown, float), rtol=rtol)


@pytest.mark.parametrize("w", [1e2, 1e6, 1e10])
def test_entropies_and_divergences_of_concentrated_gig_members_are_those_of_the_members(w):
    """To the digits that p, a and b of a concentrated distribution determine."""
    rtol = 1e-13 * np.sqrt(w)
    for law, other in (
        (Gamma(w, w), Gamma(w * 1.001, w)),
        (InverseGamma(w, w), InverseGamma(w, w * 1.001)),
        (InverseGaussian(1.0, w), InverseGaussian(1.001, w)),
        (Gamma(w, w), Gamma(w, w * (1 + 1e-3 / np.sqrt(w)))),
    ):
        p, q = to_gig(law), to_gig(other)
        assert float(p.entropy()) == pytest.approx(float(law.entropy()), abs=rtol)
        assert float(p.kl_divergence(q)) == pytest.approx(
            float(law.kl_divergence(other)), rel=10 * rtol, abs=0
        )


def test_the_entropy_of_a_concentrated_gig_has_the_derivatives_of_the_normal_limit():
    """w = √(ab) for p = 0: the entropy is log y0 + ½ log(2πe/w) + O(1/w), y0 = √(b/a)."""
    law = GIG(0.0, 4e8, 1e8)
    slope = jax.grad(lambda at: at.entropy())(law)
    assert float(slope.a) == pytest.approx(-0.75 / 4e8, rel=1e-7)
    assert float(slope.b) == pytest.approx(0.25 / 1e8, rel=1e-7)
