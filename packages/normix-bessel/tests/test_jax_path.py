"""On the JAX backend no code of scipy runs, beyond what JAX itself loads."""

import pytest

CODE = """
import jax
from normix_bessel import kv, kve, log_kv, log_kve, log_kv_moments
for f in (log_kv, log_kve, kv, kve, log_kv_moments):
    jax.block_until_ready(f(1.5, 2.0))
jax.hessian(log_kv, (0, 1))(1.5, 2.0)
"""


def test_no_module_of_scipy_is_loaded(scipy_loaded_by):
    assert scipy_loaded_by(CODE) == []


@pytest.mark.cpu
def test_a_module_of_scipy_would_be_found(scipy_loaded_by):
    code = "from normix_bessel import log_kv\n"
    assert "scipy.special" in scipy_loaded_by(code + "log_kv(1.5, 2.0, backend='cpu')")
