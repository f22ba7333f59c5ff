"""Subnormal arguments by their bits, because XLA takes them for 0 in every arithmetic operation."""

from typing import Any

import jax
import jax.numpy as jnp


def _bits(z: jax.Array) -> jax.Array:
    wide = z.dtype == jnp.float64
    return jax.lax.bitcast_convert_type(z, jnp.int64 if wide else jnp.int32)


def is_subnormal(z: jax.Array) -> jax.Array:
    """Whether 0 < z < the smallest normal number."""
    bits = _bits(z)
    return (bits > 0) & (bits < 1 << jnp.finfo(z.dtype).nmant)


def least_exponent(dtype: Any) -> int:
    """The binary exponent of the least subnormal number."""
    limits = jnp.finfo(dtype)
    return int(limits.minexp - limits.nmant)


def in_least_units(z: jax.Array) -> jax.Array:
    """A subnormal z in units of the least subnormal number, which is a whole number; else 1."""
    return jnp.where(is_subnormal(z), _bits(z), 1).astype(z.dtype)
