"""One update of online EM: the E-step of a block, the mean of the statistics, the M-step.

The M-step depends on the rows through their mean expected sufficient statistics s alone. Online EM
(Cappé & Moulines 2009, JRSS B 71, 593) averages s over the stream,

    s ← (1 - ρ_t) s + ρ_t s̄(block t; model),   model ← M-step(s).

Statistics that were collected under different models must mean the same Y. A model is identified
up to the scale of Y, and the M-step returns it in the gauge of `normalize`, so s follows: Y becomes
c Y. For every subordinator here, whose family contains its own rescalings, the likelihood of the
fitted GIG(p, a, b) is stationary in scale: 2 p + b E 1/Y - a E Y = 0 at the means E of s, whichever
of them the family matches. In terms of the normalised law, a' = a/c and b' = b c, that is

    a' E Y c² - 2 p c - b' E 1/Y = 0,

whose positive root is the mode of log Y under GIG(p, a' E Y, b' E 1/Y), limits included.

Time is the weight N of the rows seen, not the number of blocks. The statistics of the past are
kept by the factor exp(-∫ r dN) over the weight of a block, with a rate r that depends on N alone.
So a block in pieces counts as much as in one, and a block of next to no weight moves nothing.

The statistics are kept about their own centre m = Σ x E 1/Y / Σ E 1/Y, where
Σ (x - m)(x - m)ᵀ E 1/Y is smallest. Two sets combine by the parallel-axis theorem, which only
adds. So the digits last however far a stream drifts from where it began.
"""

from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_expfam import Status, mode_of_log
from normix_expfam.internal import is_one_of
from normix_fit._data import DenseRows
from normix_mixtures import Held, MixtureStatistics, NormalMixture, PosteriorMoments

from ._state import REFUSED, OnlineState, UpdateStatus

T = TypeVar("T")

SHORTEST = 10  # burn-in in rows for every column, and as many more
_ROUNDING = 64  # units in the last place


class Settings(NamedTuple):
    scale: Array
    delay: Array
    kappa: Array
    half_life: Array  # infinite where none was given
    burn_in: Array


class _Seen(NamedTuple):
    """What a block says under a model."""

    statistics: MixtureStatistics  # per row, about their own centre
    weight: Array
    square: Array  # Σ w²
    size: Array  # mean of the rows' sizes
    is_alone: Array  # whether one row hides the others
    n_counted: Array  # rows of positive weight
    log_likelihood: Array


def _look(X: Float[Array, "n d"], weights: Float[Array, " n"], model: NormalMixture) -> _Seen:
    counts = weights > 0
    # in the place of a row that does not count one that does, so that 0 times it is 0
    X = jnp.where(counts[:, None], X, X[jnp.argmax(weights)][None, :])
    # not by a table: a row may lie so far out that its square is no number
    expectations = model.e_step(X)
    m = jnp.sum(weights)
    size = jnp.where(counts, _size(model, X, expectations), 0.0)
    n_counted = jnp.sum(counts, dtype=jnp.int32)
    return _Seen(
        _centred(model, X, expectations, weights).mean(), m, weights @ weights,
        weights @ size / m, _is_alone(size, n_counted), n_counted, weights @ expectations.log_prob,
    )  # fmt: skip


