"""Data on which R's ghyp fails: gross outliers, Cauchy tails, few rows, many columns, odd units."""

import equinox as eqx
import jax
import numpy as np
import pytest

from normix_fit import FAMILIES, Status, fit
from normix_mixtures import NormalInverseGamma

N, D = 120, 3  # one shape, so that compiled loops are shared
HEAVY = ("gh", "nig", "ninvg")


def heavy(seed, dof=3.0, n=N, d=D):
    """Skewed returns of scale 0.01."""
    rng = np.random.default_rng(seed)
    y = 1 / rng.gamma(dof / 2, 2 / dof, size=(n, 1))
    return 0.01 * (0.3 * y + np.sqrt(y) * rng.standard_normal((n, d)))


def normal_log_likelihood(X):
    """The maximum over normal laws."""
    n, d = X.shape
    centred = X - X.mean(0)
    log_det = np.linalg.slogdet(centred.T @ centred / n)[1]
    return -n / 2 * (log_det + d * np.log(2 * np.pi) + d)


def assert_sound(result, X):
    leaves = jax.tree.leaves(eqx.filter(result.model, eqx.is_inexact_array))
    assert all(np.all(np.isfinite(leaf)) for leaf in leaves)
    assert np.all(np.isfinite(result.log_likelihoods))
    assert np.all(np.diff(result.log_likelihoods) >= 0)
    total = float(np.sum(result.model.log_prob(X)))
    assert total == pytest.approx(result.log_likelihood, rel=1e-9, abs=1e-6)
    assert result.status not in (Status.NON_FINITE, Status.SOLVER_STALLED)
    assert result.converged == result.status.converged


@pytest.mark.parametrize("seeds", [[0], pytest.param([1, 2], marks=pytest.mark.slow)], ids=str)
def test_a_row_of_ten_thousand_sigmas_does_not_break_a_fit(seeds):
    for seed in seeds:
        X = heavy(seed)
        X[0] = 100.0
        results = {name: fit(X, name) for name in FAMILIES}
        for name, result in results.items():
            assert_sound(result, X)
            assert result.converged or name == "vg", name
            assert result.log_likelihood > normal_log_likelihood(X) + 100
        best = max(result.log_likelihood for result in results.values())
        assert results["gh"].log_likelihood >= best - 1e-5


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_tails_absorb_an_outlier(name):
    for seed in range(3):
        X = heavy(seed)
        without = fit(X, name)
        X[0] = 1.0
        result = fit(X, name)
        assert_sound(result, X)
        assert result.converged
        unit = np.sqrt(np.diagonal(without.model.sigma))
        assert np.all(np.abs(result.model.mu - without.model.mu) < 0.5 * unit)
        ratio = np.sqrt(np.diagonal(result.model.sigma)) / unit
        assert np.all((ratio > 0.5) & (ratio < 1.5)), "a normal law's scale grows tenfold"


@pytest.mark.parametrize("name", ["gh", "ninvg"])
def test_cauchy_data_are_fitted_by_a_law_as_heavy(name):
    zero = np.zeros(D)
    cauchy = NormalInverseGamma.from_classical(zero, zero, np.eye(D), alpha=0.5, beta=0.5)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((N, D)) / np.abs(rng.standard_normal((N, 1)))
        result = fit(X, name)
        assert_sound(result, X)
        assert result.converged
        assert result.log_likelihood > float(np.sum(cauchy.log_prob(X)))
        p = float(result.model.joint.subordinator_as_gig()[0])
        assert p == pytest.approx(-0.5, abs=0.25)


@pytest.mark.parametrize("kind", ["heavy", "normal"])
def test_hardly_more_rows_than_columns(kind):
    normal = np.random.default_rng(1).standard_normal((40, 30))
    X = heavy(1, n=40, d=30) if kind == "heavy" else normal
    result = fit(X, "gh", max_iter=100)
    assert_sound(result, X)
    assert result.log_likelihood >= normal_log_likelihood(X) - 1e-6


def nearly_collinear(noise, seed):
    """A third column that is the second up to relative noise; the noise itself in its place."""
    X, error = heavy(seed), np.random.default_rng(seed + 100).standard_normal(N)
    scale = noise * np.std(X[:, 1])
    X[:, 2] = X[:, 1] + scale * error
    return X, np.column_stack([X[:, :2], error]), scale


@pytest.mark.parametrize("name", FAMILIES)
def test_a_nearly_collinear_column_is_one_more_dimension(name):
    X, plain, scale = nearly_collinear(1e-4, 0)
    result, reference = fit(X, name), fit(plain, name)
    assert result.status == reference.status
    total = result.log_likelihood + N * np.log(scale)
    assert total == pytest.approx(reference.log_likelihood, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "noise"), [*((name, 1e-7) for name in FAMILIES), ("nig", 1e-10), ("nig", 1e-13)]
)
def test_columns_that_float64_hardly_tells_apart(name, noise):
    """They are fitted, or the error names the column."""
    X, *_ = nearly_collinear(noise, 0)
    try:
        result = fit(X, name)
    except ValueError as error:
        assert "got column 2" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(result.log_likelihood)
        assert np.all(np.diff(result.log_likelihoods) >= 0)


def wide(shared_data, d):
    return np.load(shared_data / "sp500_wide.npz")["returns"][:, :d].astype(float)


def assert_units_factor_out(X, name, **options):
    """The likelihood is that of standardised columns, though det Σ is below 1e-308."""
    unit = np.std(X, axis=0)
    result, standard = fit(X, name, **options), fit((X - X.mean(0)) / unit, name, **options)
    assert np.linalg.det(np.asarray(result.model.sigma)) == 0
    assert_sound(result, X)
    expected = standard.log_likelihood - len(X) * np.sum(np.log(unit))
    assert result.log_likelihood == pytest.approx(expected, rel=1e-9)
    assert result.log_likelihood > normal_log_likelihood(X)


def test_a_hundred_columns_of_daily_returns(shared_data):
    assert_units_factor_out(wide(shared_data, 100), "nig")


@pytest.mark.slow
def test_468_columns_of_daily_returns(shared_data):
    assert_units_factor_out(wide(shared_data, 468), "nig", max_iter=3)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_column_may_have_units_of_its_own(name):
    X = heavy(0, dof=6.0)
    scale, shift = np.array([1e-6, 3.0, 1e6]), np.array([1e-3, -3.0, 100.0])
    result, reference = fit(shift + scale * X, name), fit(X, name)
    assert result.status == reference.status
    total = result.log_likelihood + N * np.sum(np.log(scale))
    assert total == pytest.approx(reference.log_likelihood, rel=1e-8)
    model, expected = result.model, reference.model
    unit = np.sqrt(np.diagonal(expected.sigma))
    for got, wanted in (
        ((model.mu - shift) / scale / unit, expected.mu / unit),
        (model.gamma / scale / unit, expected.gamma / unit),
        (model.sigma / np.outer(scale, scale) / np.outer(unit, unit),
         expected.sigma / np.outer(unit, unit)),
        (model.joint.subordinator_as_gig(), expected.joint.subordinator_as_gig()),
    ):  # fmt: skip
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("X", "weights", "message"),
    [
        (np.column_stack([heavy(0), np.full(N, 5.0)]), None, "got the constant 5.0 in column 3"),
        (heavy(0), np.ones((N, 1)), r"weights must have shape \(120,\)"),
        (heavy(0, n=3), None, "X must have more rows than columns"),
    ],
)
def test_fit_refuses_bad_data_before_it_compiles(X, weights, message):
    with pytest.raises(ValueError, match=message):
        fit(X, "nig", weights=weights)
