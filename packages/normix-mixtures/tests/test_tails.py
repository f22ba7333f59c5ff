"""Both tails of the univariate law: to 1e-10 against 30 digits, inverses, derivatives, batches.

The references are those of tools/tail_references.py, in tails.json; `test_stored_references`
computes some of them again, `test_all_stored_references` all.
"""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import registry
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tail_references import mp_log_prob, mp_tail, slopes_at

from normix_mixtures import UnivariateNormalMixture

NAMES = ("mu", "gamma", "sigma", "p", "a", "b")

REFERENCES = json.loads((Path(__file__).parent / "tails.json").read_text(encoding="utf-8"))
# law, x, side (1: P(X > x), -1: P(X <= x)), value; at 1e-3, 1e-20, 1e-200 and exp(-1e4)
# where the power tail of the law leaves x² a number
TAILS = [tuple(row) for row in REFERENCES["tails"]]
# Value; derivatives in x, mu, gamma, sigma, p, a, b (forward at a = 0 and b = 0). "below" and
# "above" are E max(x - X, 0) and E max(X - x, 0).
SLOPES = {(row.pop("law"), row.pop("x")): row for row in REFERENCES["slopes"]}
LAWS = {name: registry.LINE[name].parameters for name in dict.fromkeys(row[0] for row in TAILS)}


def law_of(parameters):
    return UnivariateNormalMixture(*(np.float64(value) for value in parameters))


def assert_relative(got, expected, tolerance, case, floor=0.0):
    got, expected = np.asarray(got, float), np.asarray([float(value) for value in expected])
    error = np.abs(got - expected) / np.maximum(np.abs(expected), floor or 1e-320)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert np.all(error <= tolerance), (case, worst, got[worst], expected[worst], error[worst])


def four(law, x):
    return law.cdf(x), law.sf(x), law.log_cdf(x), law.log_sf(x)


def padded(x, size=8):
    """One shape in all files, one compilation of what the methods of a law share."""
    return np.concatenate([x, np.full(size - len(x), x[-1])])


@pytest.mark.parametrize("name", LAWS)
def test_both_tails_against_stored_references(name):
    rows = [row[1:] for row in TAILS if row[0] == name]
    got = np.asarray(four(law_of(LAWS[name]), padded([x for x, *_ in rows])))
    with mp.workdps(60):
        for (x, side, value), (cdf, sf, log_cdf, log_sf) in zip(rows, got.T, strict=False):
            small = mp.mpf(value)
            if side < 0:
                cdf, sf, log_cdf, log_sf = sf, cdf, log_sf, log_cdf
            expected = (1 - small, small, mp.log1p(-small), mp.log(small))
            assert_relative((cdf, sf, log_cdf, log_sf), expected, 1e-10, (name, x, side))


def test_stored_references():
    """Some of them again, in fewer digits."""
    with mp.workdps(38):
        for name, x, side, value in TAILS[4::33]:
            got = mp_tail(LAWS[name], x, side)
            assert abs(got / mp.mpf(value) - 1) < mp.mpf("1e-22"), (name, x, mp.nstr(got, 25))


@pytest.mark.slow
def test_all_stored_references():
    """As the generator computes them; slopes to the digits that differences leave."""
    with mp.workdps(45):
        for name, x, side, value in TAILS:
            got = mp_tail(LAWS[name], x, side)
            assert abs(got / mp.mpf(value) - 1) < mp.mpf("1e-23"), (name, x, mp.nstr(got, 25))
        for (name, x), stored in SLOPES.items():
            for key, (value, slopes) in slopes_at(LAWS[name], x).items():
                assert abs(value / mp.mpf(stored[key]["value"]) - 1) < 1e-16, (name, x, key)
                for one, other in zip(slopes, stored[key]["slopes"], strict=True):
                    assert abs(one - mp.mpf(other)) <= 1e-11 * abs(one) + 1e-30, (name, x, key)


@pytest.mark.parametrize(
    "parameters",
    [(0.0, 0.5, 1.0, 0.05, 2.0, 0.0), (0.0, 0.5, 1.0, -0.05, 0.0, 2.0)],
    ids=["b = 0", "a = 0"],
)
def test_log_y_over_all_orders_of_magnitude(parameters):
    x = np.array([-1.0, -0.1, 0.3, 1.0, 20.0])
    cdf, sf, *_ = four(law_of(parameters), padded(x))
    with mp.workdps(38):
        for i, value in enumerate(x):
            expected = mp_tail(parameters, value, -1), mp_tail(parameters, value, 1)
            assert_relative((cdf[i], sf[i]), expected, 1e-10, (parameters, value))


