"""One evaluation of the EM map: the E-step over all rows, and the M-step from mean statistics."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from normix_expfam import Status
from normix_expfam.internal import Backend
from normix_fit._data import Rows
from normix_mixtures import Held

from ._model import EMModel

Algorithm = Literal["em", "mcecm"]


class Plan(eqx.Module):
    """What the map is: static, so that each is compiled for itself."""

    e_step_backend: Backend = eqx.field(static=True)
    m_step_backend: Backend = eqx.field(static=True)
    algorithm: Algorithm = eqx.field(static=True)
    held: Held

    @property
    def on_device(self) -> bool:
        """Whether no part of it is host work."""
        return self.e_step_backend == "jax" and self.m_step_backend == "jax"


class Evaluation(NamedTuple):
    """What the E-step under a model gives."""

    statistics: Any  # means over all rows
    log_likelihood: Array  # total
    status: Int[Array, ""]  # RUNNING, or why EM cannot continue from the model


def evaluate(model: Any, rows: Rows, plan: Plan) -> Evaluation:
    """The E-step; with "mcecm" the subordinator's part anew under the new μ, γ and Σ.

    The second cycle of a multicycle ECM algorithm (Meng & Rubin 1993; McNeil, Frey & Embrechts
    2005, algorithm 3.14): E log Y, E 1/Y and E Y are those of the model with the normal part of
    the M-step and the subordinator as it was.
    """
    found = _expect(model, rows, plan)
    evaluation = Evaluation(found.statistics.mean(), found.log_likelihood, _judge(model, found))
    if plan.algorithm == "em":
        return evaluation
    held = plan.held.with_subordinator()
    between, _ = model.maximise(evaluation.statistics, held, backend=plan.m_step_backend)
    again = _expect(between, rows, plan).statistics.mean()
    return evaluation._replace(statistics=evaluation.statistics.with_subordinator_of(again))


def _expect(model: EMModel, rows: Rows, plan: Plan) -> Any:
    backend = plan.e_step_backend

    def of_block(X: Array, weights: Array, model: EMModel) -> Any:
        return model.expect(X, weights, backend=backend)

    return rows.reduce(of_block, model)


@eqx.filter_jit
def _judge(model: EMModel, found: Any) -> Int[Array, ""]:
    flags = model.flags()
    finite = jnp.isfinite(found.log_likelihood) & (found.flags.not_finite == 0)
    status = jnp.where(finite, int(Status.RUNNING), int(Status.NON_FINITE))
    singular = ~jnp.isfinite(flags.least_pivot)
    status = jnp.where(singular, int(Status.SINGULAR_DISPERSION), status)
    unbounded = (found.log_likelihood == jnp.inf) | (found.flags.at_pole > 0)
    return jnp.where(unbounded, int(Status.UNBOUNDED), status).astype(jnp.int32)


def maximise(
    model: Any, statistics: Any, plan: Plan
) -> tuple[Any, Int[Array, ""], Bool[Array, ""]]:
    """The M-step, the status of its search, and whether EM can continue from the model."""
    following, solved = model.maximise(statistics, plan.held, backend=plan.m_step_backend)
    return following, solved, _is_finite(following)


@eqx.filter_jit
def _is_finite(model: EMModel) -> Bool[Array, ""]:
    finite: Array = model.flags().is_finite
    return finite
