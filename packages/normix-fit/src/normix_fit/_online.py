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
"""

import warnings
from enum import IntEnum
from typing import NamedTuple, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from normix_expfam import InversionStatus, mode_of_log
from normix_expfam.toolbox import as_float, require, shown
from normix_mixtures import MixtureStatistics, NormalMixture, check_weights

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

    @property
    def refused(self) -> bool:
        """Whether the model stayed although the burn-in was over."""
        return self >= UpdateStatus.NON_FINITE

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    UpdateStatus.MOVED: "the model moved",
    UpdateStatus.BURN_IN: "the statistics were collected; the model moves after the burn-in",
    UpdateStatus.NON_FINITE: (
        "the block has no finite statistics, and was left out; look for nan, infinite or extreme "
        "rows, weights that are all 0, or with b = 0 a row at mu"
    ),
    UpdateStatus.SINGULAR_DISPERSION: (
        "the statistics moved and the model stayed, because its dispersion would be singular; "
        "raise burn_in, delay or the rows in a block, or look for dependent columns"
    ),
    UpdateStatus.SOLVER_STALLED: (
        "the statistics moved and the model stayed, because the subordinator's parameters could "
        "not be solved for"
    ),
}


class OnlineState(eqx.Module):
    """Where a stream has come to; a pytree of arrays.

    Attributes:
        model: the model after the last M-step, in the gauge of `normalize`.
        statistics: mean expected sufficient statistics in the gauge of `model`, with n = 1, or
            all 0 before the first block; their origin is μ of the first model.
        averaged: their mean over the updates that moved the model, in the same gauge; the k-th
            weighs k.
        n_rows: rows seen, or the sum of their weights.
        n_updates: blocks that entered the statistics.
        n_averaged: blocks that entered `averaged`.
        n_refused: updates that were refused.
        status: the `UpdateStatus` of the last update.
        log_likelihood: Σ log f(x) over the last block under the model before it, weighted.
    """

    model: NormalMixture
    statistics: MixtureStatistics
    averaged: MixtureStatistics
    n_rows: Float[Array, ""]
    n_updates: Int[Array, ""]
    n_averaged: Int[Array, ""]
    n_refused: Int[Array, ""]
    status: Int[Array, ""]
    log_likelihood: Float[Array, ""]

    def __repr__(self) -> str:
        return shown(self)


class _Settings(NamedTuple):
    scale: Array
    delay: Array
    kappa: Array
    half_life: Array  # infinite where none was given
    burn_in: Array


@final
class OnlineEMFitter(eqx.Module):
    """Online EM (Cappé & Moulines 2009, JRSS B 71, 593) for normal variance-mean mixtures.

    Block t moves the mean statistics by the step ρ_t = scale (t + delay)^(-kappa), t = 1, 2, ...
    The model is worth about m (2 - ρ)/ρ rows in blocks of m rows: that should be many times d. With
    kappa < 1 it forgets its start quickly, and `averaging` takes off the noise that this costs.
    Until `burn_in` rows are seen the model stays, and the statistics are plain means over rows.

    With `forgetting` the statistics are an exponentially weighted mean instead, in which a row
    loses half its weight in that many rows; the step for m rows, N with those before, is
    (1 - 2^(-m/h)) / (1 - 2^(-N/h)). The rows of one block weigh the same.

    Columns are not standardised here; see `MiniBatchEMFitter`. With weights, numbers of rows are
    sums of weights.

    Args:
        kappa: decay of the steps, in (1/2, 1].
        delay: blocks added to t, >= 0; larger values trust the start longer.
        scale: factor of the steps, > 0, such that no step exceeds 1.
        forgetting: half-life in rows, for streams whose law changes; None for the decaying steps.
        burn_in: rows before the model moves; 10 (d + 1) if left out.
        averaging: return from `model` the M-step of the averaged statistics (Polyak & Juditsky
            1992). The k-th update after the burn-in weighs k, which forgets the start faster than
            equal weights (Lacoste-Julien, Schmidt & Bach 2012, arXiv:1212.2002).

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
        largest = self.scale * (1 + self.delay) ** -self.kappa
        require(0 < largest <= 1, owner, "scale", "be > 0 and at most (1 + delay)^kappa",
                self.scale, "a step is a weight in (0, 1]")  # fmt: skip
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
        return _initial(model)

    def update(
        self, state: OnlineState, rows: ArrayLike, weights: ArrayLike | None = None
    ) -> OnlineState:
        """The state after one more block; compiled once per family and block shape.

        A block whose statistics are not finite is left out, and an M-step that fails leaves the
        model as it was; `UpdateStatus(int(state.status)).message` says so.

        Args:
            rows: shape (n, d), n >= 1.
            weights: one per row, >= 0, shape (n,).

        Raises:
            ValueError: for shapes that do not fit, or weights that are negative or not finite.
        """
        owner, d = "OnlineEMFitter.update", state.model.dimension
        dtype = state.model.mu.dtype
        rows = as_float(rows).astype(dtype)
        require(rows.ndim == 2 and rows.shape[0] > 0 and rows.shape[1] == d, owner, "rows",
                f"have shape (n, {d}), n >= 1", rows.shape,
                "pass observations in rows; x[None, :] for one")  # fmt: skip
        weights = check_weights(owner, weights, rows)
        if weights is None:
            weights = jnp.ones_like(rows, shape=rows.shape[:1])
        return _update(state, rows, weights, self._settings(d, dtype))

    def model(self, state: OnlineState) -> NormalMixture:
        """The fitted model: the last one, or with `averaging` that of the averaged statistics."""
        return _averaged_model(state) if self.averaging else state.model

    def _settings(self, d: int, dtype: np.dtype) -> _Settings:
        burn_in = _BURN_IN * (d + 1) if self.burn_in is None else self.burn_in
        half_life = np.inf if self.forgetting is None else self.forgetting
        return _Settings(
            jnp.asarray(self.scale, dtype), jnp.asarray(self.delay, dtype),
            jnp.asarray(self.kappa, dtype), jnp.asarray(half_life, dtype),
            jnp.asarray(burn_in, dtype),
        )  # fmt: skip


