"""log K_v(z) beside its peers.

SciPy has a value, log(kve) - z, and neither a slope in the order nor moments: those are measured
beside that value and beside the five values that differences in the order take. Other peers run
where they are installed:

    uv run --with tfp-nightly --with logbesselk pytest tests/benchmarks/bench_bessel.py ...
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from scipy import special

from normix_bessel import log_kv, log_kv_moments

pytestmark = pytest.mark.benchmark(group="bessel")


def scipy_value(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.log(special.kve(v, z)) - z


def scipy_five_orders(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The evaluations that value, gradient and ratios take by differences in the order."""
    return sum(scipy_value(v + shift, z) for shift in (0.0, 1e-4, -1e-4, 1.0, -1.0))


value = jax.jit(log_kv)
value_and_gradient = jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))
moments = jax.jit(log_kv_moments)


def box(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-50, 50, n), np.exp(rng.uniform(np.log(1e-3), np.log(1e3), n))


def e_step(n: int) -> tuple[np.ndarray, np.ndarray]:
    """That of a fit of 468 columns to n rows."""
    z = np.exp(np.random.default_rng(0).uniform(np.log(300), np.log(3000), n))
    return np.full_like(z, -234.5), z


@pytest.fixture(
    scope="module", params=[(box, 100_000), (e_step, 2552)], ids=["box-100000", "e_step-2552"]
)
def inputs(request):
    points, n = request.param
    return points(n)


def agrees(got: Any, inputs: tuple[np.ndarray, np.ndarray], rtol: float = 1e-11) -> None:
    np.testing.assert_allclose(got, scipy_value(*inputs), rtol=rtol, atol=rtol)


def test_value(beside, inputs):
    """log K_v(z): v in ±50 and z in 10^±3 (box), v = -234.5 of an E-step"""
    got, _ = beside(lambda: value(*inputs), scipy_kve=lambda: scipy_value(*inputs))
    agrees(got, inputs)


def test_value_and_gradient(beside, inputs):
    """log K_v(z) with its slopes in v and z"""
    (got, (dv, _)), *_ = beside(
        lambda: value_and_gradient(*inputs),
        scipy_kve=lambda: scipy_value(*inputs),
        our_value_alone=lambda: value(*inputs),
    )
    agrees(got, inputs)
    assert np.all(dv * inputs[0] > 0)


def test_moments(beside, inputs):
    """log K_v(z) with mean and covariance of its statistics"""
    got, *_ = beside(
        lambda: moments(*inputs),
        five_scipy_kve=lambda: scipy_five_orders(*inputs),
        our_value_alone=lambda: value(*inputs),
    )
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


def test_value_beside_tensorflow_probability(beside, inputs):
    """log K_v(z) beside log_bessel_kve"""
    reason = "an optional peer: run with `--with tfp-nightly`"
    tfp = pytest.importorskip("tensorflow_probability.substrates.jax", reason=reason)
    peer = with_standard_promotion(jax.jit(lambda v, z: tfp.math.log_bessel_kve(v, z) - z))
    _, theirs = beside(lambda: value(*inputs), tensorflow_probability=lambda: peer(*inputs))
    agrees(theirs, inputs, rtol=1e-6)


def test_value_beside_logbesselk(beside, inputs):
    """log K_v(z) in the middle of the plane: outside, the peer is wrong (docs/bessel.md)"""
    reason = "an optional peer: run with `--with logbesselk`"
    logbesselk = pytest.importorskip("logbesselk.jax", reason=reason)
    v, z = inputs
    middle = (np.abs(v) < 10) & (z > 0.3) & (z < 30)
    if not middle.any():
        pytest.skip("logbesselk is wrong at all of these points")
    peer = with_standard_promotion(jax.jit(jax.vmap(logbesselk.log_bessel_k)))
    at = v[middle], z[middle]
    _, theirs = beside(lambda: value(*at), logbesselk=lambda: peer(*at))
    agrees(theirs, at, rtol=1e-6)
