"""Choice of regime per element: each runs over the elements that it serves, and over few others.

On a CPU a large batch is ordered by regime, and each regime runs over its part of the order, in
chunks whose intermediate arrays stay in the cache; the results are put back in place. The
uniform expansion costs a small part of the rule at the saddle, which is left with the elements
that nothing else serves. On other platforms the rule runs over every element, and what serves a
region better runs over the elements there alone, gathered. Both need the batch as an array:
`custom_vmap` gives it back under `jax.vmap`, where the function sees one element.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from . import _small_argument, _small_order
from ._uniform_tables import FROM_25, FROM_64

Results = tuple[jax.Array, ...]
Elementwise = Callable[[jax.Array, jax.Array], Results]  # of |v| and z, all of one shape

_SMALL_BATCH = 4096  # up to here a region is evaluated on the whole batch
_LARGEST_BATCH = 1 << 20  # beyond, by chunks: some 40 arrays of a chunk are alive at once
_CPU_CHUNK = 1 << 11  # so that these stay in the cache; a GPU would rather be kept busy
_COUNT_BITS = 10  # of a count in packed ones: three of them in an int32
_COUNT_BLOCK = 512  # elements that they count, fewer than 2^_COUNT_BITS


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


def _beyond(limit: float) -> Region:
    return Region(lambda v, z: jnp.hypot(v, z) >= limit, 0.0, 2 * limit)


FAR, FARTHER = _beyond(FROM_25.limit), _beyond(FROM_64.limit)


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
    expansion: Callable[..., Results] | None = None,
    small_order: Elementwise | None = None,
    far_batches: bool = True,
) -> Elementwise:
    """The same numbers, with each regime run over the elements it serves; not differentiable.

    `small_order`, if given, serves its region. `expansion`, if given, serves the elements of a
    large batch on a CPU that are `FAR`, and otherwise, by its shorter table, a batch that is
    `FARTHER` as a whole, unless `far_batches` is false.
    """
    patches = [(SMALL_ARGUMENT, series)]
    if small_order is not None:
        patches.append((SMALL_ORDER, small_order))
    parts = patches if expansion is None else [(FAR, expansion), *patches]

    def whole(near: Elementwise, v: jax.Array, z: jax.Array) -> Results:
        if expansion is None or not far_batches:
            return near(v, z)
        short = partial(expansion, table=FROM_64)
        return jax.lax.cond(jnp.all(FARTHER.holds(v, z)), short, near, v, z)

    def small(v: jax.Array, z: jax.Array) -> Results:
        found = saddle(*_outside_corner(v, z))
        for region, evaluate in patches:
            found = _selected(found, region, evaluate, v, z)
        return found

    def large(v: jax.Array, z: jax.Array) -> Results:
        found = saddle(*_outside_corner(v, z))
        for region, evaluate in patches:
            found = _patched(found, region, evaluate, v, z)
        return found

    def flat(v: jax.Array, z: jax.Array) -> Results:
        ordered = partial(_by_regime, saddle, parts)
        return jax.lax.platform_dependent(v, z, cpu=ordered, default=partial(whole, large))

    @custom_vmap
    def evaluate(v: jax.Array, z: jax.Array) -> Results:
        # a size that `jax.export` leaves open counts as small
        if not isinstance(v.size, int) or v.size <= _SMALL_BATCH:
            return whole(small, v, z)
        found = _in_chunks(flat, _LARGEST_BATCH, v.ravel(), z.ravel())
        return tuple(x.reshape(v.shape) for x in found)

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


def _by_regime(
    saddle: Elementwise, parts: list[tuple[Region, Elementwise]], v: jax.Array, z: jax.Array
) -> Results:
    """The rule where no region holds, else what serves the first that does; flat arrays."""
    count, chunk = v.size, min(v.size, _CPU_CHUNK)
    members, free = [], jnp.ones(v.shape, bool)
    for region, _ in parts:
        members.append(free & region.holds(v, z))
        free = free & ~members[-1]
    index = jnp.arange(count, dtype=jnp.int32)
    sizes = [jnp.sum(inside, dtype=index.dtype) for inside in members]
    ends = [count - sum(sizes[k:], jnp.zeros_like(index[0])) for k in range(len(sizes) + 1)]

    def order() -> tuple[jax.Array, ...]:
        position = _positions(members, ends, index)
        moved = (
            jnp.ones_like(x).at[position].set(x, mode="promise_in_bounds", unique_indices=True)
            for x in (v, z)
        )
        return position, *moved

    alike = jnp.any(jnp.stack([*sizes, ends[0]]) == count)
    position, *inputs = jax.lax.cond(alike, lambda: (index, v, z), order)
    # a last chunk may go beyond its part, where the next regimes write after it
    inputs = [jnp.pad(x, (0, chunk), constant_values=1.0) for x in inputs]
    shapes = jax.eval_shape(saddle, *inputs)
    found = tuple(jnp.zeros(x.shape, x.dtype) for x in shapes)
    begin = jnp.zeros_like(index[0])
    for end, evaluate in zip(ends, (saddle, *(evaluate for _, evaluate in parts)), strict=True):
        found = _over_part(found, evaluate, inputs, chunk, begin, end)
        begin = end
    return tuple(x.at[position].get(mode="promise_in_bounds") for x in found)


def _over_part(
    found: Results,
    evaluate: Elementwise,
    inputs: Sequence[jax.Array],
    chunk: int,
    begin: jax.Array,
    end: jax.Array,
) -> Results:
    """`found` with the places from begin to end evaluated, and up to a chunk beyond."""

    def step(state: tuple[jax.Array, Results]) -> tuple[jax.Array, Results]:
        done, found = state
        here = evaluate(*(jax.lax.dynamic_slice(x, (done,), (chunk,)) for x in inputs))
        updated = (
            jax.lax.dynamic_update_slice(x, y, (done,)) for x, y in zip(found, here, strict=True)
        )
        return done + chunk, tuple(updated)

    return jax.lax.while_loop(lambda state: state[0] < end, step, (begin, found))[1]


def _positions(members: list[jax.Array], ends: list[jax.Array], index: jax.Array) -> jax.Array:
    """Where each element goes in the stable order by part, the members of none first.

    Part k begins at ends[k]. Ranks are counts of the members before, by blocks, with the counts
    of all parts in one integer.
    """
    blocks = -(-index.size // _COUNT_BLOCK)
    shifts = [_COUNT_BITS * k for k in range(len(members))]
    packed = sum(
        (
            inside.astype(index.dtype) << shift
            for inside, shift in zip(members, shifts, strict=True)
        ),
        jnp.zeros_like(index),
    )
    rows = jnp.pad(packed, (0, blocks * _COUNT_BLOCK - index.size)).reshape(blocks, _COUNT_BLOCK)
    counted = jnp.cumsum(rows, axis=1)
    position = index
    ranks = []
    for shift in shifts:
        here = (counted >> shift) & ((1 << _COUNT_BITS) - 1)
        total = here[:, -1]
        before = jnp.cumsum(total) - total
        rank = (here + before[:, None]).ravel()[: index.size]
        ranks.append(rank)
        position = position - rank
    for inside, rank, begin in zip(members, ranks, ends, strict=False):
        position = jnp.where(inside, begin + rank - 1, position)
    return position


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
