"""The iteration: take or drop what was evaluated, see the end, propose what to evaluate next.

Carried from one evaluation to the next is the best model, so that whatever is returned had its
likelihood computed, and the likelihood never falls. An extrapolation that is worse, or is no model
at all, is dropped with the memory it came from, and the plain EM step from the best model follows.

Gains of extrapolations do not fall geometrically, and a small one may only be a bad direction. So
the end that they suggest is confirmed by a plain EM step, which must gain next to nothing.
"""

import operator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_expfam import Status
from normix_expfam.internal import is_one_of
from normix_fit._compilation import compiled
from normix_fit._data import Rows

from ._acceleration import Acceleration, Memory, extrapolate
from ._evaluation import Evaluation, Plan, evaluate, maximise
from ._normal_reference import NEAR
from ._termination import remaining_gain

_CONFIRMED = 0.1  # of gain_tol: most that the confirming step may gain
_THIN = 1e-4  # √(1 - R²) of a column given those before it, whose square rounding spoils
_PATIENCE = 10  # evaluations before a model is called normal
_LENGTH = 256  # of the histories that a state holds
_NEEDED = 3  # of them that the tests look back at


class Rules(eqx.Module):
    """When to stop, and how to extrapolate."""

    tol: Array
    gain_tol: Array
    of_interest: Array  # log-likelihood that a near-normal model must have; -inf for any
    acceleration: Acceleration = eqx.field(static=True)


class State(NamedTuple):
    """Models are in standardised coordinates and in the gauge."""

    model: Any  # the best so far
    statistics: Any  # means over all rows under it
    candidate: Any  # to be evaluated
    input: Any  # the mean statistics it is the M-step of
    is_extrapolated: Array
    confirming: Array  # whether the candidate is the plain step that confirms the end
    solved: Array  # the `Status` of the M-step
    memory: Memory
    log_likelihoods: Float[Array, " m"]  # of the models taken, the last ones; m is `_LENGTH`
    param_changes: Float[Array, " m"]
    taken: Array  # models whose likelihoods these are
    evaluated: Array  # models
    status: Array


def init(start: Any) -> State:
    """The state before the first evaluation."""
    statistics = start.no_statistics()
    memory = Memory.empty(statistics)
    nothing = jnp.zeros_like(memory.even, shape=(_LENGTH,))  # no nan, for jax_debug_nans
    zero = jnp.int32(0)
    return State(
        start, statistics, start, statistics, jnp.asarray(False), jnp.asarray(False),
        jnp.int32(Status.CONVERGED), memory, nothing, nothing, zero, zero,
        jnp.int32(Status.RUNNING),
    )  # fmt: skip


def unload(state: State) -> tuple[State, np.ndarray, np.ndarray]:
    """The state with room for what comes, and the histories that this takes out of it."""
    count = int(state.taken)
    gone = max(count - _NEEDED, 0)
    histories = np.asarray(state.log_likelihoods), np.asarray(state.param_changes)
    kept = [np.append(each[gone:], np.zeros(gone, each.dtype)) for each in histories]
    log_likelihoods, param_changes = (jnp.asarray(each) for each in kept)
    state = state._replace(
        log_likelihoods=log_likelihoods,
        param_changes=param_changes,
        taken=jnp.int32(count - gone),
    )
    return state, histories[0][:gone], histories[1][:gone]


class _Verdict(NamedTuple):
    """Of a candidate after its evaluation."""

    gain: Array
    change: Array
    running: Array  # whether EM can go on from it
    take: Array


def _judge(state: State, found: Evaluation) -> _Verdict:
    before = jnp.where(state.taken == 0, -jnp.inf, state.log_likelihoods[state.taken - 1])
    gain = found.log_likelihood - before
    running = found.status == int(Status.RUNNING)
    # a pole was met from nearby: the model there is one, though no start of a further step
    met = (found.status == int(Status.UNBOUNDED)) & jnp.isfinite(found.log_likelihood)
    take = (running | (met & ~state.is_extrapolated)) & (gain >= 0)
    return _Verdict(gain, state.model.change(state.candidate), running, take)


def accept(state: State, found: Evaluation, verdict: _Verdict) -> State:
    """The state with the candidate taken or dropped."""
    moved = state._replace(
        model=state.candidate,
        statistics=found.statistics,
        log_likelihoods=state.log_likelihoods.at[state.taken].set(found.log_likelihood),
        param_changes=state.param_changes.at[state.taken].set(verdict.change),
        taken=state.taken + 1,
    )
    chosen: State = jax.tree.map(lambda new, old: jnp.where(verdict.take, new, old), moved, state)
    return chosen._replace(evaluated=state.evaluated + 1)


def terminate(
    state: State, found: Evaluation, verdict: _Verdict, rules: Rules
) -> tuple[Array, Array]:
    """The status after a candidate, and whether a plain step has to confirm the end.

    `state` is that before the candidate was taken or dropped.
    """
    gain, change, running, take = verdict
    first = state.taken == 0
    # EM cannot lower the likelihood: a fall is rounding at the maximum, or the solver failed
    rounding = 1e3 * jnp.finfo(gain.dtype).eps * (1 + jnp.abs(found.log_likelihood))
    unsolved = is_one_of(state.solved, Status.MAX_ITER, Status.INFEASIBLE)
    at_rest = (gain >= -rounding) & ~unsolved
    thin = state.model.flags().least_pivot < _THIN
    failed = jnp.where(thin, int(Status.SINGULAR_DISPERSION), int(Status.SOLVER_STALLED))
    fallen = jnp.where(at_rest, int(Status.CONVERGED), failed)
    ending = jnp.where(running, fallen, found.status)
    # what an extrapolation meets says nothing about the fit
    going = (take & running) | state.is_extrapolated
    ending = jnp.where(going, int(Status.RUNNING), ending)

    left = remaining_gain(state.log_likelihoods, state.taken, found.log_likelihood)
    small = jnp.where(state.confirming, gain <= _CONFIRMED * rules.gain_tol, left <= rules.gain_tol)
    settled = take & running & ~first & (change <= rules.tol) & small
    done = settled & (jnp.asarray(rules.acceleration is None) | state.confirming)
    status = jnp.where(done, int(Status.CONVERGED), ending)
    dull = found.log_likelihood + 3 * left <= rules.of_interest
    near = state.candidate.flags().concentration > NEAR
    normal = take & running & dull & near & (state.evaluated >= _PATIENCE - 1)
    status = jnp.where(normal, int(Status.NORMAL_LIMIT), status).astype(jnp.int32)
    return status, settled & ~done


