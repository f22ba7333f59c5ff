"""Peak memory of new processes, beyond what their imports take, compilation included.

The peak is VmHWM of Linux: the `ru_maxrss` that a process reports begins at that of its parent.
The same program on little data tells what the compiler takes.
"""

import sys

import numpy as np
import pytest

pytestmark = [
    pytest.mark.benchmark(group="memory"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

PROCESS = """
import json, re
from pathlib import Path
import numpy as np
{imports}

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

imported = peak()
{work}
print(json.dumps(dict(bytes=peak() - imported, answer=float({answer}))))
"""
JAX = 'import jax; jax.config.update("jax_enable_x64", True); '


def process(imports: str, work: str, answer: str) -> str:
    return PROCESS.format(imports=imports, work=work, answer=answer)


POINTS = "v, z = np.linspace(-50, 50, 10**7), np.geomspace(1e-3, 1e3, 10**7)"
FUNCTIONS = {
    "value": "jax.jit(log_kv)(v, z)",
    "gradient": "jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))(v, z)",
}


@pytest.mark.parametrize("what", FUNCTIONS)
def test_log_kv(beside_in_new_processes, what):
    """log K_v(z), value or value with gradient, at ten million points"""
    ours, theirs = beside_in_new_processes(
        process(
            JAX + "from normix_bessel import log_kv",
            f"{POINTS}\nresult = jax.block_until_ready({FUNCTIONS[what]})",
            "jax.tree.leaves(result)[0].sum()",
        ),
        rounds=1,
        unit="bytes",
        scipy_kve=process(
            "from scipy import special",
            f"{POINTS}\nresult = np.log(special.kve(v, z)) - z",
            "result.sum()",
        ),
    )
    np.testing.assert_allclose(ours["answer"], theirs["answer"], rtol=1e-11)


LOG_PROB = """
rng = np.random.default_rng(0)
X = rng.standard_normal(({n}, 5))
X /= np.sqrt(rng.chisquare(3, ({n}, 1)) / 3)
law = GeneralizedHyperbolic.from_moments(np.zeros(5), np.eye(5), spread=1.0)
result = jax.block_until_ready(law.log_prob(X))
"""


def test_gh_log_prob(beside_in_new_processes, record):
    """Generalized hyperbolic density at 1 000 000 x 5"""

    def at(n: int) -> str:
        return process(
            f"{JAX}from scipy.stats import multivariate_t\n"
            "from normix_mixtures import GeneralizedHyperbolic",
            LOG_PROB.format(n=n),
            "np.mean(np.exp(result - multivariate_t(shape=np.eye(5), df=3).logpdf(X)))",
        )

    ours, _ = beside_in_new_processes(
        at(1_000_000), rounds=1, unit="bytes", the_same_at_1000_rows=at(1000)
    )
    # the rows have the t law with 3 degrees of freedom: the mean of density / its density is 1
    assert ours["answer"] == pytest.approx(1.0, abs=0.02)
    record(ours["bytes"], "bytes", size_of_data=8 * 1_000_000 * 5)


def test_em(beside_in_new_processes, record, shared_data, wide):
    """Three EM iterations at 2552 x 468"""
    path = str(shared_data / "sp500_wide.npz")

    def with_columns(d: int) -> str:
        return process(
            f"{JAX}from normix_fit import fit",
            f"X = np.load({path!r})['returns'].astype(np.float64)[:, :{d}] * 100\n"
            "result = fit(X, 'gh', max_iter=3)",
            "result.log_likelihood / np.sum(result.model.log_prob(X))",
        )

    ours, _ = beside_in_new_processes(
        with_columns(468), rounds=1, unit="bytes", the_same_with_2_columns=with_columns(2)
    )
    assert ours["answer"] == pytest.approx(1.0, rel=1e-9)
    record(ours["bytes"], "bytes", size_of_data=wide.nbytes)
