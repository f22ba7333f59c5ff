"""In a process that has no float64: `uv run nox -s float32`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_bessel import log_kv, log_kv_moments

pytestmark = pytest.mark.float32


@pytest.fixture(scope="module")
def held(reference):
    """Points that float32 holds, as it holds them: a rounded z moves log K by |z ∂z| / 2 eps."""
    index = (reference.z > 1e-30) & (np.hypot(reference.v, reference.z) < 1e4)
    return index, reference.v[index].astype(np.float32), reference.z[index].astype(np.float32)


def of_input(reference, held, *names):
    """What rounding of (v, z) to float32 does to a quantity with these slopes."""
    index, v, z = held
    slopes = [np.abs(reference[name][index]) for name in names]
    return sum(s * np.abs(x) * 2.0**-24 for s, x in zip(slopes, (v, z), strict=True))


def test_values_are_right_to_1e6(reference, held):
    index, v, z = held
    got = log_kv(v, z)
    assert got.dtype == jnp.float32
    scale = reference.scale[index]
    error = np.abs(np.asarray(got, float) - reference["log_kv"][index])
    assert np.all(error < 1e-6 * scale + of_input(reference, held, "dv", "dz"))


def test_gradients_are_right_to_2e5(reference, held):
    index, v, z = held
    dv, dz = jax.jit(jax.vmap(jax.grad(log_kv, (0, 1))))(v, z)
    assert (dv.dtype, dz.dtype) == (jnp.float32, jnp.float32)
    for name, got, slopes in (("dv", dv, ("dvv", "dvz")), ("dz", dz, ("dvz", "dzz"))):
        exact = reference[name][index]
        bar = 2e-5 * np.maximum(1, np.abs(exact)) + of_input(reference, held, *slopes)
        assert np.all(np.abs(np.asarray(got, float) - exact) < bar), name


def test_moments_are_finite_and_float32():
    got = log_kv_moments(np.float32([0.0, 2.5, -40.0]), np.float32([1e-15, 0.3, 1e4]))
    for leaf in jax.tree.leaves(got):
        assert leaf.dtype == jnp.float32
        assert bool(jnp.isfinite(leaf).all())


def test_subnormal_arguments_are_no_zeros():
    z = np.float32(1e-40)
    x = np.log(2.0) - np.log(float(z))
    assert log_kv(np.float32(0), z) == pytest.approx(np.log(x - np.euler_gamma), rel=3e-7)
    assert log_kv(np.float32(1), z) == pytest.approx(x - np.log(2.0), rel=3e-7)
    assert log_kv(np.float32(20), z) == pytest.approx(
        20 * x + math.lgamma(20) - np.log(2.0), rel=3e-7
    )
