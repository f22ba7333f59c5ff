"""The univariate law: reference values, moments, transforms, conventions, bad input, the ends.

Both tails, quantiles and derivatives to full accuracy are in test_tails.py.
"""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import registry
from scipy import integrate, stats

from normix_mixtures import GeneralizedHyperbolic, UnivariateNormalMixture

NAMES = ("mu", "gamma", "sigma", "p", "a", "b")
LAWS = {name: law.parameters for name, law in registry.line("usual").items()}
GH = LAWS["moderate"]


def law_of(parameters, dtype=np.float64):
    return UnivariateNormalMixture(*(dtype(value) for value in parameters))


@pytest.fixture(scope="module", params=LAWS)
def law(request):
    """Every law in turn."""
    return law_of(LAWS[request.param])


# These are not compiled as a whole: the compiled parts of the law, of which some stand in several
# methods, are shared with the other files as long as SIZE is.


def at_points(law, x):
    return {
        "cdf": law.cdf(x), "sf": law.sf(x), "log_cdf": law.log_cdf(x), "log_sf": law.log_sf(x),
        "log_prob": law.log_prob(x), "below": law.mean_below(x), "above": law.mean_above(x),
    }  # fmt: skip


def at_probabilities(law, q):
    return {
        "ppf": law.ppf(q), "isf": law.isf(q),
        "var_return": law.value_at_risk(q, of="return"),
        "var_loss": law.value_at_risk(q, of="loss"),
        "return": law.expected_shortfall(q, of="return"),
        "loss": law.expected_shortfall(q, of="loss"),
    }  # fmt: skip


def quantile(law, q):
    return {"ppf": law.ppf(q)}


def quartiles(law):
    lower, median, upper, *_ = np.asarray(law.ppf(padded([0.25, 0.5, 0.75])))
    return lower, median, upper


def summary(law):
    return {name: getattr(law, name)() for name in ("mean", "var", "std", "skewness", "kurtosis")}


SIZE = 8  # points of one call in all files, so that each function is compiled once


def padded(x):
    return np.concatenate([x, np.full(SIZE - len(x), x[-1])])


@pytest.fixture(scope="module")
def reference(shared_data):
    return json.loads((shared_data / "reference_gh.json").read_text())


def by_case(rows):
    cases = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    for found in cases.values():
        row = found[0]
        names = ("mu", "gamma", "sigma", "lambda", "psi", "chi")
        law = law_of([row[name] for name in names])
        for start in range(0, len(found), SIZE):
            yield law, found[start : start + SIZE]


def test_reference_tails_and_densities(reference):
    for law, rows in by_case(reference["univariate"]):
        got = at_points(law, padded([row["x"] for row in rows]))
        for i, row in enumerate(rows):
            where = row["case"], row["x"]
            for key in ("cdf", "sf"):
                expected = pytest.approx(float(row[f"mp_{key}"]), rel=1e-10, abs=0)
                assert float(got[key][i]) == expected, (where, key)
            # relative to 1 where it is near 0
            expected = pytest.approx(float(row["mp_logpdf"]), rel=1e-11, abs=1e-11)
            assert float(got["log_prob"][i]) == expected, where


def test_reference_quantiles_and_shortfalls(reference):
    for law, rows in by_case(reference["quantiles_and_shortfall"]):
        p = padded([row["p"] for row in rows])
        got, mirrored = at_probabilities(law, p), at_probabilities(law, 1 - p)
        means = at_points(law, got["ppf"])
        for i, row in enumerate(rows):
            q, lower, upper = (float(row[f"mp_{k}"]) for k in ("q", "ES_lower", "ES_upper"))
            size = 1e-13 * row["sigma"]  # where they pass through 0
            for key, value, expected in (
                ("ppf", got["ppf"], q),
                ("value at risk", -mirrored["var_return"], q),
                ("value at risk of losses", got["var_loss"], q),
                ("mean_below", means["below"], lower),
                ("mean_above", means["above"], upper),
                ("shortfall of returns", -mirrored["return"], lower),
                ("shortfall of losses", got["loss"], upper),
            ):
                expected = pytest.approx(expected, rel=1e-9, abs=size)
                assert float(value[i]) == expected, (row["case"], row["p"], key)


