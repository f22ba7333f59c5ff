"""log K_v(z) against the stored references, in both backends and both precisions."""

import jax.numpy as jnp
import numpy as np
import pytest

from normix_bessel import log_kv


def test_the_reference_covers_the_domain(reference):
    assert len(reference.v) >= 300
    assert reference.v.min() == 0
    assert reference.v.max() == 1e6
    assert (reference.z.min(), reference.z.max()) == (1e-300, 2.0**31)


def test_jax_is_right_to_2e15(reference):
    errors = reference.errors("log_kv", log_kv(reference.v, reference.z), reference.scale)
    assert errors.max() <= 2e-15
    assert np.median(errors) <= 2e-16


def test_cpu_is_right_to_5e14(reference):
    got = log_kv(reference.v, reference.z, backend="cpu")
    assert reference.errors("log_kv", got, reference.scale).max() <= 5e-14


@pytest.mark.parametrize("backend", ["jax", "cpu"])
def test_the_error_is_1e13_of_the_logarithm_itself(reference, backend):
    """Where -w + v t0 cancels, |log K| is far below hypot(v, z): nothing worse than 1e-13."""
    bulk = (reference.v <= 1000) & (reference.z >= 1e-8) & (reference.z <= 1e5)
    assert bulk.sum() >= 200
    got = log_kv(reference.v, reference.z, backend=backend)
    scale = np.maximum(1.0, np.abs(reference["log_kv"]))
    assert reference.errors("log_kv", got, scale)[bulk].max() <= 1e-13


def test_cpu_repairs_the_gaps_of_scipy(reference):
    from scipy import special

    with np.errstate(all="ignore"):
        scipy = np.log(special.kve(reference.v, reference.z)) - reference.z
    gap = ~np.isfinite(scipy)
    assert gap.sum() >= 50
    got = log_kv(reference.v, reference.z, backend="cpu")
    assert reference.errors("log_kv", got, reference.scale)[gap].max() <= 1e-14


@pytest.mark.parametrize("backend", ["jax", "cpu"])
def test_the_smallest_arguments_have_a_value(backend):
    """K_{1/2} and K_{3/2} in closed form, where K itself overflows by far."""
    z = np.full(2, {"jax": 2.3e-308, "cpu": 3e-305}[backend])
    half = 0.5 * np.log(np.pi / 2) - 0.5 * np.log(z)
    got = log_kv(np.array([0.5, 1.5]), z, backend=backend)
    np.testing.assert_allclose(got, half - np.log(z) * [0.0, 1.0], rtol=1e-15)


def test_float32_is_right_to_1e6(reference):
    """Against float64 at arguments that float32 holds."""
    v = reference.v.astype(np.float32)
    z = np.maximum(reference.z, 1e-37).astype(np.float32)
    got, expected = log_kv(v, z), np.asarray(log_kv(v.astype(np.float64), z.astype(np.float64)))
    assert got.dtype == jnp.float32
    scale = np.maximum(np.maximum(1.0, np.abs(expected)), np.hypot(v, z))
    assert np.max(np.abs(np.asarray(got, np.float64) - expected) / scale) <= 1e-6
