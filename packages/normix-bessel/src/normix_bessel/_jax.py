"""The JAX backend: choice of regime, evenness in the order, and derivatives of every order."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from . import _saddle, _small_argument
from ._moments import KvMoments

Regime = Callable[[jax.Array, jax.Array], Any]


def _by_regime(v: jax.Array, z: jax.Array, small: Regime, saddle: Regime) -> Any:
    """Evaluate on v >= 0, z > 0, each element by its regime; skip the corner if it is empty.

    Each regime sees inputs from its own domain only, so that neither a value nor a
    derivative of the other can be non-finite.
    """
    corner = (v < _small_argument.ORDER_LIMIT) & (z < _small_argument.ARGUMENT_LIMIT)
    one = jnp.ones_like(v)
    wide = saddle(jnp.where(corner, one, v), jnp.where(corner, one, z))

    def mixed() -> Any:
        near = small(
            jnp.where(corner, v, one), jnp.where(corner, z, 0.5 * _small_argument.ARGUMENT_LIMIT)
        )

        return jax.tree.map(lambda a, b: jnp.where(corner, a, b), near, wide)

    return jax.lax.cond(jnp.any(corner), mixed, lambda: wide)


def _fold(v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """|v| and the sign of v; at v = 0 the modulus keeps the one-sided slope +1."""
    negative = v < 0
    return jnp.where(negative, -v, v), jnp.where(negative, -1.0, 1.0).astype(v.dtype)


def _odd(v: jax.Array, x: jax.Array) -> jax.Array:
    """x, odd in v because log K is even: exactly 0 at v = 0, where its own slope stays."""
    return x - jax.lax.stop_gradient(jnp.where(v == 0, x, 0.0))


@jax.custom_jvp
def log_kv(v: jax.Array, z: jax.Array) -> jax.Array:
    modulus, _ = _fold(v)
    return _by_regime(modulus, z, _small_argument.value, _saddle.value)


@jax.custom_jvp
def _gradient(v: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(log K, ∂v, ∂z)."""
    modulus, sign = _fold(v)
    value, dv, dz = _by_regime(modulus, z, _small_argument.gradient, _saddle.gradient)
    return value, _odd(v, sign * dv), dz


def _hessian(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log K, ∂v, ∂z, ∂²v, ∂v∂z, ∂²z)."""
    modulus, sign = _fold(v)
    value, dv, dz, dvv, dvz, dzz = _by_regime(modulus, z, _small_argument.hessian, _saddle.hessian)
    return value, _odd(v, sign * dv), dz, dvv, _odd(v, sign * dvz), dzz


@log_kv.defjvp
def _(primals: Any, tangents: Any) -> Any:
    value, dv, dz = _gradient(*primals)
    return value, dv * tangents[0] + dz * tangents[1]


@_gradient.defjvp
def _(primals: Any, tangents: Any) -> Any:
    value, dv, dz, dvv, dvz, dzz = _hessian(*primals)
    tv, tz = tangents
    return (value, dv, dz), (dv * tv + dz * tz, dvv * tv + dvz * tz, dvz * tv + dzz * tz)


def log_kv_moments(v: jax.Array, z: jax.Array, *, covariance: bool) -> KvMoments:
    modulus, sign = _fold(v)

    def regime(module: Any) -> Regime:
        def evaluate(order: jax.Array, argument: jax.Array) -> Any:
            return module.moments(order, argument, covariance=covariance)

        return evaluate

    value, *firsts = _by_regime(modulus, z, regime(_small_argument), regime(_saddle))
    u, f, g, *seconds = firsts
    negative = v < 0

    def mirrored(plain: jax.Array, reflected: jax.Array) -> jax.Array:
        return jnp.where(negative, reflected, plain)

    # v -> -v reflects u: odd moments of u change sign, f and g change places
    mean = jnp.stack([mirrored(u, -u), mirrored(f, g), mirrored(g, f)], axis=-1)
    cov = None
    if covariance:
        uu, uf, ug, ff, fg, gg = seconds
        uf, ug = mirrored(uf, -ug), mirrored(ug, -uf)
        ff, gg = mirrored(ff, gg), mirrored(gg, ff)
        rows = ([uu, uf, ug], [uf, ff, fg], [ug, fg, gg])
        cov = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    saddle = sign * _saddle.saddle_point(modulus, z)
    return KvMoments(value, v, z, saddle, jnp.hypot(v, z), mean, cov)