@eqx.filter_jit
def update_state(state: OnlineState, block: DenseRows, settings: Settings) -> OnlineState:
    """The state after one more block."""
    model = state.model
    seen = block.reduce(_look, model)
    m, extent, past = seen.weight, seen.size, _size_of(model, state.statistics)
    hidden = _is_hidden(past, extent)
    stuck = state.n_stuck >= SHORTEST * (model.dimension + 1)
    anew = (state.n_rows == 0) | stuck | hidden

    before = jnp.where(anew, 0.0, state.n_rows)
    n_rows = before + m
    per_row = _running(state.weight_per_row, seen.square / m, m / n_rows)
    per_block = _running(state.weight_per_block, m, m / n_rows)
    old = _where(anew, seen.statistics, state.statistics)
    found = _towards(old, seen.statistics, _step(before, m, per_row, per_block, settings))
    usable = _all_finite(found)
    extreme = seen.is_alone | (~anew & _is_hidden(extent, past))

    candidate, solved = model.maximise(found, Held())
    factor = _gauge_factor(candidate, found)
    moved = found.rescaled_subordinator(factor)
    stalled = is_one_of(solved, Status.MAX_ITER, Status.INFEASIBLE)
    sound = _all_finite(candidate) & _is_resolved(candidate, moved)
    sound = sound & jnp.isfinite(factor) & (factor > 0)
    burning = n_rows < settings.burn_in * per_row

    status = jnp.where(stalled, int(UpdateStatus.SOLVER_STALLED), int(UpdateStatus.MOVED))
    status = jnp.where(sound, status, int(UpdateStatus.SINGULAR_DISPERSION))
    status = jnp.where(burning, int(UpdateStatus.BURN_IN), status)
    status = jnp.where(extreme, int(UpdateStatus.EXTREME_ROWS), status)
    status = jnp.where(usable, status, int(UpdateStatus.NON_FINITE)).astype(jnp.int32)
    moves = status == int(UpdateStatus.MOVED)
    refused = jnp.isin(status, jnp.array(REFUSED, jnp.int32))
    enters = usable & ~extreme
    # a row that hides the others of its block says nothing about the statistics
    waits = refused & usable & ~seen.is_alone

    averaged_before = jnp.where(anew, 0.0, state.n_averaged)
    n_averaged = averaged_before + m
    statistics = _where(moves, moved, found)
    # the integral of k dk over the block, in that over all rows averaged
    share = 1 - (averaged_before / n_averaged) ** 2
    old = _where(averaged_before == 0, statistics, state.averaged.rescaled_subordinator(factor))
    averaged = _towards(old, statistics, share)
    n_stuck = jnp.where(enters & anew, 0, state.n_stuck)
    n_stuck = jnp.where(waits, n_stuck + seen.n_counted, n_stuck)
    following = OnlineState(
        _where(moves, candidate, model),
        _where(enters, statistics, state.statistics),
        _where(moves, averaged, state.averaged),
        jnp.where(enters, n_rows, state.n_rows),
        jnp.where(enters, per_row, state.weight_per_row),
        jnp.where(enters, per_block, state.weight_per_block),
        state.n_updates + enters.astype(jnp.int32),
        jnp.where(moves, n_averaged, jnp.where(enters, averaged_before, state.n_averaged)),
        state.n_refused + refused.astype(jnp.int32),
        jnp.where(moves, 0, n_stuck),
        status,
        seen.log_likelihood,
    )
    nothing = eqx.tree_at(lambda s: s.log_likelihood, state, jnp.zeros_like(m))
    return _where(m > 0, following, nothing)


def _running(mean: Array, value: Array, share: Array) -> Array:
    return mean + share * (value - mean)


def _step(before: Array, m: Array, per_row: Array, per_block: Array, settings: Settings) -> Array:
    """ρ of a block of m rows after others; 1 for the first."""
    unit = jnp.maximum(settings.burn_in * per_row, per_block)
    # a plain mean up to the unit: most rows up to there are seen under one model
    start, end = jnp.minimum(before, unit), jnp.minimum(before + m, unit)
    plain = jnp.log1p((end - start) / start)
    # then ∫ scale (N/u + delay)^(-kappa) dN/u, without a difference of powers
    since = jnp.maximum(before, unit) / unit + settings.delay
    growth, left = jnp.log1p((m - (end - start)) / unit / since), 1 - settings.kappa
    power = jnp.where(left > 0, jnp.expm1(left * growth) / jnp.where(left > 0, left, 1.0), growth)
    decaying = -jnp.expm1(-plain - settings.scale * since**left * power)
    rate = float(np.log(2)) / settings.half_life
    forgetful = jnp.expm1(-rate * m) / jnp.expm1(-rate * (before + m))
    return jnp.where(rate > 0, forgetful, decaying)