def test_reference_moments(reference):
    for law, rows in by_case(reference["moments"]):
        got = summary(law)
        for row in rows:
            where, stat = (row["case"], row["stat"]), row["stat"]
            value, expected = float(got[stat]), float(row["mp"])
            if stat == "kurtosis":  # not the excess there
                value += 3
            if where == ("t_skew_nu5", "skewness"):
                # nan in the file; E (X - m)³ is +inf, from the right tail x^(p-1), p = -5/2
                expected = np.inf
            assert value == pytest.approx(expected, rel=1e-11, abs=1e-13), where


# --- moments


def numerical_moments(law):
    """Mean, variance, skewness, kurtosis from the density, with x = median + scale sinh t."""
    lower, centre, upper = quartiles(law)
    scale = upper - lower
    t = np.linspace(-60, 60, 60_001)
    with np.errstate(over="ignore"):
        x, weight = centre + scale * np.sinh(t), scale * np.cosh(t) * (t[1] - t[0])
        density = np.exp(np.asarray(law.log_prob(x))) * weight
    mean = density @ x
    central = [density @ (x - mean) ** k for k in (2, 3, 4)]
    total = density.sum()
    return total, mean, central[0], central[1] / central[0] ** 1.5, central[2] / central[0] ** 2 - 3


@pytest.mark.parametrize("name", registry.line("usual", "quadrature"))
def test_moments_are_integrals_of_the_density(name):
    law = law_of(LAWS[name])
    total, *expected = numerical_moments(law)
    assert total == pytest.approx(1, abs=1e-9)
    got = summary(law)
    for key, value in zip(("mean", "var", "skewness", "kurtosis"), expected, strict=True):
        # the right tail of t_skew_9 is cut at 1e26, x^4 f ~ x^-1.7
        assert float(got[key]) == pytest.approx(value, rel=1e-7, abs=1e-8), (name, key)


@pytest.mark.parametrize("gamma", [0.0, 0.5, -0.5])
@pytest.mark.parametrize("p", [-0.3, -0.5, -0.8, -1.0, -1.3, -2.0, -2.5, -3.0, -3.5, -4.0, -4.2])
def test_existence_of_moments_for_a_0(p, gamma):
    """E Y^k is finite for k < -p; E |X|^k needs it for k, and for γ = 0 only for k/2."""

    def exists(k):
        return (k / 2 if gamma == 0 else k) < -p

    got = {
        key: float(value) for key, value in summary(law_of((0.0, gamma, 1.0, p, 0.0, 2.0))).items()
    }
    if gamma == 0:
        assert np.isnan(got["mean"]) if not exists(1) else got["mean"] == 0, (p, got)
    else:
        infinite = got["mean"] == np.sign(gamma) * np.inf
        assert np.isfinite(got["mean"]) if exists(1) else infinite, (p, got)
    finite = {"var": 2, "std": 2, "skewness": 3, "kurtosis": 4}
    for key, k in finite.items():
        assert np.isfinite(got[key]) == exists(k), (p, gamma, key, got)
    if exists(2) and not exists(4):
        assert got["kurtosis"] == np.inf, (p, gamma, got)
    if gamma != 0 and exists(2) and not exists(3):
        assert got["skewness"] == np.sign(gamma) * np.inf, (p, gamma, got)


@pytest.mark.slow
def test_gradients_of_moments_at_gamma_0():
    def moments(theta):
        law = UnivariateNormalMixture(*(theta[i] for i in range(6)), check=False)
        value = jnp.stack([law.mean(), law.var(), law.skewness(), law.kurtosis()])
        return value, value

    slopes, step = jax.jit(jax.jacfwd(moments, has_aux=True)), 1e-4
    for parameters in ((0.1, 0.0, 1.3, 0.7, 1.4, 0.9), (0.0, 0.0, 1.0, 2.1, 4.2, 0.0),
                       (0.0, 0.0, 1.0, -8.0, 0.0, 9.0)):  # fmt: skip
        theta = np.array(parameters)
        got = np.asarray(slopes(theta)[0])
        assert np.all(np.isfinite(got[:, :4])), (parameters, got)
        for i in range(4):
            shift = step * (np.arange(6) == i)
            expected = (slopes(theta + shift)[1] - slopes(theta - shift)[1]) / (2 * step)
            np.testing.assert_allclose(
                got[:, i], expected, rtol=1e-6, atol=1e-7, err_msg=f"{parameters} {NAMES[i]}"
            )


