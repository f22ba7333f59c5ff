"""Maximum likelihood on measured data, weights, and what cannot be fitted."""

import gzip

import jax
import mpmath
import numpy as np
import pytest

from normix_expfam import GIG, Gamma, InverseGamma, InverseGaussian, Status

FAMILIES = [Gamma, InverseGamma, InverseGaussian, GIG]


@pytest.fixture(scope="module")
def flow(shared_data):
    """Daily flow of the Choptank river, m³/s."""
    with gzip.open(shared_data / "choptank_flow.csv.gz", "rt", encoding="utf-8") as file:
        values = np.genfromtxt(file, delimiter=",", skip_header=1, usecols=1)
    return values[values > 0]


def test_the_inverse_gaussian_fit_to_repair_times_is_the_published_one(shared_data):
    hours = np.loadtxt(shared_data / "repair_times.csv", skiprows=1)
    law = InverseGaussian.fit_mle(hours)
    # the data of von Alven (1964), fitted by Chhikara & Folks (1977)
    assert f"{float(law.mu):.3f}" == "3.607"
    assert f"{float(law.lam):.3f}" == "1.659"


def test_the_gig_is_at_least_as_likely_as_the_laws_it_contains(flow):
    total = {family: float(np.sum(family.fit_mle(flow).log_prob(flow))) for family in FAMILIES}
    assert all(np.isfinite(value) for value in total.values())
    assert all(total[GIG] >= value - 1e-9 * abs(value) for value in total.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fit_has_the_mean_statistics_of_the_data(flow, family):
    law = family.fit_mle(flow)
    eta = np.asarray(law.sufficient_statistics(flow)).mean(axis=0)
    np.testing.assert_allclose(law.expectation_params(), eta, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_count_repetitions(family):
    rng = np.random.default_rng(7)
    x, counts = rng.lognormal(size=30), rng.integers(0, 4, 30)
    weighted = family.fit_mle(x, counts)
    repeated = family.fit_mle(np.repeat(x, counts))
    rescaled = family.fit_mle(x, counts * 0.125)
    for other in (repeated, rescaled):
        np.testing.assert_allclose(
            other.natural_params(), weighted.natural_params(), rtol=1e-8, atol=1e-10
        )


def test_fits_can_be_traced():
    x = np.random.default_rng(7).lognormal(size=30)
    traced = jax.jit(Gamma.fit_mle)(x)
    np.testing.assert_allclose(traced.natural_params(), Gamma.fit_mle(x).natural_params(), 1e-12)


MISTAKES = {
    "empty": (np.zeros(0), None, r"x must have shape \(n, \.\.\.\) with n > 0.*got \(0,\); pass"),
    "scalar": (np.array(1.5), None, r"x must have shape \(n, \.\.\.\) .*got \(\); pass"),
    "matrix": (np.ones((3, 2)), None, r"x must have shape \(n, \.\.\.\) .*got \(3, 2\); pass"),
    "nan": (np.array([1, np.nan]), None, r"x must lie in the support, got \[nan\].*\[1\]; drop"),
    "zero": (np.array([1.0, 2, 0]), None, r"x must lie in the support, got \[0\.\].*\[2\]; drop"),
    "negative": (np.array([-1.0, 2]), None, r"x must lie in the support, got \[-1\.\].*\[0\]; "),
    "infinite": (np.array([1, np.inf]), None, r"x must lie in the support, got \[inf\].*; drop"),
    "weight < 0": (np.arange(1, 4.0), np.array([1, -2.0, 1]), r"weights must be .*negative.*-2"),
    "weight nan": (np.arange(1, 4.0), np.array([1, np.nan, 1]), r"weights must be finite.*nan"),
    "length": (np.arange(1, 4.0), np.ones(2), r"weights must have shape \(3,\), got \(2,\); pass"),
    "all zero": (np.arange(1, 4.0), np.zeros(3), r"weights must not all be zero, got .*; leave"),
    "constant": (np.full(5, 2.5), None, r"x must vary, got only the value 2\.5; the maximum"),
    "one row": (np.full(1, 2.5), None, r"x must vary, got only the value 2\.5; the maximum"),
    "one weighted row": (np.arange(1, 4.0), np.array([0, 1.0, 0]), r"x must vary, got .* 2\.0; "),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("x", "weights", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_name_class_argument_rule_and_remedy(family, x, weights, message):
    with pytest.raises(ValueError, match=rf"^{family.__name__}\.fit_mle: {message}"):
        family.fit_mle(x, weights)


SPREADS = {
    "cv 1e-3": (1000, 1, np.float64),
    "cv 1e-6": (1, 1e-6, np.float64),
    "float32": (1000, 1, np.float32),
    "huge": (3e300, 1e300, np.float64),
    "tiny": (3e-300, 1e-301, np.float64),
}


def shapes_of(x, weights):
    """α of the gamma and inverse gamma fits and λ of the inverse Gaussian fit, with 60 digits."""
    x, weights = [mpmath.mpf(float(v)) for v in x], [mpmath.mpf(float(w)) for w in weights]
    n = sum(weights)
    mean = sum(w * v for v, w in zip(x, weights, strict=True)) / n
    mean_log = sum(w * mpmath.log(v) for v, w in zip(x, weights, strict=True)) / n
    inverse = sum(w / v for v, w in zip(x, weights, strict=True)) / n

    def shape(gap):
        return mpmath.findroot(lambda a: mpmath.log(a) - mpmath.digamma(a) - gap, 1 / (2 * gap))

    upper = mpmath.log(inverse) + mean_log
    return shape(mpmath.log(mean) - mean_log), shape(upper), mean / (mean * inverse - 1)


def sample_of(mean, deviation, dtype, n=60):
    x = np.random.default_rng(3).normal(mean, deviation, n).astype(dtype)
    return np.abs(x), np.random.default_rng(4).integers(0, 3, n).astype(dtype)


BOTH = ["jax", pytest.param("cpu", marks=pytest.mark.cpu)]


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("case", SPREADS.values(), ids=SPREADS)
def test_fits_to_data_of_small_spread_and_any_size_keep_all_digits(case, backend):
    x, weights = sample_of(*case)
    with mpmath.workdps(60):
        exact = [float(value) for value in shapes_of(x, weights)]
    found = [family.fit_mle(x, weights, backend=backend) for family in FAMILIES[:3]]
    found = [float(found[0].alpha), float(found[1].alpha), float(found[2].lam)]
    np.testing.assert_allclose(found, exact, rtol=100 * np.finfo(case[-1]).eps)


def test_data_that_vary_in_the_last_digits_have_a_fit():
    x = np.array([10, 10, 10.0000001])
    with mpmath.workdps(60):
        exact = shapes_of(x, np.ones(3))
    assert float(Gamma.fit_mle(x).alpha) == pytest.approx(float(exact[0]), rel=1e-12)
    assert float(InverseGamma.fit_mle(x).alpha) == pytest.approx(float(exact[1]), rel=1e-12)
    assert float(InverseGaussian.fit_mle(x).lam) == pytest.approx(float(exact[2]), rel=1e-12)


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gig_fits_to_data_of_small_spread_are_the_limit_or_better(dtype, backend):
    """Normal data have less skewness than every GIG distribution of their spread."""
    x, _ = sample_of(1000, 1, dtype, 200)
    law, gamma, inverse = (f.fit_mle(x, backend=backend) for f in (GIG, Gamma, InverseGamma))
    limits = {"a": (float(inverse.alpha), float(inverse.beta)),
              "b": (float(gamma.alpha), float(gamma.beta))}  # fmt: skip
    zero = "a" if law.a == 0 else "b"
    assert float(getattr(law, zero)) == 0
    np.testing.assert_allclose(
        (abs(float(law.p)), float(law.a + law.b) / 2), limits[zero], rtol=100 * np.finfo(dtype).eps
    )


def test_a_concentrated_gig_fit_inside_the_family_is_a_stationary_point():
    """The order is determined by the third moment, some 1e-9 of the mean here."""
    truth = GIG(2e5, 3e6, 2e6)
    x = np.asarray(truth.ppf((np.arange(400) + 0.5) / 400))
    found = GIG.mle(x)
    assert found.status == Status.CONVERGED
    slope = jax.grad(lambda law: np.float64(1) * law.log_prob(x).sum())(found.model)
    deviations = found.standard_errors()
    for name in ("p", "a", "b"):
        # in standard errors, of which the three differ in common
        assert abs(float(getattr(slope, name) * deviations[name])) < 1e-2
    members = [family.mle(x).log_likelihood for family in FAMILIES[:3]]
    assert all(found.log_likelihood >= value - 1e-6 for value in members)
