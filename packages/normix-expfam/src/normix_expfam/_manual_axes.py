"""Types under `jax.shard_map`: a loop starts on the mesh axes that its steps vary over.

Within `jax.shard_map` an array has a set of mesh axes over which it varies; that of a constant is
empty. Carries of loops and branches of conditionals must agree in it. Elsewhere all sets are empty,
and nothing here adds an equation. JAX 0.6 knows no such sets.
"""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")


def _axes_of(value: Any) -> frozenset[str]:
    typeof = getattr(jax, "typeof", lambda _: None)
    aval = value if isinstance(value, jax.ShapeDtypeStruct) else typeof(value)
    of_axes = getattr(aval, "manual_axis_type", None)  # vma before JAX 0.10
    found = getattr(aval, "vma", None) if of_axes is None else of_axes.varying
    return frozenset(found or ())


def varying_like(tree: Tree, *others: Any) -> Tree:
    """The arrays of a tree, which vary over every axis that it or one of the others varies over."""
    leaves, structure = jax.tree.flatten(tree)
    axes = frozenset().union(*map(_axes_of, jax.tree.leaves((leaves, others))))
    if not axes:
        return tree
    cast = [_cast(leaf, tuple(sorted(axes - _axes_of(leaf)))) for leaf in leaves]
    return jax.tree.unflatten(structure, cast)


def _cast(value: Any, axes: tuple[str, ...]) -> Any:
    if not axes:
        return value
    lax: Any = jax.lax
    if hasattr(lax, "pcast"):
        return lax.pcast(value, axes, to="varying")
    return lax.pvary(value, axes)  # before pcast


def error_if(tree: Tree, wrong: Any, message: str) -> Tree:
    """`equinox.error_if`, whose branches differ in their axes within `jax.shard_map`."""
    if not any(_axes_of(leaf) for leaf in jax.tree.leaves((tree, wrong))):
        return eqx.error_if(tree, wrong, message)
    nothing = eqx.error_if(jnp.zeros(()), wrong, message)
    return jax.tree.map(lambda leaf: leaf + nothing.astype(leaf.dtype), tree)
