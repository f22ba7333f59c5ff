"""Several fits of the same data from several starts: side by side on a device, else in turn."""

import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ._compile import compiled
from ._loop import Rules, State, advance, advance_on_device, device_loop
from ._map import Data, Plan


def advanced(
    states: list[State], data: Data, limits: list[int], plan: Plan, rules: Rules
) -> list[State]:
    """Advance each state to its limit of evaluations.

    Side by side a choice between regimes of the Bessel functions computes all of them, and no
    start stops before the last: worth it only where the device has lanes to spare.
    """
    step = advance_on_device if plan.on_device else advance
    if len(states) == 1 or not plan.on_device or jax.default_backend() == "cpu":
        pairs = zip(states, limits, strict=True)
        return [step(state, data, jnp.int32(limit), plan, rules) for state, limit in pairs]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    every: State = compiled(advance_all)(stacked, data, jnp.asarray(limits, jnp.int32), plan, rules)
    return [jax.tree.map(operator.itemgetter(i), every) for i in range(len(states))]


def advance_all(
    states: State, data: Data, limits: Int[Array, " s"], plan: Plan, rules: Rules
) -> State:
    """`device_loop` for several starts side by side, to be compiled."""

    def one(state: State, limit: Array) -> State:
        last: State = device_loop(state, data, limit, plan, rules)
        return last

    every: State = jax.vmap(one)(states, limits)
    return every