# --- the characteristic function


def mp_characteristic(parameters, t):
    mu, gamma, sigma, p, a, b = (mp.mpf(float(value)) for value in parameters)
    t = mp.mpf(float(t))
    if t == 0:
        return mp.mpf(1)
    rate = a - 2 * mp.mpc(-((sigma * t) ** 2) / 2, gamma * t)
    if b == 0:
        value = (a / rate) ** p
    elif a == 0:
        value = 2 / mp.gamma(-p) * (rate * b / 4) ** (-p / 2) * mp.besselk(p, mp.sqrt(rate * b))
    else:
        value = (a / rate) ** (p / 2) * mp.besselk(p, mp.sqrt(rate * b))
        value = value / mp.besselk(p, mp.sqrt(a * b))
    return value * mp.expj(mu * t)


@pytest.mark.parametrize("name", LAWS)
def test_characteristic_function(name):
    law = law_of(LAWS[name])
    t = np.array([0.0, 1e-8, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0, 40.0, 200.0])
    got, mirrored = law.characteristic_function(t), law.characteristic_function(-t)
    assert abs(complex(got[0]) - 1) < 1e-15, name
    assert np.all(np.abs(got) <= 1 + 1e-15), name
    np.testing.assert_allclose(mirrored, np.conj(got), rtol=1e-15, err_msg=name)
    with mp.workdps(60):
        for i, value in enumerate(t):
            expected = complex(mp_characteristic(LAWS[name], value))
            assert abs(complex(got[i]) - expected) <= 1e-12, (name, value, got[i], expected)


def test_characteristic_function_inverts_to_the_cdf():
    """Gil-Pelaez: F(x) = 1/2 - ∫ Im(e^(-itx) φ(t))/t dt / π, where φ falls fast."""
    law = law_of(LAWS["nig_narrow"])
    step = 0.01
    t = (np.arange(8000) + 0.5) * step
    phi = np.asarray(law.characteristic_function(t))
    x = np.array([-3.0, -0.5, 0.2, 1.0])
    got = at_points(law, padded(x))["cdf"][:4]
    inverted = [0.5 - np.sum((np.exp(-1j * t * v) * phi).imag / t) * step / np.pi for v in x]
    np.testing.assert_allclose(got, inverted, atol=1e-10)


# --- the whole line


def test_cdf_and_sf_are_complements_and_the_density_is_their_slope(law):
    lower, centre, upper = quartiles(law)
    std = upper - lower
    x, step = centre + std * np.array([-2.5, -0.7, -0.1, 0.4, 3.0]), 1e-5 * std
    got = at_points(law, padded(x))
    np.testing.assert_allclose(got["cdf"] + got["sf"], 1, rtol=1e-14)
    above, below = (at_points(law, padded(x + s))["cdf"] for s in (step, -step))
    slope = np.asarray(above - below) / (2 * step)
    np.testing.assert_allclose(slope, np.exp(got["log_prob"]), rtol=1e-6)


def test_tail_means_against_the_definition(law):
    """E X = P(X <= x) E (X | X <= x) + P(X > x) E (X | X > x), and E (X | X > x) > x."""
    x = np.asarray(at_probabilities(law, padded([1e-6, 0.01, 0.3, 0.5, 0.9, 0.999]))["ppf"])
    got = at_points(law, x)
    total = got["cdf"] * got["below"] + got["sf"] * got["above"]
    std = float(law.std())
    np.testing.assert_allclose(total, float(law.mean()), rtol=1e-12, atol=1e-13 * std)
    assert np.all(got["above"] > x)
    assert np.all(got["below"] < x)
    t = np.sort(np.unique(x))[2]
    expected, _ = integrate.quad(lambda u: float(law.sf(padded([t + u]))[0]), 0, 3 * std, limit=60)
    end = at_points(law, padded([t, t + 3 * std]))
    rest = float(end["sf"][1] * (end["above"][1] - t - 3 * std))
    got = float(end["sf"][0] * (end["above"][0] - t))
    assert got == pytest.approx(expected + rest, rel=1e-8)