def _centred(
    model: NormalMixture,
    rows: Float[Array, "n d"],
    expectations: PosteriorMoments,
    weights: Float[Array, " n"],
) -> MixtureStatistics:
    """Sums over the rows about their mean with weights E 1/Y."""
    w = weights * expectations.inverse_y
    centre = model.mu + w @ (rows - model.mu[None, :]) / jnp.sum(w)
    return MixtureStatistics.from_rows(rows, expectations, weights, centre)


def _size(
    model: NormalMixture, rows: Float[Array, "n d"], expectations: PosteriorMoments
) -> Float[Array, " n"]:
    """√Y and the squares over Y that a row adds to the statistics, in units of the model."""
    squares = (rows - model.mu[None, :]) ** 2 / model.joint.dispersion.diagonal()[None, :]
    return jnp.sqrt(expectations.y) + expectations.inverse_y * jnp.mean(squares, axis=1)


def _size_of(model: NormalMixture, statistics: MixtureStatistics) -> Array:
    """About the mean size of the rows, by their mean statistics; 0 of none."""
    squares = jnp.diagonal(statistics.xx_inverse_y)
    squares = squares + statistics.inverse_y * (statistics.origin - model.mu) ** 2
    return jnp.sqrt(statistics.y) + jnp.mean(squares / model.joint.dispersion.diagonal())


def _is_alone(size: Float[Array, " n"], n_counted: Array) -> Array:
    """Whether one row hides the others of its block, if there are any."""
    largest, others = jnp.max(size), (n_counted - 1).astype(size.dtype)
    return (others > 0) & _is_hidden(largest, jnp.maximum(jnp.sum(size) - largest, others))


def _is_hidden(large: Array, small: Array) -> Array:
    """Whether beside the one size the other is rounding; under the model sizes are about 1."""
    return _ROUNDING * jnp.finfo(large.dtype).eps * large > jnp.maximum(small, 1.0)


def _towards(
    old: MixtureStatistics, new: MixtureStatistics, step: Float[Array, ""]
) -> MixtureStatistics:
    """(1 - step) old + step new, both of rows about their centre, about the centre of the whole."""
    share = step * new.inverse_y
    share = share / (share + (1 - step) * old.inverse_y)
    centre = old.origin + share * (new.origin - old.origin)
    mixed = jax.tree.map(lambda a, b: a + step * (b - a), old.moved(centre), new.moved(centre))
    return eqx.tree_at(lambda s: s.origin, mixed, centre)


def _gauge_factor(fitted: NormalMixture, statistics: MixtureStatistics) -> Float[Array, ""]:
    """c with which c Y is the subordinator of `fitted`, Y that of the statistics."""
    p, a, b = fitted.joint.subordinator_as_gig()
    # at a = 0 E Y may be infinite, and at b = 0 E 1/Y
    over_y = jnp.where(a == 0, 0.0, a * statistics.y / statistics.n)
    over_inverse = jnp.where(b == 0, 0.0, b * statistics.inverse_y / statistics.n)
    return mode_of_log(p, over_y, over_inverse)


def _is_resolved(fitted: NormalMixture, statistics: MixtureStatistics) -> Array:
    """Whether Σ is more than the rounding of the rows, and of the sums it is a difference of."""
    eps = jnp.finfo(fitted.mu.dtype).eps
    raw = jnp.diagonal(statistics.xx_inverse_y) + statistics.inverse_y * eps * statistics.origin**2
    # the variance of every component given those before it
    left = fitted.joint.dispersion.pivots() ** 2 * fitted.joint.dispersion.diagonal()
    return jnp.all(left > _ROUNDING * eps * raw / statistics.n)


def _all_finite(tree: NormalMixture | MixtureStatistics) -> Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _where(condition: Array, new: T, old: T) -> T:
    chosen: T = jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
    return chosen


@eqx.filter_jit
def model_of_average(state: OnlineState) -> NormalMixture:
    model = state.model
    fitted, _ = model.maximise(state.averaged, Held())
    return _where((state.n_averaged > 0) & _all_finite(fitted), fitted, model)
