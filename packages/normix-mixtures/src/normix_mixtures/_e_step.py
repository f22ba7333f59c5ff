"""The E-step: the density of rows, Y given each of them, and the sums over them that EM needs."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from normix_bessel.internal import look_up, tabulate
from normix_expfam import mode_of_log
from normix_expfam.internal import Array, Backend, is_on_host, namespace_of, to_host, to_jax

from ._density import log_density as log_density_of_few
from ._density import moments_and_log_density
from ._e_step_on_host import RowsGiven, blocks, log_prob_on_host, posterior_on_host
from ._joint import JointNormalMixture
from ._law_about_mode import about_mode, in_the_limit, log_mass
from ._posterior_of_rows import Gauged, at_mode, moments
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
    if is_on_host(joint.mu):
        return log_prob_on_host(joint, X)
    return _log_prob(*_prepared(joint, X))


@eqx.filter_jit
def _prepared(joint: JointNormalMixture, X: Float[Array, "n d"]) -> tuple[Array, ...]:
    infinite = jnp.any(jnp.isinf(X), axis=1) & ~jnp.any(jnp.isnan(X), axis=1)
    return infinite, *_prepared_finite(joint, jnp.where(infinite[:, None], 0.0, X))


@jax.jit
def _log_prob(
    infinite: Array, p: Array, a: Array, b: Array, z: Array, skew: Array, half_log_det: Array
) -> Array:
    return jnp.where(infinite, -jnp.inf, log_density_of_few(p, a, b, z, skew) - half_log_det)


def posterior_moments(
    joint: JointNormalMixture, X: Float[Array, "n d"], backend: Backend
) -> PosteriorMoments:
    """E log Y, E 1/Y, E Y given each row, and the row's log-density."""
    if backend == "jax":
        return _posterior_moments(*_prepared_finite(joint, X))
    found = posterior_on_host(to_host(joint), to_host(X))
    return found if is_on_host(joint.mu) else to_jax(found, X.dtype)


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
    if backend == "jax":
        return _expected(joint, X, weights, origin)
    with np.errstate(all="ignore"):
        total = _expected_on_host(to_host(joint), *to_host((X, weights, origin)))
    return total if is_on_host(joint.mu) else to_jax(total, joint.mu.dtype)


def _expected_on_host(joint: JointNormalMixture, X: Any, weights: Any, origin: Any) -> Expected:
    given = RowsGiven(joint)
    total: Expected | None = None
    for rows in blocks(*X.shape):
        w = None if weights is None else weights[rows]
        found = _summed(given.joint, X[rows], w, origin, given.moments(X[rows]))
        total = found if total is None else jax.tree.map(np.add, total, found)
    assert total is not None
    sums = total.statistics
    about: Any = np.zeros(X.shape[1]) if origin is None else origin
    return total._replace(statistics=MixtureStatistics(about, sums.n, *sums.parts))


def _summed(
    joint: JointNormalMixture,
    X: Float[Array, "n d"],
    weights: Float[Array, " n"] | None,
    origin: Float[Array, " d"] | None,
    found: PosteriorMoments,
) -> Expected:
    xp = namespace_of(X)
    p, _, b = joint.subordinator_as_gig()
    # at μ E 1/Y given x is infinite; the density is, for p <= d/2, or it has a cusp
    spike = (b < 1 / _LARGEST_INVERSE) & (p <= joint.dimension / 2 + 1)
    infinite = found.log_prob == xp.inf
    met = infinite | (spike & (found.inverse_y > _LARGEST_INVERSE))
    # E Y may be infinite, as it is for γ = 0, a = 0 and p >= d/2 - 1
    numbers = xp.isfinite(found.log_prob) & xp.isfinite(found.log_y)
    numbers = numbers & xp.isfinite(found.inverse_y) & ~xp.isnan(found.y)
    values, lost = found.log_prob, ~numbers
    if weights is not None:
        counts = weights > 0
        values = xp.where(counts, weights * values, 0.0)
        met, lost = met & counts, lost & counts
    flags = RowFlags(xp.sum(lost, dtype=xp.int32), xp.sum(met, dtype=xp.int32))
    statistics = MixtureStatistics.from_rows(X, found, weights, origin)
    return Expected(statistics, xp.sum(values), flags)


@eqx.filter_jit
def _expected(
    joint: JointNormalMixture,
    X: Float[Array, "n d"],
    weights: Float[Array, " n"] | None,
    origin: Float[Array, " d"] | None,
) -> Expected:
    return _summed(joint, X, weights, origin, moments_by_table(joint, X))


def moments_by_table(joint: JointNormalMixture, X: Float[Array, "n d"]) -> PosteriorMoments:
    """`posterior_moments` of many rows, not to be differentiated.

    One table of Bessel functions serves all rows, which have one posterior order.
    """
    scale = mode_of_log(*joint.subordinator_as_gig())
    joint = joint.rescaled_subordinator(1 / scale)
    p, a, b = joint.subordinator_as_gig()
    z, skew = whitened(joint, X)
    s = jnp.sqrt(skew @ skew)
    unit = skew / jnp.where(s > 0, s, 1.0)
    along = z @ unit
    across = jnp.sum((z - along[:, None] * unit[None, :]) ** 2, axis=1)
    half_log_det = joint.dispersion.half_log_det()
    of = Gauged(p, a, b, log_mass(p, a, b, jnp), s, half_log_det, joint.dimension)
    at = at_mode(of, along, across, jnp)
    inside = (of.rate > 0) & (at.B > 0)
    argument = jnp.where(inside, jnp.sqrt(of.rate) * jnp.sqrt(at.B), 1.0)
    found = look_up(tabulate(of.order, jnp), argument, jnp)
    found = about_mode(of.order, argument, found, jnp)
    edge = in_the_limit(of.order, jnp)
    looked = tuple(jnp.where(inside, *both) for both in zip(found, edge, strict=True))
    return moments(of, at, looked, scale, jnp)
