"""Choice of regime per element: one pass over all of a batch, others over regions of it only.

The rule at the saddle runs over every element, in chunks whose intermediate arrays stay in
the cache. What serves a region better, the small-argument series above all, then runs over
the elements there alone, gathered, so a batch with a few of them costs little more than one
with none. Both need the batch as an array: `custom_vmap` gives it back under `jax.vmap`, where
the function sees one element.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from . import _small_argument, _small_order, _uniform

Results = tuple[jax.Array, ...]
Elementwise = Callable[[jax.Array, jax.Array], Results]  # of |v| and z, all of one shape

_SMALL_BATCH = 4096  # up to here a region is evaluated on the whole batch
_LARGEST_BATCH = 1 << 20  # beyond, by chunks: some 40 arrays of a chunk are alive at once
_CPU_CHUNK = 1 << 16  # so that these stay in the cache; a GPU would rather be kept busy


class Region(NamedTuple):
    """Where a second evaluation replaces that of the rule at the saddle, on |v| and z."""

    holds: Callable[[jax.Array, jax.Array], jax.Array]
    order: float  # a point inside
    argument: float


SMALL_ARGUMENT = Region(
    lambda v, z: (v < _small_argument.ORDER_LIMIT) & (z < _small_argument.ARGUMENT_LIMIT),
    *(1.0, 0.5 * _small_argument.ARGUMENT_LIMIT),
)
SMALL_ORDER = Region(
    lambda v, z: (v < _small_order.order_limit(z)) & (z >= _small_argument.ARGUMENT_LIMIT),
    *(1 / 32, 1.0),
)


def _outside_corner(v: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inputs of the rule at the saddle, with 1 in place of the corner."""
    corner = SMALL_ARGUMENT.holds(v, z)
    return jnp.where(corner, 1.0, v), jnp.where(corner, 1.0, z)


def _selected(
    found: Results, region: Region, evaluate: Elementwise, v: jax.Array, z: jax.Array
) -> Results:
    """`found` with `evaluate` in its region, on the whole batch unless the region is empty.

    It sees inputs from its own domain only, so that neither a value nor a derivative of the
    other can be non-finite.
    """
    inside = region.holds(v, z)

    def both() -> Results:
        order = jnp.where(inside, v, region.order)
        other = evaluate(order, jnp.where(inside, z, region.argument))
        return tuple(jnp.where(inside, a, b) for a, b in zip(other, found, strict=True))

    return jax.lax.cond(jnp.any(inside), both, lambda: found)


def chosen(series: Elementwise, saddle: Elementwise) -> Elementwise:
    """Series and saddle on the whole batch, chosen per element: differentiable to every order."""

    def evaluate(v: jax.Array, z: jax.Array) -> Results:
        return _selected(saddle(*_outside_corner(v, z)), SMALL_ARGUMENT, series, v, z)

    return evaluate


def gathered(
    series: Elementwise,
    saddle: Elementwise,
    *,
    expansion: Elementwise | None = None,
    small_order: Elementwise | None = None,
) -> Elementwise:
    """The same numbers with the elements of each region gathered; not differentiable.

    `small_order`, if given, serves its region. `expansion`, if given, serves a batch that lies
    in its domain as a whole, hypot(v, z) >= its LIMIT.
    """
    patches = [(SMALL_ARGUMENT, series)]
    if small_order is not None:
        patches.append((SMALL_ORDER, small_order))

    def mixed(v: jax.Array, z: jax.Array) -> Results:
        # a size that `jax.export` leaves open counts as small
        if not isinstance(v.size, int) or v.size <= _SMALL_BATCH:
            found = saddle(*_outside_corner(v, z))
            for region, evaluate in patches:
                found = _selected(found, region, evaluate, v, z)
            return found
        found = _in_chunks(flat, _LARGEST_BATCH, v.ravel(), z.ravel())
        return tuple(x.reshape(v.shape) for x in found)

    def flat(v: jax.Array, z: jax.Array) -> Results:
        found = jax.lax.platform_dependent(
            *_outside_corner(v, z), cpu=partial(_in_chunks, saddle, _CPU_CHUNK), default=saddle
        )
        for region, evaluate in patches:
            found = _patched(found, region, evaluate, v, z)
        return found

    @custom_vmap
    def evaluate(v: jax.Array, z: jax.Array) -> Results:
        if expansion is None:
            return mixed(v, z)
        far = jnp.all(jnp.hypot(v, z) >= _uniform.LIMIT)
        return jax.lax.cond(far, expansion, mixed, v, z)

    @evaluate.def_vmap
    def _(axis_size: int, batched: list[bool], v: jax.Array, z: jax.Array) -> tuple[Any, Any]:
        v, z = (
            x if is_batched else jnp.broadcast_to(x, (axis_size, *x.shape))
            for x, is_batched in zip((v, z), batched, strict=True)
        )
        found = evaluate(v, z)
        return found, jax.tree.map(lambda _: True, found)

    return evaluate


def _in_chunks(evaluate: Elementwise, limit: int, v: jax.Array, z: jax.Array) -> Results:
    """evaluate(v, z) for flat arrays, by chunks of equal length up to `limit`."""
    chunks = -(-v.size // limit)
    if chunks == 1:
        return evaluate(v, z)
    length = -(-v.size // chunks)
    rows = (jnp.pad(x, (0, chunks * length - x.size), constant_values=1.0) for x in (v, z))
    found = jax.lax.map(lambda row: evaluate(*row), tuple(x.reshape(chunks, length) for x in rows))
    return tuple(x.ravel()[: v.size] for x in found)


def _patched(
    found: Results, region: Region, evaluate: Elementwise, v: jax.Array, z: jax.Array
) -> Results:
    """`found` with the elements of the region replaced, flat arrays of one length."""
    inside = region.holds(v, z)
    count = inside.size
    chunk = min(max(count // 16, _SMALL_BATCH // 2), 1 << 16)
    index = jnp.arange(count, dtype=jnp.int32)
    rank = jnp.cumsum(inside, dtype=index.dtype)
    # rows of the region in order, then `count`, which every access below leaves out
    rows = jnp.full(count + chunk, count, index.dtype)
    rows = rows.at[jnp.where(inside, rank - 1, count + chunk)].set(index, mode="drop")

    def step(state: tuple[jax.Array, Results]) -> tuple[jax.Array, Results]:
        done, found = state
        here = jax.lax.dynamic_slice(rows, (done,), (chunk,))
        other = evaluate(
            v.at[here].get(mode="fill", fill_value=region.order),
            z.at[here].get(mode="fill", fill_value=region.argument),
        )
        replaced = (
            x.at[here].set(y, mode="drop", indices_are_sorted=True)
            for x, y in zip(found, other, strict=True)
        )
        return done + chunk, tuple(replaced)

    start = (jnp.zeros((), index.dtype), found)
    return jax.lax.while_loop(lambda state: state[0] < rank[-1], step, start)[1]
