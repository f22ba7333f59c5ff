"""Tangents of functions whose slopes may be infinite in directions that do not vary."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero


def along(slopes: Sequence[jax.Array], tangents: Sequence[Any], like: jax.Array) -> jax.Array:
    """slopes · tangents over the tangents that are no symbolic zeros, shaped like a value."""
    total = jnp.zeros_like(like)
    for slope, tangent in zip(slopes, tangents, strict=True):
        if not isinstance(tangent, SymbolicZero):
            total = total + slope * tangent
    return total
