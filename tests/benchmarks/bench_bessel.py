"""log K_v(z) beside what SciPy needs for the same numbers; ratios are in `extra_info`."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from scipy import special

from normix_bessel import log_kv, log_kv_moments

N = 100_000
pytestmark = pytest.mark.benchmark(group="bessel")


def scipy_value(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.log(special.kve(v, z)) - z


def scipy_five_orders(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The evaluations that value, gradient and ratios take by differences in the order."""
    return sum(scipy_value(v + shift, z) for shift in (0.0, 1e-4, -1e-4, 1.0, -1.0))


def value_and_gradient(v: jax.Array, z: jax.Array) -> Any:
    return jax.vmap(jax.value_and_grad(log_kv, (0, 1)))(v, z)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return rng.uniform(-50, 50, N), np.exp(rng.uniform(np.log(1e-3), np.log(1e3), N))


def median_time(f: Callable[[], Any]) -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        jax.block_until_ready(f())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


@pytest.fixture
def measure(benchmark, inputs):
    """Benchmark f on the inputs; store compile time and the ratio to each peer; give its result."""

    def call(f: Callable[..., Any], **peers: Callable[..., Any]) -> Any:
        for peer in peers.values():
            jax.block_until_ready(peer(*inputs))
        start = time.perf_counter()
        jax.block_until_ready(f(*inputs))
        benchmark.extra_info["first_call_s"] = time.perf_counter() - start
        own = median_time(lambda: f(*inputs))
        for name, peer in peers.items():
            benchmark.extra_info[f"share_of_{name}"] = own / median_time(lambda p=peer: p(*inputs))
        benchmark.extra_info["n"] = N
        return benchmark(lambda: jax.block_until_ready(f(*inputs)))

    return call


def test_scipy_value(measure):
    assert np.all(np.isfinite(measure(scipy_value)))


def test_value(measure, inputs):
    got = measure(jax.jit(log_kv), scipy_value=scipy_value)
    np.testing.assert_allclose(got, scipy_value(*inputs), rtol=1e-11, atol=1e-11)


def test_value_and_gradient(measure, inputs):
    got, (dv, _) = measure(jax.jit(value_and_gradient), value=jax.jit(log_kv))
    np.testing.assert_allclose(got, scipy_value(*inputs), rtol=1e-11, atol=1e-11)
    assert np.all(dv * inputs[0] > 0)


def test_moments(measure, inputs):
    peers = {"value": jax.jit(log_kv), "five_scipy_values": scipy_five_orders}
    got = measure(jax.jit(log_kv_moments), **peers)
    v, z = inputs
    np.testing.assert_allclose(
        np.log(got.ratio_up), scipy_value(v + 1, z) - scipy_value(v, z), rtol=1e-9, atol=1e-9
    )


def test_value_at_the_order_of_a_wide_fit(benchmark):
    """The E-step of a fit of 468 columns to 2552 rows evaluates v near -234.5."""
    z = np.exp(np.random.default_rng(0).uniform(np.log(300), np.log(3000), 2552))
    v = np.full_like(z, -234.5)
    got = benchmark(lambda: jax.block_until_ready(log_kv(v, z)))
    np.testing.assert_allclose(got, log_kv(v, z, backend="cpu"), rtol=1e-12)
    benchmark.extra_info["share_of_scipy_value"] = median_time(lambda: log_kv(v, z)) / median_time(
        lambda: scipy_value(v, z)
    )