def test_the_ends_of_the_line(law):
    x = padded([-np.inf, np.inf, np.nan])
    got = {key: np.asarray(value)[:3] for key, value in at_points(law, x).items()}
    expected = {
        "log_prob": [-np.inf, -np.inf, np.nan],
        "cdf": [0, 1, np.nan],
        "sf": [1, 0, np.nan],
        "log_cdf": [-np.inf, 0, np.nan],
        "log_sf": [0, -np.inf, np.nan],
    }
    for key, values in expected.items():
        np.testing.assert_array_equal(got[key], values, err_msg=key)
    mean = float(law.mean())
    np.testing.assert_allclose(got["above"], [mean, np.inf, np.nan], rtol=1e-14)
    np.testing.assert_allclose(got["below"], [-np.inf, mean, np.nan], rtol=1e-14)
    ends = padded([0.0, 1.0])
    np.testing.assert_array_equal(law.ppf(ends)[:2], [-np.inf, np.inf])
    np.testing.assert_array_equal(law.isf(ends)[:2], [np.inf, -np.inf])


def test_traced_probabilities_outside_the_unit_interval_are_nan(law):
    q = padded([-0.1, 1.1, np.nan])
    for function in (law.ppf, law.isf):
        assert np.all(np.isnan(jax.vmap(function)(q))), function


