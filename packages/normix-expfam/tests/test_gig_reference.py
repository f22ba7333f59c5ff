"""GIG laws against integrals at 40 digits and against stored reference values."""

import json
from functools import cache, partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from normix_expfam import GIG, gig_log_partition, gig_moments

pytestmark = pytest.mark.gpu

CORNERS = np.array([
    (1.5, 2.0, 3.0),
    (0.0, 0.2, 0.4),
    (0.0, 1e-6, 1e-6),
    (-0.5, 1e-6, 1e6),
    (0.3, 1e6, 1e6),
    (-50.0, 1e6, 1e6),
    (50.0, 1e-6, 1e-6),
    (-50.0, 1e6, 1e-6),
    (-7.5, 1e-3, 1e-3),
    (2.5, 1e-6, 1.0),
    (9.999, 4e-5, 2e-4),
    (500.0, 3.0, 4.0),
])  # fmt: skip


def random_laws(n):
    """p in ±50, a and b in 10^±6, shape (n, 3)."""
    rng = np.random.default_rng(41)
    return np.stack([rng.uniform(-50, 50, n), *10 ** rng.uniform(-6, 6, (2, n))], axis=-1)


POINTS = np.concatenate([CORNERS, random_laws(60)])


class Reference(NamedTuple):
    psi: mpmath.mpf
    mean: list[mpmath.mpf]  # of t = (log y, 1/y, y)
    cov: list[list[mpmath.mpf]]


@cache
@mpmath.workdps(40)
def reference(p: float, a: float, b: float) -> Reference:
    """The trapezoidal rule about the mode y0 of log Y; its error is about e^-98.

    (`mpmath.besselk` is wrong at large order and small argument.)
    """
    p, a, b = mpmath.mpf(p), mpmath.mpf(a), mpmath.mpf(b)
    w = mpmath.sqrt(p * p + a * b)
    alpha, beta = (w + p) / 2, (w - p) / 2
    if p > 0:
        beta = a * b / (4 * alpha)
        y0 = 2 * alpha / a
    else:
        alpha = a * b / (4 * beta)
        y0 = b / (2 * beta)
    step = min(mpmath.mpf("0.1"), mpmath.mpf("0.3") / mpmath.sqrt(w))
    total, sums, products = mpmath.mpf(0), [mpmath.mpf(0)] * 3, [[mpmath.mpf(0)] * 3] * 3
    for side in (1, -1):
        for k in range(side == -1, 10**6):
            u = side * k * step
            e = mpmath.expm1(u)
            d = -e / (1 + e)
            phi = alpha * (e - u) + beta * (d + u)
            if phi - 2 * abs(u) > 110:
                break
            weight = mpmath.exp(-phi)
            t = (u, d, e)  # about the mode: log y/y0, y0/y - 1, y/y0 - 1
            total += weight
            sums = [s + weight * x for s, x in zip(sums, t, strict=True)]
            products = [
                [r + weight * x * y for r, y in zip(row, t, strict=True)]
                for row, x in zip(products, t, strict=True)
            ]
    m = [s / total for s in sums]
    scale = (1, 1 / y0, y0)
    psi = p * mpmath.log(y0) - (alpha + beta) + mpmath.log(step * total)
    mean = [mpmath.log(y0) + m[0], (1 + m[1]) / y0, (1 + m[2]) * y0]
    cov = [
        [(products[i][j] / total - m[i] * m[j]) * scale[i] * scale[j] for j in range(3)]
        for i in range(3)
    ]
    return Reference(psi, mean, cov)


def as_array(values: object) -> np.ndarray:
    return np.array(values).astype(np.float64)


@pytest.fixture(scope="module")
def expected() -> Reference:
    """References at POINTS, as arrays with a leading axis."""
    rows = [reference(*point) for point in POINTS]
    return Reference(*(as_array([row[i] for row in rows]) for i in range(3)))


class Computed(NamedTuple):
    psi: np.ndarray
    mean: np.ndarray
    cov: np.ndarray


@jax.jit
def on_jax(p, a, b):
    moments = gig_moments(p, a, b)
    laws = eqx.filter_vmap(partial(GIG, check=False))(p, a, b)
    fisher = eqx.filter_vmap(lambda law: law.fisher_information())(laws)
    return Computed(gig_log_partition(p, a, b), jnp.stack(moments[1:], axis=-1), fisher)


def triad(points):
    """`on_jax` at points (n, 3), always compiled for one shape."""
    points = np.asarray(points)
    padded = np.concatenate([points, np.ones((80 - len(points), 3))])
    return Computed(*(np.asarray(field)[: len(points)] for field in on_jax(*padded.T)))


