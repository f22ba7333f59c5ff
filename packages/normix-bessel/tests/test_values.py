"""log K_v(z) against the stored references, in both backends and both precisions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf

from normix_bessel import kv, kve, log_kv, log_kve

pytestmark = pytest.mark.gpu


def test_the_reference_covers_the_domain(reference):
    assert len(reference.v) >= 300
    assert reference.v.min() == 0
    assert reference.v.max() == 1e6
    assert (reference.z.min(), reference.z.max()) == (1e-300, 2.0**31)


def test_jax_is_right_to_2e15(reference):
    errors = reference.errors("log_kv", log_kv(reference.v, reference.z), reference.scale)
    assert errors.max() <= 2e-15
    assert np.median(errors) <= 2e-16


@pytest.mark.cpu
def test_log_kve_has_no_part_of_z_in_its_error(reference):
    """Against max(1, |log(e^z K)|, |v|): at v = 0 a few units for z up to 2e9."""
    exact = [x + mpf(z) for x, z in zip(reference.exact("log_kv"), reference.z, strict=True)]
    size = np.array([abs(float(x)) for x in exact])
    scale = np.maximum(np.maximum(1.0, size), reference.v)
    got = {b: log_kve(reference.v, reference.z, backend=b) for b in ("jax", "cpu")}
    assert reference.errors_from(exact, got["jax"], scale).max() <= 4e-15
    assert reference.errors_from(exact, got["cpu"], scale).max() <= 5e-14


@pytest.mark.parametrize("backend", ["jax", "cpu"])
@pytest.mark.parametrize("function", [kv, kve])
def test_the_functions_themselves(reference, backend, function):
    """Relative to the value, times max(1, |log|, |v|) for what an exponential makes of them."""
    log = reference.exact("log_kv")
    if function is kve:
        log = [x + mpf(z) for x, z in zip(log, reference.z, strict=True)]
    held = np.array([-600 < x < 600 for x in log])
    assert held.sum() >= 150
    exact = [mp.exp(x) if h else mpf(1) for x, h in zip(log, held, strict=True)]
    size = np.array([float(x) * max(1.0, abs(float(y))) for x, y in zip(exact, log, strict=True)])
    got = np.where(held, function(reference.v, reference.z, backend=backend), 1.0)
    scale = size * np.maximum(1.0, reference.v)
    assert reference.errors_from(exact, got, scale).max() <= 5e-14
    above = np.array([x > 710 for x in log])
    below = np.array([x < -746 for x in log])
    found = np.asarray(function(reference.v, reference.z, backend=backend))
    np.testing.assert_array_equal(found[above], np.inf)
    np.testing.assert_array_equal(found[below], 0.0)


@pytest.mark.cpu
def test_kv_keeps_its_digits_where_it_is_small(padded):
    """e^-z K_v e^z has a relative error of a few roundings at K = 1e-260, where log K has 600."""
    z = np.linspace(100.0, 600.0, 40)
    expected = np.sqrt(np.pi / (2 * z)) * np.exp(-z)
    for backend in ("jax", "cpu"):
        got = padded(partial(kv, backend=backend), np.full_like(z, 0.5), z)
        np.testing.assert_allclose(got, expected, rtol=4e-15)


@pytest.mark.cpu
def test_cpu_is_right_to_3e14(reference):
    got = log_kv(reference.v, reference.z, backend="cpu")
    assert reference.errors("log_kv", got, reference.scale).max() <= 3e-14


@pytest.mark.parametrize("backend", ["jax", "cpu"])
def test_the_error_is_1e13_of_the_logarithm_itself(reference, backend):
    """Where -w + v t0 cancels, |log K| is far below hypot(v, z): nothing worse than 1e-13."""
    bulk = (reference.v <= 1000) & (reference.z >= 1e-8) & (reference.z <= 1e5)
    assert bulk.sum() >= 200
    got = log_kv(reference.v, reference.z, backend=backend)
    scale = np.maximum(1.0, np.abs(reference["log_kv"]))
    assert reference.errors("log_kv", got, scale)[bulk].max() <= 1e-13


@pytest.mark.cpu
def test_cpu_repairs_the_gaps_of_scipy(reference):
    from scipy import special

    with np.errstate(all="ignore"):
        scipy = np.log(special.kve(reference.v, reference.z)) - reference.z
    gap = ~np.isfinite(scipy)
    assert gap.sum() >= 50
    got = log_kv(reference.v, reference.z, backend="cpu")
    assert reference.errors("log_kv", got, reference.scale)[gap].max() <= 1e-14


@pytest.mark.cpu
def test_cpu_mends_what_scipy_loses_below_2(padded):
    """kve is off by up to 1.6e-13 at z just below 2, v near 0.1."""
    v = np.tile([0.02, 0.1, 0.105, 0.3, 0.9, 1.1, 5.1, 19.9], 30)
    z = np.repeat(np.linspace(0.3, 2.05, 30), 8)
    got = log_kve(v, z, backend="cpu")
    np.testing.assert_allclose(got, padded(log_kve, v, z), rtol=3e-14, atol=3e-14)


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


def _near_zero(v, z):
    """log K_v(z) at z² = 0: (Γ(v) (2/z)^v + Γ(-v) (z/2)^v) / 2, at v = 0 log(2/z) - γ."""
    with mp.workdps(80):
        v, z = mpf(v), mpf(z)
        x = mp.log(2 / z)
        if v == 0:
            return mp.log(x - mp.euler)
        rising = mp.gamma(v) * mp.exp(v * x)
        falling = 0 if v == int(v) else mp.gamma(-v) * mp.exp(-v * x)
        return mp.log((rising + falling) / 2)


@pytest.mark.parametrize("backend", ["jax", "cpu"])
def test_subnormal_arguments_are_no_zeros(backend):
    """XLA takes them for 0 in every operation, SciPy's K is inf."""
    v = np.array([0.0, 1e-9, 1e-4, 0.02, 0.3, 0.5, 0.97, 1.0, 2.5, 6.0, 20.0, 1e3])[:, None]
    z = np.array([5e-324, 1e-320, 1e-310, 2.2e-308, 3e-308, 1e-301])
    got = np.asarray(log_kv(v, z, backend=backend))
    for row, order in zip(got, v[:, 0], strict=True):
        for value, argument in zip(row, z, strict=True):
            exact = _near_zero(order, argument)
            assert abs(float(mpf(float(value)) - exact)) <= 1e-15 * max(1, float(exact)), (
                order,
                argument,
            )


def test_slopes_in_the_order_exist_at_subnormal_arguments():
    for order, argument in [(0.02, 1e-310), (3.0, 5e-324), (20.0, 1e-310)]:
        with mp.workdps(80):
            h = mpf(10) ** -25
            rise = _near_zero(order + h, argument) - _near_zero(order - h, argument)
            exact = float(rise / (2 * h))
        assert jax.grad(log_kv)(order, argument) == pytest.approx(exact, rel=1e-14)