@eqx.filter_jit
def _initial(model: NormalMixture) -> OnlineState:
    model = model.normalize()
    d, zero = model.dimension, jnp.zeros_like(model.mu, shape=())
    vector, square = jnp.zeros_like(model.mu), jnp.zeros_like(model.mu, shape=(d, d))
    nothing = MixtureStatistics(model.mu, zero, zero, zero, zero, vector, vector, square)
    count = jnp.zeros((), jnp.int32)
    status = jnp.full((), int(UpdateStatus.BURN_IN), jnp.int32)
    return OnlineState(model, nothing, nothing, zero, count, count, count, status, zero)


@eqx.filter_jit
def _update(
    state: OnlineState,
    rows: Float[Array, "n d"],
    weights: Float[Array, " n"],
    settings: _Settings,
) -> OnlineState:
    model, origin = state.model, state.statistics.origin
    expectations = model.e_step(rows)
    block = MixtureStatistics.from_rows(rows, expectations, weights, origin)
    step = _step(state, block.n, settings)
    found = _towards(state.statistics, _mean(block), step)
    usable = _all_finite(found)

    candidate, solved = model.m_step_with_status(found)
    factor = _gauge_factor(candidate, found)
    moved = found.rescaled_subordinator(factor)
    stalled = (solved == int(InversionStatus.MAX_STEPS)) | (
        solved == int(InversionStatus.INFEASIBLE)
    )
    sound = _all_finite(candidate) & _is_resolved(candidate, moved)
    sound = sound & jnp.isfinite(factor) & (factor > 0)
    n_rows = state.n_rows + block.n
    burning = n_rows < settings.burn_in

    status = jnp.where(stalled, int(UpdateStatus.SOLVER_STALLED), int(UpdateStatus.MOVED))
    status = jnp.where(sound, status, int(UpdateStatus.SINGULAR_DISPERSION))
    status = jnp.where(burning, int(UpdateStatus.BURN_IN), status)
    status = jnp.where(usable, status, int(UpdateStatus.NON_FINITE)).astype(jnp.int32)
    moves = status == int(UpdateStatus.MOVED)
    refused = status >= int(UpdateStatus.NON_FINITE)

    n_averaged = state.n_averaged + moves.astype(jnp.int32)
    statistics = _where(moves, moved, found)
    share = 2 / (jnp.maximum(n_averaged, 1) + 1).astype(step.dtype)  # the k-th weighs k
    averaged = _towards(state.averaged.rescaled_subordinator(factor), statistics, share)
    return OnlineState(
        _where(moves, candidate, model),
        _where(usable, statistics, state.statistics),
        _where(moves, averaged, state.averaged),
        jnp.where(usable, n_rows, state.n_rows),
        state.n_updates + usable.astype(jnp.int32),
        n_averaged,
        state.n_refused + refused.astype(jnp.int32),
        status,
        weights @ expectations.log_prob,
    )


