"""`describe`: a distribution or a result as text, with its numbers instead of only their shapes."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from ._checks import is_concrete

_ENTRIES = 9  # up to three components with their 3 x 3 dispersion


class _Numbers:
    """What `equinox.tree_pformat` prints as it stands."""

    def __init__(self, value: Any):
        self.text = _text(value)

    def __repr__(self) -> str:
        return self.text


def describe(tree: eqx.Module) -> str:
    """The module as Equinox shows it, arrays of up to 9 entries with 6 digits of each."""
    return eqx.tree_pformat(jax.tree.map(_with_numbers, tree))


def _with_numbers(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array | np.ndarray) or not is_concrete(leaf):
        return leaf
    if leaf.size > _ENTRIES:
        return leaf
    if isinstance(leaf, jax.Array) and (leaf.is_deleted() or not leaf.is_fully_addressable):
        return leaf  # donated, or spread over hosts
    return _Numbers(leaf.tolist())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