def triad_cpu(points):
    p, a, b = points.T
    moments = gig_moments(p, a, b, backend="cpu")
    laws = [GIG(*point) for point in points]
    fisher = np.stack([law.fisher_information(backend="cpu") for law in laws])
    return Computed(moments.log_partition, np.stack(moments[1:], axis=-1), fisher)


@pytest.fixture(scope="module", params=[triad, pytest.param(triad_cpu, marks=pytest.mark.cpu)])
def computed(request) -> Computed:
    return request.param(POINTS)


@mpmath.workdps(40)
def test_the_reference_is_consistent_with_differences_of_itself():
    point, at = (1.5, 2.0, 3.0), reference(1.5, 2.0, 3.0)
    h = mpmath.mpf("1e-7")

    def slope(i: int) -> mpmath.mpf:
        def psi(steps: int) -> mpmath.mpf:
            return reference(*(x + steps * h * (i == k) for k, x in enumerate(point))).psi

        return (8 * (psi(1) - psi(-1)) - (psi(2) - psi(-2))) / (12 * h)

    expected = [at.mean[0], -at.mean[2] / 2, -at.mean[1] / 2]
    assert max(abs(slope(i) - expected[i]) for i in range(3)) < 1e-25


def test_the_log_partition_is_that_of_the_integral(computed, expected):
    error = np.abs(computed.psi - expected.psi) / np.maximum(1, np.abs(expected.psi))
    assert np.max(error) < 1e-12


def test_mean_statistics_are_those_of_the_integral(computed, expected):
    scale = np.abs(expected.mean)
    scale[:, 0] = np.maximum(scale[:, 0], 1)
    assert np.max(np.abs(computed.mean - expected.mean) / scale) < 1e-12


def test_the_covariance_of_statistics_is_that_of_the_integral(computed, expected):
    sd = np.sqrt(np.diagonal(expected.cov, axis1=1, axis2=2))
    error = np.abs(computed.cov - expected.cov) / (sd[:, :, None] * sd[:, None, :])
    assert np.max(error) < 1e-10


def test_the_covariance_is_positive_definite(computed):
    sd = np.sqrt(np.diagonal(computed.cov, axis1=1, axis2=2))
    correlation = computed.cov / (sd[:, :, None] * sd[:, None, :])
    assert np.all(np.linalg.eigvalsh(correlation) > 0)


@jax.jit
@jax.vmap
def gradients_of_log_prob(point, x):
    return jax.grad(lambda q, x: GIG(*q).log_prob(x), argnums=(0, 1))(point, x)


def test_the_gradient_of_log_prob_is_exact_in_parameters_and_in_x(expected):
    x = np.asarray(expected.mean)[:, 2] * 1.25
    by_parameter, by_x = gradients_of_log_prob(POINTS, x)
    log_y, inverse_y, y = np.asarray(expected.mean).T
    exact = np.stack([np.log(x) - log_y, (y - x) / 2, (inverse_y - 1 / x) / 2], axis=-1)
    terms = np.stack([1 + np.abs(log_y), y + x, inverse_y + 1 / x], axis=-1)
    assert np.max(np.abs(by_parameter - exact) / terms) < 1e-11
    p, a, b = POINTS.T
    exact = (p - 1) / x - a / 2 + b / 2 / x**2
    assert np.max(np.abs(by_x - exact) / (np.abs(p - 1) / x + a + b / x**2)) < 1e-13


@jax.jit
@jax.vmap
def log_prob(p, a, b, x):
    return GIG(p, a, b).log_prob(x)


@pytest.fixture(scope="module")
def stored(shared_data):
    return json.loads((shared_data / "reference_gig.json").read_text("utf-8"))


def column(rows, key):
    return np.array([float(row[key]) for row in rows])


def test_log_densities_agree_with_stored_values(stored):
    rows = stored["gig_refs"]
    p, b, a, x, exact = (column(rows, key) for key in ("lambda", "chi", "psi", "x", "mp_logpdf"))
    got = np.asarray(log_prob(p, a, b, x))
    assert np.max(np.abs(got - exact) / np.maximum(np.abs(exact), 1)) < 1e-11


def test_the_log_density_loses_nothing_for_concentrated_laws(expected):
    sd = np.sqrt(expected.cov[:, 2, 2])
    for distance in (-0.5, 1e-9, 3.0):
        x = np.maximum(expected.mean[:, 2] + distance * sd, expected.mean[:, 2] / 3)
        with mpmath.workdps(40):
            exact = as_array([
                (mpmath.mpf(p) - 1) * mpmath.log(y) - (mpmath.mpf(a) * y + b / mpmath.mpf(y)) / 2
                - reference(p, a, b).psi
                for (p, a, b), y in zip(POINTS.tolist(), x.tolist(), strict=True)
            ])  # fmt: skip
        error = np.abs(np.asarray(log_prob(*POINTS.T, x)) - exact)
        assert np.max(error / np.maximum(1, np.abs(exact))) < 1e-12


