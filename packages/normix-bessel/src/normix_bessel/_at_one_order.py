"""The functions of `_fixed_order` at a few points, without a table."""

from types import ModuleType
from typing import Any

import numpy as np

from ._fixed_order import FLAT, TWO_TERMS, by_rule, near_zero

Array = Any


def evaluate(order: float, z: Array, xp: ModuleType = np) -> Array:
    """mass, log_up, log_down and shift at z > 0, shape (n,): (4, n), in NumPy.

    Args:
        order: v, a number.
        z: shape (n,).
        xp: numpy.
    """
    v = np.float64(abs(order))
    reference = np.maximum(v, 1.0)
    x = np.log(z / reference)
    found = by_rule(v, reference, np.maximum(x, FLAT), None, xp)
    low = x < FLAT
    if v < TWO_TERMS and low.any():
        found[:, low] = near_zero(v, x[low], xp)
    return found if order >= 0 else found[[0, 2, 1, 3]] * np.array([[1.0], [1], [1], [-1]])
