"""Entropies and divergences against integrals at 30 to 45 digits, near and far."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normix_expfam import (
    GIG,
    Exponential,
    ExponentialFamily,
    Gamma,
    InverseGaussian,
    MultivariateNormal,
)
from normix_expfam import InverseGamma as IGamma

ORDERS = (0.3, 0.5, 1.0, 2.0)


def kl(p, q):
    return p.kl_divergence(q)


def renyi(p, q, order):
    return p.renyi_divergence(q, order)


def hellinger(p, q):
    return p.squared_hellinger(q)


def as_gig(law):
    """(p, a, b) of a law on y > 0 from its classical parameters, exactly."""
    values = [mpmath.mpf(float(x)) for x in jax.tree.leaves(law)]
    if isinstance(law, GIG):
        return values
    if isinstance(law, Gamma):
        return [values[0], 2 * values[1], mpmath.mpf(0)]
    if isinstance(law, IGamma):
        return [-values[0], mpmath.mpf(0), 2 * values[1]]
    if isinstance(law, Exponential):
        return [mpmath.mpf(1), 2 * values[0], mpmath.mpf(0)]
    mu, lam = values
    return [mpmath.mpf(-1) / 2, lam / mu**2, lam]


def in_domain(p, a, b):
    return a >= 0 and b >= 0 and (a > 0 or p < 0) and (b > 0 or p > 0)


class Table(NamedTuple):
    """A law of u = log y on a grid as far as the density at working precision reaches."""

    log_total: mpmath.mpf
    nodes: list[tuple[mpmath.mpf, ...]]  # u, e^u, e^-u
    weights: list[mpmath.mpf]  # with the sum 1


def log_kernel(law, node):
    """The logarithm of the unnormalised density of u."""
    p, a, b = law
    u, up, down = node
    return p * u - (a * up + b * down) / 2


def table(law):
    return _table(tuple(law), mpmath.mp.dps)


@cache
def _table(law, digits):
    p, a, b = law
    w = mpmath.sqrt(p * p + a * b)
    mode = mpmath.log((w + p) / a) if p > 0 else mpmath.log(b / (w - p))
    step = min(mpmath.mpf(6) / (digits + 20), 1 / (3 * mpmath.sqrt(w)))
    nodes, limit = [], 2.4 * digits + 20
    for side in (1, -1):
        for k in range(side == -1, 10**5):
            u = mode + side * k * step
            up = mpmath.exp(u)
            nodes.append((u, up, 1 / up))
            if log_kernel(law, nodes[0]) - log_kernel(law, nodes[-1]) > limit:
                break
    kernel = [mpmath.exp(log_kernel(law, node)) for node in nodes]
    total = mpmath.fsum(kernel)
    return Table(mpmath.log(step * total), nodes, [value / total for value in kernel])


def mean(law, function):
    _, nodes, weights = table(law)
    return mpmath.fdot(weights, map(function, nodes))


def kl_integral(p, q):
    shift = table(q).log_total - table(p).log_total
    return mean(p, lambda node: log_kernel(p, node) - log_kernel(q, node) + shift)


def renyi_integral(p, q, order):
    if order == 1:
        return kl_integral(p, q)
    order = mpmath.mpf(order)
    middle = [order * x + (1 - order) * y for x, y in zip(p, q, strict=True)]
    if not in_domain(*middle):
        return mpmath.inf
    mixed = order * table(p).log_total + (1 - order) * table(q).log_total
    return (table(middle).log_total - mixed) / (order - 1)


def hellinger_integral(p, q):
    return -mpmath.expm1(-renyi_integral(p, q, 0.5) / 2)


def entropy_integral(p):
    return cross_entropy_integral(p, p)


def cross_entropy_integral(p, q):
    total = table(q).log_total
    return mean(p, lambda node: total - log_kernel(q, node) + node[0])


PAIRS = {
    "gamma": (Gamma(2.5, 0.7), Gamma(3.5, 0.3)),
    "gamma diffuse": (Gamma(0.4, 2e4), Gamma(0.7, 3e4)),
    "inverse gamma": (IGamma(2.5, 0.7), IGamma(4.0, 2.0)),
    "inverse gaussian": (InverseGaussian(3.607, 1.659), InverseGaussian(1.5, 2.5)),
    "exponential": (Exponential(0.3), Exponential(2.0)),
    "gig": (GIG(1.5, 2.0, 3.0), GIG(-0.5, 1.0, 2.0)),
    "gig concentrated": (GIG(20.0, 30.0, 40.0), GIG(12.0, 25.0, 45.0)),
    "gamma limit to interior": (GIG(2.5, 2.0, 0.0), GIG(1.5, 1.0, 3.0)),
    "interior to gamma limit": (GIG(1.5, 2.0, 3.0), GIG(2.5, 1.0, 0.0)),
    "gamma limits": (GIG(0.5, 2.0, 0.0), GIG(0.8, 1.0, 0.0)),
    "inverse gamma limit to gamma limit": (GIG(-2.5, 0.0, 2.0), GIG(1.5, 2.0, 0.0)),
    "inverse gamma limits": (GIG(-0.5, 0.0, 2.0), GIG(-0.7, 0.0, 3.0)),
}
each_pair = pytest.mark.parametrize(("p", "q"), PAIRS.values(), ids=PAIRS)


def relative_error(got, expected):
    return abs(float(got) / float(expected) - 1)


@each_pair
def test_divergences_are_the_integrals(p, q):
    with mpmath.workdps(30):
        exact = as_gig(p), as_gig(q)
        assert relative_error(kl(p, q), kl_integral(*exact)) < 1e-12
        assert relative_error(hellinger(p, q), hellinger_integral(*exact)) < 1e-12
        for order in ORDERS:
            expected = float(renyi_integral(*exact, order))
            found = float(renyi(p, q, order))
            assert found == expected or abs(found / expected - 1) < 1e-12


@each_pair
def test_entropies_are_the_integrals(p, q):
    with mpmath.workdps(30):
        exact = as_gig(p), as_gig(q)
        for got, expected in (
            (p.entropy(), entropy_integral(exact[0])),
            (p.cross_entropy(q), cross_entropy_integral(*exact)),
        ):
            assert abs(float(got) - float(expected)) < 1e-12 * max(1, abs(float(expected)))


def normal_parts(law):
    return mpmath.matrix(law.mu.tolist()), mpmath.matrix(law.L_Sigma.tolist())


def log_det(factor):
    return 2 * mpmath.fsum(mpmath.log(factor[i, i]) for i in range(factor.rows))


def normal_kl(p, q):
    (mu, factor), (to, other) = normal_parts(p), normal_parts(q)
    ratio, shift = mpmath.inverse(other) * factor, mpmath.inverse(other) * (to - mu)
    trace = mpmath.fsum(x**2 for x in ratio)
    square = mpmath.fsum(x**2 for x in shift)
    return (trace + square - mu.rows + log_det(other) - log_det(factor)) / 2


def normal_renyi(p, q, order):
    """α/2 δᵀ Σ*⁻¹ δ - log(|Σ*| / |Σp|^(1-α) |Σq|^α) / (2 (α-1)) with Σ* = (1-α) Σp + α Σq."""
    if order == 1:
        return normal_kl(p, q)
    order = mpmath.mpf(order)
    (mu, factor), (to, other) = normal_parts(p), normal_parts(q)
    mixed = (1 - order) * factor * factor.T + order * other * other.T
    try:
        root = mpmath.cholesky(mixed)
    except ValueError:
        return mpmath.inf
    shift = mpmath.inverse(root) * (to - mu)
    log_ratio = log_det(root) - (1 - order) * log_det(factor) - order * log_det(other)
    square = mpmath.fsum(x**2 for x in shift)
    return order / 2 * square - log_ratio / (2 * (order - 1))


FACTOR = np.array([[1.5, 0.0, 0.0], [-0.7, 0.8, 0.0], [0.2, 0.1, 3.0]])
NORMAL = MultivariateNormal(np.array([0.5, -3.0, 1.0]), FACTOR)
NORMALS = {
    "wider": MultivariateNormal(np.array([0.0, -2.0, 2.0]), 1.2 * FACTOR + np.diag([0, 0.1, 0])),
    "narrower": MultivariateNormal(np.array([0.0, -2.0, 2.0]), 0.6 * FACTOR),
}


@pytest.mark.parametrize("q", NORMALS.values(), ids=NORMALS)
def test_divergences_of_normal_laws_are_the_closed_forms(q):
    p = NORMAL
    with mpmath.workdps(30):
        assert relative_error(kl(p, q), normal_kl(p, q)) < 1e-12
        expected = -mpmath.expm1(-normal_renyi(p, q, 0.5) / 2)
        assert relative_error(hellinger(p, q), expected) < 1e-12
        for order in ORDERS:
            expected = float(normal_renyi(p, q, order))
            found = float(renyi(p, q, order))
            assert found == expected or abs(found / expected - 1) < 1e-12
        constant = 3 * (1 + mpmath.log(2 * mpmath.pi))
        expected = (constant + log_det(normal_parts(p)[1])) / 2
        assert relative_error(p.entropy(), expected) < 1e-12
        assert relative_error(p.cross_entropy(q), expected + normal_kl(p, q)) < 1e-12


NEAR = {
    "gamma": (Gamma, (2.5, 0.7)),
    "gamma diffuse": (Gamma, (0.3, 2e4)),
    "gamma concentrated": (Gamma, (400.0, 5.0)),
    "inverse gaussian": (InverseGaussian, (3.607, 1.659)),
    "gig": (GIG, (1.5, 2.0, 3.0)),
    "gig of order 0": (GIG, (-0.1, 0.2, 0.4)),
    "gig concentrated": (GIG, (20.0, 30.0, 40.0)),
    "gig almost gamma": (GIG, (0.7, 2.0, 1e-6)),
}


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize(("family", "parameters"), NEAR.values(), ids=NEAR)
def test_the_kl_divergence_of_near_laws_is_relatively_right(family, parameters, apart):
    p = family(*parameters)
    for i in range(len(parameters)):
        moved = np.array(parameters)
        moved[i] *= 1 + apart
        q = family(*moved)
        with mpmath.workdps(45):
            exact = as_gig(p), as_gig(q)
            assert relative_error(kl(p, q), kl_integral(*exact)) < 1e-6
            assert relative_error(kl(q, p), kl_integral(*exact[::-1])) < 1e-6
            assert relative_error(hellinger(p, q), hellinger_integral(*exact)) < 1e-6


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize(
    ("limit", "towards"),
    [
        ((2.5, 2.0, 0.0), (0, 0, 1)),
        ((1.5, 2.0, 0.0), (0, 0, 1)),
        ((1.5, 2.0, 0.0), (1, 1, 0)),
        ((0.5, 2.0, 0.0), (1, 1, 0)),
        ((-1.5, 0.0, 3.0), (0, 1, 0)),
        ((-1.5, 0.0, 3.0), (1, 0, 1)),
    ],
)
def test_the_kl_divergence_near_a_limit_is_relatively_right(limit, towards, apart):
    p, q = GIG(*limit), GIG(*(np.array(limit) + apart * np.array(towards)))
    with mpmath.workdps(45):
        exact = as_gig(p), as_gig(q)
        assert relative_error(kl(p, q), kl_integral(*exact)) < 1e-6
        assert relative_error(kl(q, p), kl_integral(*exact[::-1])) < 1e-6


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9])
def test_the_kl_divergence_of_near_normal_laws_is_relatively_right(apart):
    scaled = FACTOR * np.array([1 + apart, 1.0, 1.0])[:, None]
    shifted = np.array([0.5, -3.0 + apart, 1.0])
    for q in (MultivariateNormal(shifted, FACTOR), MultivariateNormal(np.array(NORMAL.mu), scaled)):
        with mpmath.workdps(45):
            assert relative_error(kl(NORMAL, q), normal_kl(NORMAL, q)) < 1e-6


def test_the_kl_divergence_is_infinite_where_it_is():
    for p, q in (
        (GIG(0.5, 2.0, 0.0), GIG(0.5, 2.0, 1.0)),
        (GIG(1.0, 2.0, 0.0), GIG(1.0, 2.0, 1e-9)),
        (GIG(-0.5, 0.0, 2.0), GIG(-0.5, 1.0, 2.0)),
        (GIG(-1.0, 0.0, 2.0), GIG(3.0, 1.0, 0.0)),
    ):
        assert kl(p, q) == np.inf
        assert renyi(p, q, 1.0) == np.inf
        assert renyi(p, q, 2.0) == np.inf
        assert 0 < renyi(p, q, 0.5) < np.inf
        assert 0 < hellinger(p, q) < 1


def test_the_renyi_divergence_is_infinite_outside_the_domain_and_finite_inside():
    for p, q, last in (
        (Gamma(2.0, 3.0), Gamma(4.0, 3.0), 2.0),
        (Gamma(2.0, 3.0), Gamma(2.0, 6.0), 2.0),
        (InverseGaussian(1.0, 3.0), InverseGaussian(1.0, 6.0), 2.0),
        (GIG(1.0, 3.0, 1.0), GIG(1.0, 6.0, 1.0), 2.0),
        (GIG(1.0, 3.0, 1.0), GIG(1.0, 3.0, 2.0), 2.0),
    ):
        assert 0 < renyi(p, q, 0.999 * last) < np.inf
        assert renyi(p, q, 1.001 * last) == np.inf


@pytest.mark.parametrize("p0", [0.5, 1.0, 2.5])
def test_the_renyi_divergence_is_finite_where_the_mixture_is_a_limit(p0):
    p, q = GIG(p0, 2.0, 1.5), GIG(p0, 2.0, 3.0)
    with mpmath.workdps(30):
        expected = renyi_integral(as_gig(p), as_gig(q), 2.0)
        assert relative_error(renyi(p, q, 2.0), expected) < 1e-12


def test_divergences_from_an_equal_law_are_exactly_zero():
    laws = [law for pair in PAIRS.values() for law in pair]
    for law in [*laws, NORMAL, *NORMALS.values()]:
        assert kl(law, law) == 0
        assert hellinger(law, law) == 0
        for order in ORDERS:
            assert renyi(law, law, order) == 0


exponents = st.floats(-3, 3)


@settings(max_examples=100)
@given(
    st.floats(-20, 20), exponents, exponents, st.floats(-12, 0.5),
    st.tuples(*[st.floats(-1, 1)] * 3),
)  # fmt: skip
def test_the_kl_divergence_is_not_negative(p, log_a, log_b, log_apart, direction):
    move = 10**log_apart * np.array(direction)
    law = np.array([p, 10**log_a, 10**log_b])
    other = np.array([p + move[0], *law[1:] * np.exp(move[1:])])
    assert kl(GIG(*law), GIG(*other)) >= 0
    gammas = np.abs(law[:2]) + 1e-3, np.abs(other[:2]) + 1e-3
    assert kl(Gamma(*gammas[0]), Gamma(*gammas[1])) >= 0


METHODS = ["kl_divergence", "cross_entropy", "squared_hellinger"]


@pytest.mark.parametrize("method", METHODS)
def test_another_family_is_an_error_naming_both(method):
    message = rf"^Gamma\.{method}: other must be a Gamma, got InverseGamma; convert one of them"
    with pytest.raises(TypeError, match=message):
        getattr(Gamma(2.0, 3.0), method)(IGamma(2.0, 3.0))


def test_another_family_is_an_error_in_the_renyi_divergence():
    message = r"^Gamma\.renyi_divergence: other must be a Gamma, got GeneralizedInverseGaussian; "
    with pytest.raises(TypeError, match=message):
        Gamma(2.0, 3.0).renyi_divergence(GIG(2.0, 6.0, 0.0), 0.5)


@pytest.mark.parametrize("method", METHODS)
def test_normal_laws_of_other_dimensions_are_not_compared(method):
    plane = MultivariateNormal(np.zeros(2), np.eye(2))
    message = rf"^MultivariateNormal\.{method}: other must have natural parameters of shape \(9,\)"
    with pytest.raises(ValueError, match=message):
        getattr(NORMAL, method)(plane)


@pytest.mark.parametrize("order", [0.0, -0.5, np.inf, np.nan])
def test_an_order_that_is_not_positive_is_an_error(order):
    p, q = PAIRS["gamma"]
    message = rf"^Gamma\.renyi_divergence: order must be finite and > 0, got {order}"
    with pytest.raises(ValueError, match=message):
        p.renyi_divergence(q, order)


gradients = {
    "kl": jax.grad(lambda pq: pq[0].kl_divergence(pq[1])),
    "hellinger": jax.grad(lambda pq: pq[0].squared_hellinger(pq[1])),
    "renyi": jax.grad(lambda pq, order: pq[0].renyi_divergence(pq[1], order)),
    "entropy": jax.grad(lambda p: p.entropy()),
}


def central(function, point, i):
    h = mpmath.mpf(10) ** -12
    up, down = list(point), list(point)
    up[i] += h
    down[i] -= h
    return (function(up) - function(down)) / (2 * h)


def agree(found, expected):
    return abs(float(found) - float(expected)) < 1e-9 * max(1, abs(float(expected)))


def parameters(law):
    return [mpmath.mpf(float(x)) for x in jax.tree.leaves(law)]


TRANSLATED = {GIG: lambda p, a, b: [p, a, b], Gamma: lambda alpha, beta: [alpha, 2 * beta, 0]}
SMOOTH = [("gig", ""), ("gamma", ""), ("gamma", "near")]


def pair_of(name, how):
    p, q = PAIRS[name]
    return (p, type(p)(*(np.array(parameters(p), float) * (1 + 1e-4)))) if how else (p, q)


@pytest.mark.parametrize(("name", "how"), SMOOTH)
def test_gradients_of_divergences_in_both_laws_are_right(name, how):
    p, q = pair_of(name, how)
    translate, size = TRANSLATED[type(p)], len(jax.tree.leaves(p))
    found = {key: gradients[key]((p, q)) for key in ("kl", "hellinger")}
    found |= {order: gradients["renyi"]((p, q), order) for order in (0.5, 1.0, 2.0)}
    with mpmath.workdps(40):
        at = parameters(p) + parameters(q)

        def both(point):
            return translate(*point[:size]), translate(*point[size:])

        functions = {
            "kl": lambda x: kl_integral(*both(x)),
            "hellinger": lambda x: hellinger_integral(*both(x)),
        } | {
            order: lambda x, order=order: renyi_integral(*both(x), order)
            for order in (0.5, 1.0, 2.0)
            if mpmath.isfinite(renyi_integral(*both(at), order))
        }
        assert {"kl", "hellinger", 0.5, 1.0} <= set(functions)
        for key, function in functions.items():
            slopes = [float(x) for law in found[key] for x in jax.tree.leaves(law)]
            assert all(agree(slope, central(function, at, i)) for i, slope in enumerate(slopes)), (
                key
            )


@pytest.mark.parametrize("law", [PAIRS["gig"][0], PAIRS["gamma"][0]])
def test_gradients_of_the_entropy_are_right(law):
    slopes, translate = jax.tree.leaves(gradients["entropy"](law)), TRANSLATED[type(law)]
    with mpmath.workdps(40):
        function, at = (lambda x: entropy_integral(translate(*x))), parameters(law)
        assert all(agree(slope, central(function, at, i)) for i, slope in enumerate(slopes))


def test_gradients_of_normal_divergences_are_the_closed_forms():
    p, q = NORMAL, NORMALS["wider"]
    at_p, at_q = gradients["kl"]((p, q))
    cov, factor, other = (np.asarray(x) for x in (q.cov(), p.L_Sigma, q.L_Sigma))
    precision, shift = np.linalg.inv(cov), np.asarray(q.mu - p.mu)
    np.testing.assert_allclose(at_q.mu, precision @ shift, rtol=1e-9)
    np.testing.assert_allclose(at_p.mu, -precision @ shift, rtol=1e-9)
    in_p = precision @ factor - np.linalg.inv(factor).T
    second = np.asarray(p.cov()) + np.outer(shift, shift)
    in_q = np.linalg.inv(other).T - precision @ second @ precision @ other
    np.testing.assert_allclose(np.tril(at_p.L_Sigma), np.tril(in_p), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.tril(at_q.L_Sigma), np.tril(in_q), rtol=1e-9, atol=1e-9)
    slope = gradients["entropy"](p)
    np.testing.assert_allclose(np.diagonal(slope.L_Sigma), 1 / np.diagonal(factor), rtol=1e-9)
    np.testing.assert_allclose(slope.mu, 0, atol=1e-9)


def test_the_gradient_of_the_entropy_at_a_limit_is_that_of_the_gamma_law():
    slope = gradients["entropy"](GIG(1.5, 2.0, 0.0))
    gamma = gradients["entropy"](Gamma(1.5, 1.0))
    assert agree(slope.p, gamma.alpha)
    assert agree(slope.a, gamma.beta / 2)


class _Outlier(ExponentialFamily):
    """P(X = x) ∝ e^(θx) times 1, 1 and e^-61 for x = 0, 1 and 1000."""

    theta: jax.Array
    interior_theta = (0.0,)

    def natural_params(self):
        return self.theta[None]

    @classmethod
    def from_natural(cls, theta):
        return cls(theta[0])

    @staticmethod
    def _statistics_of(x):
        return x[None]

    @staticmethod
    def _interior_point(x):
        return x

    @staticmethod
    def _log_base_of(x):
        return jnp.where(x == 1000, -61.0, jnp.where((x == 0) | (x == 1), 0.0, -jnp.inf))

    @classmethod
    def _log_partition_from_theta(cls, theta):
        t = theta[0]
        return jax.nn.logsumexp(jnp.stack([0.0 * t, t, 1000 * t - 61]))


@pytest.mark.parametrize("end", [0.045, 0.049, 0.05])
def test_close_laws_between_which_the_variance_jumps(end):
    """It rises to 50 times as much at the end, where few nodes of the segment are."""
    with mpmath.workdps(40):

        def psi(t):
            return mpmath.log(1 + mpmath.exp(t) + mpmath.exp(1000 * t - 61))

        mean = (1 + 1000 * mpmath.exp(-61)) / (2 + mpmath.exp(-61))
        expected = float(psi(mpmath.mpf(end)) - psi(mpmath.mpf(0)) - mpmath.mpf(end) * mean)
    got = _Outlier(jnp.array(0.0)).kl_divergence(_Outlier(jnp.array(end)))
    assert float(got) == pytest.approx(expected, rel=1e-10)