def propose(state: State, rules: Rules) -> tuple[Any, Array]:
    """The next mean statistics, and whether they are an extrapolation."""
    target, more = extrapolate(state.memory, rules.acceleration, state.statistics)
    enough = state.memory.pushes > 0
    chosen = jax.tree.map(lambda new, old: jnp.where(enough, new, old), target, state.statistics)
    return chosen, enough & more


@eqx.filter_jit
def _digest(state: State, found: Evaluation, rules: Rules) -> tuple[State, Any, Array]:
    """The state after an evaluation, and what is proposed then."""
    verdict = _judge(state, found)
    status, confirming = terminate(state, found, verdict, rules)
    usable = verdict.take & (state.taken > 0) & ~confirming
    memory = state.memory.push_or_forget(usable, state.input, found.statistics)
    state = accept(state, found, verdict)
    state = state._replace(memory=memory, confirming=confirming, status=status)
    return state, *propose(state, rules)


class _Attempt(NamedTuple):
    """At a candidate: an extrapolation, and if that is no model, the plain step."""

    input: Any
    is_extrapolated: Array
    candidate: Any
    solved: Array
    open: Array


def _attempt(attempt: _Attempt, state: State, plan: Plan) -> _Attempt:
    """The attempt with its M-step, still open if the plain step has to follow."""
    candidate, solved, usable = maximise(state.model, attempt.input, plan)
    again = attempt.is_extrapolated & ~usable
    following = jax.tree.map(
        lambda plain, given: jnp.where(again, plain, given), state.statistics, attempt.input
    )
    return _Attempt(following, attempt.is_extrapolated & ~again, candidate, solved, again)


def _with_candidate(state: State, attempt: _Attempt, extrapolated: Array) -> State:
    """The state with what was arrived at; an extrapolation that was no model clears the memory."""
    return state._replace(
        memory=state.memory.forget_if(extrapolated & ~attempt.is_extrapolated),
        candidate=attempt.candidate,
        input=attempt.input,
        is_extrapolated=attempt.is_extrapolated,
        solved=attempt.solved,
    )


def step(state: State, rows: Rows, plan: Plan, rules: Rules, *, on_device: bool) -> State:
    """Evaluate the candidate, take or drop it, and make the next one."""
    found = evaluate(state.candidate, rows, plan)
    state, target, more = _digest(state, found, rules)
    attempt = _Attempt(target, more, state.model, state.solved, jnp.asarray(True))
    if on_device:
        # a loop and not a choice of two: the M-step is compiled once
        attempt = jax.lax.while_loop(
            lambda attempt: attempt.open, lambda attempt: _attempt(attempt, state, plan), attempt
        )
    else:
        while bool(attempt.open):
            attempt = _attempt(attempt, state, plan)
    return _with_candidate(state, attempt, more)


def _goes_on(state: State, limit: Array) -> Array:
    room = state.taken < _LENGTH
    return (state.status == int(Status.RUNNING)) & (state.evaluated < limit) & room


def loop_on_host(state: State, rows: Rows, limit: Array, plan: Plan, rules: Rules) -> State:
    """Iterate until done, at the limit of evaluations, or without room."""
    while bool(_goes_on(state, limit)):
        state = step(state, rows, plan, rules, on_device=False)
    return state


def loop_on_device(state: State, rows: Rows, limit: Array, plan: Plan, rules: Rules) -> State:
    """The same as one device loop, to be compiled."""
    last: State = jax.lax.while_loop(
        lambda state: _goes_on(state, limit),
        lambda state: step(state, rows, plan, rules, on_device=True),
        state,
    )
    return last


def several_on_device(states: State, rows: Rows, limits: Array, plan: Plan, rules: Rules) -> State:
    """`loop_on_device` for stacked states side by side, to be compiled."""
    every: State = jax.vmap(lambda state, limit: loop_on_device(state, rows, limit, plan, rules))(
        states, limits
    )
    return every


def advance(
    states: list[State], rows: Rows, limits: list[int], plan: Plan, rules: Rules
) -> list[State]:
    """Each state iterated to its limit of evaluations; compiled once per shape and configuration.

    Side by side a choice between regimes of the Bessel functions computes all of them, and no
    start stops before the last: worth it only where the device has lanes to spare.
    """
    on_device = plan.on_device and rows.on_device
    if len(states) == 1 or not on_device or jax.default_backend() == "cpu":
        loop = compiled(loop_on_device) if on_device else loop_on_host
        pairs = zip(states, limits, strict=True)
        return [loop(state, rows, jnp.int32(limit), plan, rules) for state, limit in pairs]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    every: State = compiled(several_on_device)(
        stacked, rows, jnp.asarray(limits, jnp.int32), plan, rules
    )
    return [jax.tree.map(operator.itemgetter(i), every) for i in range(len(states))]
