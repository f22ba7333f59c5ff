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
from normix_expfam import GIG
GIG.from_expectation([0.0, 2.0, 3.0], backend="cpu")
"""


def test_no_module_of_scipy_is_loaded(scipy_loaded_by):
    assert scipy_loaded_by(CODE) == []


@pytest.mark.cpu
def test_a_module_of_scipy_would_be_found(scipy_loaded_by):
    assert "scipy.special" in scipy_loaded_by(ON_CPU)
