"""Derivatives of log K_v(z) by automatic differentiation, against the stored references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_bessel import log_kv, log_kve
from normix_bessel._small_argument import ARGUMENT_LIMIT


def test_the_value_beside_a_gradient_is_that_without(reference, derivatives):
    np.testing.assert_array_less(
        np.abs(derivatives["log_kv"] - log_kv(reference.v, reference.z)), 4e-15 * reference.scale
    )


def test_the_order_derivative_is_exact(reference, derivatives):
    """Relative to itself, however small: it vanishes at v = 0."""
    size = np.where(reference.v > 0, np.abs(reference["dv"]), 1.0)
    errors = reference.errors("dv", derivatives["dv"], size)
    assert errors.max() <= 1e-13
    assert np.median(errors) <= 3e-16
    assert reference.errors("dv", derivatives["dv"], np.maximum(size, 1e-3)).max() <= 2e-14


def test_the_order_derivative_is_exactly_0_at_order_0(reference, derivatives):
    zero = reference.v == 0
    assert zero.sum() >= 10
    assert np.all(derivatives["dv"][zero] == 0)
    assert np.all(derivatives["dvz"][zero] == 0)
    assert np.all(derivatives["dvv"][zero] > 0)


def test_the_argument_derivative_is_exact(reference, derivatives):
    assert reference.errors("dz", derivatives["dz"]).max() <= 2e-14


def test_the_argument_derivative_of_log_kve_does_not_cancel(reference, padded):
    """It is ∂z log K + 1, down to -1 / (2 z) for large z."""
    slope = jax.jit(jax.vmap(jax.grad(log_kve, 1)))
    got = padded(slope, reference.v, reference.z)
    exact = [x + 1 for x in reference.exact("dz")]
    scale = [abs(x) for x in exact]
    assert reference.errors_from(exact, got, scale).max() <= 2e-14


@pytest.mark.parametrize("name", ["dvv", "dzz"])
def test_pure_second_derivatives_are_exact(reference, derivatives, name):
    errors = reference.errors(name, derivatives[name])
    assert errors.max() <= 2e-13
    assert errors[reference.z >= ARGUMENT_LIMIT].max() <= 1e-14
    assert np.all(derivatives[name] > 0)


def test_the_mixed_second_derivative_is_exact(reference, derivatives):
    """Relative to itself too, though for small v or large z it is far below √(∂²v ∂²z)."""
    bound = reference.deviation("vz")
    assert reference.errors("dvz", derivatives["dvz"], bound).max() <= 2e-14
    size = np.where(reference.v > 0, np.abs(reference["dvz"]), 1.0)
    errors = reference.errors("dvz", derivatives["dvz"], size)
    assert errors.max() <= 1e-11
    assert errors[reference.z <= 1e5].max() <= 5e-13
    # ∂z of ∂v and ∂v of ∂z; where ∂²z overflows the second meets 0 x inf
    held = reference.z > 1e-150
    np.testing.assert_allclose(derivatives["dvz"][held], derivatives["dzv"][held], rtol=1e-12)


def test_third_derivatives_are_right(reference):
    """To 1e-10 of the product of standard deviations that bounds a third cumulant in size."""
    keep = reference.z >= 1e-30
    v, z = reference.v, np.where(keep, reference.z, 1.0)

    @jax.jit
    def along(tangent_v, tangent_z):
        return jax.jvp(jax.vmap(jax.hessian(log_kv, (0, 1))), (v, z), (tangent_v, tangent_z))[1]

    one, zero = np.ones_like(v), np.zeros_like(v)
    by_order, by_argument = along(one, zero), along(zero, one)
    for powers, got in (
        ("vvv", by_order[0][0]),
        ("vvz", by_order[0][1]),
        ("vvz", by_argument[0][0]),
        ("vzz", by_order[1][1]),
        ("vzz", by_argument[0][1]),
        ("zzz", by_argument[1][1]),
    ):
        errors = reference.errors(f"d{powers}", got, reference.deviation(powers))
        assert errors[keep].max() <= 1e-11, powers


def test_slopes_survive_where_the_square_of_the_argument_underflows(
    reference, gradient_of, hessian_of
):
    """Orders of every fractional part from the smallest normal argument on."""
    size = len(reference.v)  # compiled already
    v = np.linspace(0.0, 11.9, size)
    z = np.geomspace(1e-307, 1e-140, size)
    _, (dv, _) = gradient_of(v, z)
    (vv, vz), _ = hessian_of(v, z)
    # z -> 0: |v| (log K) ~ v log(2/z) + log Γ(v) - log 2, up to z^2v
    from scipy import special

    far = v > 0.1
    expected = np.log(2.0) - np.log(z) + special.digamma(np.maximum(v, 0.1))
    np.testing.assert_allclose(np.asarray(dv)[far], expected[far], rtol=1e-13)
    expected = special.polygamma(1, np.maximum(v, 0.1))
    np.testing.assert_allclose(np.asarray(vv)[far], expected[far], rtol=1e-11)
    np.testing.assert_allclose(np.asarray(vz * z)[far], -1.0, rtol=1e-12)


def test_float32_gradients_are_right_to_2e5(reference, gradient_of):
    v = reference.v.astype(np.float32)
    z = np.maximum(reference.z, 1e-30).astype(np.float32)
    _, (dv, dz) = gradient_of(v, z)
    assert (dv.dtype, dz.dtype) == (jnp.float32, jnp.float32)
    _, (true_dv, true_dz) = gradient_of(v.astype(np.float64), z.astype(np.float64))
    error_v = np.abs(np.asarray(dv, np.float64) - true_dv) / np.maximum(np.abs(true_dv), 1.0)
    error_z = np.abs(np.asarray(dz, np.float64) / true_dz - 1)
    held = np.abs(true_dz) < 3e38
    assert np.max(error_v) <= 2e-6
    assert np.max(error_z[held]) <= 4e-6


def test_float32_curvatures_reach_to_small_arguments(reference, hessian_of):
    """∂²z is held by float32 where 1 / z² is not."""
    size = len(reference.v)
    v = np.linspace(0.0, 9.9, size).astype(np.float32)
    z = np.geomspace(5e-20, 1e-3, size).astype(np.float32)
    got = jax.tree.map(np.asarray, hessian_of(v, z))
    expected = jax.tree.map(np.asarray, hessian_of(v.astype(np.float64), z.astype(np.float64)))
    held = expected[1][1] < 3e38
    assert held.sum() > 250
    np.testing.assert_allclose(got[1][1][held], expected[1][1][held], rtol=2e-5)
    np.testing.assert_allclose(got[0][0], expected[0][0], rtol=2e-4)