def test_gradients_beside_an_infinite_point():
    """The infinite point of a batch adds 0 to the slopes in the parameters, in reverse too."""

    def slopes(theta, x):
        def sums(theta):
            law = UnivariateNormalMixture(*(theta[i] for i in range(6)), check=False)
            values = law.log_cdf(x), law.log_sf(x), law.log_prob(x), law.mean_above(x)
            return jnp.stack([jnp.sum(jnp.where(jnp.isfinite(x), v, 0.0)) for v in values])

        return jax.jacrev(sums)(theta)

    theta = np.array(GH)
    got = slopes(theta, np.repeat([0.5, np.inf], SIZE // 2))
    expected = slopes(theta, np.full(SIZE, 0.5)) / 2
    for name, one, other in zip(
        ("log_cdf", "log_sf", "log_prob", "mean_above"), got, expected, strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", [*LAWS, "p_0.05", "p_-0.05"])
def test_huge_arguments_end_in_bounded_time(name):
    small = {"p_0.05": (0.0, 0.5, 1.0, 0.05, 2.0, 0.0), "p_-0.05": (0.0, 0.5, 1.0, -0.05, 0.0, 2.0)}
    law = law_of((LAWS | small)[name])
    x = np.array([1e9, 1e30, 1e100, 1e160, 1e300])
    right, left = at_points(law, padded(x)), at_points(law, padded(-x))
    for key, values in (("log_sf", right), ("log_cdf", left)):
        got = np.asarray(values[key])[:5]
        assert not np.any(np.isnan(got)), (name, key, got)
        assert np.all(np.diff(got[np.isfinite(got)]) < 0), (name, key, got)
    for key, values in (("log_cdf", right), ("log_sf", left)):
        got = np.asarray(values[key])[:5]
        assert np.all(got <= 0), (name, key, got)
        assert np.all(got >= -0.5 if "0.05" in name else got >= -1e-8), (name, key, got)


# --- risk


def test_conventions_of_risk_measures(law):
    level = padded([0.5, 0.9, 0.95, 0.99, 0.999])
    got = at_probabilities(law, level)
    mirrored = at_probabilities(law.affine(-1.0), level)
    for one, other in (("var_return", "var_loss"), ("return", "loss")):
        np.testing.assert_allclose(got[one], mirrored[other], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(got[other], mirrored[one], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(got["var_return"], -got["isf"], rtol=1e-15)
    np.testing.assert_allclose(got["var_loss"], got["ppf"], rtol=1e-15)
    for side in ("return", "loss"):
        assert np.all(got[side] > got[f"var_{side}"]), side
        assert np.all(np.diff(got[side][:5]) > 0), side


def test_symmetric_laws_have_one_shortfall():
    for p, a, b in ((0.7, 1.4, 0.9), (2.1, 4.2, 0.0), (-2.0, 0.0, 2.0)):
        law = law_of((0.0, 0.0, 1.4, p, a, b))
        got = at_probabilities(law, padded([0.3, 0.5, 0.9, 0.99]))
        np.testing.assert_allclose(got["return"], got["loss"], rtol=1e-12, err_msg=f"{p}")
        # the median, 0, to the rounding of its odds
        np.testing.assert_allclose(got["var_return"], got["var_loss"], rtol=1e-12, atol=1e-13)


def test_shortfall_is_infinite_where_the_tail_has_no_mean():
    law = law_of((0.0, 0.5, 1.0, -0.8, 0.0, 2.0))
    level = padded([0.9])
    assert law.expected_shortfall(level, of="loss")[0] == np.inf
    got = law.expected_shortfall(level, of="return")[0]
    assert np.isfinite(got)
    assert got > law.value_at_risk(level, of="return")[0]
    cauchy = law_of((0.0, 0.0, 1.0, -0.5, 0.0, 1.0))
    for side in ("return", "loss"):
        assert cauchy.expected_shortfall(level, of=side)[0] == np.inf, side


@pytest.mark.parametrize("method", ["value_at_risk", "expected_shortfall"])
@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, np.nan])
def test_levels_outside_the_unit_interval(method, level):
    law = law_of(GH)
    with pytest.raises(ValueError, match=f"{method}: level must be in .0, 1., got {level}"):
        getattr(law, method)(level)


# --- other parametrizations


def assert_same_law(one, other, x=None):
    x = (
        np.asarray(at_probabilities(one, padded([1e-9, 0.01, 0.5, 0.99]))["ppf"])
        if x is None
        else x
    )
    got, expected = at_points(one, x), at_points(other, x)
    for key in ("cdf", "sf", "log_prob"):
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-10, atol=1e-12, err_msg=key)


@pytest.mark.parametrize(
    "frozen",
    [
        stats.genhyperbolic(0.7, 1.5, -0.4, loc=0.3, scale=2.0),
        stats.genhyperbolic(-1.5, 2.0, 1.2, loc=-1.0, scale=0.1),
        stats.norminvgauss(1.5, -0.4, loc=0.3, scale=2.0),
        stats.norminvgauss(3.0, 0.0),
    ],
    ids=["genhyperbolic", "genhyperbolic scaled", "norminvgauss", "norminvgauss symmetric"],
)
def test_scipy_round_trip(frozen):
    law = UnivariateNormalMixture.from_scipy(frozen)
    x = frozen.mean() + frozen.std() * np.linspace(-3, 3, SIZE)
    got = at_points(law, x)
    np.testing.assert_allclose(np.exp(got["log_prob"]), frozen.pdf(x), rtol=1e-9)
    np.testing.assert_allclose(got["cdf"], frozen.cdf(x), rtol=1e-5, atol=1e-7)  # of quadrature
    back = law.to_scipy()
    assert back.dist.name == frozen.dist.name
    np.testing.assert_allclose(back.pdf(x), frozen.pdf(x), rtol=1e-10)
    assert_same_law(law, UnivariateNormalMixture.from_scipy(back))


def test_scipy_errors():
    with pytest.raises(ValueError, match=r"from_scipy.*norm"):
        UnivariateNormalMixture.from_scipy(stats.norm(0.0, 1.0))
    with pytest.raises(ValueError, match="from_scipy"):
        UnivariateNormalMixture.from_scipy(stats.norminvgauss(np.array([1.0, 2.0]), 0.0))
    with pytest.raises(TypeError, match="from_scipy"):
        UnivariateNormalMixture.from_scipy(3.0)
    with pytest.raises(ValueError, match=r"to_scipy: b must be > 0, got 0.0"):
        law_of(LAWS["vg_right"]).to_scipy()


def test_prause_round_trip(law):
    found = law.to_prause()
    assert_same_law(UnivariateNormalMixture.from_prause(*found[:5]), law)


def test_ghyp_round_trip(law):
    found = law.to_ghyp()
    back = UnivariateNormalMixture.from_ghyp(
        found.lambda_, found.chi, found.psi, mu=found.mu, sigma=found.sigma, gamma=found.gamma
    )
    assert float(back.subordinator.mean()) == pytest.approx(1, rel=1e-13)
    assert_same_law(back, law)
    by_bar = UnivariateNormalMixture.from_ghyp(
        found.lambda_, alpha_bar=found.alpha_bar,
        mu=found.mu, sigma=found.sigma, gamma=found.gamma,
    )  # fmt: skip
    assert_same_law(by_bar, law)


def test_changes_of_gauge_and_scale_keep_the_law(law):
    assert_same_law(law.normalize(), law)
    x = np.asarray(at_probabilities(law, padded([1e-9, 0.01, 0.5, 0.99]))["ppf"])
    got, expected = at_points(law.affine(-2.0, 0.7), -2 * x + 0.7), at_points(law, x)
    np.testing.assert_allclose(got["sf"], expected["cdf"], rtol=1e-10)
    np.testing.assert_allclose(got["log_prob"], expected["log_prob"] - np.log(2), atol=1e-10)
    standard = summary(law.standardize())
    assert float(standard["mean"]) == pytest.approx(0, abs=1e-13)
    assert float(standard["var"]) == pytest.approx(1, rel=1e-13)


PRAUSE, GHYP = UnivariateNormalMixture.from_prause, UnivariateNormalMixture.from_ghyp


@pytest.mark.parametrize(
    ("build", "parts"),
    [
        (lambda: PRAUSE(1.0, 1.0, 2.0, 1.0), ["alpha", ">= |beta|", "1.0", "2.0"]),
        (lambda: PRAUSE(1.0, 1.0, 0.5, -1.0), ["delta", ">= 0", "-1.0"]),
        (lambda: PRAUSE(1.0, 1.0, 1.0, 1.0), ["a must", "p < 0", "0.0"]),
        (lambda: PRAUSE(-1.0, 1.0, 0.5, 0.0), ["b must", "p > 0", "0.0"]),
        (lambda: GHYP(1.0, 1.0), ["chi, psi", "both", "None"]),
        (lambda: GHYP(1.0, 1.0, 1.0, alpha_bar=1.0), ["alpha_bar", "beside", "1.0"]),
        (lambda: GHYP(1.0, alpha_bar=-1.0), ["alpha_bar", ">= 0", "-1.0"]),
        (lambda: GHYP(-0.5, alpha_bar=0.0), ["alpha_bar", "> 0 for -1 <= λ <= 0", "0.0"]),
        (lambda: GHYP(0.0, alpha_bar=0.0), ["alpha_bar", "> 0", "0.0"]),
        (lambda: law_of((0, 0.1, 1, -0.8, 0, 2)).to_ghyp(), ["E Y", "finite", "inf"]),
        (lambda: law_of((0, 0.1, 1, -1.8, 0, 2)).standardize(), ["variance", "finite", "inf"]),
        (lambda: law_of(GH).affine(0.0), ["scale", "not be 0", "0.0"]),
        (lambda: law_of(GH).affine(np.ones(2)), ["scale", "scalar", "(2,)"]),
        (lambda: law_of(GH).ppf(1.5), ["ppf", "q", "[0, 1]", "1.5"]),
        (lambda: law_of(GH).isf(-0.5), ["isf", "q", "[0, 1]", "-0.5"]),
        (lambda: law_of(GH).posterior(np.inf), ["posterior", "x", "finite", "inf"]),
        (
            lambda: law_of(GH).posterior(np.zeros(2)),
            ["posterior", "x", "scalar", "(2,)"],
        ),
        (lambda: law_of((np.nan, 0, 1, 1, 1, 1)), ["mu", "finite", "nan"]),
        (lambda: law_of((0, np.inf, 1, 1, 1, 1)), ["gamma", "finite", "inf"]),
        (lambda: law_of((0, 0, 0, 1, 1, 1)), ["sigma", "> 0", "0.0"]),
        (lambda: law_of((0, 0, -2, 1, 1, 1)), ["sigma", "> 0", "-2.0"]),
        (lambda: law_of((0, 0, np.inf, 1, 1, 1)), ["sigma", "finite", "inf"]),
        (lambda: law_of((0, 0, 1, np.nan, 1, 1)), ["p", "finite", "nan"]),
        (lambda: law_of((0, 0, 1, 1, -1, 1)), ["a", ">= 0", "-1.0"]),
        (lambda: law_of((0, 0, 1, 1, 1, -1)), ["b", ">= 0", "-1.0"]),
        (lambda: law_of((0, 0, 1, 1, 0, 1)), ["a", "p < 0", "0.0"]),
        (lambda: law_of((0, 0, 1, -1, 1, 0)), ["b", "p > 0", "0.0"]),
        (lambda: law_of((0, 0, 1, 1, np.inf, 1)), ["a", "finite", "inf"]),
        (
            lambda: UnivariateNormalMixture(np.zeros(2), 0.0, 1.0, 1.0, 1.0, 1.0),
            ["mu", "scalar", "(2,)"],
        ),
    ],
)
def test_bad_input(build, parts):
    with pytest.raises(ValueError, match=r"must|UnivariateNormalMixture") as error:
        build()
    for part in parts:
        assert part in str(error.value), (part, str(error.value))


def test_unknown_side():
    """Without the type checker of these tests it is the ValueError that says the same."""
    with pytest.raises((ValueError, TypeError), match="of"):
        law_of(GH).expected_shortfall(0.9, of="profit")


@pytest.mark.parametrize(("index", "value"), [(0, np.nan), (2, -1.0), (3, np.nan), (4, -1.0)])
def test_traced_parameters(index, value):
    @eqx.filter_jit
    def build(theta, check):
        law = UnivariateNormalMixture(*(theta[i] for i in range(6)), check=check)
        return law.mu + law.sigma + law.p + law.a + law.b

    good = np.array(GH)
    bad = good.copy()
    bad[index] = value
    assert np.isfinite(build(good, True))
    with pytest.raises(RuntimeError, match=f"{NAMES[index]} must"):
        jax.block_until_ready(build(bad, True))
    jax.block_until_ready(build(bad, False))


@pytest.mark.parametrize(("lambda_", "psi", "chi"), [(1.5, 3.0, 0.0), (-2.5, 0.0, 3.0)])
def test_ghyp_at_alpha_bar_0(lambda_, psi, chi):
    law = UnivariateNormalMixture.from_ghyp(lambda_, alpha_bar=0.0, mu=0.2, sigma=1.5, gamma=0.3)
    assert (float(law.p), float(law.a), float(law.b)) == (lambda_, psi, chi)
    assert float(law.subordinator.mean()) == pytest.approx(1, rel=1e-14)
    near = UnivariateNormalMixture.from_ghyp(lambda_, alpha_bar=1e-9, mu=0.2, sigma=1.5, gamma=0.3)
    x = padded([-3.0, 0.1, 4.0])
    np.testing.assert_allclose(at_points(law, x)["sf"], at_points(near, x)["sf"], rtol=1e-9)


# --- draws, precision, projections


def test_draws_follow_the_law(law):
    draws = np.asarray(law.sample(jax.random.key(7), (20_000,)))
    u = np.asarray(law.cdf(np.sort(draws)))
    grid = (np.arange(u.size) + 0.5) / draws.size
    assert np.max(np.abs(u - grid)) < 1.63 / np.sqrt(draws.size)  # 1 % of the Kolmogorov law
    got = summary(law)
    error = float(got["std"]) / np.sqrt(draws.size)
    assert np.mean(draws) == pytest.approx(float(got["mean"]), abs=4 * error)
    spread = np.sqrt(float(got["kurtosis"]) + 2) if np.isfinite(got["kurtosis"]) else 20.0
    assert np.var(draws) == pytest.approx(float(got["var"]), rel=5 * spread / np.sqrt(draws.size))
    assert law.sample(jax.random.key(7)).shape == ()
    assert law.sample(jax.random.key(7), (2, 3)).shape == (2, 3)


def test_single_precision():
    x, q = padded([-3.0, 0.1, 0.6, 4.0]), padded([1e-4, 0.3, 0.5, 0.99])
    for name, parameters in LAWS.items():
        small = law_of(parameters, np.float32)
        law = law_of([float(np.float32(value)) for value in parameters])
        if name in registry.line("concentrated"):
            continue  # see the next test
        for function, at in ((at_points, x), (quantile, q)):
            at = at.astype(np.float32)
            expected = function(law, at.astype(np.float64))
            for key, value in function(small, at).items():
                assert value.dtype == jnp.float32, (name, key)
                size = 1e-5 if key in ("below", "above", "ppf") else 1e-30  # they pass through 0
                np.testing.assert_allclose(
                    value, expected[key], rtol=1e-4, atol=size, err_msg=f"{name} {key}"
                )
        for key, value in summary(small).items():
            assert value.dtype == jnp.float32, (name, key)
        assert small.sample(jax.random.key(0), (3,)).dtype == jnp.float32
        t = np.linspace(0, 1, 10, dtype=np.float32)
        assert small.characteristic_function(t).dtype == jnp.complex64


def test_single_precision_near_the_normal_law():
    parameters = LAWS["near_normal"]
    small, law = law_of(parameters, np.float32), law_of([float(np.float32(v)) for v in parameters])
    x = padded([-3.0, 0.1, 0.6, 4.0]).astype(np.float32)
    expected = at_points(law, x.astype(np.float64))
    for key, value in at_points(small, x).items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-4, err_msg=key)


def test_huge_arguments_in_single_precision():
    for name, parameters in LAWS.items():
        x = padded([1e6, 1e18, 1e30, 1e36]).astype(np.float32)
        law = law_of(parameters, np.float32)
        got = np.asarray([at_points(law, x)["log_sf"], at_points(law, -x)["log_cdf"]])
        assert not np.any(np.isnan(got)), (name, got)
        assert np.all(got < 0), (name, got)


def test_projection_has_the_moments_and_density_of_its_parent(model, scalar_model):
    w = np.array([0.6, -0.8])
    law = model.project(w)
    assert float(law.mean()) == pytest.approx(float(w @ model.mean()), rel=1e-12)
    assert float(law.var()) == pytest.approx(float(w @ model.cov() @ w), rel=1e-12)
    x = np.linspace(-5, 5, SIZE)
    unit = scalar_model.project(np.array([1.0]))
    np.testing.assert_allclose(unit.log_prob(x), scalar_model.log_prob(x[:, None]), rtol=1e-12)


def test_posterior_is_that_of_the_joint_law():
    law, x = law_of(GH), 1.7
    posterior = law.posterior(x)
    y = np.geomspace(0.01, 20, 7)
    joint = law.subordinator.log_prob(y) + stats.norm.logpdf(
        x, float(law.mu) + float(law.gamma) * y, float(law.sigma) * np.sqrt(y)
    )
    np.testing.assert_allclose(posterior.log_prob(y), joint - law.log_prob(x), atol=1e-12)


def test_a_projection_of_a_model_is_such_a_law():
    parts = (np.array([0.1, -0.2]), np.array([0.4, -0.1]), np.array([[1.0, 0.3], [0.3, 2.0]]))
    law = GeneralizedHyperbolic.from_classical(*parts, p=0.7, a=1.4, b=0.9).project(
        np.array([0.6, -0.8])
    )
    square = 0.36 * 1.0 - 2 * 0.48 * 0.3 + 0.64 * 2.0
    expected = (0.6 * 0.1 + 0.8 * 0.2, 0.6 * 0.4 + 0.8 * 0.1, np.sqrt(square), 0.7, 1.4, 0.9)
    assert_same_law(law, law_of(expected))