@pytest.mark.parametrize("nu", [1.0, 4.0, 60.0])
def test_symmetric_t_to_the_ends_of_the_numbers(nu):
    """P(T > t) = I(ν/(ν + t²); ν/2, 1/2)/2."""
    law = law_of((0.0, 0.0, 1.0, -nu / 2, 0.0, nu))
    x = np.array([1e-3, 1.0, 30.0, 1e5, 1e50, 1e130, 1e200, 1e300])
    got = np.asarray(four(law, x))[3]
    mirrored = np.asarray(four(law, -x))[2]
    with mp.workdps(40):
        for i, t in enumerate(x):
            w = nu / (nu + mp.mpf(t) ** 2)
            value = mp.mpf(nu) / 2
            if t > 1e20:
                tail = w**value / value / mp.beta(value, 0.5) / 2
            else:
                tail = mp.betainc(value, 0.5, 0, w, regularized=True) / 2
            both = (got[i], mirrored[i])
            assert_relative(both, [mp.log(tail)] * 2, 1e-10, (nu, t))


@pytest.mark.parametrize("gamma", [0.0, -0.7, 3.0, 1e3, -1e5])
def test_asymmetric_laplace(gamma):
    """p = 1, b = 0: P(X > x) = l/(l + r) exp(-r x), r l = a/σ², r - l = -2γ/σ²."""
    sigma, a = 0.8, 2.5
    law = law_of((0.0, gamma, sigma, 1.0, a, 0.0))
    with mp.workdps(40):
        root = mp.sqrt(mp.mpf(gamma) ** 2 + mp.mpf(a) * mp.mpf(sigma) ** 2)
        right = mp.mpf(a) / (root + gamma)
        left = mp.mpf(a) / (root - gamma)
        for side, rate, other in ((1, right, left), (-1, left, right)):
            exponents = [0.0, 0.01, 1.0, 30.0, 500.0, 1e4]
            x = np.array([side * float(e / rate) for e in exponents])
            got = np.asarray(four(law, padded(x)))[3 if side > 0 else 2]
            for value, point in zip(got, x, strict=False):
                expected = mp.log(other / (right + left)) - rate * abs(mp.mpf(point))
                assert_relative([value], [expected], 1e-10, (gamma, side, point))


@pytest.mark.parametrize("x", [1e8, 1e9, 1e12, 1e20, 1e40, 1e75])
def test_far_right_tail_of_the_skewed_t(x):
    """There X > x is Y > x/γ but for √Y Z, which adds a relative ν²/(γ x) or so.

    1e75 is where the probability is 1e-200.
    """
    name = "t_skew"
    _, gamma, _, p, _, b = LAWS[name]
    with mp.workdps(40):
        if x < 1e20:
            expected = mp.log(mp_tail(LAWS[name], x, 1))
        else:
            least = b * mp.mpf(gamma) / (2 * mp.mpf(x))
            expected = mp.log(mp.gammainc(-p, 0, least, regularized=True))
        got = four(law_of(LAWS[name]), padded([x]))[3][0]
        assert abs(float(got) - float(expected)) < 1e-10 * abs(expected), (x, got, expected)


def test_values_do_not_depend_on_the_batch():
    """Nodes are shared by the points of a batch."""
    for name, far in (("t_skew", -7e3), ("strong_skew", 1e3), ("moderate", -1e4), ("vg", 1e3)):
        law, x = law_of(LAWS[name]), np.array([0.1, -0.5, 1.0])
        alone = np.asarray([four(law, padded([value])) for value in x])[..., 0].T
        beside = np.asarray(four(law, padded([*x, far])))[:, :3]
        np.testing.assert_allclose(beside, alone, rtol=1e-12, err_msg=name)


# --- quantiles


PROBABILITIES = np.array([1e-300, 1e-200, 1e-100, 1e-20, 1e-3, 0.3, 0.5, 0.9])


def round_trip(law, q):
    lower, upper = law.ppf(q), law.isf(q)
    return lower, upper, law.cdf(lower), law.sf(upper)


