"""Damped Newton's method for a smooth convex function, traceable and vmappable, or in NumPy.

The function is known with a rounding error. Far from the minimum a step must lower it
(Armijo); near it, where its differences are rounding, the Newton decrement λ² = gᵀH⁻¹g decides,
which is computed without cancellation and is twice what is still to be gained.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam._arrays import Array

from ._manual_axes import varying_like

_QUADRATIC = 1e-6  # λ² below which a full step is known to be good
_SHORTEST = 1e-10  # fraction of a step below which the search has stalled

Point = TypeVar("Point")


class Evaluation(NamedTuple):
    """The function at a point and the step to the minimum of its quadratic model."""

    objective: Array
    noise: Array  # rounding error of the objective
    step: Array
    decrement: Array  # λ²
    slope: Array  # of the objective along -step
    floor: Array  # the decrement that rounding leaves at the point


class _State(NamedTuple):
    point: Any
    at: Evaluation
    length: Array  # fraction of the step to be tried next
    evaluations: Array
    done: Array


def minimise(
    start: Point,
    evaluate: Callable[[Point], Evaluation],
    move: Callable[[Point, Array, Array], Point],
    max_steps: int,
    xp: Any = jnp,
) -> tuple[Point, Array, Array]:
    """The minimiser, whether it was reached, and the evaluations it took.

    Args:
        start: a point of the domain, any pytree.
        evaluate: not finite outside the domain.
        move: (point, step, length) -> the point that fraction of the step away.
        max_steps: most evaluations.
        xp: jax.numpy, for one `lax.while_loop`, or numpy.
    """

    def body(state: _State) -> _State:
        trial, old = move(state.point, state.at.step, state.length), state.at
        new = evaluate(trial)
        gain = 1e-4 * state.length * old.slope
        lower = new.objective <= old.objective - gain + 2 * old.noise
        closer = (new.objective <= old.objective + 1e3 * old.noise) & (
            new.decrement < old.decrement / 2
        )
        # near the end a full step that gains nothing has met rounding
        rounding = (old.decrement <= 1e4 * old.floor) & (new.decrement > old.decrement / 2)
        # in the region of quadratic convergence the decrement needs no second opinion
        closer |= (old.decrement < _QUADRATIC) & (new.decrement < old.decrement / 2)
        accept = (lower | closer) & xp.isfinite(new.decrement) & ~rounding
        finished = accept & (new.decrement <= new.floor)
        stalled = ~accept & (state.length < _SHORTEST)
        taken = _State(trial, new, xp.ones_like(new.objective), state.evaluations, finished)
        kept = state._replace(length=0.25 * state.length, done=stalled | rounding)
        chosen: _State = jax.tree.map(lambda new, old: xp.where(accept, new, old), taken, kept)
        return chosen._replace(evaluations=state.evaluations + 1)

    def proceed(state: _State) -> Array:
        return ~state.done & (state.evaluations < max_steps)

    last = (
        _run(start, evaluate, body, proceed)
        if xp is jnp
        else _run_on_host(start, evaluate, body, proceed)
    )
    # a stall at rounding level is convergence; one above it is not
    eps = xp.finfo(last.at.objective.dtype).eps
    reached = last.at.decrement <= xp.maximum(1e4 * last.at.floor, eps)
    good = reached & xp.isfinite(last.at.decrement)
    return last.point, good, last.evaluations


def _first(start: Any, empty: Evaluation, xp: Any) -> _State:
    """The state before the start is tried: an empty step from an infinite objective."""
    infinite = xp.full_like(empty.objective, xp.inf)
    unknown = empty._replace(objective=infinite, decrement=infinite)
    return _State(start, unknown, xp.ones_like(infinite), xp.asarray(0, xp.int32),
                  xp.asarray(False))  # fmt: skip


def _run(start: Any, evaluate: Any, body: Any, proceed: Any) -> _State:
    shapes = jax.eval_shape(evaluate, start)
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    first = varying_like(_first(start, empty, jnp), shapes)
    last: _State = jax.lax.while_loop(proceed, body, first)
    return last


def _run_on_host(start: Any, evaluate: Any, body: Any, proceed: Any) -> _State:
    state = _first(start, jax.tree.map(np.zeros_like, evaluate(start)), np)
    while proceed(state):
        state = body(state)
    return state
