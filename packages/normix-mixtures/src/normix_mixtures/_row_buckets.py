"""Numbers of rows that share a compiled program: rows are filled up to one of a few."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from normix_expfam.internal import Array, is_for_host

Found = TypeVar("Found")


def bucket(n: int) -> int:
    """The number of rows that n are filled up to, at least n.

    One row stays one; 16, 64, 256 and 1024 follow, and from there on four numbers an octave.
    """
    if n <= 1:
        return n
    for size in (16, 64, 256, 1024):
        if n <= size:
            return size
    step = 2 ** ((n - 1).bit_length() - 3)
    return -(-n // step) * step


def of_filled_rows(function: Callable[[Array], Found], X: Array, *also: Any) -> Found:
    """`function` of the rows of X, whose results have an axis of rows first.

    It is called with the last row repeated up to `bucket`, unless X, or what `function` needs
    `also`, is traced or lies on an accelerator.
    """
    n = len(X)
    missing = bucket(n) - n
    if missing == 0 or not is_for_host(X, *also):
        return function(X)
    # by NumPy: `jax.numpy` would compile a program for each n
    rows = np.asarray(X)
    filled = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
    found = function(jax.device_put(filled))
    return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)[:n]), found)
