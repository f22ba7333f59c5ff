"""Distribution functions, quantiles and moments against integrals at 40 digits."""

import json
import math
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpmath.calculus.quadrature import GaussLegendre

from normix_expfam import GIG, Exponential, Gamma, InverseGamma, InverseGaussian

INTERIOR = [
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
    (1e-3, 2.0, 1e-12),
    (0.0, 1e-60, 1e-60),
    (0.0, 1e5, 1e5),
]
DIFFUSE = (0.01, 2.0, 0.0)  # E 1/Y is infinite
LIMITS = [DIFFUSE, (3.0, 2.0, 0.0), (-2.0, 0.0, 3.0)]
ODDS = np.array([-460.0, -100.0, -20.0, -3.0, 0.0, 0.7, 4.0, 30.0, 200.0, 460.0])
ROWS = 192
FAMILIES = [
    Gamma(2.5, 3.0),
    InverseGamma(4.5, 3.0),
    InverseGaussian(2.0, 3.0),
    Exponential(3.0),
    GIG(1.5, 2.0, 3.0),
    GIG(1.5, 2.0, 0.0),
    GIG(-2.5, 0.0, 2.0),
]
each_law = pytest.mark.parametrize("law", FAMILIES, ids=lambda law: type(law).__name__)
METHODS = ["cdf", "sf", "log_cdf", "log_sf"]


class Tail(NamedTuple):
    log_mass: mpmath.mpf
    v: mpmath.mpf
    exp_v: mpmath.mpf
    exp_minus_v: mpmath.mpf


class Odds(NamedTuple):
    """log P(Y <= x) - log P(Y > x) and its derivatives in p, a, b and x."""

    value: mpmath.mpf
    gradient: list[mpmath.mpf]


@cache
def legendre() -> list[tuple[mpmath.mpf, mpmath.mpf]]:
    return GaussLegendre(mpmath.mp).calc_nodes(4, 140)


def tail(p: mpmath.mpf, up: mpmath.mpf, down: mpmath.mpf, mode: mpmath.mpf) -> Tail:
    """log ∫_0^∞ exp(-D(v)) dv and means of v, e^v, e^-v, D = up (e^v-1) + down (e^-v-1) - p v.

    Panels of 24 nodes outwards from the mode, or from 0 if it is beyond, down to e^-50. On a
    panel D rises by less than 16, and e^v by less than e^2 unless it does not count.
    """
    order, high, low = float(p), float(up), float(down)

    def level(v: mpmath.mpf, e: mpmath.mpf) -> mpmath.mpf:
        return up * (e - 1) + down * (1 / e - 1) - p * v

    def bends(v: float) -> tuple[float, float]:
        v = min(max(v, -700.0), 700.0)
        return high * math.exp(v), low * math.exp(-v)

    def fits(near: float, far: float) -> bool:
        one, two = bends(near), bends(far)
        steep = abs(two[0] - two[1] - order) * abs(far - near)
        return steep <= 16 and (abs(far - near) <= 2 or max(*one, *two) < 1e-18)

    centre = max(mode, mpmath.mpf(0))
    least = level(centre, mpmath.exp(centre))
    sums = [mpmath.mpf(0)] * 4
    for sign in (1, -1):
        near, width = centre, mpmath.mpf(1)
        while sign > 0 or near > 0:
            width = 2 * width if sign > 0 else min(2 * width, near)
            while not fits(float(near), float(near + sign * width)):
                width /= 2
            far = near + sign * width
            for node, weight in legendre():
                v = (near + far) / 2 + node * width / 2
                e = mpmath.exp(v)
                f = weight * width / 2 * mpmath.exp(least - level(v, e))
                sums = [s + f * t for s, t in zip(sums, (1, v, e, 1 / e), strict=True)]
            near = far
            if level(far, mpmath.exp(far)) - least > 50:
                break
    return Tail(mpmath.log(sums[0]) - least, *(s / sums[0] for s in sums[1:]))


@cache
@mpmath.workdps(40)
def reference(p: float, a: float, b: float, x: float) -> Odds:
    """Both tails on the scale of v = log(y / x), relative to the level at x."""
    p, a, b, x = (mpmath.mpf(number) for number in (p, a, b, x))
    w = mpmath.sqrt(p * p + a * b)
    mode = mpmath.log(((w + p) / a if p > 0 else b / (w - p)) / x)
    up, down = a * x / 2, b / x / 2
    lower, upper = tail(-p, down, up, -mode), tail(p, up, down, mode)
    gradient = [
        -lower.v - upper.v,
        x / 2 * (upper.exp_v - lower.exp_minus_v),
        (upper.exp_minus_v - lower.exp_v) / (2 * x),
        (mpmath.exp(-lower.log_mass) + mpmath.exp(-upper.log_mass)) / x,
    ]
    return Odds(lower.log_mass - upper.log_mass, gradient)


