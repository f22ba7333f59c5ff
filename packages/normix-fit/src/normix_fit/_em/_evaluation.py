"""One evaluation of the EM map: the E-step over all rows, and the M-step from mean statistics."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from normix_expfam import Status
from normix_expfam.internal import Array, Backend, is_on_host, namespace_of, to_host, to_jax
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
    def backend(self) -> Literal["jax", "cpu", "mixed"]:
        """That of both steps, or "mixed"."""
        return self.e_step_backend if self.e_step_backend == self.m_step_backend else "mixed"

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
    between, _ = _maximise(model, evaluation.statistics, held, plan.m_step_backend)
    again = _expect(between, rows, plan).statistics.mean()
    return evaluation._replace(statistics=evaluation.statistics.with_subordinator_of(again))


def _expect(model: EMModel, rows: Rows, plan: Plan) -> Any:
    backend = plan.e_step_backend

    def of_block(X: Array, weights: Array, model: EMModel) -> Any:
        return model.expect(X, weights, backend=backend)

    if not is_host(model):
        return rows.reduce(of_block, model)
    moved = to_jax(model, rows.dtype) if backend == "jax" else model
    return to_host(rows.reduce(of_block, moved))


def is_host(tree: Any) -> bool:
    """Whether a model, or what is made with one, is of arrays of NumPy."""
    return is_on_host(jax.tree.leaves(tree)[0])


def _judge(model: EMModel, found: Any) -> Int[Array, ""]:
    flags, xp = model.flags(), namespace_of(found.log_likelihood)
    finite = xp.isfinite(found.log_likelihood) & (found.flags.not_finite == 0)
    status = xp.where(finite, int(Status.RUNNING), int(Status.NON_FINITE))
    singular = ~xp.isfinite(flags.least_pivot)
    status = xp.where(singular, int(Status.SINGULAR_DISPERSION), status)
    unbounded = (found.log_likelihood == xp.inf) | (found.flags.at_pole > 0)
    judged: Array = xp.where(unbounded, int(Status.UNBOUNDED), status).astype(xp.int32)
    return judged


def maximise(
    model: Any, statistics: Any, plan: Plan
) -> tuple[Any, Int[Array, ""], Bool[Array, ""]]:
    """The M-step, the status of its search, and whether EM can continue from the model."""
    following, solved = _maximise(model, statistics, plan.held, plan.m_step_backend)
    return following, solved, following.flags().is_finite


def _maximise(model: Any, statistics: Any, held: Held, backend: Backend) -> tuple[Any, Array]:
    if not is_host(model):
        found: tuple[Any, Array] = model.maximise(statistics, held, backend=backend)
        return found
    if backend == "jax":
        dtype = jnp.result_type(float)
        model, statistics = to_jax(model, dtype), to_jax(statistics, dtype)
    with np.errstate(all="ignore"):
        moved: tuple[Any, Array] = to_host(model.maximise(statistics, held, backend=backend))
    return moved
