"""The E-step: the density of rows, Y given each of them, and the sums over them that EM needs."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from normix_expfam import gig_moments
from normix_expfam.internal import Backend

from ._density import at_pole, log_density, moments_and_log_density, posterior
from ._joint import JointNormalMixture
from ._statistics import MixtureStatistics, PosteriorMoments

_LARGEST_INVERSE = 1e10  # of E 1/Y given a row, where log Y has its mode at 0


class RowFlags(NamedTuple):
    """The number of rows with which a fit cannot continue; blocks add."""

    not_finite: Int[Array, ""]
    """Rows whose density or moments are no numbers."""

    at_pole: Int[Array, ""]
    """Rows that μ meets, at which the density is infinite or has a cusp."""


class Expected(NamedTuple):
    """Sums over rows under a model; those of two blocks about one origin add leaf by leaf."""

    statistics: MixtureStatistics
    """Expected sufficient statistics."""

    log_likelihood: Float[Array, ""]
    """Σ w log f(x)."""

    flags: RowFlags


def whitened(joint: JointNormalMixture, X: Float[Array, "n d"]) -> tuple[Array, Array]:
    """L⁻¹(x - μ) of every row, and L⁻¹γ."""
    whiten = joint.dispersion.whiten
    return whiten(X - joint.mu[None, :]), whiten(joint.gamma[None, :])[0]


# The parts that depend on the family and its dispersion are small; the rest is one program for all.


def log_prob_of_rows(joint: JointNormalMixture, X: Float[Array, "n d"]) -> Float[Array, " n"]:
    """log f of every row; -inf at ±inf."""
    return _log_prob(*_prepared(joint, X))


@eqx.filter_jit
def _prepared(joint: JointNormalMixture, X: Float[Array, "n d"]) -> tuple[Array, ...]:
    infinite = jnp.any(jnp.isinf(X), axis=1) & ~jnp.any(jnp.isnan(X), axis=1)
    return infinite, *_prepared_finite(joint, jnp.where(infinite[:, None], 0.0, X))


@jax.jit
def _log_prob(
    infinite: Array, p: Array, a: Array, b: Array, z: Array, skew: Array, half_log_det: Array
) -> Array:
    return jnp.where(infinite, -jnp.inf, log_density(p, a, b, z, skew) - half_log_det)


def posterior_moments(
    joint: JointNormalMixture, X: Float[Array, "n d"], backend: Backend
) -> PosteriorMoments:
    """E log Y, E 1/Y, E Y given each row, and the row's log-density."""
    if backend == "jax":
        return _posterior_moments(*_prepared_finite(joint, X))
    z, skew = whitened(joint, X)
    law = joint.subordinator_as_gig()
    given = posterior(*law, z, skew)
    found = gig_moments(*given, backend="cpu")
    prior = gig_moments(*law, backend="cpu").log_partition
    normal = z @ skew - joint.dimension / 2 * np.log(2 * np.pi)
    log_prob = found.log_partition - prior + normal - joint.dispersion.half_log_det()
    values = at_pole((given.b == 0) & (given.p <= 0), log_prob, found)
    return PosteriorMoments(*(jnp.asarray(value, X.dtype) for value in values))


@eqx.filter_jit
def _prepared_finite(joint: JointNormalMixture, X: Float[Array, "n d"]) -> tuple[Array, ...]:
    law = joint.subordinator_as_gig()
    return *law, *whitened(joint, X), joint.dispersion.half_log_det()


@jax.jit
def _posterior_moments(
    p: Array, a: Array, b: Array, z: Array, skew: Array, half_log_det: Array
) -> PosteriorMoments:
    found, log_prob = moments_and_log_density(p, a, b, z, skew)
    return PosteriorMoments(log_prob - half_log_det, found.log_y, found.inverse_y, found.y)


def expect_rows(
    joint: JointNormalMixture,
    X: Float[Array, "n d"],
    weights: Float[Array, " n"] | None,
    origin: Float[Array, " d"] | None,
    backend: Backend,
) -> Expected:
    """Sums over rows, for a model in the gauge; rows of weight 0 do not count."""
    return _summed(joint, X, weights, origin, posterior_moments(joint, X, backend))


@eqx.filter_jit
def _summed(
    joint: JointNormalMixture,
    X: Float[Array, "n d"],
    weights: Float[Array, " n"] | None,
    origin: Float[Array, " d"] | None,
    found: PosteriorMoments,
) -> Expected:
    p, _, b = joint.subordinator_as_gig()
    # at μ E 1/Y given x is infinite; the density is, for p <= d/2, or it has a cusp
    spike = (b < 1 / _LARGEST_INVERSE) & (p <= joint.dimension / 2 + 1)
    infinite = found.log_prob == jnp.inf
    met = infinite | (spike & (found.inverse_y > _LARGEST_INVERSE))
    # E Y may be infinite, as it is for γ = 0, a = 0 and p >= d/2 - 1
    numbers = jnp.isfinite(found.log_prob) & jnp.isfinite(found.log_y)
    numbers = numbers & jnp.isfinite(found.inverse_y) & ~jnp.isnan(found.y)
    values, lost = found.log_prob, ~numbers
    if weights is not None:
        counts = weights > 0
        values = jnp.where(counts, weights * values, 0.0)
        met, lost = met & counts, lost & counts
    flags = RowFlags(jnp.sum(lost, dtype=jnp.int32), jnp.sum(met, dtype=jnp.int32))
    statistics = MixtureStatistics.from_rows(X, found, weights, origin)
    return Expected(statistics, jnp.sum(values), flags)
