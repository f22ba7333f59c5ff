"""Several fits of the same data from several starts, in one compiled call."""

import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._compile import compiled
from ._loop import Rules, State, advance, advance_on_device, device_loop
from ._map import Data, Plan


def advanced(
    states: list[State], data: Data, limit: Array, plan: Plan, rules: Rules
) -> list[State]:
    """Each gone on with; several on the device in one call."""
    if not plan.on_device:
        return [advance(state, data, limit, plan, rules) for state in states]
    if len(states) == 1:
        return [advance_on_device(states[0], data, limit, plan, rules)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    vectorised = jax.default_backend() != "cpu"
    every: State = compiled(advance_all)(stacked, data, limit, plan, rules, vectorised)
    return [jax.tree.map(operator.itemgetter(i), every) for i in range(len(states))]


def advance_all(
    states: State, data: Data, limit: Array, plan: Plan, rules: Rules, vectorised: bool
) -> State:
    """`device_loop` for several starts in one call, side by side or in turn; to be compiled.

    Side by side a choice between regimes of the Bessel functions computes all of them, and no
    start stops before the last: worth it only where the device has lanes to spare.
    """

    def one(state: State) -> State:
        last: State = device_loop(state, data, limit, plan, rules)
        return last

    every: State = jax.vmap(one)(states) if vectorised else jax.lax.map(one, states)
    return every
