"""`MLEResult`: what maximum likelihood says beside the model, and its standard errors."""

import dataclasses
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from ._checks import is_concrete, require
from ._describe import describe
from ._status import Status, has_converged

Model = TypeVar("Model", bound=eqx.Module)


class MLEResult(eqx.Module, Generic[Model]):
    """The law of maximum likelihood and how well the data determine it."""

    model: Model
    """The fitted law."""

    status: Int[Array, ""]
    """A `Status`; on failure the parameters are nan."""

    log_likelihood: Float[Array, ""]
    """Total, natural logarithm, weighted."""

    standard_errors: dict[str, Any]
    """For each classical parameter, an array or module like it, the roots of the diagonal of
    (n Jᵀ ∇²ψ J)⁻¹, J = ∂θ/∂classical; nan for an entry that was not estimated, because it is fixed
    or on its boundary, and where ∇²ψ is infinite."""

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
        """What happened, and what to do about it."""
        require(self.status.ndim == 0, "MLEResult.message", "status", "be a scalar",
                f"shape {self.status.shape}",
                "take one result of the batch that equinox.filter_vmap made")  # fmt: skip
        return Status(int(self.status)).message

    @property
    def aic(self) -> Float[Array, "*batch"]:
        """2 n_parameters - 2 log_likelihood (Akaike 1974)."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> Float[Array, "*batch"]:
        """n_parameters log n_observations - 2 log_likelihood (Schwarz 1978)."""
        return self.n_parameters * jnp.log(self.n_observations) - 2 * self.log_likelihood


@eqx.filter_jit
def standard_errors(model: Any, n: Array) -> tuple[dict[str, Array], Array]:
    """Standard errors by name and the number of free parameters.

    Args:
        model: an exponential family.
        n: number of observations.
    """
    free = model._free_parameters()

    def error(deviation: Array, estimated: Array | np.ndarray) -> Array:
        return jnp.where(estimated, deviation / jnp.sqrt(n), jnp.nan)

    errors = jax.tree.map(error, model._asymptotic_deviations(), free)
    count = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(free))
    by_name = {field.name: getattr(errors, field.name) for field in dataclasses.fields(errors)}
    return by_name, jnp.asarray(count, n.dtype)


def deviations_from_information(model: Model) -> Model:
    """√ of the diagonal of the inverse Fisher information about the classical parameters.

    The information is Jᵀ ∇²ψ(θ) J with J = ∂θ/∂classical, of one observation.
    """
    free = model._free_parameters()  # type: ignore[attr-defined]
    flat, unflatten = ravel_pytree(model)
    mask = ravel_pytree(jax.tree.map(lambda x: x.astype(flat.dtype), free))[0] > 0
    jacobian = jax.jacfwd(lambda at: unflatten(at).natural_params())(flat)
    jacobian = jnp.where(mask[None, :], jacobian, 0.0)
    fisher = model.fisher_information()  # type: ignore[attr-defined]
    # at a boundary the statistic of what is held there may have no variance
    used = jnp.any(jacobian != 0, axis=1)
    fisher = jnp.where(used[:, None] & used[None, :], fisher, 0.0)
    information = jacobian.T @ fisher @ jacobian + jnp.diag(jnp.where(mask, 0.0, 1.0))
    scale = 1 / jnp.sqrt(jnp.diagonal(information))
    factor = jnp.linalg.cholesky(information * scale[:, None] * scale[None, :])
    eye = jnp.eye(flat.size, dtype=flat.dtype)
    root = jax.scipy.linalg.solve_triangular(factor, eye, lower=True)
    found: Model = unflatten(jnp.sqrt(jnp.sum(root**2, axis=0)) * scale)
    return found
