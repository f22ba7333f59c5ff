"""The functions of `_fixed_order` at a few points, without a table."""

from types import ModuleType
from typing import Any

import numpy as np

from ._fixed_order import FLAT, LONG_COUNT, TWO_TERMS, by_rule, near_zero

Array = Any


def evaluate(order: Any, z: Array, xp: ModuleType) -> Array:
    """mass, log_up, log_down and shift at z > 0, shape (n,): (4, n).

    Args:
        order: v, a scalar, with jax.numpy one that may be traced.
        z: shape (n,).
        xp: numpy or jax.numpy.
    """
    v = xp.abs(xp.asarray(order, z.dtype))
    reference = xp.maximum(v, 1.0)
    x = xp.log(z / reference)
    counts = None if xp is np else ((z.shape[0], LONG_COUNT),)
    found = by_rule(v, reference, xp.maximum(x, FLAT), counts, xp)
    low = (x < FLAT) & (v < TWO_TERMS)
    if xp is not np or low.any():
        found = xp.where(low, near_zero(xp.minimum(v, TWO_TERMS), xp.minimum(x, FLAT), xp), found)
    mass, up, down, shift = found
    above = order >= 0
    up, down = xp.where(above, up, down), xp.where(above, down, up)
    return xp.stack([mass, up, down, xp.where(above, shift, -shift)])
