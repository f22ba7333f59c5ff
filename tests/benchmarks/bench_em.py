"""EM beside its floor: one Cholesky, one whitening product and one weighted Gram product.

One iteration is a share of what a long fit takes more than a short one, so that neither the start
nor the report counts. Whole fits are warm; those of a new process are in bench_compile.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import FAMILIES, BatchEMFitter, fit
from normix_mixtures import GeneralizedHyperbolic

pytestmark = pytest.mark.benchmark(group="em")

NEVER = 1e-300  # tolerances that are not met


@jax.jit
def floor(sigma, mu, X, w):
    L = jnp.linalg.cholesky(sigma)
    z = jax.scipy.linalg.solve_triangular(L, (X - mu[None, :]).T, lower=True)
    return z, X.T @ (X * w[:, None])


def fitted(start, X, evaluations, **options):
    """A fit that computes so many E-steps, whatever it finds."""
    fitter = BatchEMFitter(
        max_iter=evaluations - 1, tol=NEVER, gain_tol=NEVER, stop_near_normal=False, **options
    )
    return lambda: fitter.fit(start, X)


@pytest.fixture(scope="module")
def stocks(wide):
    return jnp.asarray(wide)


@pytest.fixture(scope="module")
def simulated(wide):
    """As many rows of a generalized hyperbolic law with the covariance of the stocks."""
    law = GeneralizedHyperbolic.from_moments(wide.mean(0), np.cov(wide.T), spread=1.0)
    return law.sample(jax.random.key(0), (wide.shape[0],))


@pytest.fixture(scope="module")
def exchange_rates(shared_data):
    path = shared_data / "fx_ecb_logret.csv.gz"
    return np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, 28))


def at_floor(model, X):
    """The floor, with the dispersion of a model and the weights of its E-step."""
    sigma, w = model.sigma, model.e_step(X).inverse_y
    return lambda: floor(sigma, model.mu, X, w)


@pytest.mark.parametrize("acceleration", ["anderson", None], ids=["anderson", "plain"])
@pytest.mark.parametrize("data", ["stocks", "simulated"])
def test_iteration(benchmark, record, in_turns, request, data, acceleration):
    """One EM iteration at 2552 x 468"""
    X = request.getfixturevalue(data)
    start = GeneralizedHyperbolic.default_init(X)
    long = fitted(start, X, 12, acceleration=acceleration)
    model = long().model
    least = at_floor(model, X)
    floor_s, long_s, short_s = in_turns(
        least, long, fitted(start, X, 2, acceleration=acceleration), rounds=15
    )
    # differences of single rounds are noise: medians first
    record(
        (np.median(long_s) - np.median(short_s)) / 10, floor_cholesky_solve_gram=np.median(floor_s)
    )
    given = model.posterior(X[0]).as_gig()
    np.testing.assert_allclose(given[2] - model.b, np.sum(least()[0][:, 0] ** 2), rtol=1e-9)
    result = BatchEMFitter(max_iter=2, acceleration=acceleration).fit(start, X)
    total = float(jnp.sum(result.model.log_prob(X)))
    assert result.log_likelihood == pytest.approx(total, rel=1e-9)
    benchmark.pedantic(long, rounds=3)


def test_default_init(beside, stocks):
    """The default start at 2552 x 468"""
    model = GeneralizedHyperbolic.default_init(stocks)
    start, _ = beside(
        lambda: GeneralizedHyperbolic.default_init(stocks),
        floor_cholesky_solve_gram=at_floor(model, stocks),
    )
    np.testing.assert_allclose(start.mean(), stocks.mean(0), rtol=1e-9, atol=1e-9)


def test_gig_solve(beside, stocks):
    """The GIG solve of an M-step at 2552 x 468"""
    model = fitted(GeneralizedHyperbolic.default_init(stocks), stocks, 12)().model
    found = model.expect(jnp.asarray(stocks)).statistics.mean()
    means = jnp.stack([found.log_y, found.inverse_y, found.y])
    solve = eqx.filter_jit(
        lambda m, means: m.joint_family._fit_subordinator(means, m.joint.subordinator_as_gig())
    )
    found, _ = beside(
        lambda: solve(model, means), floor_cholesky_solve_gram=at_floor(model, stocks)
    )
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize(("e_step", "m_step"), [("cpu", "jax"), ("jax", "cpu"), ("cpu", "cpu")])
def test_cpu_backends(benchmark, record, in_turns, stocks, e_step, m_step):
    """One EM iteration at 2552 x 468 by backend of E- and M-step"""
    start = GeneralizedHyperbolic.default_init(stocks)
    backends = {"e_step_backend": e_step, "m_step_backend": m_step}
    fits = [fitted(start, stocks, n, **way) for way in (backends, {}) for n in (10, 2)]
    long, short, jax_long, jax_short = np.median(in_turns(*fits, rounds=9), axis=1)
    record((long - short) / 8, jax_for_both=(jax_long - jax_short) / 8)
    best = fits[2]().log_likelihood
    result = benchmark.pedantic(fits[0], rounds=1)
    assert result.log_likelihood == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_whole_fit(benchmark, beside, exchange_rates, best_known, name):
    """A whole warm fit of 2552 x 27 exchange rates"""
    results = beside(
        lambda: fit(exchange_rates, name),
        plain_em=lambda: fit(exchange_rates, name, acceleration=None),
        squarem=lambda: fit(exchange_rates, name, acceleration="squarem"),
    )
    best = best_known(name)
    for way, result in zip(("anderson", "plain_em", "squarem"), results, strict=True):
        assert result.log_likelihood > best - 1e-6
        benchmark.extra_info[f"evaluations_of_{way}"] = result.n_evaluations


def test_eight_starts(beside, exchange_rates):
    """Fits from eight starts in one call, 2552 x 5"""
    X = exchange_rates[:, :5]
    eight, one = beside(
        lambda: fit(X, "nig", n_starts=8), one_start=lambda: fit(X, "nig"), rounds=5
    )
    assert eight.log_likelihood >= one.log_likelihood - 1e-6
