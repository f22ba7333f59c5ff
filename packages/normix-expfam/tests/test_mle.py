"""Maximum likelihood on measured data, weights, and what cannot be fitted."""

import gzip

import jax
import numpy as np
import pytest

from normix_expfam import GIG, Gamma, InverseGamma, InverseGaussian

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
