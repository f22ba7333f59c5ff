"""The iteration: take or drop what was evaluated, see the end, propose what to evaluate next.

Carried from one evaluation to the next is the best model, so that whatever is returned had its
likelihood computed, and the likelihood never falls. An extrapolation that is worse, or is no model
at all, is dropped with the memory it came from, and the plain EM step from the best model follows.

Gains of extrapolations do not fall geometrically, and a small one may only be a bad direction. So
the end that they suggest is confirmed by a plain EM step, which must gain next to nothing.
"""

import operator
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from normix_expfam import Status
from normix_expfam.internal import Array, is_on_host, is_one_of, namespace_of, to_host
from normix_fit._compilation import compiled
from normix_fit._data import Rows

from ._acceleration import Acceleration, Memory, extrapolate, put
from ._evaluation import Evaluation, Plan, evaluate, is_host, maximise
from ._normal_reference import NEAR
from ._termination import remaining_gain

T = TypeVar("T")

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
    statistics = to_host(statistics) if is_host(start) else statistics
    memory = Memory.empty(statistics)
    xp = namespace_of(memory.even)
    nothing = xp.zeros_like(memory.even, shape=(_LENGTH,))  # no nan, for jax_debug_nans
    zero, no = xp.int32(0), xp.asarray(False)
    return State(
        start, statistics, start, statistics, no, no, xp.int32(Status.CONVERGED), memory, nothing,
        nothing, zero, zero, xp.int32(Status.RUNNING),
    )  # fmt: skip


def unload(state: State) -> tuple[State, np.ndarray, np.ndarray]:
    """The state with room for what comes, and the histories that this takes out of it."""
    count = int(state.taken)
    gone = max(count - _NEEDED, 0)
    histories = np.asarray(state.log_likelihoods), np.asarray(state.param_changes)
    kept = [np.append(each[gone:], np.zeros(gone, each.dtype)) for each in histories]
    xp = namespace_of(state.log_likelihoods)
    log_likelihoods, param_changes = (xp.asarray(each) for each in kept)
    state = state._replace(
        log_likelihoods=log_likelihoods,
        param_changes=param_changes,
        taken=xp.int32(count - gone),
    )
    return state, histories[0][:gone], histories[1][:gone]


class _Verdict(NamedTuple):
    """Of a candidate after its evaluation."""

    gain: Array
    change: Array
    running: Array  # whether EM can go on from it
    take: Array


def _judge(state: State, found: Evaluation) -> _Verdict:
    xp = namespace_of(found.log_likelihood)
    before = xp.where(state.taken == 0, -xp.inf, state.log_likelihoods[state.taken - 1])
    gain = found.log_likelihood - before
    running = found.status == int(Status.RUNNING)
    # a pole was met from nearby: the model there is one, though no start of a further step
    met = (found.status == int(Status.UNBOUNDED)) & xp.isfinite(found.log_likelihood)
    take = (running | (met & ~state.is_extrapolated)) & (gain >= 0)
    return _Verdict(gain, state.model.change(state.candidate), running, take)


def accept(state: State, found: Evaluation, verdict: _Verdict) -> State:
    """The state with the candidate taken or dropped."""
    moved = state._replace(
        model=state.candidate,
        statistics=found.statistics,
        log_likelihoods=put(state.log_likelihoods, state.taken, found.log_likelihood),
        param_changes=put(state.param_changes, state.taken, verdict.change),
        taken=state.taken + 1,
    )
    chosen: State = _choose(verdict.take, moved, state)
    return chosen._replace(evaluated=state.evaluated + 1)


def terminate(
    state: State, found: Evaluation, verdict: _Verdict, rules: Rules
) -> tuple[Array, Array]:
    """The status after a candidate, and whether a plain step has to confirm the end.

    `state` is that before the candidate was taken or dropped.
    """
    xp = namespace_of(found.log_likelihood)
    gain, change, running, take = verdict
    first = state.taken == 0
    # EM cannot lower the likelihood: a fall is rounding at the maximum, or the solver failed
    rounding = 1e3 * xp.finfo(gain.dtype).eps * (1 + xp.abs(found.log_likelihood))
    unsolved = is_one_of(state.solved, Status.MAX_ITER, Status.INFEASIBLE)
    at_rest = (gain >= -rounding) & ~unsolved
    thin = state.model.flags().least_pivot < _THIN
    failed = xp.where(thin, int(Status.SINGULAR_DISPERSION), int(Status.SOLVER_STALLED))
    fallen = xp.where(at_rest, int(Status.CONVERGED), failed)
    ending = xp.where(running, fallen, found.status)
    # what an extrapolation meets says nothing about the fit
    going = (take & running) | state.is_extrapolated
    ending = xp.where(going, int(Status.RUNNING), ending)

    left = remaining_gain(state.log_likelihoods, state.taken, found.log_likelihood)
    small = xp.where(state.confirming, gain <= _CONFIRMED * rules.gain_tol, left <= rules.gain_tol)
    settled = take & running & ~first & (change <= rules.tol) & small
    done = settled & (xp.asarray(rules.acceleration is None) | state.confirming)
    status = xp.where(done, int(Status.CONVERGED), ending)
    dull = found.log_likelihood + 3 * left <= rules.of_interest
    near = state.candidate.flags().concentration > NEAR
    normal = take & running & dull & near & (state.evaluated >= _PATIENCE - 1)
    status = xp.where(normal, int(Status.NORMAL_LIMIT), status).astype(xp.int32)
    return status, settled & ~done


def propose(state: State, rules: Rules) -> tuple[Any, Array]:
    """The next mean statistics, and whether they are an extrapolation."""
    target, more = extrapolate(state.memory, rules.acceleration, state.statistics)
    enough = state.memory.pushes > 0
    return _choose(enough, target, state.statistics), enough & more


def _choose(condition: Array, new: T, old: T) -> T:
    """One of two trees, also where it is traced which."""
    if is_on_host(condition):
        return new if condition else old
    chosen: T = jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
    return chosen


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
    following = _choose(again, state.statistics, attempt.input)
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
    attempt = _Attempt(target, more, state.model, state.solved, namespace_of(more).asarray(True))
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


def loop_on_host(state: State, rows: Rows, limit: Any, plan: Plan, rules: Rules) -> State:
    """Iterate in NumPy until done, at the limit of evaluations, or without room."""
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
        number: Any = jnp.int32 if on_device else np.int32
        pairs = zip(states, limits, strict=True)
        return [loop(state, rows, number(limit), plan, rules) for state, limit in pairs]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    every: State = compiled(several_on_device)(
        stacked, rows, jnp.asarray(limits, jnp.int32), plan, rules
    )
    return [jax.tree.map(operator.itemgetter(i), every) for i in range(len(states))]
