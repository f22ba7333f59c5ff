"""`rank`, and what `fit_all` does with fits whose likelihood has no maximum."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import EMResult, Status, fit, fit_all, rank
from normix_mixtures import GeneralizedHyperbolic, NormalInverseGaussian

NIG = NormalInverseGaussian.from_classical(jnp.zeros(2), None, jnp.eye(2), mu_ig=1.0, lam=1.0)
GH = GeneralizedHyperbolic.from_classical(jnp.zeros(2), None, jnp.eye(2), p=0.5, a=1.0, b=1.0)
"""One parameter more than NIG."""


def outcome(model, log_likelihood, status=Status.CONVERGED):
    return EMResult(
        model=model,
        status=status,
        n_iter=1,
        log_likelihood=log_likelihood,
        log_likelihoods=np.full(2, log_likelihood),
        param_changes=np.zeros(1),
        elapsed=0.1,
        n_observations=1000,
    )


def test_the_order_is_that_of_the_criterion():
    # 2 nats for one parameter: AIC takes it, BIC with log(1000) / 2 = 3.5 nats a parameter does not
    results = {"small": outcome(NIG, -100.0), "large": outcome(GH, -98.0)}
    assert rank(results) == rank(results, by="aic") == ["large", "small"]
    assert rank(results, by="bic") == ["small", "large"]
    assert rank({}) == []


def test_fits_that_broke_off_come_late_and_those_without_a_maximum_last():
    results = {
        "unbounded": outcome(NIG, 1e6, Status.UNBOUNDED),
        "singular": outcome(NIG, 1e6, Status.SINGULAR_DISPERSION),
        "stalled": outcome(NIG, 5.0, Status.SOLVER_STALLED),
        "not a number": outcome(NIG, np.nan, Status.NON_FINITE),
        "stopped": outcome(NIG, 1.0, Status.MAX_ITER),
        "normal": outcome(NIG, 2.0, Status.NORMAL_LIMIT),
    }
    last = ["unbounded", "singular", "not a number"]
    assert rank(results) == ["normal", "stopped", "stalled", *last]
    assert [name for name in results if not results[name].comparable] == last
    assert [status for status in Status if not status.has_maximum] == [
        Status.UNBOUNDED,
        Status.SINGULAR_DISPERSION,
    ]


def test_a_parameter_that_is_not_finite_makes_a_fit_incomparable():
    lost = eqx.tree_at(lambda law: law.joint.mu, NIG, jnp.array([0.0, jnp.inf]))
    assert not outcome(lost, 1.0).comparable
    assert outcome(NIG, 1.0).comparable


def test_another_criterion_is_an_error():
    with pytest.raises(ValueError, match="by must be one of aic, bic, got 'hqc'"):
        rank({}, by="hqc")


def test_an_infinite_likelihood_does_not_draw_the_full_family_along():
    """Rows repeated one time in twenty: the variance gamma law closes in on them and passes gh."""
    x = np.random.default_rng(3).standard_t(3, size=(400, 1))
    x[:20] = 0
    results = fit_all(x, ("gh", "nig", "vg"))
    assert results["vg"].status == Status.UNBOUNDED
    assert results["vg"].log_likelihood > results["gh"].log_likelihood
    assert results["gh"].status == Status.CONVERGED
    assert results["gh"].log_likelihood > results["nig"].log_likelihood
    assert rank(results)[2] == "vg"


def assert_nested(results):
    """The full family is not below another one that is comparable, and says how it ended."""
    comparable = [result.log_likelihood for result in results.values() if result.comparable]
    best = max(comparable, default=-np.inf)
    assert results["gh"].log_likelihood >= best - 1e-12 * abs(best)
    assert results["gh"].status != Status.SOLVER_STALLED
    history = results["gh"].log_likelihoods
    assert history.shape == (results["gh"].n_iter + 1,)
    assert results["gh"].param_changes.shape == (results["gh"].n_iter,)
    assert np.all(np.diff(history) >= 0)


def binary(seed):
    return (np.random.default_rng(seed).random((200, 2)) < 0.3).astype(float)


@pytest.mark.parametrize("seed", [8, 9])
def test_the_full_family_of_normal_rows_ends_as_it_does_alone(seed):
    X = np.random.default_rng(seed).standard_normal((200, 2))
    results = fit_all(X)
    assert_nested(results)
    assert any(result.comparable for name, result in results.items() if name != "gh")
    assert results["gh"].status == fit(X, "gh").status == Status.NORMAL_LIMIT


@pytest.mark.parametrize("seed", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_the_full_family_of_binary_rows_is_not_below_the_others(seed):
    assert_nested(fit_all(binary(seed)))


@pytest.mark.slow
def test_the_full_family_is_never_below_the_others():
    for seed in range(40):
        assert_nested(fit_all(np.random.default_rng(seed).standard_normal((200, 2))))
    for seed in range(30):
        assert_nested(fit_all(binary(seed)))
