"""One evaluation of the EM map: E-step under a model, and the M-step from mean statistics."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from normix_expfam import Status
from normix_mixtures import MixtureStatistics, NormalMixture, PosteriorMoments

Backend = Literal["jax", "cpu"]
Algorithm = Literal["em", "mcecm"]

RUNNING = int(Status.RUNNING)
_LARGEST_INVERSE = 1e10  # of E 1/Y given a row, where log Y has its mode at 0


class Data(NamedTuple):
    """Standardised rows with their weights."""

    X: Float[Array, "n d"]
    weights: Float[Array, " n"] | None

    @property
    def total(self) -> Array:
        """Number of rows, or the sum of weights."""
        n = jnp.asarray(self.X.shape[0], self.X.dtype)
        return n if self.weights is None else jnp.sum(self.weights)


class Plan(eqx.Module):
    """What the map is: static, so that each is compiled for itself."""

    e_step_backend: Backend = eqx.field(static=True)
    m_step_backend: Backend = eqx.field(static=True)
    algorithm: Algorithm = eqx.field(static=True)
    symmetric: bool = eqx.field(static=True)
    fixed: tuple[str, ...] = eqx.field(static=True)

    @property
    def on_device(self) -> bool:
        """Whether no part of it is host work."""
        return self.e_step_backend == "jax" and self.m_step_backend == "jax"


class Evaluation(NamedTuple):
    """What the E-step under a model gives."""

    eta: Float[Array, " k"]  # mean statistics of all rows
    log_likelihood: Array  # total
    status: Array  # `RUNNING`, or a `Status` for which the model cannot be gone on with


def evaluate(model: NormalMixture, data: Data, plan: Plan) -> Evaluation:
    """The E-step; with "mcecm" the subordinator's part anew under the new μ, γ and Σ.

    The second cycle of a multicycle ECM algorithm (Meng & Rubin 1993; McNeil, Frey & Embrechts
    2005, algorithm 3.14): E log Y, E 1/Y and E Y are those of the model with the normal part of
    the M-step and the subordinator as it was.
    """
    found = model.e_step(data.X, backend=plan.e_step_backend)
    first = _summed(model, data, found)
    if plan.algorithm == "em":
        return first
    between = _m_step(model, first.eta, data, plan, ("subordinator",))[0]
    return _second_cycle(first, data, between.e_step(data.X, backend=plan.e_step_backend))


@eqx.filter_jit
def _summed(model: NormalMixture, data: Data, found: PosteriorMoments) -> Evaluation:
    log_likelihood = _sum(data, found.log_prob)
    p, _, b = model.joint.subordinator_as_gig()
    # at μ E 1/Y given x is infinite; the density is, for p <= d/2, or it has a cusp
    spike = (b < 1 / _LARGEST_INVERSE) & (p <= model.dimension / 2 + 1)
    met = jnp.max(found.inverse_y) > _LARGEST_INVERSE
    unbounded = (log_likelihood == jnp.inf) | (spike & met)
    finite = jnp.isfinite(log_likelihood) & _are_moments(found)
    singular = ~jnp.all(jnp.isfinite(model.L_Sigma))
    status = jnp.where(finite, RUNNING, int(Status.NON_FINITE))
    status = jnp.where(singular, int(Status.SINGULAR_DISPERSION), status)
    status = jnp.where(unbounded, int(Status.UNBOUNDED), status).astype(jnp.int32)
    eta = MixtureStatistics.from_rows(data.X, found, data.weights).mean_statistics()
    return Evaluation(eta, log_likelihood, status)


@eqx.filter_jit
def _second_cycle(first: Evaluation, data: Data, again: PosteriorMoments) -> Evaluation:
    head = jnp.stack([_sum(data, again.log_y), _sum(data, again.inverse_y), _sum(data, again.y)])
    head = head / data.total
    usable = jnp.all(jnp.isfinite(head[:2])) & ~jnp.isnan(head[2])
    return first._replace(eta=jnp.where(usable, first.eta.at[:3].set(head), first.eta))


def _are_moments(found: PosteriorMoments) -> Array:
    """Whether all are numbers; E Y may be infinite, as it is for γ = 0, a = 0 and p >= d/2 - 1."""
    finite = jnp.stack([jnp.all(jnp.isfinite(part)) for part in found[:3]])
    return jnp.all(finite) & ~jnp.any(jnp.isnan(found.y))


def _sum(data: Data, values: Float[Array, " n"]) -> Array:
    return jnp.sum(values) if data.weights is None else data.weights @ values


def maximise(
    model: NormalMixture, eta: Float[Array, " k"], data: Data, plan: Plan
) -> tuple[NormalMixture, Array, Array]:
    """The M-step from η, its `Status`, and whether it can be gone on with."""
    following, solved = _m_step(model, eta, data, plan, plan.fixed)
    return following, solved, _is_finite(following)


def _m_step(
    model: NormalMixture, eta: Float[Array, " k"], data: Data, plan: Plan, fixed: tuple[str, ...]
) -> tuple[NormalMixture, Array]:
    origin = jnp.zeros_like(model.mu)
    statistics = MixtureStatistics.from_mean_statistics(eta, data.total, origin)
    try:
        return model.m_step_with_status(
            statistics, symmetric=plan.symmetric, fixed=fixed, backend=plan.m_step_backend
        )
    except ValueError:
        # the CPU solver says so where the other returns a status
        if plan.m_step_backend == "jax":
            raise
        broken = jax.tree.map(jnp.zeros_like, model)
        return broken, jnp.int32(Status.INFEASIBLE)


@eqx.filter_jit
def _is_finite(model: NormalMixture) -> Array:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(model)]
    return jnp.all(jnp.stack(leaves)) & jnp.all(jnp.diagonal(model.L_Sigma) > 0)
