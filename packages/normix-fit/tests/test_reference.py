"""Fits of the euro reference rates: the best known likelihoods, nesting, units, limits."""

import json

import numpy as np
import pytest

from normix_fit import BatchEMFitter, Status, fit, fit_all

pytestmark = pytest.mark.gpu

FAMILIES = ("gh", "nig", "vg", "ninvg")
FIVE = ("USD", "JPY", "GBP", "CHF", "TRY")


@pytest.fixture(scope="module")
def rates(shared_data):
    """Log-returns by the names of reference_fits.json."""
    path = shared_data / "fx_ecb_logret.csv.gz"
    columns = np.genfromtxt(path, delimiter=",", max_rows=1, dtype=str)[1:]
    X = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, len(columns) + 1))
    subset = [list(columns).index(name) for name in FIVE]
    return {"ecb_fx": X, "ecb_fx5": X[:, subset]}


@pytest.fixture(scope="module")
def best(shared_data):
    rows = json.loads((shared_data / "reference_fits.json").read_text())
    return {(row["data"], row["family"]): row["loglik"] for row in rows if not row["symmetric"]}


@pytest.fixture(scope="module")
def fits(rates):
    return {data: {name: fit(X, name) for name in FAMILIES} for data, X in rates.items()}


@pytest.fixture(params=["ecb_fx", "ecb_fx5"])
def data(request):
    return request.param


def test_the_best_known_likelihoods_are_reached(data, fits, best):
    for name, result in fits[data].items():
        assert result.converged, result.status
        assert result.log_likelihood >= best[data, name] - 1e-5, name
        assert result.log_likelihood <= best[data, name] + 1e-3, name


def test_the_likelihood_never_falls(data, fits, rates):
    for result in fits[data].values():
        assert np.all(np.diff(result.log_likelihoods) >= 0)
        total = float(np.sum(result.model.log_prob(rates[data])))
        assert total == pytest.approx(result.log_likelihood, rel=1e-12)


def test_the_full_family_is_at_least_its_members(data, fits, rates):
    for name in ("nig", "vg", "ninvg"):
        assert fits[data]["gh"].log_likelihood >= fits[data][name].log_likelihood - 1e-6
    together = fit_all(rates[data])
    assert set(together) >= set(FAMILIES)
    whole = together["gh"].log_likelihood
    for name in ("nig", "vg", "ninvg"):
        # on its boundary it is the same law, whose sum is rounded in its own way
        assert whole >= together[name].log_likelihood - 1e-14 * abs(whole)


def test_the_maximum_on_the_boundary_is_exact_and_named(data, fits):
    result = fits[data]["gh"]
    assert result.status == Status.INVERSE_GAMMA_LIMIT
    assert float(result.model.a) == 0
    assert "NormalInverseGamma" in result.message


def test_units_do_not_matter(data, fits, rates):
    X = rates[data]
    for name, reference in fits[data].items():
        for scale in (1e-4, 1e4):
            result = fit(scale * X, name)
            shifted = result.log_likelihood + X.size * np.log(scale)
            assert shifted == pytest.approx(reference.log_likelihood, rel=1e-6)
            assert result.status == reference.status
            model = reference.model
            unit = np.sqrt(np.diagonal(model.sigma))
            for got, expected in (
                (result.model.mu / scale / unit, model.mu / unit),
                (result.model.gamma / scale / unit, model.gamma / unit),
                (result.model.L_Sigma / scale / unit[:, None], model.L_Sigma / unit[:, None]),
            ):
                np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
            for got, expected in zip(
                result.model.joint.subordinator_as_gig(),
                model.joint.subordinator_as_gig(),
                strict=True,
            ):
                np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-9)


def test_columns_may_have_different_units(fits, rates):
    X = rates["ecb_fx5"]
    scale, shift = np.array([1e-4, 1.0, 1e4, 7.0, 1e2]), np.array([0.0, 5.0, -3.0, 1.0, 9.0])
    result, reference = fit(shift + scale * X, "nig"), fits["ecb_fx5"]["nig"]
    total = result.log_likelihood + len(X) * np.sum(np.log(scale))
    assert total == pytest.approx(reference.log_likelihood, rel=1e-8)
    np.testing.assert_allclose(
        (result.model.mu - shift) / scale, reference.model.mu, rtol=0, atol=1e-6
    )


def test_callbacks_come_in_order_and_end_with_the_result(rates):
    seen = []
    fitter = BatchEMFitter(callback=lambda n_iter, value: seen.append((n_iter, value)))
    X = rates["ecb_fx5"]
    start = type(fit(X, "nig").model).default_init(X)
    result = fitter.fit(start, X)
    steps = [n_iter for n_iter, _ in seen]
    assert steps == sorted(steps)
    assert len(seen) >= 3
    assert seen[-1] == (result.n_iter, pytest.approx(result.log_likelihood, rel=1e-14))
    for n_iter, value in seen:
        assert value == pytest.approx(result.log_likelihoods[n_iter], rel=1e-14)
    names = []
    fit_all(X, ("nig",), callback=lambda name, *_: names.append(name))
    assert set(names) == {"nig"}
