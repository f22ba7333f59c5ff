"""The places of log y, 1/y, y, x, x/y and x xᵀ/y in a vector: t(x, y), its mean η, and θ."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from normix_expfam.internal import Array, namespace_of


class Parts(NamedTuple):
    """A vector by its parts, arrays of NumPy or of JAX."""

    log_y: Any
    inverse_y: Any
    y: Any
    x: Any
    """Shape (d,)."""

    x_inverse_y: Any
    """Shape (d,)."""

    xx_inverse_y: Any
    """Shape (d, d)."""


def dimension_of(length: int) -> int:
    """d from the length 3 + 2 d + d²."""
    return round((length - 2) ** 0.5) - 1


def parts_of(vector: Any) -> Parts:
    """The parts of a vector, shape (3 + 2 d + d²,), of NumPy or of JAX."""
    d = dimension_of(vector.shape[0])
    return Parts(
        vector[0], vector[1], vector[2], vector[3 : 3 + d], vector[3 + d : 3 + 2 * d],
        vector[3 + 2 * d :].reshape(d, d),
    )  # fmt: skip


def flat(parts: Parts) -> Float[Array, " k"]:
    """The vector of these parts, shape (3 + 2 d + d²,)."""
    xp = namespace_of(parts.x)
    head = xp.stack([parts.log_y, parts.inverse_y, parts.y])
    vector: Array = xp.concatenate([head, parts.x, parts.x_inverse_y, parts.xx_inverse_y.ravel()])
    return vector


def head_of(vector: Any) -> Any:
    """The parts of log y, 1/y and y, shape (3,)."""
    return vector[:3]


def without_head(matrix: Float[Array, "m m"]) -> Float[Array, "k k"]:
    """A matrix over the parts of x, x/y and x xᵀ/y as one over all, 0 elsewhere; k = m + 3."""
    return jnp.pad(matrix, ((3, 0), (3, 0)))
