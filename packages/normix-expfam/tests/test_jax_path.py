"""On the JAX backend no code of scipy runs, beyond what JAX itself loads."""

import pytest

CODE = """
import jax
import jax.numpy as jnp
from normix_expfam import GIG, Gamma

@jax.jit
def everything(law, x):
    q, eta = jnp.array(0.3), law.expectation_params()
    density = law.log_prob(x), law.cdf(x), law.ppf(q), law.kurtosis(), law.entropy()
    return density, law.fisher_information(), type(law).from_expectation(eta, throw=False)

for law in (GIG(-0.7, 2.0, 3.0), Gamma(2.0, 3.0)):
    x = law.sample(jax.random.key(0), (50,))
    everything(law, x), type(law).mle(x)
"""


def test_no_module_of_scipy_is_loaded(scipy_loaded_by):
    assert scipy_loaded_by(CODE) == []


@pytest.mark.cpu
def test_a_module_of_scipy_would_be_found(scipy_loaded_by):
    code = "from normix_expfam import GIG\n"
    assert "scipy.special" in scipy_loaded_by(
        code + "GIG(1.0, 2.0, 3.0).expectation_params(backend='cpu')"
    )