def in_rows(function, *columns):
    """A function of columns, always compiled for one length."""
    n = len(columns[0])
    padded = [np.concatenate([column, np.ones(ROWS - n)]) for column in columns]
    return jax.tree.map(lambda found: np.asarray(found)[:n], function(*padded))


@jax.jit
@jax.vmap
def tails(p, a, b, x):
    law = GIG(p, a, b, check=False)
    return law.cdf(x), law.sf(x), law.log_cdf(x), law.log_sf(x)


@jax.jit
@jax.vmap
def quantiles(p, a, b, q):
    law = GIG(p, a, b, check=False)
    return law.ppf(q), law.isf(q)


class Points(NamedTuple):
    law: np.ndarray  # (rows, 3)
    odds: np.ndarray  # wanted
    q: np.ndarray  # the smaller probability
    x: np.ndarray
    exact: list[Odds]


def select(odds, lower, upper):
    return np.where(odds < 0, lower, upper)


@pytest.fixture(scope="module")
def points() -> Points:
    """All laws at all odds, where x is a normal number."""
    law = np.repeat(np.array(INTERIOR + LIMITS), len(ODDS), axis=0)
    odds = np.tile(ODDS, len(law) // len(ODDS))
    q = 1 / (1 + np.exp(np.abs(odds)))
    x = select(odds, *in_rows(quantiles, *law.T, q))
    inside = x > 1e-300
    assert np.count_nonzero(~inside) == 3
    np.testing.assert_array_equal(law[~inside], [DIFFUSE] * 3)
    np.testing.assert_array_equal(x[~inside], 0)
    law, odds, q, x = (array[inside] for array in (law, odds, q, x))
    exact = [reference(*map(float, row), float(at)) for row, at in zip(law, x, strict=True)]
    return Points(law, odds, q, x, exact)


@mpmath.workdps(40)
def from_odds(odds: mpmath.mpf) -> list[mpmath.mpf]:
    """cdf, sf and their logarithms."""
    above, below = mpmath.exp(odds), mpmath.exp(-odds)
    return [1 / (1 + below), 1 / (1 + above), -mpmath.log1p(below), -mpmath.log1p(above)]


def as_array(values: object) -> np.ndarray:
    return np.array(values).astype(np.float64)


def relative(got, exact) -> np.ndarray:
    return np.abs(np.asarray(got) / np.asarray(exact) - 1)


@mpmath.workdps(40)
@pytest.mark.parametrize("x", [1e-20, 0.4, 3.0, 50.0])
@pytest.mark.parametrize("shape", [0.01, 3.0, 200.0])
def test_the_reference_is_the_incomplete_gamma_function_at_its_limits(shape, x):
    lower = mpmath.gammainc(shape, 0, x, regularized=True)
    upper = mpmath.gammainc(shape, x, mpmath.inf, regularized=True)
    exact = mpmath.log(lower) - mpmath.log(upper)
    assert abs(reference(shape, 2.0, 0.0, x).value - exact) < 1e-18
    inverse = mpmath.mpf(1) / x
    assert abs(reference(-shape, 0.0, 2.0, inverse).value + exact) < 1e-18


@mpmath.workdps(40)
@pytest.mark.parametrize("x", [1e-3, 0.00302776, 0.7, 4.0, 900.0])
def test_the_reference_is_the_closed_form_of_inverse_gaussian_laws(x):
    def tails(x):
        root, x = mpmath.sqrt(1 / mpmath.mpf(x)), mpmath.mpf(x)
        below, beyond = root * (x - 1), root * (x + 1)
        second = mpmath.exp(2) * mpmath.erfc(beyond / mpmath.sqrt(2)) / 2
        halves = [mpmath.erfc(sign * below / mpmath.sqrt(2)) / 2 for sign in (-1, 1)]
        return halves[0] + second, halves[1] - second

    with mpmath.workdps(400):
        lower, upper = tails(x)
        exact = mpmath.log(lower) - mpmath.log(upper)
    assert abs(reference(-0.5, 1.0, 1.0, x).value - exact) < 1e-16


@mpmath.workdps(40)
@pytest.mark.parametrize("x", [0.02, 3.0])
@pytest.mark.parametrize("law", [(1.5, 2.0, 3.0), (-50.0, 1e6, 1e6), (0.0, 1e-6, 1e-6)])
def test_the_reference_is_consistent_with_differences_of_itself(law, x):
    at = tuple(mpmath.mpf(number) for number in (*law, x))
    for i, slope in enumerate(reference(*at).gradient):
        h = mpmath.mpf("1e-8") * (at[i] or 1)

        def odds(steps, i=i, h=h):
            return reference(*(y + steps * h * (i == k) for k, y in enumerate(at))).value

        difference = (8 * (odds(1) - odds(-1)) - (odds(2) - odds(-2))) / (12 * h)
        assert abs(difference / slope - 1) < 1e-11


def test_both_tails_are_those_of_the_integral_down_to_1e_200(points):
    exact = as_array([from_odds(row.value) for row in points.exact]).T
    assert np.min(exact[:2]) < 1e-199
    for method, got, expected in zip(
        METHODS, in_rows(tails, *points.law.T, points.x), exact, strict=True
    ):
        assert np.max(relative(got, expected)) < 1e-10, method


def test_quantiles_have_the_probability_asked_for_in_both_tails(points):
    missed = as_array(
        [row.value - odds for row, odds in zip(points.exact, points.odds, strict=True)]
    )
    slope = as_array([row.gradient[3] for row in points.exact]) * points.x
    assert np.max(np.abs(missed) / slope) < 1e-9


@mpmath.workdps(40)
@pytest.mark.parametrize(("shape", "rate", "x"), [(0.05, 1e-10, 1e-300), (0.3, 1e-8, 1e-301)])
def test_a_tail_is_exact_where_the_rate_times_x_underflows(shape, rate, x):
    scaled = mpmath.mpf(rate) * mpmath.mpf(x)
    exact = float(mpmath.gammainc(shape, 0, scaled, regularized=True))
    assert relative(Gamma(shape, rate).cdf(x), exact) < 1e-10
    assert relative(InverseGamma(shape, rate).sf(1 / x), exact) < 1e-10


def test_quantiles_beyond_the_range_of_numbers_are_the_ends_of_the_support():
    assert InverseGamma(0.05, 1.0).isf(1e-100) == np.inf
    assert InverseGamma(0.074, 2e-10).isf(1e-60) == np.inf
    assert Gamma(0.05, 1.0).ppf(1e-100) == 0
    assert Gamma(0.074, 2e-10).ppf(1e-60) == 0


@pytest.fixture(scope="module")
def stored(shared_data):
    return json.loads((shared_data / "reference_gig.json").read_text("utf-8"))


def column(rows, key):
    return np.array([float(row[key]) for row in rows])


def test_both_tails_agree_with_stored_values(stored):
    """Above 1e-36: the quadrature behind smaller ones is off by up to 1e-5."""
    rows = stored["gig_refs"]
    p, b, a, x = (column(rows, key) for key in ("lambda", "chi", "psi", "x"))
    cdf, sf, log_cdf, log_sf = in_rows(tails, p, a, b, x)
    for key, got, log_got in (("mp_cdf", cdf, log_cdf), ("mp_sf", sf, log_sf)):
        exact = column(rows, key)
        resolved = exact > 1e-36
        assert np.min(exact[resolved]) < 1e-10
        exact, got, log_got = exact[resolved], got[resolved], log_got[resolved]
        assert np.max(relative(got, exact)) < 1e-10
        inner = exact < 0.999
        assert np.max(relative(log_got[inner], np.log(exact[inner]))) < 1e-10


def test_quantiles_agree_with_stored_values(stored):
    rows = stored["gig_quantiles"]
    p, b, a, q, exact = (column(rows, key) for key in ("lambda", "chi", "psi", "p", "mp_q"))
    got, _ = in_rows(quantiles, p, a, b, q)
    assert np.max(relative(got, exact)) < 1e-9


@jax.jit
@jax.vmap
def jacobians(p, a, b, x):
    """Of `METHODS` in reverse and of their logarithms in forward mode; the density."""

    def functions(methods):
        def values(p, a, b, x):
            law = GIG(p, a, b, check=False)
            return jnp.stack([getattr(law, method)(x) for method in methods])

        return values

    backward = jax.jacrev(functions(METHODS), (0, 1, 2, 3))(p, a, b, x)
    forward = jax.jacfwd(functions(METHODS[2:]), (0, 1, 2, 3))(p, a, b, x)
    density = GIG(p, a, b, check=False).prob(x)
    return jnp.stack(backward, -1), jnp.stack(forward, -1), density


@jax.jit
@jax.vmap
def quantile_jacobians(p, a, b, q):
    """In reverse mode ppf and isf, in forward mode ppf."""

    def functions(p, a, b, q):
        law = GIG(p, a, b, check=False)
        return jnp.stack([law.ppf(q), law.isf(q)])

    backward = jax.jacrev(functions, (0, 1, 2, 3))(p, a, b, q)
    forward = jax.jacfwd(lambda p, a, b, q: GIG(p, a, b, check=False).ppf(q), (0, 1, 2, 3))
    return jnp.stack(backward, -1), jnp.stack(forward(p, a, b, q), -1)


@pytest.fixture(scope="module")
def smooth(points) -> tuple[Points, np.ndarray]:
    """The points where every derivative exists, and derivatives of the log-odds."""
    kept = np.any(points.law != DIFFUSE, axis=1)
    exact = [row for row, keep in zip(points.exact, kept, strict=True) if keep]
    return Points(*(array[kept] for array in points[:4]), exact), as_array(
        [row.gradient for row in exact]
    )


@pytest.fixture(scope="module")
def slopes(smooth):
    return in_rows(jacobians, *smooth[0].law.T, smooth[0].x)


@pytest.fixture(scope="module")
def quantile_slopes(smooth):
    return in_rows(quantile_jacobians, *smooth[0].law.T, smooth[0].q)


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_of_both_tails_are_those_of_the_integral(smooth, slopes, method):
    at, gradient = smooth
    cdf, sf, _, _ = as_array([from_odds(row.value) for row in at.exact]).T
    factor = {"cdf": cdf * sf, "sf": -cdf * sf, "log_cdf": sf, "log_sf": -cdf}[method]
    got = slopes[0][:, METHODS.index(method), :]
    assert np.max(relative(got, factor[:, None] * gradient)) < 1e-8


def test_derivatives_of_quantiles_are_those_of_the_integral(smooth, quantile_slopes):
    at, gradient = smooth
    by_q = np.where(at.odds < 0, 1.0, -1.0) / (at.q * (1 - at.q))
    exact = np.column_stack([-gradient[:, :3], by_q]) / gradient[:, 3:]
    got = select(at.odds[:, None], *np.moveaxis(quantile_slopes[0], 1, 0))
    assert np.max(relative(got, exact)) < 1e-8


def test_derivatives_agree_forward_and_reverse(slopes, quantile_slopes):
    assert np.max(relative(slopes[1], slopes[0][:, 2:])) < 1e-13
    assert np.max(relative(quantile_slopes[1], quantile_slopes[0][:, 0])) < 1e-13


def test_the_derivative_of_the_distribution_function_is_the_density(slopes):
    backward, _, density = slopes
    assert np.min(density) < 1e-190
    np.testing.assert_allclose(backward[:, 0, 3], density, rtol=1e-8)
    np.testing.assert_allclose(backward[:, 1, 3], -density, rtol=1e-8)


@jax.jit
def limit_slopes(shape, rate, x):
    """Of log cdf and log sf in shape, rate and x, as Gamma and as GIG."""

    def of(law, x):
        return jnp.stack([law.log_cdf(x), law.log_sf(x)])

    def gamma(shape, rate, x):
        return of(Gamma(shape, rate, check=False), x)

    def gig(shape, rate, x):
        return of(GIG(shape, 2 * rate, 0.0, check=False), x)

    pairs = ((gamma, jax.jacrev), (gig, jax.jacfwd))
    return [jnp.stack(jac(law, (0, 1, 2))(shape, rate, x), -1) for law, jac in pairs]


@pytest.mark.parametrize("x", [1e-3, 1.0, 9.0])
@pytest.mark.parametrize("shape", [0.01, 0.7, 3.0])
def test_derivatives_at_the_limits_are_those_of_gamma(shape, x):
    rate = 1.3
    odds, gradient = reference(shape, 2 * rate, 0.0, x)
    cdf, sf, _, _ = from_odds(odds)
    by_odds = as_array([gradient[0], 2 * gradient[1], gradient[3]])
    exact = np.array([float(sf) * by_odds, -float(cdf) * by_odds])
    for got in limit_slopes(shape, rate, x):
        assert np.max(relative(got, exact)) < 1e-8


@each_law
@pytest.mark.parametrize("x", [-1.0, 0.0, np.inf])
def test_derivatives_are_finite_outside_the_support(law, x):
    def values(law, x):
        return jnp.stack([getattr(law, method)(x) for method in METHODS])

    by_parameter, by_x = jax.jacrev(values, (0, 1))(law, x)
    assert all(np.all(np.isfinite(slopes)) for slopes in jax.tree.leaves(by_parameter))
    assert np.all(np.isfinite(by_x))


@each_law
def test_outside_the_support_probabilities_are_0_or_1(law):
    x = np.array([-np.inf, -1e300, -9.0, -1.0, -1e-9, -1e-300, -0.0, 0.0, np.inf, np.nan])
    below = np.zeros(8)
    np.testing.assert_array_equal(law.cdf(x), [*below, 1, np.nan])
    np.testing.assert_array_equal(law.sf(x), [*(below + 1), 0, np.nan])
    np.testing.assert_array_equal(law.log_cdf(x), [*(below - np.inf), 0, np.nan])
    np.testing.assert_array_equal(law.log_sf(x), [*below, -np.inf, np.nan])


@each_law
def test_quantiles_at_0_and_1_are_the_ends_of_the_support(law):
    assert (float(law.ppf(0.0)), float(law.ppf(1.0))) == (0, np.inf)
    assert (float(law.isf(0.0)), float(law.isf(1.0))) == (np.inf, 0)


@each_law
def test_the_quantile_of_nan_is_nan(law):
    assert np.isnan(law.ppf(np.nan))
    assert np.isnan(law.isf(np.nan))


@each_law
def test_a_traced_probability_outside_0_and_1_gives_nan(law):
    q = jnp.array([-0.1, 1.5, np.nan])
    assert np.all(np.isnan(jax.vmap(law.ppf)(q)))
    assert np.all(np.isnan(jax.vmap(law.isf)(q)))


@each_law
@pytest.mark.parametrize("method", ["ppf", "isf"])
@pytest.mark.parametrize("q", [-0.1, 1.5, np.inf])
def test_a_probability_outside_0_and_1_is_an_error(law, method, q):
    message = rf"^{type(law).__name__}\.{method}: q must be in \[0, 1\], got {q}; pass prob"
    with pytest.raises(ValueError, match=message):
        getattr(law, method)(q)
    with pytest.raises(ValueError, match=r"q must be in \[0, 1\], got \[ ?0\.5"):
        getattr(law, method)(np.array([0.5, q]))


@each_law
@pytest.mark.parametrize("shape", [(), (2, 3), (0,)])
def test_results_have_the_shape_and_the_type_of_the_argument(law, shape):
    argument = jnp.full(shape, 0.3)
    for method in (*METHODS, "ppf", "isf", "raw_moment"):
        found = jax.eval_shape(getattr(law, method), argument)
        assert (found.shape, found.dtype) == (shape, np.float64), method


SINGLE = np.array([1e-3, 0.2, 0.9, 4.0, 30.0])


@each_law
def test_single_precision_stays_single_and_is_accurate(law):
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), law)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), narrow)
    x = jnp.asarray(SINGLE, jnp.float32)
    exact = np.asarray(wide.log_cdf(x) - wide.log_sf(x))
    found = {method: np.asarray(getattr(narrow, method)(x)) for method in METHODS}
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    error = np.abs(found["log_cdf"] - found["log_sf"] - exact)
    assert np.max(error / np.maximum(np.abs(exact), 1)) < 1e-5
    q = jnp.array([1e-5, 0.2, 0.5, 0.9, 0.99], jnp.float32)
    for method in ("ppf", "isf"):
        quantile = getattr(narrow, method)(q)
        assert quantile.dtype == np.float32
        np.testing.assert_allclose(quantile, getattr(wide, method)(q), rtol=1e-4)
    for method in ("mean", "var", "std", "skewness", "kurtosis", "mode", "median"):
        found = jax.eval_shape(lambda law, method=method: getattr(law, method)(), narrow)
        assert (found.shape, found.dtype) == ((), np.float32), method