def assert_round_trip(parameters):
    lower, upper, cdf, sf = round_trip(law_of(parameters), PROBABILITIES)
    assert np.all(np.diff(lower) > 0), (parameters, lower)
    assert np.all(np.diff(upper) < 0), (parameters, upper)
    assert_relative(cdf, PROBABILITIES, 1e-9, ("ppf", parameters))
    assert_relative(sf, PROBABILITIES, 1e-9, ("isf", parameters))


@settings(max_examples=60)
@given(
    p=st.floats(-20, 20),
    a=st.floats(-3, 3),
    b=st.floats(-3, 3),
    skew=st.floats(-3, 3),
)
def test_quantiles_of_any_law(p, a, b, skew):
    assert_round_trip((0.0, 1.5 * skew, 1.5, p, 10.0**a, 10.0**b))


@settings(max_examples=20)
@given(p=st.floats(0.1, 20), a=st.floats(-3, 3), skew=st.floats(-3, 3))
def test_quantiles_in_the_gamma_limit(p, a, skew):
    assert_round_trip((0.0, skew, 1.0, p, 10.0**a, 0.0))


@settings(max_examples=20)
@given(p=st.floats(-20, -2), b=st.floats(-3, 3))
def test_quantiles_of_symmetric_t(p, b):
    assert_round_trip((0.0, 0.0, 1.0, p, 0.0, 10.0**b))


@pytest.mark.parametrize("p", [-2.5, -6.0, -30.0])
def test_quantiles_of_skewed_t(p):
    assert_round_trip((0.0, 0.7, 1.0, p, 0.0, 3.0))


@pytest.mark.parametrize("name", LAWS)
def test_quantiles_of_the_laws_above(name):
    """On the far side of a nearly one-sided law the rounding of x alone is more than 1e-9."""
    if name == "t_skew":
        return  # test_quantiles_of_skewed_t
    law = law_of(LAWS[name])
    lower, upper, cdf, sf = round_trip(law, PROBABILITIES)
    for q, x, back, side in (
        *zip(PROBABILITIES, lower, cdf, ["ppf"] * 8, strict=True),
        *zip(PROBABILITIES, upper, sf, ["isf"] * 8, strict=True),
    ):
        assert_relative([back], [q], 1e-9, (name, side, float(x)))


@pytest.mark.parametrize("skew", [0.0, -1e-3, 40.0])
def test_quantiles_past_the_last_square(skew):
    """x² overflows from 1e154 on; the quantile is a power there, and infinite past 1e308."""
    law = law_of((0.0, skew, 1.0, -0.3 if skew == 0 else -0.6, 0.0, 2.0))
    lower, upper, cdf, sf = round_trip(law, PROBABILITIES)
    heavy, back = (upper, sf) if skew >= 0 else (lower, cdf)
    assert 1e160 < abs(heavy[2]) < 1e170
    assert np.all(np.abs(heavy[:2]) == np.inf)
    assert_relative(back[2:], PROBABILITIES[2:], 1e-9, skew)


# --- derivatives


def from_vector(theta):
    return UnivariateNormalMixture(*(theta[i] for i in range(6)), check=False)


def at_point(theta):
    """Functions of x, at (x, parameters); twice, for jacfwd to give the values too."""
    law, x = from_vector(theta[1:]), theta[0]
    value = jnp.stack(
        [law.log_cdf(x), law.log_sf(x), law.log_prob(x), law.mean_below(x), law.mean_above(x)]
    )
    return value, value


def at_probability(theta):
    """Functions of a probability and its complement, at (q, 1 - q, parameters)."""
    law = from_vector(theta[2:])
    value = jnp.stack([
        law.ppf(theta[0]), law.isf(theta[1]),
        law.expected_shortfall(theta[1], of="return"), law.expected_shortfall(theta[0], of="loss"),
    ])  # fmt: skip
    return value, value


def some_in_reverse(theta):
    law, x = from_vector(theta[1:]), theta[0]
    return law.log_sf(x) + law.log_prob(x) + law.mean_above(x)


# compiled part by part, of which both tail means have one
point_slopes = jax.jacfwd(at_point, has_aux=True)
probability_slopes = jax.jacfwd(at_probability, has_aux=True)
point_reverse = jax.grad(some_in_reverse)
isf_reverse = jax.jit(jax.grad(lambda theta: from_vector(theta[1:]).isf(theta[0])))


