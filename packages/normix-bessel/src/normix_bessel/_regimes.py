"""Choice of regime per element: one pass over all of a batch, a second over its corner only.

The rule at the saddle runs over every element, in chunks whose intermediate arrays stay in
the cache. The small-argument series then runs over the elements of its corner alone, gathered,
so a batch with a few of them costs little more than one with none. Both need the batch as
an array: `custom_vmap` gives it back under `jax.vmap`, where the function sees one element.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from ._small_argument import ARGUMENT_LIMIT, ORDER_LIMIT
from ._uniform import LIMIT as EXPANSION_LIMIT

Results = tuple[jax.Array, ...]
Elementwise = Callable[[jax.Array, jax.Array], Results]  # of |v| and z, all of one shape

_SMALL_BATCH = 4096  # up to here the corner is evaluated on the whole batch
# Some 40 arrays of a chunk are alive at once: 20 MB, where a GPU would rather be kept busy.
_CPU_CHUNK, _CHUNK = 1 << 16, 1 << 20


def _split(v: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where the corner is, and inputs of the other regime with 1 in its place."""
    corner = (v < ORDER_LIMIT) & (z < ARGUMENT_LIMIT)
    return corner, jnp.where(corner, 1.0, v), jnp.where(corner, 1.0, z)


def chosen(series: Elementwise, saddle: Elementwise) -> Elementwise:
    """Both regimes on the whole batch, chosen per element: differentiable to every order.

    Each regime sees inputs from its own domain only, so that neither a value nor a
    derivative of the other can be non-finite. The corner is skipped if it is empty.
    """

    def evaluate(v: jax.Array, z: jax.Array) -> Results:
        corner, wide_v, wide_z = _split(v, z)
        wide = saddle(wide_v, wide_z)

        def both() -> Results:
            near = series(jnp.where(corner, v, 1.0), jnp.where(corner, z, 0.5 * ARGUMENT_LIMIT))
            return tuple(jnp.where(corner, a, b) for a, b in zip(near, wide, strict=True))

        return jax.lax.cond(jnp.any(corner), both, lambda: wide)

    return evaluate


def gathered(
    series: Elementwise, saddle: Elementwise, expansion: Elementwise | None = None
) -> Elementwise:
    """The same numbers with the corner gathered; not differentiable.

    `expansion` serves a batch that lies in its domain as a whole, hypot(v, z) >= EXPANSION_LIMIT.
    """
    plain = chosen(series, saddle)

    def mixed(v: jax.Array, z: jax.Array) -> Results:
        if v.size <= _SMALL_BATCH:
            return plain(v, z)
        order, argument = v.ravel(), z.ravel()
        corner, *wide = _split(order, argument)
        found = jax.lax.platform_dependent(
            *wide,
            cpu=partial(_in_chunks, saddle, _CPU_CHUNK),
            default=partial(_in_chunks, saddle, _CHUNK),
        )
        found = _patched(found, corner, order, argument, series)
        return tuple(x.reshape(v.shape) for x in found)

    @custom_vmap
    def evaluate(v: jax.Array, z: jax.Array) -> Results:
        if expansion is None:
            return mixed(v, z)
        far = jnp.all(jnp.hypot(v, z) >= EXPANSION_LIMIT)
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
    wide: Results, corner: jax.Array, v: jax.Array, z: jax.Array, series: Elementwise
) -> Results:
    """`wide` with the elements of the corner replaced, flat arrays of one length."""
    count = corner.size
    chunk = min(max(count // 16, _SMALL_BATCH // 2), 1 << 16)
    index = jnp.arange(count, dtype=jnp.int32 if count < 2**31 - chunk else jnp.int64)
    rank = jnp.cumsum(corner, dtype=index.dtype)
    # rows of the corner in order, then `count`, which every access below leaves out
    rows = jnp.full(count + chunk, count, index.dtype)
    rows = rows.at[jnp.where(corner, rank - 1, count + chunk)].set(index, mode="drop")

    def step(state: tuple[jax.Array, Results]) -> tuple[jax.Array, Results]:
        done, found = state
        here = jax.lax.dynamic_slice(rows, (done,), (chunk,))
        near = series(
            v.at[here].get(mode="fill", fill_value=1.0),
            z.at[here].get(mode="fill", fill_value=0.5 * ARGUMENT_LIMIT),
        )
        replaced = (
            x.at[here].set(y, mode="drop", indices_are_sorted=True)
            for x, y in zip(found, near, strict=True)
        )
        return done + chunk, tuple(replaced)

    start = (jnp.zeros((), index.dtype), wide)
    return jax.lax.while_loop(lambda state: state[0] < rank[-1], step, start)[1]
