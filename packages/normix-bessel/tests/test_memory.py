"""No array holds the nodes of every element: ten million points fit in memory."""

import subprocess
import sys

import pytest

SCRIPT = """
import re, resource, sys
from pathlib import Path
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
from normix_bessel import log_kv
v, z = jnp.linspace(-50.0, 50.0, 10**7), jnp.geomspace(1e-3, 1e3, 10**7)
f = {function}
first = jax.tree.leaves(jax.block_until_ready(f(v, z)))[0]
assert bool(jnp.isfinite(first).all())
if sys.platform == "linux":  # where ru_maxrss begins at the peak of the parent
    peak = 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / 2**30)
"""
FUNCTIONS = {
    "value": "log_kv",
    "value and gradient": "jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ten_million_points_in_less_than_1500_megabytes(name):
    """The peak of the whole process, JAX and both inputs included, in GiB."""
    script = SCRIPT.format(function=FUNCTIONS[name])
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert 0.3 < float(run.stdout) < 1.5e9 / 2**30
