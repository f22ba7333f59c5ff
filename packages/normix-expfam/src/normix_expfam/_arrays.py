"""Arrays of JAX and of NumPy: which of the two formulas are given, and moves between them.

A formula that is written over `xp` takes either, by the array API that both follow. The host
engine runs on models whose fields are arrays of NumPy: it starts no XLA program.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from jax import Array as Array
else:

    class _Either(type):
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, jax.Array | np.ndarray | np.generic)

    class Array(metaclass=_Either):
        """An array of JAX or of NumPy, for annotations."""


def is_on_host(value: Any) -> bool:
    """Whether a value is an array or a number of NumPy."""
    return isinstance(value, np.ndarray | np.generic)


def namespace_of(value: Any) -> Any:
    """numpy for arrays and numbers of NumPy, else jax.numpy."""
    return np if is_on_host(value) else jnp


def is_for_host(*values: Any) -> bool:
    """Whether NumPy may compute what is asked of these values, where JAX would compile first.

    It may with arrays of NumPy, numbers, and single arrays of JAX on a CPU, where JAX runs on a
    CPU; not with traced ones.
    """
    leaves = jax.tree.leaves(values)
    return all(map(_is_near, leaves)) and jax.default_backend() == "cpu"


def _is_near(leaf: Any) -> bool:
    if isinstance(leaf, jax.core.Tracer):
        return False
    if isinstance(leaf, jax.Array):
        devices = leaf.devices()
        return len(devices) == 1 and next(iter(devices)).platform == "cpu"
    return True


def to_host(tree: Any) -> Any:
    """The same with arrays of NumPy, floating-point ones in float64."""
    return jax.tree.map(_on_host, tree)


def _on_host(leaf: Any) -> Any:
    array = np.asarray(leaf)
    floating = np.issubdtype(array.dtype, np.floating)
    # a number of NumPy in place of an array without axes: arithmetic on it is faster
    return (array.astype(np.float64) if floating else array)[()]


def to_jax(tree: Any, dtype: Any) -> Any:
    """The same with arrays of JAX, floating-point ones of this dtype."""

    def moved(leaf: Any) -> Any:
        array = np.asarray(leaf)
        floating = np.issubdtype(array.dtype, np.floating)
        return jax.device_put(array.astype(dtype) if floating else array)

    return jax.tree.map(moved, tree)
