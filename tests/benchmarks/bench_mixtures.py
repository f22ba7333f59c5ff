"""Mixtures beside their peers and their floor.

The peers are scipy.stats.norminvgauss and genhyperbolic, whose quantiles are so slow that they
take 20 levels and their time is scaled. The floor of an E-step is one Cholesky factorisation and
one whitening product at its shape.
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
PEER_LEVELS = 20
SLOW = 3  # rounds beside a slow peer
PEERS = {
    "norminvgauss": (stats.norminvgauss(1.5, 0.3), -0.5),
    "genhyperbolic": (stats.genhyperbolic(0.7, 1.5, 0.3), 0.7),
}

pytestmark = pytest.mark.benchmark(group="mixtures")


@eqx.filter_jit
def cdf(law, x):
    return law.cdf(x)


@eqx.filter_jit
def ppf(law, q):
    return law.ppf(q)


@eqx.filter_jit
def e_step(model, X):
    return model.e_step(X)


@pytest.fixture(params=PEERS)
def law_and_peer(request):
    peer, p = PEERS[request.param]
    return GeneralizedHyperbolic.univariate(0.0, 0.3, 1.0, p=p, a=1.5**2 - 0.3**2, b=1.0), peer


def test_cdf(beside, law_and_peer):
    """Distribution function of a univariate law at 10 000 points"""
    law, peer = law_and_peer
    x = np.linspace(-8, 8, POINTS)
    at = jnp.asarray(x)
    got, theirs = beside(
        lambda: cdf(law, at), rounds=SLOW, **{f"scipy_{peer.dist.name}": lambda: peer.cdf(x)}
    )
    np.testing.assert_allclose(got, theirs, rtol=1e-6, atol=1e-9)


def test_ppf(beside, law_and_peer):
    """Quantiles of a univariate law at 10 000 levels"""
    law, peer = law_and_peer
    q = np.linspace(1e-3, 1 - 1e-3, POINTS)
    at, few = jnp.asarray(q), slice(None, None, POINTS // PEER_LEVELS)
    got, theirs = beside(
        lambda: ppf(law, at),
        rounds=SLOW,
        portion=PEER_LEVELS / POINTS,
        **{f"scipy_{peer.dist.name}": lambda: peer.ppf(q[few])},
    )
    np.testing.assert_allclose(got[few], theirs, rtol=1e-6, atol=1e-8)


@jax.jit
def floor(sigma, mu, X):
    L = jnp.linalg.cholesky(sigma)
    return jax.scipy.linalg.solve_triangular(L, (X - mu[None, :]).T, lower=True)


def test_e_step(beside, wide):
    """E-step of a generalized hyperbolic law at 2552 x 468"""
    X = jnp.asarray((wide - wide.mean(0)) / wide.std(0))
    start = GeneralizedHyperbolic.default_init(X)
    model = start.m_step(X, start.e_step(X))
    sigma = model.sigma
    given = eqx.filter_vmap(lambda x: model.posterior(x).as_gig())(X)
    bessel = jax.jit(gig_moments)
    found, z, moments = beside(
        lambda: e_step(model, X),
        floor_cholesky_solve=lambda: floor(sigma, model.mu, X),
        its_bessel_functions_alone=lambda: bessel(*given),
    )
    np.testing.assert_allclose(given[2] - model.b, np.sum(z**2, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.y, moments.y, rtol=1e-12)


def test_sampling(beside):
    """A million rows of dimension 10"""
    d, n = 10, 1_000_000
    rng = np.random.default_rng(0)
    root = np.eye(d) + 0.1 * rng.standard_normal((d, d))
    model = NormalInverseGaussian.from_classical(
        np.zeros(d), np.full(d, 0.1), root @ root.T, mu_ig=1.0, lam=2.0
    )
    draw = eqx.filter_jit(lambda model, key: model.sample(key, (n,)))
    cov = np.asarray(model.cov())
    drawn, _ = beside(
        lambda: draw(model, jax.random.key(1)),
        numpy_multivariate_normal=lambda: rng.multivariate_normal(
            np.zeros(d), cov, n, method="cholesky"
        ),
        rounds=5,
    )
    X = np.asarray(drawn)
    scale = np.sqrt(np.diagonal(cov))
    assert np.max(np.abs(X.mean(0) - model.mean()) / scale) < 5e-3
    assert np.max(np.abs(np.cov(X.T) - cov) / np.outer(scale, scale)) < 1e-2
