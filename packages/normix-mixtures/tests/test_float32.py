"""In a process that has no float64: `uv run nox -s float32`. Against scipy and an integral."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from normix_mixtures import GeneralizedHyperbolic, NormalInverseGaussian

pytestmark = pytest.mark.float32


def test_the_univariate_law_is_that_of_scipy():
    peer = stats.genhyperbolic(0.7, 1.5, 0.3)
    law = GeneralizedHyperbolic.univariate(0.0, 0.3, 1.0, p=0.7, a=1.5**2 - 0.3**2, b=1.0)
    x = peer.ppf([1e-4, 0.02, 0.5, 0.9, 0.9999])
    for method in ("log_prob", "cdf", "sf"):
        got = jax.jit(getattr(type(law), method))(law, jnp.asarray(x))
        assert got.dtype == jnp.float32
        expected = getattr(peer, "logpdf" if method == "log_prob" else method)(x)
        np.testing.assert_allclose(got, expected, rtol=3e-4, atol=1e-5, err_msg=method)


def test_densities_integrate_to_one(name, make):
    model = make(name, 1, np.float32)
    x, step = np.linspace(-60, 80, 20_001, retstep=True, dtype=np.float32)
    log_prob = jax.jit(type(model).log_prob)(model, jnp.asarray(x[:, None]))
    assert log_prob.dtype == jnp.float32
    assert np.exp(np.asarray(log_prob, float)).sum() * float(step) == pytest.approx(1, abs=2e-4)


def test_em_steps_stay_single_and_do_not_lower_the_likelihood(name, make):
    model = make(name, 2, np.float32)
    X = model.sample(jax.random.key(0), (400,))
    assert X.dtype == jnp.float32

    @jax.jit
    def step(model):
        return model.m_step(X, model.e_step(X))

    def likelihood(model):
        return float(np.asarray(model.log_prob(X), float).sum())

    better = step(model)
    assert {leaf.dtype for leaf in jax.tree.leaves(better)} == {np.dtype(np.float32)}
    assert likelihood(better) >= likelihood(model) - 1e-5 * abs(likelihood(model))


def test_moments_at_the_scale_of_daily_returns():
    """No determinant or product of variances may underflow."""
    d, scale = 40, 1e-4
    law = NormalInverseGaussian.from_moments(
        jnp.zeros(d), scale**2 * jnp.eye(d), spread=jnp.float32(0.8)
    )
    X = scale * jax.random.normal(jax.random.key(1), (5, d))
    unit = NormalInverseGaussian.from_moments(jnp.zeros(d), jnp.eye(d), spread=jnp.float32(0.8))
    expected = unit.log_prob(X / scale) - d * jnp.log(scale)
    np.testing.assert_allclose(law.log_prob(X), expected, rtol=1e-5)
