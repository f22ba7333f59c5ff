"""On the JAX backend no code of scipy runs, beyond what JAX itself loads."""

import pytest

CODE = """
import jax
import jax.numpy as jnp
from normix_mixtures import GeneralizedHyperbolic

X = jax.random.normal(jax.random.key(0), (50, 2))
law = GeneralizedHyperbolic.default_init(X)

@jax.jit
def everything(law):
    quantile = law.project(jnp.ones(2)).ppf(jnp.array(0.01))
    return law.log_prob(X), law.cov(), quantile, law.m_step(X, law.e_step(X))

everything(law), law.sample(jax.random.key(1), (10,))
"""
ON_CPU = """
from normix_mixtures import NormalInverseGaussian
import numpy as np
law = NormalInverseGaussian.from_moments(np.zeros(2), np.eye(2), spread=1.0)
law.e_step(np.ones((3, 2)), backend="cpu")
"""


def test_no_module_of_scipy_is_loaded(scipy_loaded_by):
    assert scipy_loaded_by(CODE) == []


@pytest.mark.cpu
def test_a_module_of_scipy_would_be_found(scipy_loaded_by):
    assert "scipy.special" in scipy_loaded_by(ON_CPU)