def test_mean_statistics_agree_with_stored_values(stored):
    index = {"logx": 0, "1/x": 1, "x": 2}
    rows = [row for row in stored["gig_moments"] if row["func"] in index]
    p, b, a, exact = (column(rows, key) for key in ("lambda", "chi", "psi", "mp"))
    which = np.array([index[row["func"]] for row in rows])
    got = triad(np.stack([p, a, b], axis=-1)).mean[np.arange(which.size), which]
    finite = np.isfinite(exact)
    assert np.array_equal(got[~finite], exact[~finite])
    got, exact, which = got[finite], exact[finite], which[finite]
    scale = np.where(which == 0, np.maximum(np.abs(exact), 1), np.abs(exact))
    assert np.max(np.abs(got - exact) / scale) < 1e-11


def test_the_limits_are_gamma_and_inverse_gamma_exactly():
    points = np.array([(2.0, 3.0, 0.0), (0.3, 0.6, 0.0), (-3.0, 0.0, 4.0), (-0.7, 0.0, 2.0)])
    alpha, rate = np.abs(points[:, 0]), points[:, 1:].sum(axis=1) / 2
    with mpmath.workdps(30):
        psi = [mpmath.loggamma(s) - s * mpmath.log(r) for s, r in zip(alpha, rate, strict=True)]
        log_x = [mpmath.digamma(s) - mpmath.log(r) for s, r in zip(alpha, rate, strict=True)]
    got = triad(points)
    np.testing.assert_allclose(got.psi, as_array(psi), rtol=1e-14)
    log_y, inverse_y, y = got.mean.T
    np.testing.assert_allclose(log_y, np.sign(points[:, 0]) * as_array(log_x), atol=1e-14)
    np.testing.assert_allclose(y, [4 / 3, 1, 1, np.inf], rtol=1e-14)
    np.testing.assert_allclose(inverse_y, [1.5, np.inf, 1.5, 0.7], rtol=1e-14)


def test_the_law_is_continuous_at_its_limits():
    limits = np.array([(2.5, 3.0, 0.0), (-2.5, 0.0, 3.0)])
    near = np.where(limits == 0, 1e-13, limits)
    np.testing.assert_allclose(triad(near).mean, triad(limits).mean, rtol=1e-10)
    np.testing.assert_allclose(triad(near).cov[:, 0], triad(limits).cov[:, 0], rtol=1e-10)


def test_outside_the_domain_the_integral_diverges():
    outside = triad([(-1.0, 2.0, 0.0), (1.0, 0.0, 2.0), (0.0, 0.0, 0.0)])
    np.testing.assert_array_equal(outside.psi, np.inf)
    np.testing.assert_array_equal(outside.mean, np.nan)


def test_python_numbers_and_single_precision_are_accepted():
    double = gig_log_partition(1.5, 2, 3.0)
    single = gig_log_partition(1.5, jnp.float32(2.0), jnp.float32(3.0))
    assert (double.dtype, single.dtype) == (jnp.float64, jnp.float32)
    np.testing.assert_allclose(single, double, rtol=1e-6)


def test_second_derivatives_of_the_log_partition_survive_forward_mode_at_a_limit():
    def psi(q):
        return gig_log_partition(q[0], q[1], jnp.asarray(0.0))

    q = jnp.array([0.7, 2.0])
    trigamma = float(mpmath.polygamma(1, 0.7))
    exact = np.array([[trigamma, -1 / 2], [-1 / 2, 0.7 / 4]])
    np.testing.assert_allclose(jax.jit(jax.jacfwd(jax.jacfwd(psi)))(q), exact, rtol=1e-13)


@pytest.mark.slow
def test_third_derivatives_are_symmetric_and_agree_forward_and_reverse():
    def psi(q):
        return gig_log_partition(q[0], q[1], q[2])

    q = jnp.array([1.5, 2.0, 3.0])
    third = np.asarray(jax.jacfwd(jax.hessian(psi))(q))
    np.testing.assert_allclose(third, third.transpose(2, 1, 0), rtol=1e-11)
    np.testing.assert_allclose(third, jax.jacrev(jax.hessian(psi))(q), rtol=1e-11)


@pytest.mark.parametrize(("p", "slope"), [(-0.5, -5e19), (0.5, -5e199), (-1.5, -5e-161)])
def test_slopes_in_a_where_the_product_of_a_and_b_underflows(p, slope):
    """∂ψ/∂a = -E Y/2, in closed form at half-integer order; ab = 1e-360."""
    got = jax.grad(lambda a: gig_moments(p, a, 1e-160).log_partition)(1e-200)
    np.testing.assert_allclose(got, slope, rtol=1e-13)
