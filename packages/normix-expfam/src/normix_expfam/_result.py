"""`FitResult`, what every fit returns, and `MLEResult`, that of maximum likelihood in a family."""

from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._checks import is_concrete, require
from ._describe import describe
from ._information import standard_errors
from ._status import Status, has_converged

Model = TypeVar("Model", bound=eqx.Module)


@runtime_checkable
class FitResult(Protocol):
    """A fitted model and the account of its fit, whatever made it.

    Numbers are Python floats or JAX arrays, depending on the fitter.
    """

    @property
    def model(self) -> Any:
        """The fitted model."""

    @property
    def status(self) -> Any:
        """How the fit ended: a `Status`, or its number where fits are traced."""

    @property
    def converged(self) -> Any:
        """Whether the model is the maximum of the likelihood, inside or on the boundary."""

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""

    @property
    def log_likelihood(self) -> Any:
        """Total, natural logarithm, weighted."""

    @property
    def n_observations(self) -> Any:
        """Number of observations, or the sum of their weights."""

    @property
    def n_parameters(self) -> Any:
        """Number of parameters that were estimated."""

    @property
    def aic(self) -> Any:
        """2 n_parameters - 2 log_likelihood (Akaike 1974)."""

    @property
    def bic(self) -> Any:
        """n_parameters log n_observations - 2 log_likelihood (Schwarz 1978)."""

    def standard_errors(self, *args: Any, **kwargs: Any) -> Any:
        """Standard errors of the estimates, from the data where the result does not suffice."""


class MLEResult(eqx.Module, Generic[Model]):
    """The distribution of maximum likelihood and how well the data determine it: a `FitResult`."""

    model: Model
    """The fitted distribution."""

    status: Int[Array, ""]
    """A `Status`; on failure parameters are not finite."""

    log_likelihood: Float[Array, ""]
    """Total, natural logarithm, weighted."""

    n_observations: Float[Array, ""]
    """Number of observations, or the sum of the weights."""

    n_parameters: Float[Array, ""]
    """Number of classical parameters that were estimated."""

    def __repr__(self) -> str:
        status: Any = self.status
        if jnp.ndim(status) == 0 and is_concrete(status):
            status = Status(int(status))
        return describe(eqx.tree_at(lambda result: result.status, self, status))

    @property
    def converged(self) -> Bool[Array, "*batch"]:
        """Whether the model is the maximum of the likelihood, inside or on the boundary."""
        return has_converged(self.status)

    @property
    def message(self) -> str:
        """What happened, and what to do about it, in terms of the family of the model.

        Raises:
            ValueError: for a batch of results.
        """
        self._require_one("message", "take one result of the batch that equinox.filter_vmap made")
        return describe_status(type(self.model), Status(int(self.status)))

    @property
    def aic(self) -> Float[Array, "*batch"]:
        """2 n_parameters - 2 log_likelihood (Akaike 1974)."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> Float[Array, "*batch"]:
        """n_parameters log n_observations - 2 log_likelihood (Schwarz 1978)."""
        return self.n_parameters * jnp.log(self.n_observations) - 2 * self.log_likelihood

    def standard_errors(self) -> dict[str, Any]:
        """Standard errors by name of the classical parameter, from the Fisher information.

        Each is an array or module like the parameter, the roots of the diagonal of
        (n Jᵀ ∇²ψ J)⁻¹, J = ∂θ/∂classical; nan for an entry that was not estimated, because it is
        fixed or on its boundary, and where ∇²ψ is infinite.

        Raises:
            ValueError: for a batch of results.

        Examples:
            >>> from normix_expfam import Exponential
            >>> errors = Exponential.mle([1.0, 2.0, 3.0]).standard_errors()
            >>> round(float(errors["rate"]), 6)  # rate / √n
            0.288675
        """
        self._require_one("standard_errors", "call it of a batch within equinox.filter_vmap")
        return standard_errors(self.model, self.n_observations)

    def _require_one(self, member: str, remedy: str) -> None:
        require(self.status.ndim == 0, f"MLEResult.{member}", "status", "be a scalar",
                f"shape {self.status.shape}", remedy)  # fmt: skip


def describe_status(family: Any, status: Status) -> str:
    """What a status means for a maximum of the likelihood in a family, and what to do about it."""
    name = family.__name__
    vary = "are not all equal" if family.event_ndim == 0 else "vary in every direction"
    if status.converged and status is not Status.CONVERGED:
        where = family.boundaries.get(status)
        if where is None:
            return f"converged on the boundary of {name}"
        return f"converged on the boundary {where}; what is 0 there has no standard error"
    if status is Status.INFEASIBLE:
        remedy = "" if family.fits_constant_data else f" that {vary}"
        return (
            f"no {name} distribution was found with the mean statistics of the data, which must "
            f"{family.eta_rule}; its parameters are not finite: fit finite observations of the "
            f"support{remedy}"
        )
    if status is Status.DEGENERATE:
        return (
            "the observations are equal to working precision, which determines no shape; the model "
            f"is a concentrated {name} distribution with their means: fit observations that {vary}"
        )
    if status is Status.MAX_ITER:
        return (
            f"the search for the {name} distribution of maximum likelihood used up its steps, and "
            "its parameters are nan; try the other backend"
        )
    return status.message
