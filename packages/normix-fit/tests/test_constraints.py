"""Weights, parameters that are held, symmetric fits, and the normal limit."""

import numpy as np
import pytest

from normix_fit import FAMILIES, BatchEMFitter, Status, fit

N, D = 120, 3  # one shape, so that compiled loops are shared


def families(*here):
    """These families here, the others, whose loops are others to compile, in the session slow."""
    return pytest.mark.parametrize(
        "name",
        [name if name in here else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES],
    )


def heavy(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D)) / np.sqrt(rng.gamma(2.0, size=(N, 1)))
    return X + 0.3 * X**2 / (1 + X**2)


@families("nig")
def test_a_weight_counts_rows(name):
    # in more columns variance gamma has no maximum here, as its density has a pole
    X = heavy()[:, : 1 if name == "vg" else D]
    # of sum N, so that both fits have one shape
    counts = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], N // 3))
    weighted = fit(X, name, weights=counts.astype(float))
    repeated = fit(np.repeat(X, counts, axis=0), name)
    assert weighted.status == repeated.status
    assert weighted.status.has_maximum
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(weighted.model.mu, repeated.model.mu, rtol=0, atol=1e-5)
    assert weighted.n_observations == repeated.n_observations == counts.sum()
    assert weighted.bic == pytest.approx(repeated.bic, rel=1e-9)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(N - 1), r"weights must have shape \(120,\)"),
        (-np.ones(N), "weights must be finite and non-negative"),
        (np.full(N, np.nan), "weights must be finite and non-negative"),
        (np.eye(N)[0], "X must have more rows than columns"),
    ],
)
def test_bad_weights(weights, message):
    start = FAMILIES["nig"].default_init(heavy())
    with pytest.raises(ValueError, match=message):
        BatchEMFitter().fit(start, heavy(), weights)


@families("gh")
def test_symmetric_fits(name):
    X = heavy()
    full, symmetric = fit(X, name), fit(X, name, symmetric=True)
    np.testing.assert_array_equal(symmetric.model.gamma, 0)
    assert symmetric.log_likelihood < full.log_likelihood
    assert symmetric.n_parameters == full.n_parameters - D
    even = np.concatenate([X[: N // 2], -X[: N // 2]])
    mirrored, twice = fit(even, name), fit(even, name, symmetric=True)
    assert twice.log_likelihood == pytest.approx(mirrored.log_likelihood, abs=1e-4)


def test_a_known_order_makes_gh_a_submodel():
    X = heavy()
    as_gh, nig = fit(X, "gh", fixed={"p": -0.5}), fit(X, "nig")
    assert float(as_gh.model.p) == -0.5
    assert as_gh.log_likelihood == pytest.approx(nig.log_likelihood, abs=1e-6)
    assert as_gh.n_parameters == nig.n_parameters
    assert as_gh.held.names == ("p",)
    np.testing.assert_allclose(as_gh.model.sigma, nig.model.sigma, rtol=1e-3)


@pytest.mark.parametrize("name", ["vg", pytest.param("ninvg", marks=pytest.mark.slow)])
def test_a_known_shape_is_kept(name):
    X = heavy()
    free = fit(X, name)
    held = fit(X, name, fixed={"alpha": 3.0})
    assert float(held.model.alpha) == 3.0
    assert held.log_likelihood <= free.log_likelihood
    again = fit(X, name, fixed={"alpha": float(free.model.alpha)})
    assert again.log_likelihood == pytest.approx(free.log_likelihood, abs=1e-6)


def test_a_known_location_is_kept():
    X = heavy() + 5.0
    mu = np.full(D, 5.1)
    result = fit(X, "nig", fixed={"mu": mu})
    np.testing.assert_allclose(result.model.mu, mu, rtol=1e-14)
    assert result.n_parameters == fit(X, "nig").n_parameters - D
    start = FAMILIES["nig"].default_init(X)
    kept = BatchEMFitter(fixed=("mu",)).fit(start, X)
    np.testing.assert_allclose(kept.model.mu, start.mu, rtol=1e-14)


def test_names_that_cannot_be_held():
    with pytest.raises(ValueError, match="fixed must have names among mu, subordinator, got 'p'"):
        fit(heavy(), "nig", fixed=("p",))


def normal_log_likelihood(X):
    n, d = X.shape
    half_log_det = np.linalg.slogdet(np.cov(X.T, bias=True))[1] / 2
    return -n * (half_log_det + d / 2 * (np.log(2 * np.pi) + 1))


@families("gh", "nig")
def test_light_tails_end_at_the_normal_law(name):
    """Uniform data: no member is as likely as its normal limit, up to what skewness gains."""
    X = np.random.default_rng(5).uniform(size=(500, D))
    result = fit(X, name)
    assert result.log_likelihood >= normal_log_likelihood(X) - 1e-3
    assert result.log_likelihood <= normal_log_likelihood(X) + 1
    assert result.status == Status.NORMAL_LIMIT


@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 10), marks=pytest.mark.slow)])
@families("gh", "nig")
def test_gaussian_data_are_said_to_be_normal_in_few_iterations(name, seeds):
    for seed in seeds:
        X = np.random.default_rng(seed).standard_normal((500, D))
        result = fit(X, name)
        assert result.status == Status.NORMAL_LIMIT, seed
        assert result.converged
        assert result.n_evaluations <= 30
        assert result.log_likelihood >= normal_log_likelihood(X) - 1e-3


@pytest.mark.parametrize(
    ("name", "seeds"),
    [("nig", range(1)), *(pytest.param(x, range(10), marks=pytest.mark.slow) for x in FAMILIES)],
)
def test_the_maximum_of_gaussian_data_is_not_worth_its_parameters(name, seeds):
    """Hundreds of iterations on, BIC prefers the normal law all the same."""
    for seed in seeds:
        X = np.random.default_rng(seed).standard_normal((500, D))
        start = FAMILIES[name].default_init(X)
        ended = fit(X, name).log_likelihood
        maximum = BatchEMFitter(stop_near_normal=False).fit(start, X).log_likelihood
        assert maximum >= ended - 1e-3
        assert maximum - normal_log_likelihood(X) < (D + 2) / 2 * np.log(500)


def test_heavy_tails_are_never_called_normal():
    """From a start next to the normal law, too."""
    X = heavy()
    near = BatchEMFitter().fit(FAMILIES["nig"].default_init(X, spread=1e-3), X)
    assert near.status != Status.NORMAL_LIMIT
    assert near.n_evaluations > fit(X, "nig").n_evaluations
    assert fit(X, "nig").status == Status.CONVERGED
