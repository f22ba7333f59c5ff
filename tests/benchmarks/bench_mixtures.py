"""Mixtures beside their peers and their floor: ratios of medians taken in one run.

The peers are scipy.stats.norminvgauss and genhyperbolic. The floor of an E-step is one Cholesky
factorisation and one whitening product at its shape. Contenders take turns round by round, so that
both see the same machine.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from normix_expfam import gig_moments
from normix_mixtures import GeneralizedHyperbolic, NormalInverseGaussian

POINTS = 10_000
PEERS = {
    "norminvgauss": (stats.norminvgauss(1.5, 0.3), -0.5),
    "genhyperbolic": (stats.genhyperbolic(0.7, 1.5, 0.3), 0.7),
}


@eqx.filter_jit
def cdf(law, x):
    return law.cdf(x)


@eqx.filter_jit
def ppf(law, q):
    return law.ppf(q)


@eqx.filter_jit
def e_step(model, X):
    return model.e_step(X)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.benchmark(group="mixtures: univariate distribution function")
def test_cdf_at_ten_thousand_points(benchmark, name, in_turns, seconds):
    peer, p = PEERS[name]
    law = GeneralizedHyperbolic.univariate(0.0, 0.3, 1.0, p=p, a=1.5**2 - 0.3**2, b=1.0)
    x = np.linspace(-8, 8, POINTS)
    at = jnp.asarray(x)
    benchmark.extra_info["first_call_s"] = seconds(lambda: cdf(law, at))
    (ours,) = in_turns(lambda: cdf(law, at))
    theirs = seconds(lambda: peer.cdf(x))
    np.testing.assert_allclose(cdf(law, at), peer.cdf(x), rtol=1e-6, atol=1e-9)
    benchmark.extra_info["us_per_point"] = 1e6 * ours / POINTS
    benchmark.extra_info["ratio_to_scipy"] = theirs / ours
    benchmark(lambda: jax.block_until_ready(cdf(law, at)))


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.benchmark(group="mixtures: quantiles")
def test_ppf(benchmark, name, in_turns, seconds):
    peer, p = PEERS[name]
    law = GeneralizedHyperbolic.univariate(0.0, 0.3, 1.0, p=p, a=1.5**2 - 0.3**2, b=1.0)
    q = np.linspace(1e-3, 1 - 1e-3, POINTS)
    at, few = jnp.asarray(q), q[:: POINTS // 20]
    benchmark.extra_info["first_call_s"] = seconds(lambda: ppf(law, at))
    (ours,) = in_turns(lambda: ppf(law, at))
    theirs = seconds(lambda: peer.ppf(few)) * POINTS / few.size
    np.testing.assert_allclose(ppf(law, at)[:: POINTS // 20], peer.ppf(few), rtol=1e-6, atol=1e-8)
    benchmark.extra_info["us_per_point"] = 1e6 * ours / POINTS
    benchmark.extra_info["ratio_to_scipy_per_point"] = theirs / ours
    benchmark(lambda: jax.block_until_ready(ppf(law, at)))


@jax.jit
def floor(sigma, mu, X):
    L = jnp.linalg.cholesky(sigma)
    return jax.scipy.linalg.solve_triangular(L, (X - mu[None, :]).T, lower=True)


@pytest.mark.benchmark(group="mixtures: E-step")
def test_e_step_beside_its_floor(benchmark, shared_data, in_turns):
    X = np.load(shared_data / "sp500_wide.npz")["returns"].astype(np.float64)
    X = jnp.asarray((X - X.mean(0)) / X.std(0))
    start = GeneralizedHyperbolic.default_init(X)
    model = start.m_step(X, start.e_step(X))
    sigma = model.sigma
    given = eqx.filter_vmap(lambda x: model.posterior(x).as_gig())(X)
    bessel = jax.jit(gig_moments)
    ours, least, part = in_turns(
        lambda: e_step(model, X), lambda: floor(sigma, model.mu, X), lambda: bessel(*given)
    )
    found = e_step(model, X)
    z = np.asarray(floor(sigma, model.mu, X))
    np.testing.assert_allclose(given[2] - model.b, np.sum(z**2, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.y, bessel(*given).y, rtol=1e-12)
    benchmark.extra_info["ratio_to_floor"] = ours / least
    benchmark.extra_info["share_of_bessel"] = part / ours
    benchmark(lambda: jax.block_until_ready(e_step(model, X)))


@pytest.mark.benchmark(group="mixtures: sampling")
def test_a_million_rows_of_ten(benchmark, in_turns):
    """Beside numpy's multivariate normal draws of the same shape."""
    d, n = 10, 1_000_000
    rng = np.random.default_rng(0)
    root = np.eye(d) + 0.1 * rng.standard_normal((d, d))
    model = NormalInverseGaussian.from_classical(
        np.zeros(d), np.full(d, 0.1), root @ root.T, mu_ig=1.0, lam=2.0
    )
    draw = eqx.filter_jit(lambda model, key: model.sample(key, (n,)))
    cov = np.asarray(model.cov())
    ours, theirs = in_turns(
        lambda: draw(model, jax.random.key(1)),
        lambda: rng.multivariate_normal(np.zeros(d), cov, n, method="cholesky"),
        rounds=5,
    )
    X = np.asarray(draw(model, jax.random.key(1)))
    scale = np.sqrt(np.diagonal(cov))
    assert np.max(np.abs(X.mean(0) - model.mean()) / scale) < 5e-3
    assert np.max(np.abs(np.cov(X.T) - cov) / np.outer(scale, scale)) < 1e-2
    benchmark.extra_info["ratio_to_normal_draws"] = ours / theirs
    benchmark.pedantic(lambda: jax.block_until_ready(draw(model, jax.random.key(2))), rounds=3)
