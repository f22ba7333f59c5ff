"""Where a stream has come to, and what an update did."""

from enum import IntEnum

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from normix_expfam.internal import describe
from normix_mixtures import MixtureStatistics, NormalMixture


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
        return self in REFUSED

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


REFUSED = (
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
