"""log K_v(z) beside its peers: every ratio is of medians taken one after the other in one run.

The ratios are in `extra_info`, with the time of the first call, which compiles. Peers other than
SciPy run where they are installed:

    uv run --with tfp-nightly --with logbesselk pytest tests/benchmarks/bench_bessel.py ...
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from scipy import special

from normix_bessel import log_kv, log_kv_moments

ROUNDS = 15


def scipy_value(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.log(special.kve(v, z)) - z


def scipy_five_orders(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The evaluations that value, gradient and ratios take by differences in the order."""
    return sum(scipy_value(v + shift, z) for shift in (0.0, 1e-4, -1e-4, 1.0, -1.0))


value = jax.jit(log_kv)
value_and_gradient = jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))
moments = jax.jit(log_kv_moments)


def _box() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-50, 50, 100_000), np.exp(rng.uniform(np.log(1e-3), np.log(1e3), 100_000))


def _wide_fit() -> tuple[np.ndarray, np.ndarray]:
    """The E-step of a fit of 468 columns to 2552 rows."""
    z = np.exp(np.random.default_rng(0).uniform(np.log(300), np.log(3000), 2552))
    return np.full_like(z, -234.5), z


@pytest.fixture(scope="module", params=[_box, _wide_fit], ids=["box", "wide_fit"])
def inputs(request):
    return request.param()


def median(f: Callable[[], Any]) -> float:
    """Median seconds of a call, after one that warms the cache."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        jax.block_until_ready(f())
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


@pytest.fixture
def measure(benchmark, inputs):
    """Benchmark f on the inputs; store first call and the share of each peer; give its result."""

    def call(f: Callable[..., Any], at: Any = inputs, **peers: Callable[..., Any]) -> Any:
        start = time.perf_counter()
        jax.block_until_ready(f(*at))
        benchmark.extra_info["first_call_s"] = time.perf_counter() - start
        for peer in peers.values():
            jax.block_until_ready(peer(*at))
        own = median(lambda: f(*at))
        for name, peer in peers.items():
            share = own / median(lambda peer=peer: peer(*at))
            benchmark.extra_info[f"share_of_{name}"] = share
        benchmark.extra_info["n"] = len(at[0])
        return benchmark(lambda: jax.block_until_ready(f(*at)))

    benchmark.group = f"bessel, n = {len(inputs[0])}"
    return call


def agrees(got: Any, inputs: tuple[np.ndarray, np.ndarray], rtol: float = 1e-11) -> None:
    np.testing.assert_allclose(got, scipy_value(*inputs), rtol=rtol, atol=rtol)


def test_scipy_value(measure):
    assert np.all(np.isfinite(measure(scipy_value)))


def test_value(measure, inputs):
    agrees(measure(value, scipy_value=scipy_value), inputs)


def test_value_and_gradient(measure, inputs):
    got, (dv, _) = measure(value_and_gradient, value=value, scipy_value=scipy_value)
    agrees(got, inputs)
    assert np.all(dv * inputs[0] > 0)


def test_moments(measure, inputs):
    got = measure(moments, value=value, five_scipy_values=scipy_five_orders)
    v, z = inputs
    np.testing.assert_allclose(
        np.log(got.ratio_up), scipy_value(v + 1, z) - scipy_value(v, z), rtol=1e-9, atol=1e-9
    )


def with_standard_promotion(f: Callable[..., Any]) -> Callable[..., Any]:
    """Peers are not written for the strict promotion that the tests set."""

    def call(v: np.ndarray, z: np.ndarray) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return f(v, z)

    return call


def test_tensorflow_probability(measure, inputs):
    reason = "an optional peer: run with `--with tfp-nightly`"
    tfp = pytest.importorskip("tensorflow_probability.substrates.jax", reason=reason)
    peer = with_standard_promotion(jax.jit(lambda v, z: tfp.math.log_bessel_kve(v, z) - z))
    agrees(measure(peer, value=value, scipy_value=scipy_value), inputs, rtol=1e-6)


def test_logbesselk(measure, inputs):
    """In the middle of the plane: outside, its values are wrong (docs/bessel.md)."""
    reason = "an optional peer: run with `--with logbesselk`"
    logbesselk = pytest.importorskip("logbesselk.jax", reason=reason)
    v, z = inputs
    middle = (np.abs(v) < 10) & (z > 0.3) & (z < 30)
    if not middle.any():
        pytest.skip("logbesselk is wrong at all of these points")
    peer = with_standard_promotion(jax.jit(jax.vmap(logbesselk.log_bessel_k)))
    at = v[middle], z[middle]
    agrees(measure(peer, at=at, value=value, scipy_value=scipy_value), at, rtol=1e-6)


COLD = """
import json, time
start = time.perf_counter()
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from normix_bessel import log_kv
found = {"import_s": time.perf_counter() - start}
jax.block_until_ready(jax.jit(lambda x: x + 1)(1.0))  # the start of JAX itself
v, z = np.linspace(-9, 9, 1000), np.geomspace(1e-3, 1e3, 1000)
gradient = jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))
for name, f, n in (
    ("value", jax.jit(log_kv), 1000),
    ("value_and_gradient", gradient, 1000),
    ("value_and_gradient_at_a_second_shape", gradient, 900),
):
    start = time.perf_counter()
    jax.block_until_ready(f(v[:n], z[:n]))
    found[name + "_s"] = time.perf_counter() - start
found["sum"] = float(gradient(v, z)[0].sum())
print(json.dumps(found))
"""


def test_cold_process(benchmark):
    """Import and compile times in a new process, which are the numbers of `extra_info`."""
    benchmark.group = "bessel, cold"

    def run() -> dict[str, float]:
        command = [sys.executable, "-c", COLD]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(found.stdout)

    found = benchmark.pedantic(run, rounds=3)
    v, z = np.linspace(-9, 9, 1000), np.geomspace(1e-3, 1e3, 1000)
    np.testing.assert_allclose(found.pop("sum"), scipy_value(v, z).sum(), rtol=1e-12)
    benchmark.extra_info.update(found)