def rows_of(name, x):
    """`SLOPES` with the larger of the two tails by its complement, which has more digits."""
    rows = {
        key: (float(found["value"]), np.array([float(slope) for slope in found["slopes"]]))
        for key, found in SLOPES[name, x].items()
    }
    large, small = ("log_cdf", "log_sf")
    if rows[large][0] < rows[small][0]:
        large, small = small, large
    value, slopes = rows[small]
    other = np.log1p(-np.exp(value))
    rows[large] = other, -np.exp(value - other) * slopes
    return rows


def tolerance_for(name, argument):
    """A forward difference of E Y has an error of √(1e-18) at a = 0, p = -2.5."""
    return 2e-8 if (name, argument) == ("t_skew", "a") else 1e-9


@pytest.mark.parametrize(("name", "x"), SLOPES)
def test_derivatives_at_a_point(name, x):
    rows = rows_of(name, x)
    theta = np.array([x, *LAWS[name]])
    by_x = np.eye(7)[0]
    (log_cdf, lower_slopes), (log_sf, upper_slopes) = rows["log_cdf"], rows["log_sf"]
    below = (rows["below"][1] - rows["below"][0] * lower_slopes) / np.exp(log_cdf)
    above = (rows["above"][1] - rows["above"][0] * upper_slopes) / np.exp(log_sf)
    expected = {
        "log_cdf": (log_cdf, lower_slopes),
        "log_sf": (log_sf, upper_slopes),
        "log_prob": rows["log_prob"],
        "mean_below": (x - rows["below"][0] / np.exp(log_cdf), by_x - below),
        "mean_above": (x + rows["above"][0] / np.exp(log_sf), by_x + above),
    }
    slopes, got = point_slopes(theta)
    for i, (key, (value, row)) in enumerate(expected.items()):
        assert_relative([got[i]], [value], 1e-10, (name, x, key))
        for argument, one, right in zip(("x", *NAMES), slopes[i], row, strict=True):
            # terms of size 1 cancel in the means
            floor = max(1e-4 * np.max(np.abs(row)), 1e-3 * key.startswith("mean"))
            tolerance = tolerance_for(name, argument)
            assert_relative([one], [right], tolerance, (name, x, key, argument), floor)
    both = np.asarray(slopes)[[1, 2, 4]]
    np.testing.assert_allclose(
        point_reverse(theta), both.sum(0), rtol=1e-11, atol=1e-13 * np.abs(both).max()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "x"), SLOPES)
def test_derivatives_at_a_probability(name, x):
    rows = rows_of(name, x)
    (log_cdf, lower_slopes), (log_sf, upper_slopes) = rows["log_cdf"], rows["log_sf"]
    lower, upper, density = np.exp(log_cdf), np.exp(log_sf), np.exp(rows["log_prob"][0])
    theta = np.array([lower, upper, *LAWS[name]])
    slopes, got = probability_slopes(theta)
    found = {}
    if lower > 1e-4:  # its complement says where x is
        found[1] = x, (0, -1 / density), upper * upper_slopes / density
        excess = rows["below"][0] / lower
        found[2] = excess - x, (0, excess / lower), rows["below"][1] / lower
    if upper > 1e-4:
        found[3] = x + rows["above"][0] / upper, (rows["above"][0] / upper**2, 0), (
            rows["above"][1] / upper
        )  # fmt: skip
    if lower < 0.9999:
        found[0] = x, (1 / density, 0), -lower * lower_slopes / density
    for i, (value, by_probability, by_theta) in found.items():
        row = np.concatenate([by_probability, by_theta[1:]])
        assert_relative([got[i]], [value], 1e-10, (name, x, i))
        for argument, one, right in zip(("q", "1 - q", *NAMES), slopes[i], row, strict=True):
            floor = 1e-4 * np.max(np.abs(by_theta[1:]))
            tolerance = tolerance_for(name, argument)
            assert_relative([one], [right], tolerance, (name, x, i, argument), floor)
    if upper < 0.9999:
        again = isf_reverse(theta[1:])
        np.testing.assert_allclose(again, slopes[1][1:], rtol=1e-11, err_msg=name)


