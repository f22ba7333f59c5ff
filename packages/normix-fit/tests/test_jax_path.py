"""On the JAX backend EM runs no code of scipy, beyond what JAX itself loads.

The gradient is tested and L-BFGS runs on the host, by SciPy: `convergence="parameters"` does
without both.
"""

import pytest

DATA = """
import jax
from normix_expfam import GIG
from normix_fit import MiniBatchEMFitter, fit

X = jax.random.laplace(jax.random.key(0), (300, 2))
"""
ON_JAX = """
result = fit(X, "nig", convergence="parameters", backend="jax")
result.standard_errors(X), result.summary()
MiniBatchEMFitter(n_passes=1).fit(result.model, X)
"""


def test_no_module_of_scipy_is_loaded(scipy_loaded_by):
    assert scipy_loaded_by(DATA + ON_JAX) == []


@pytest.mark.cpu
def test_a_module_of_scipy_would_be_found(scipy_loaded_by):
    assert "scipy.special" in scipy_loaded_by(
        DATA + "GIG.from_expectation([0.0, 2.0, 3.0], backend='cpu')"
    )