def _step(state: OnlineState, n: Array, settings: _Settings) -> Array:
    """ρ of a block of n rows; 1 for the first."""
    t = (state.n_updates + 1).astype(n.dtype)
    decaying = settings.scale * (t + settings.delay) ** -settings.kappa
    # all rows of the burn-in are seen under one model, so none is worth less than another
    collecting = (state.n_rows < settings.burn_in) | (state.n_updates == 0)
    step = jnp.where(collecting, n / (state.n_rows + n), decaying)
    rate = float(np.log(2)) / settings.half_life
    forgetful = jnp.expm1(-rate * n) / jnp.expm1(-rate * (state.n_rows + n))
    return jnp.where(rate > 0, forgetful, step)


def _mean(sums: MixtureStatistics) -> MixtureStatistics:
    """Statistics per row, about the same origin."""
    mean = jax.tree.map(lambda leaf: leaf / sums.n, sums)
    return eqx.tree_at(lambda s: s.origin, mean, sums.origin)


def _towards(
    old: MixtureStatistics, new: MixtureStatistics, step: Float[Array, ""]
) -> MixtureStatistics:
    """(1 - step) old + step new, about their common origin."""
    moved = jax.tree.map(lambda a, b: a + step * (b - a), old, new)
    return eqx.tree_at(lambda s: s.origin, moved, old.origin)


def _gauge_factor(fitted: NormalMixture, statistics: MixtureStatistics) -> Float[Array, ""]:
    """c with which c Y is the subordinator of `fitted`, Y that of the statistics."""
    p, a, b = fitted.joint.subordinator_as_gig()
    # at a = 0 E Y may be infinite, and at b = 0 E 1/Y
    over_y = jnp.where(a == 0, 0.0, a * statistics.y / statistics.n)
    over_inverse = jnp.where(b == 0, 0.0, b * statistics.inverse_y / statistics.n)
    return mode_of_log(p, over_y, over_inverse)


def _is_resolved(fitted: NormalMixture, statistics: MixtureStatistics) -> Array:
    """Whether Σ is more than the rounding of the sums it is a difference of."""
    raw = jnp.diagonal(statistics.xx_inverse_y) / statistics.n
    return jnp.all(jnp.diagonal(fitted.L_Sigma) ** 2 > _ROUNDING * jnp.finfo(raw.dtype).eps * raw)


def _all_finite(tree: NormalMixture | MixtureStatistics) -> Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _where(condition: Array, new: T, old: T) -> T:
    chosen: T = jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
    return chosen


@eqx.filter_jit
def _averaged_model(state: OnlineState) -> NormalMixture:
    model = state.model
    fitted, _ = model.m_step_with_status(state.averaged)
    return _where((state.n_averaged > 0) & _all_finite(fitted), fitted, model)