@pytest.mark.slow
def test_second_derivatives_are_finite_and_symmetric():
    @jax.jit
    def hessian(theta):
        def value(theta):
            law = from_vector(theta[1:])
            return law.log_sf(theta[0]) + law.log_prob(theta[0])

        return jax.jacfwd(jax.grad(value))(theta)

    for name, x in (("moderate", 3.0), ("nig", -6.0)):
        got = np.asarray(hessian(np.array([x, *LAWS[name]])))
        assert np.all(np.isfinite(got)), (name, got)
        np.testing.assert_allclose(got, got.T, rtol=1e-8, atol=1e-9, err_msg=name)
        step = 1e-5
        above, below = (
            point_slopes(np.array([x + s, *LAWS[name]]))[0][1:3].sum(0) for s in (step, -step)
        )
        np.testing.assert_allclose(got[0], (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "functions", ["probabilities", pytest.param("means", marks=pytest.mark.slow)]
)
def test_batches_of_laws_and_points_agree_with_single_values(functions):
    names = ("moderate", "vg", "t", "strong_skew")
    laws = [law_of(LAWS[name]) for name in names]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *laws)

    def everything(law, x, q):
        if functions == "means":
            return jnp.stack([law.mean_above(x), law.mean_below(x)])
        return jnp.stack([law.cdf(x), law.log_sf(x), law.log_prob(x), law.ppf(q)])

    x, q = np.array([-2.0, 0.1, 9.0]), np.array([1e-9, 0.3, 0.99])
    over_laws = eqx.filter_jit(eqx.filter_vmap(everything, in_axes=(0, None, None)))
    over_points = eqx.filter_jit(eqx.filter_vmap(everything, in_axes=(None, 0, 0), out_axes=1))
    got = over_laws(stacked, x, q)
    for i, law in enumerate(laws):
        alone = np.asarray(everything(law, padded(x), padded(q)))[:, :3]
        np.testing.assert_allclose(got[i], alone, rtol=1e-11, err_msg=names[i])
        np.testing.assert_allclose(over_points(law, x, q), alone, rtol=1e-11, err_msg=names[i])


# --- where scipy.stats fails


def parameters_of(law):
    return tuple(float(getattr(law, name)) for name in NAMES)


def test_genhyperbolic_beyond_its_support_in_scipy():
    law = UnivariateNormalMixture.from_scipy(stats.genhyperbolic(1.0, 3.0, 2.0))
    x = np.array([60.0, 85.0, 200.0, 600.0])
    cdf, sf, log_cdf, log_sf = four(law, padded(x))
    with mp.workdps(30):
        for i, value in enumerate(x):
            tail = mp_tail(parameters_of(law), value, 1)
            expected = (1 - tail, tail, mp.log1p(-tail), mp.log(tail))
            got = (cdf[i], sf[i], log_cdf[i], log_sf[i])
            assert_relative(got, expected, 1e-10, value)
            assert 0 < float(sf[i]) < 1e-12


def mean_and_std(a, b):
    square = (a - b) * (a + b)
    return b / np.sqrt(square), a / square**0.75


@pytest.mark.parametrize("b", [0.0, 10.0, -1e3])
def test_norminvgauss_density_at_large_a(b):
    law = UnivariateNormalMixture.from_scipy(stats.norminvgauss(1.4e6, b))
    mean, std = mean_and_std(1.4e6, b)
    x = mean + std * np.array([-3.0, 0.0, 0.5, 8.0])
    got = law.prob(padded(x))[:4]
    with mp.workdps(30):
        expected = [mp.exp(mp_log_prob(parameters_of(law), value)) for value in x]
        assert_relative(got, expected, 1e-10, b)


@pytest.mark.parametrize("shapes", [(1.0, 0.0), (2.0, 1.5), (20.0, -5.0), (100.0, 0.0), (1e4, 9e3)])
def test_norminvgauss_three_standard_deviations_to_the_right(shapes):
    frozen = stats.norminvgauss(*shapes, loc=0.2, scale=2.0)
    law = UnivariateNormalMixture.from_scipy(frozen)
    mean, std = mean_and_std(*shapes)
    x = 0.2 + 2 * (mean + 3 * std)
    cdf, sf, log_cdf, log_sf = (value[0] for value in four(law, padded([x])))
    with mp.workdps(30):
        tail = mp_tail(parameters_of(law), x, 1)
        expected = (1 - tail, tail, mp.log1p(-tail), mp.log(tail))
        assert_relative((cdf, sf, log_cdf, log_sf), expected, 1e-10, shapes)