def between(low: float, high: float):
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


PARAMETERS = {
    Gamma: (between(-0.3, 4), between(-6, 6)),
    InverseGamma: (between(-0.3, 4), between(-6, 6)),
    InverseGaussian: (between(-4, 4), between(-4, 4)),
    Exponential: (between(-6, 6),),
    GIG: (st.floats(-60, 60), between(-6, 6), between(-6, 6)),
}


@pytest.mark.parametrize("family", PARAMETERS, ids=lambda family: family.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_quantiles_undo_the_distribution_function(family, data):
    law = family(*data.draw(st.tuples(*PARAMETERS[family])))
    p, a, b = map(float, law.as_gig())
    z = data.draw(st.floats(-6, 6))
    x = float(law.median()) * np.exp(z / np.sqrt(0.1 + np.hypot(p, np.sqrt(a * b))))
    lower, upper = float(law.cdf(x)), float(law.sf(x))
    assume(min(lower, upper) > 1e-300)
    if lower < 1 - 1e-6:
        np.testing.assert_allclose(law.ppf(lower), x, rtol=1e-9)
    if upper < 1 - 1e-6:
        np.testing.assert_allclose(law.isf(upper), x, rtol=1e-9)


def test_compiled_and_mapped_calls_agree_with_plain_ones(points):
    mapped = in_rows(tails, *points.law.T, points.x)
    mapped += in_rows(quantiles, *points.law.T, points.q)
    for law in INTERIOR[:5]:
        rows = np.all(points.law == law, axis=1)
        plain, x, q = GIG(*law), jnp.asarray(points.x[rows]), jnp.asarray(points.q[rows])
        for method, found in zip([*METHODS, "ppf", "isf"], mapped, strict=True):
            at = q if method in ("ppf", "isf") else x
            np.testing.assert_allclose(getattr(plain, method)(at), found[rows], rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(plain.cdf)(x), plain.cdf(x), rtol=1e-12)


@pytest.mark.parametrize("method", ["cdf", "log_sf", "ppf", "isf"])
def test_nothing_calls_back_to_the_host(method):
    program = str(jax.make_jaxpr(getattr(GIG(1.5, 2.0, 3.0), method))(jnp.array(0.3)))
    assert "exp" in program
    assert "callback" not in program


PAIRS = [
    (Gamma(2.5, 3.0), GIG(2.5, 6.0, 0.0)),
    (Gamma(0.3, 2e4), GIG(0.3, 4e4, 0.0)),
    (InverseGamma(4.5, 3.0), GIG(-4.5, 0.0, 6.0)),
    (InverseGamma(2.5, 1e-3), GIG(-2.5, 0.0, 2e-3)),
    (InverseGaussian(2.0, 3.0), GIG(-0.5, 0.75, 3.0)),
    (InverseGaussian(0.5, 400.0), GIG(-0.5, 1600.0, 400.0)),
    (Exponential(3.0), GIG(1.0, 6.0, 0.0)),
    (Exponential(3.0), Gamma(1.0, 3.0)),
]


@pytest.mark.parametrize(("law", "same"), PAIRS, ids=lambda law: type(law).__name__)
def test_a_special_family_is_the_law_it_is_a_case_of(law, same):
    q = np.array([1e-200, 1e-9, 0.01, 0.3, 0.8])
    x = np.concatenate([np.asarray(same.ppf(q)), np.asarray(same.isf(q))])
    x = np.where(x > 1e-300, x, 1e-300)
    tolerance = {"rtol": 2e-11}
    for method in ("cdf", "sf", "log_cdf", "log_sf", "prob", "log_prob"):
        np.testing.assert_allclose(getattr(law, method)(x), getattr(same, method)(x), **tolerance)
    for method in ("ppf", "isf"):
        np.testing.assert_allclose(getattr(law, method)(q), getattr(same, method)(q), **tolerance)
    for method in ("mean", "var", "std", "skewness", "kurtosis", "mode", "median"):
        got, expected = getattr(law, method)(), getattr(same, method)()
        np.testing.assert_allclose(got, expected, rtol=1e-9, err_msg=method)
    order = np.array([-1.5, -1.0, 0.0, 0.5, 5.0])
    np.testing.assert_allclose(law.raw_moment(order), same.raw_moment(order), **tolerance)


def test_the_exponential_law_has_its_closed_forms():
    law, x = Exponential(0.4), np.array([1e-200, 1e-9, 0.3, 5.0, 1100.0])
    np.testing.assert_allclose(law.cdf(x), -np.expm1(-0.4 * x), rtol=1e-14)
    np.testing.assert_allclose(law.log_sf(x), -0.4 * x, rtol=1e-14)
    np.testing.assert_allclose(law.sf(x), np.exp(-0.4 * x), rtol=1e-13)
    np.testing.assert_allclose(law.isf(np.array([1e-200, 0.5])), np.log([1e200, 2]) / 0.4)
    np.testing.assert_allclose(law.median(), np.log(2) / 0.4, rtol=1e-15)
    moments = [getattr(law, method)() for method in ("mean", "var", "skewness", "kurtosis", "mode")]
    np.testing.assert_allclose(moments, [2.5, 6.25, 2, 6, 0], rtol=1e-15)
    np.testing.assert_allclose(law.raw_moment(np.array([0.0, 3.0])), [1, 6 / 0.4**3], rtol=1e-13)


ORDERS = np.array([-2.0, -1.0, 0.5, 1.0, 3.0])


class Moments(NamedTuple):
    mean: object
    var: object
    std: object
    skewness: object
    kurtosis: object
    raw: object


@mpmath.workdps(40)
def exact_moments(p: float, a: float, b: float) -> Moments:
    """The trapezoidal rule about the mode y0 of log Y; its error is about e^-90."""
    p, a, b = mpmath.mpf(p), mpmath.mpf(a), mpmath.mpf(b)
    w = mpmath.sqrt(p * p + a * b)
    y0 = (w + p) / a if p > 0 else b / (w - p)
    up, down = a * y0 / 2, b / y0 / 2
    step = min(mpmath.mpf("0.1"), mpmath.mpf("0.3") / mpmath.sqrt(w))
    weights, rises, ratios = [], [], []
    for side in (1, -1):
        for k in range(side == -1, 10**6):
            u = side * k * step
            e = mpmath.expm1(u)
            phi = up * e + down * mpmath.expm1(-u) - p * u
            if phi - 4 * abs(u) > 100:
                break
            weights.append(mpmath.exp(-phi))
            rises.append(e)
            ratios.append(mpmath.exp(u))
    total = mpmath.fsum(weights)

    def expectation(values):
        return mpmath.fdot(weights, values) / total

    m = expectation(rises)
    second, third, fourth = (expectation([(e - m) ** k for e in rises]) for k in (2, 3, 4))
    raw = [y0**k * expectation([y**k for y in ratios]) for k in map(mpmath.mpf, ORDERS)]
    var = second * y0**2
    skewness, kurtosis = third / second ** mpmath.mpf(1.5), fourth / second**2 - 3
    return Moments(y0 * (1 + m), var, mpmath.sqrt(var), skewness, kurtosis, raw)


def moments_of(laws) -> Moments:
    """Of GIG laws, one after another."""
    names = Moments._fields[:5]
    plain = [GIG(*map(float, law)) for law in laws]
    columns = [np.array([float(getattr(law, name)()) for law in plain]) for name in names]
    return Moments(*columns, np.array([law.raw_moment(ORDERS) for law in plain]))


@pytest.fixture(scope="module")
def moments_of_interior() -> tuple[Moments, Moments]:
    """Computed and exact."""
    rows = [exact_moments(*law) for law in INTERIOR]
    return moments_of(INTERIOR), Moments(*(as_array([row[i] for row in rows]) for i in range(6)))


@pytest.mark.parametrize("name", ["mean", "var", "std", "raw"])
def test_moments_are_those_of_the_integral(moments_of_interior, name):
    got, exact = (getattr(found, name) for found in moments_of_interior)
    assert np.max(relative(got, exact)) < 1e-9


@pytest.mark.parametrize("name", ["skewness", "kurtosis"])
def test_standardised_moments_are_those_of_the_integral(moments_of_interior, name):
    got, exact = (getattr(found, name) for found in moments_of_interior)
    p, a, b = np.array(INTERIOR).T
    concentrated = np.hypot(p, np.sqrt(a * b)) > 30
    error = np.abs(got - exact) / np.maximum(np.abs(exact), 1e-300)
    assert np.max(error[~concentrated]) < 1e-9
    error = np.abs(got - exact) / np.maximum(np.abs(exact), 1)
    assert np.max(error[concentrated]) < 1e-7


def test_means_and_variances_agree_with_stored_values(stored):
    found = {}
    for name in ("x", "1/x", "var"):
        rows = [row for row in stored["gig_moments"] if row["func"] == name]
        p, b, a, found[name] = (column(rows, key) for key in ("lambda", "chi", "psi", "mp"))
    got = moments_of(np.column_stack([p, a, b]))
    inverse, mean = got.raw[:, 1], got.raw[:, 3]
    for name, values in (("x", got.mean), ("x", mean), ("1/x", inverse), ("var", got.var)):
        finite = np.isfinite(found[name])
        np.testing.assert_array_equal(values[~finite], found[name][~finite])
        np.testing.assert_allclose(values[finite], found[name][finite], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("alpha", [0.5, 1.5, 2.5, 3.5, 4.5])
def test_moments_that_do_not_exist_are_infinite_or_nan(alpha):
    law, inf, nan = InverseGamma(alpha, 1.0), np.inf, np.nan
    exact = {
        0.5: (inf, inf, nan, nan),
        1.5: (2.0, inf, nan, nan),
        2.5: (1 / 1.5, 1 / (1.5**2 * 0.5), inf, inf),
        3.5: (1 / 2.5, 1 / (2.5**2 * 1.5), 4 * np.sqrt(1.5) / 0.5, inf),
        4.5: (1 / 3.5, 1 / (3.5**2 * 2.5), 4 * np.sqrt(2.5) / 1.5, 6 * 11.5 / (1.5 * 0.5)),
    }[alpha]
    for member in (law, GIG(-alpha, 0.0, 2.0)):
        got = [member.mean(), member.var(), member.skewness(), member.kurtosis()]
        np.testing.assert_allclose(got, exact, rtol=1e-11)
        orders = np.array([-1.0, 1.0, 2.0, 3.0, 4.0])
        np.testing.assert_array_equal(np.isfinite(member.raw_moment(orders)), orders < alpha)


def test_raw_moments_beyond_a_pole_of_the_density_at_0_are_infinite():
    order, inf = np.array([-3.0, -2.0, -1.5, -0.5, 0.0]), np.inf
    exact = [inf, inf, inf, float(mpmath.gamma(1.0) / mpmath.gamma(1.5)), 1]
    np.testing.assert_allclose(Gamma(1.5, 1.0).raw_moment(order), exact, rtol=1e-13)
    exact = [inf, inf, inf, np.sqrt(np.pi), 1]
    np.testing.assert_allclose(Exponential(1.0).raw_moment(order), exact, rtol=1e-13)


@pytest.mark.parametrize("law", INTERIOR, ids=str)
def test_the_density_is_stationary_and_largest_at_the_mode(law):
    p, a, b = law
    mode = float(GIG(p, a, b).mode())
    terms = np.array([(p - 1) / mode, -a / 2, b / mode / 2 / mode])
    assert abs(np.sum(terms)) < 1e-14 * np.sum(np.abs(terms))
    width = 0.1 / np.sqrt(1 + np.hypot(p, np.sqrt(a * b)))
    around = mode * np.exp(width * np.array([-1.0, 0.0, 1.0]))
    assert np.argmax(GIG(p, a, b).log_prob(around)) == 1


@pytest.mark.parametrize(
    ("law", "mode"),
    [
        (GIG(0.01, 2.0, 0.0), 0),
        (GIG(1.0, 2.0, 0.0), 0),
        (GIG(3.0, 2.0, 0.0), 2),
        (GIG(-2.0, 0.0, 3.0), 0.5),
        (Gamma(0.5, 3.0), 0),
        (Gamma(2.5, 3.0), 0.5),
        (InverseGamma(2.0, 3.0), 1),
        (Exponential(3.0), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_mode_of_a_limit_has_its_closed_form(law, mode):
    np.testing.assert_allclose(law.mode(), mode, rtol=1e-15)


@pytest.mark.parametrize(("mu", "lam"), [(2.0, 3.0), (1e-3, 5.0), (40.0, 0.01)])
def test_the_density_of_an_inverse_gaussian_law_is_stationary_at_its_mode(mu, lam):
    law = InverseGaussian(mu, lam)
    mode = float(law.mode())
    terms = np.array([-1.5 / mode, lam / mode / mode / 2, -lam / mu / mu / 2])
    assert abs(np.sum(terms)) < 1e-14 * np.sum(np.abs(terms))


@each_law
def test_the_median_is_the_quantile_at_one_half(law):
    np.testing.assert_allclose(law.median(), law.ppf(0.5), rtol=1e-15)
    np.testing.assert_allclose(law.cdf(law.median()), 0.5, rtol=1e-14)


def values(law):
    """Not compiled as a whole: the parts that they share are compiled once."""
    found = (law.mean(), law.var(), law.std(), law.skewness(), law.kurtosis(), law.mode(),
             law.median(), law.entropy(), law.raw_moment(1.5))  # fmt: skip
    return jnp.stack(found)


@pytest.mark.parametrize(
    "law",
    [
        Gamma(2.5, 0.7),
        InverseGamma(5.5, 0.7),
        InverseGaussian(3.6, 1.7),
        Exponential(0.3),
        GIG(1.5, 2.0, 3.0),
        GIG(-40.0, 300.0, 200.0),
    ],
    ids=lambda law: type(law).__name__,
)
def test_gradients_of_what_describes_a_law_are_right(law):
    leaves, structure = jax.tree.flatten(law)
    jacobian = np.stack(jax.tree.leaves(jax.jacrev(values)(law)), axis=1)
    assert np.all(np.isfinite(jacobian))
    for i, leaf in enumerate(leaves):
        h = 1e-3 * abs(leaf)

        def moved(k, i=i, h=h):
            parameters = [x + k * h if i == j else x for j, x in enumerate(leaves)]
            return np.asarray(values(jax.tree.unflatten(structure, parameters)))

        low2, low, high, high2 = (moved(k) for k in (-2, -1, 1, 2))
        slope = (8 * (high - low) - (high2 - low2)) / (12 * h)
        scale = np.abs(jacobian[:, i]) + 1e-3 * np.abs(moved(0)) / h
        assert np.all(np.abs(jacobian[:, i] - slope) <= 1e-7 * scale)
