"""The iteration: judge what was evaluated, propose what to evaluate next.

Carried from one evaluation to the next is the best model, so that whatever is returned had its
likelihood computed, and the likelihood never falls. An extrapolation that is worse, or is no law
at all, is dropped with the memory it came from, and the plain EM step from the best model follows.

Gains of extrapolations do not fall geometrically, and a small one may only be a bad direction. So
the end that they suggest is confirmed by a plain EM step, which must gain next to nothing.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_expfam import Status
from normix_mixtures import NormalMixture

from ._acceleration import Acceleration, Memory, extrapolated
from ._compile import compiled
from ._convergence import relative_change, remaining_gain
from ._map import RUNNING, Data, Evaluation, Plan, evaluate, maximise
from ._normal import is_near_normal

_CONFIRMED = 0.1  # of gain_tol: most that the confirming step may gain
_THIN = 1e-4  # √(1 - R²) of a column given those before it, whose square rounding spoils
_PATIENCE = 10  # evaluations before a law is called normal
_LENGTH = 256  # of the histories that a state holds
_NEEDED = 3  # of them that the tests look back at


class Rules(eqx.Module):
    """When to stop, and how to extrapolate."""

    tol: Array
    gain_tol: Array
    of_interest: Array  # log-likelihood that a law near the normal one must have; -inf for any
    acceleration: Acceleration = eqx.field(static=True)


class State(NamedTuple):
    """Models are in standardised coordinates and in the gauge."""

    model: NormalMixture  # the best so far
    eta: Float[Array, " k"]  # mean statistics of all rows under it
    candidate: NormalMixture  # to be evaluated
    input: Float[Array, " k"]  # the mean statistics it is the M-step of
    is_extrapolated: Array
    confirming: Array  # whether the candidate is the plain step that confirms the end
    solved: Array  # the `Status` of the M-step
    memory: Memory
    log_likelihoods: Float[Array, " m"]  # of the models taken, the last ones; m is `_LENGTH`
    param_changes: Float[Array, " m"]
    taken: Array  # models whose likelihoods these are
    evaluated: Array  # models
    status: Array


def begin(start: NormalMixture, data: Data) -> State:
    """The state before the first evaluation."""
    d = start.dimension
    eta = jnp.zeros_like(data.X, shape=(3 + 2 * d + d * d,))
    nothing = jnp.zeros_like(data.X, shape=(_LENGTH,))  # no nan, for jax_debug_nans
    zero = jnp.int32(0)
    return State(
        start, eta, start, eta, jnp.asarray(False), jnp.asarray(False),
        jnp.int32(Status.CONVERGED), Memory.empty(eta, d), nothing, nothing, zero, zero,
        jnp.int32(RUNNING),
    )  # fmt: skip


def unloaded(state: State) -> tuple[State, np.ndarray, np.ndarray]:
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


def judged(state: State, found: Evaluation, rules: Rules) -> State:
    """The state with the candidate taken, dropped or the end seen."""
    first = state.taken == 0
    before = jnp.where(first, -jnp.inf, state.log_likelihoods[state.taken - 1])
    gain = found.log_likelihood - before
    change = relative_change(state.model, state.candidate)
    running = found.status == RUNNING
    # a pole was met from nearby: the model there is one, though no start of a further step
    met = (found.status == int(Status.UNBOUNDED)) & jnp.isfinite(found.log_likelihood)
    met = met & ~state.is_extrapolated
    take = (running | met) & (gain >= 0)

    # EM cannot lower the likelihood: a fall is rounding at the maximum, or the solver failed
    rounding = 1e3 * jnp.finfo(gain.dtype).eps * (1 + jnp.abs(found.log_likelihood))
    unsolved = (state.solved == int(Status.MAX_ITER)) | (state.solved == int(Status.INFEASIBLE))
    at_rest = (gain >= -rounding) & ~unsolved
    scale = jnp.sqrt(state.model.joint.dispersion.diagonal())
    thin = jnp.min(jnp.diagonal(state.model.L_Sigma) / scale) < _THIN
    failed = jnp.where(thin, int(Status.SINGULAR_DISPERSION), int(Status.SOLVER_STALLED))
    fallen = jnp.where(at_rest, int(Status.CONVERGED), failed)
    ending = jnp.where(running, fallen, found.status)
    # what an extrapolation meets says nothing about the fit
    ending = jnp.where((take & running) | state.is_extrapolated, RUNNING, ending)

    left = remaining_gain(state.log_likelihoods, state.taken, found.log_likelihood)
    small = jnp.where(state.confirming, gain <= _CONFIRMED * rules.gain_tol, left <= rules.gain_tol)
    settled = take & running & ~first & (change <= rules.tol) & small
    plain = jnp.asarray(rules.acceleration is None)
    done = settled & (plain | state.confirming)
    status = jnp.where(done, int(Status.CONVERGED), ending)
    dull = found.log_likelihood + 3 * left <= rules.of_interest
    normal = (
        take & running & dull & is_near_normal(state.candidate) & (state.evaluated >= _PATIENCE - 1)
    )
    status = jnp.where(normal, int(Status.NORMAL_LIMIT), status).astype(jnp.int32)
    confirming = settled & ~done

    usable = take & ~first & ~confirming
    memory = state.memory.pushed_or_forgotten(usable, state.input, found.eta)
    moved = state._replace(
        model=state.candidate,
        eta=found.eta,
        log_likelihoods=state.log_likelihoods.at[state.taken].set(found.log_likelihood),
        param_changes=state.param_changes.at[state.taken].set(change),
        taken=state.taken + 1,
    )
    chosen: State = jax.tree.map(lambda new, old: jnp.where(take, new, old), moved, state)
    evaluated = state.evaluated + 1
    return chosen._replace(memory=memory, confirming=confirming, status=status, evaluated=evaluated)


def proposed(state: State, rules: Rules) -> tuple[Float[Array, " k"], Array]:
    """The next η, and whether it is an extrapolation."""
    target, more = extrapolated(state.memory, rules.acceleration)
    enough = state.memory.pushes > 0
    return jnp.where(enough, target, state.eta), enough & more


class Attempt(NamedTuple):
    """At a candidate: an extrapolation, and if that is no law, the plain step."""

    input: Float[Array, " k"]
    is_extrapolated: Array
    candidate: NormalMixture
    solved: Array
    open: Array


def tried(attempt: Attempt, state: State, data: Data, plan: Plan) -> Attempt:
    """The attempt with its M-step, still open if the plain step has to follow."""
    candidate, solved, usable = maximise(state.model, attempt.input, data, plan)
    again = attempt.is_extrapolated & ~usable
    eta = jnp.where(again, state.eta, attempt.input)
    return Attempt(eta, attempt.is_extrapolated & ~again, candidate, solved, again)


def with_candidate(state: State, attempt: Attempt, extrapolated: Array) -> State:
    """The state with what was arrived at; an extrapolation that was no law clears the memory."""
    dropped = extrapolated & ~attempt.is_extrapolated
    return state._replace(
        memory=state.memory.forgotten_if(dropped),
        candidate=attempt.candidate,
        input=attempt.input,
        is_extrapolated=attempt.is_extrapolated,
        solved=attempt.solved,
    )


def advance(state: State, data: Data, limit: Array, plan: Plan, rules: Rules) -> State:
    """Iterate on the host until done, at the limit of evaluations, or without room."""
    while bool(_goes_on(state, limit)):
        found = evaluate(state.candidate, data, plan)
        state, eta, more = _judged_and_proposed(state, found, rules)
        attempt = Attempt(eta, more, state.model, state.solved, jnp.asarray(True))
        while bool(attempt.open):
            attempt = tried(attempt, state, data, plan)
        state = with_candidate(state, attempt, more)
    return state


def _goes_on(state: State, limit: Array) -> Array:
    room = state.taken < _LENGTH
    return (state.status == RUNNING) & (state.evaluated < limit) & room


@eqx.filter_jit
def _judged_and_proposed(
    state: State, found: Evaluation, rules: Rules
) -> tuple[State, Array, Array]:
    state = judged(state, found, rules)
    return state, *proposed(state, rules)


def device_loop(state: State, data: Data, limit: Array, plan: Plan, rules: Rules) -> State:
    """The same as one device loop, to be compiled."""

    def body(state: State) -> State:
        found = evaluate(state.candidate, data, plan)
        state, eta, more = _judged_and_proposed(state, found, rules)
        # a loop and not a choice of two: the M-step is compiled once
        attempt: Attempt = jax.lax.while_loop(
            lambda attempt: attempt.open,
            lambda attempt: tried(attempt, state, data, plan),
            Attempt(eta, more, state.model, state.solved, jnp.asarray(True)),
        )
        return with_candidate(state, attempt, more)

    last: State = jax.lax.while_loop(lambda state: _goes_on(state, limit), body, state)
    return last


def advance_on_device(state: State, data: Data, limit: Array, plan: Plan, rules: Rules) -> State:
    """`device_loop`, compiled once per shape and configuration."""
    last: State = compiled(device_loop)(state, data, limit, plan, rules)
    return last
