"""`OnlineEMFitter`: EM on a stream of blocks, by stochastic approximation of the mean statistics.

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

import warnings
from enum import IntEnum
from typing import NamedTuple, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from normix_expfam import Status, mode_of_log
from normix_expfam.internal import as_float, describe, is_one_of, require
from normix_fit._compilation import compile_spans
from normix_fit._data import DenseRows
from normix_mixtures import Held, MixtureStatistics, NormalMixture, PosteriorMoments
from normix_mixtures.internal import check_weights

T = TypeVar("T")

_BURN_IN = 10  # rows for every column, and as many more
_ROUNDING = 64  # units in the last place


class UpdateStatus(IntEnum):
    """What an update did; `message` says what it means."""

    MOVED = 0
    """The model moved."""

    BURN_IN = 1
    """The block was collected; the model moves after the burn-in."""

    NON_FINITE = 2
    """The block has no finite statistics, and was left out."""

    SINGULAR_DISPERSION = 3
    """The statistics moved and the model stayed, because Σ would be singular."""

    SOLVER_STALLED = 4
    """The statistics moved and the model stayed, because the subordinator could not be fitted."""

    EXTREME_ROWS = 5
    """The block was left out, because beside its rows all others would be lost to rounding."""

    @property
    def refused(self) -> bool:
        """Whether the model stayed although the burn-in was over."""
        return self in _REFUSED

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


_REFUSED = (
    UpdateStatus.NON_FINITE,
    UpdateStatus.SINGULAR_DISPERSION,
    UpdateStatus.SOLVER_STALLED,
    UpdateStatus.EXTREME_ROWS,
)

_MESSAGES = {
    UpdateStatus.MOVED: "the model moved",
    UpdateStatus.BURN_IN: "the statistics were collected; the model moves after the burn-in",
    UpdateStatus.NON_FINITE: (
        "the block has no finite statistics, and was left out; look for nan or infinite rows, "
        "or with b = 0 a row at mu"
    ),
    UpdateStatus.SINGULAR_DISPERSION: (
        "the statistics moved and the model stayed, because its dispersion would be singular; "
        "raise burn_in, delay or the rows in a block, or look for dependent columns"
    ),
    UpdateStatus.SOLVER_STALLED: (
        "the statistics moved and the model stayed, because the subordinator's parameters could "
        "not be solved for"
    ),
    UpdateStatus.EXTREME_ROWS: (
        "the block was left out, because a row in it is so far from mu that all others would be "
        "lost to rounding; repair the row, or if the scale of the stream has changed, go on: the "
        "statistics start anew after 10 (d + 1) such rows"
    ),
}


class OnlineState(eqx.Module):
    """Where a stream has come to; a pytree of arrays.

    Attributes:
        model: the model after the last M-step, in the gauge of `normalize`.
        statistics: mean expected sufficient statistics in the gauge of `model`, with n = 1, or
            all 0 before the first block; their origin is the mean of x with weights E 1/Y.
        averaged: their mean over the updates that moved the model, in the same gauge, with
            weights in proportion to the rows averaged so far.
        n_rows: rows in `statistics`, or the sum of their weights.
        weight_per_row: Σ w² / Σ w over the rows in `statistics`, 1 without weights.
        weight_per_block: the same of blocks, each with the sum of its weights.
        n_updates: blocks that entered the statistics.
        n_averaged: rows that entered `averaged`, or the sum of their weights.
        n_refused: updates that were refused.
        n_stuck: rows since the model last moved or the statistics last started anew.
        status: the `UpdateStatus` of the last update.
        log_likelihood: Σ log f(x) over the last block under the model before it, weighted.
    """

    model: NormalMixture
    statistics: MixtureStatistics
    averaged: MixtureStatistics
    n_rows: Float[Array, ""]
    weight_per_row: Float[Array, ""]
    weight_per_block: Float[Array, ""]
    n_updates: Int[Array, ""]
    n_averaged: Float[Array, ""]
    n_refused: Int[Array, ""]
    n_stuck: Int[Array, ""]
    status: Int[Array, ""]
    log_likelihood: Float[Array, ""]

    def __repr__(self) -> str:
        return describe(self)


class Settings(NamedTuple):
    scale: Array
    delay: Array
    kappa: Array
    half_life: Array  # infinite where none was given
    burn_in: Array


@final
class OnlineEMFitter(eqx.Module):
    """Online EM (Cappé & Moulines 2009, JRSS B 71, 593) for normal variance-mean mixtures.

    Until `burn_in` rows are seen the model stays, and the statistics are plain means over rows.
    Later a row moves them by the step scale (N/u + delay)^(-kappa) / u, where N is the number of
    rows seen and u is `burn_in`, or the number of rows in a block if that is more. So blocks of u
    rows have about the steps (t + delay)^(-kappa), t = 1, 2, ..., and smaller blocks, down to
    single rows, give about the same path. The model is worth about 2 u (N/u)^kappa rows: that
    should be many times d. With kappa < 1 it forgets its start quickly, and `averaging` takes off
    the noise that this costs.

    With `forgetting` the statistics are an exponentially weighted mean instead, in which a row
    loses half its weight in that many rows; the step for m rows, N with those before, is
    (1 - 2^(-m/h)) / (1 - 2^(-N/h)). The rows of one block weigh the same.

    With weights, numbers of rows are sums of weights: a block of small weight moves the model
    little. The burn-in lasts until the weight of all rows is `burn_in` times Σ w² / Σ w, the
    weight of a typical one, and u is in the same measure.

    If the model stays for 10 (d + 1) rows after the burn-in, because no M-step from the statistics
    succeeds or no row is like those before, the statistics start anew with the next block, and so
    does the burn-in.

    Columns are not standardised here; see `MiniBatchEMFitter`.

    Args:
        kappa: decay of the steps, in (1/2, 1].
        delay: units added to N/u, >= 0; larger values trust the start longer.
        scale: factor of the steps, > 0.
        forgetting: half-life in rows, for streams whose law changes; None for the decaying steps.
        burn_in: rows before the model moves; 10 (d + 1) if left out.
        averaging: return from `model` the M-step of the averaged statistics (Polyak & Juditsky
            1992). Those after k rows weigh k, which forgets the start faster than equal weights
            (Lacoste-Julien, Schmidt & Bach 2012, arXiv:1212.2002).

    Raises:
        ValueError: for settings outside their range, or averaging with forgetting.

    Examples:
        >>> import jax
        >>> from normix_fit import OnlineEMFitter, UpdateStatus
        >>> from normix_mixtures import NormalInverseGaussian
        >>> truth = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> X = truth.sample(jax.random.key(0), (200,))
        >>> fitter = OnlineEMFitter()
        >>> state = fitter.init(NormalInverseGaussian.default_init(X))
        >>> for rows in X.reshape(4, 50, 2):
        ...     state = fitter.update(state, rows)
        >>> int(state.n_rows), int(state.n_updates), UpdateStatus(int(state.status)).name
        (200, 4, 'MOVED')
        >>> type(fitter.model(state)).__name__
        'NormalInverseGaussian'
    """

    kappa: float = 0.6
    delay: float = 0.0
    scale: float = 1.0
    forgetting: float | None = None
    burn_in: int | None = eqx.field(static=True, default=None)
    averaging: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        owner = "OnlineEMFitter"
        require(0.5 < self.kappa <= 1, owner, "kappa", "be in (1/2, 1]", self.kappa,
                "steps outside decay too slowly or too fast to converge")  # fmt: skip
        require(0 <= self.delay < np.inf, owner, "delay", "be finite and >= 0", self.delay,
                "it counts blocks")  # fmt: skip
        require(0 < self.scale < np.inf, owner, "scale", "be finite and > 0", self.scale,
                "1 is usual")  # fmt: skip
        if self.forgetting is not None:
            require(0 < self.forgetting < np.inf, owner, "forgetting", "be finite and > 0",
                    self.forgetting, "pass a half-life in rows, or None")  # fmt: skip
            require(not self.averaging, owner, "averaging", "be False with forgetting",
                    self.averaging, "an average over the whole stream forgets nothing")  # fmt: skip
        if self.burn_in is not None:
            require(isinstance(self.burn_in, int) and self.burn_in >= 0, owner, "burn_in",
                    "be an integer >= 0", self.burn_in, "it counts rows")  # fmt: skip

    def init(self, model: NormalMixture) -> OnlineState:
        """The state before the first block; `model` takes part in it until the burn-in is over."""
        if model.mu.dtype == jnp.float32:
            warnings.warn(
                "OnlineEMFitter.init runs in float32: statistics keep about 7 digits; set "
                "jax.config.update('jax_enable_x64', True) before making arrays for more",
                stacklevel=2,
            )
        return initial_state(model)

    def update(
        self, state: OnlineState, rows: ArrayLike, weights: ArrayLike | None = None
    ) -> OnlineState:
        """The state after one more block; compiled once per family and block shape.

        A block whose statistics are not finite is left out, and an M-step that fails leaves the
        model as it was; `UpdateStatus(int(state.status)).message` says so. Rows of weight 0 do
        not count, whatever they hold, and a block without rows that count changes nothing.

        Args:
            rows: shape (n, d).
            weights: one per row, >= 0, shape (n,).

        Raises:
            ValueError: for shapes that do not fit, or weights that are negative or not finite.
        """
        owner, d = "OnlineEMFitter.update", state.model.dimension
        dtype = state.model.mu.dtype
        rows = as_float(rows).astype(dtype)
        require(rows.ndim == 2 and rows.shape[1] == d, owner, "rows", f"have shape (n, {d})",
                rows.shape, "pass observations in rows; x[None, :] for one")  # fmt: skip
        weights = check_weights(owner, weights, rows)
        if weights is None:
            weights = jnp.ones_like(rows, shape=rows.shape[:1])
        if rows.shape[0] == 0:
            return eqx.tree_at(lambda s: s.log_likelihood, state, jnp.zeros((), dtype))
        with compile_spans():
            return update_state(state, DenseRows(rows, weights), self.settings(d, dtype))

    def model(self, state: OnlineState) -> NormalMixture:
        """The fitted model: the last one, or with `averaging` that of the averaged statistics."""
        return _averaged_model(state) if self.averaging else state.model

    def settings(self, d: int, dtype: np.dtype) -> Settings:
        """The settings as arrays, for models of d components."""
        burn_in = _BURN_IN * (d + 1) if self.burn_in is None else self.burn_in
        half_life = np.inf if self.forgetting is None else self.forgetting
        return Settings(
            jnp.asarray(self.scale, dtype), jnp.asarray(self.delay, dtype),
            jnp.asarray(self.kappa, dtype), jnp.asarray(half_life, dtype),
            jnp.asarray(burn_in, dtype),
        )  # fmt: skip


@eqx.filter_jit
def initial_state(model: NormalMixture) -> OnlineState:
    """The state before the first block."""
    model = model.normalize()
    zero = jnp.zeros_like(model.mu, shape=())
    nothing = MixtureStatistics.zeros(model.mu)
    count = jnp.zeros((), jnp.int32)
    status = jnp.full((), int(UpdateStatus.BURN_IN), jnp.int32)
    return OnlineState(
        model, nothing, nothing, zero, zero, zero, count, zero, count, count, status, zero
    )


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
    stuck = state.n_stuck >= _BURN_IN * (model.dimension + 1)
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
    refused = jnp.isin(status, jnp.array(_REFUSED, jnp.int32))
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
def _averaged_model(state: OnlineState) -> NormalMixture:
    model = state.model
    fitted, _ = model.maximise(state.averaged, Held())
    return _where((state.n_averaged > 0) & _all_finite(fitted), fitted, model)
