"""`Information`: means and covariances of t, and how well a maximum of the likelihood is known."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from ._triad import grad_log_partition

Model = TypeVar("Model", bound=eqx.Module)


def _mean(law: Any) -> Array:
    return grad_log_partition(type(law), law.natural_params())


def _covariance(law: Any) -> Array:
    found: Array = law._hessian_log_partition(law.natural_params())
    return found


def _free(law: Model) -> Model:
    free: Model = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), law)
    return free


def invert_information(law: Model) -> Model:
    """√ of the diagonal of the inverse Fisher information about the classical parameters.

    The information is Jᵀ ∇²ψ(θ) J with J = ∂θ/∂classical, of one observation.
    """
    information: Any = type(law).information  # type: ignore[attr-defined]
    flat, unflatten = ravel_pytree(law)
    free = jax.tree.map(lambda x: x.astype(flat.dtype), information.free(law))
    mask = ravel_pytree(free)[0] > 0
    jacobian = jax.jacfwd(lambda at: unflatten(at).natural_params())(flat)
    jacobian = jnp.where(mask[None, :], jacobian, 0.0)
    fisher = information.covariance(law)
    # at a boundary the statistic of what is held there may have no variance
    used = jnp.any(jacobian != 0, axis=1)
    fisher = jnp.where(used[:, None] & used[None, :], fisher, 0.0)
    about_classical = jacobian.T @ fisher @ jacobian + jnp.diag(jnp.where(mask, 0.0, 1.0))
    scale = 1 / jnp.sqrt(jnp.diagonal(about_classical))
    factor = jnp.linalg.cholesky(about_classical * scale[:, None] * scale[None, :])
    eye = jnp.eye(flat.size, dtype=flat.dtype)
    root = jax.scipy.linalg.solve_triangular(factor, eye, lower=True)
    found: Model = unflatten(jnp.sqrt(jnp.sum(root**2, axis=0)) * scale)
    return found


class Information(NamedTuple):
    """How moments of t and the precision of estimates are computed: from ψ, but for what is given.

    A family gives what its classical parameters determine and θ, which rounds them, does not.
    """

    mean: Callable[[Any], Array] = _mean
    """E t(X)."""

    covariance: Callable[[Any], Array] = _covariance
    """Cov t(X), the Fisher information about θ."""

    free: Callable[[Any], Any] = _free
    """Like the distribution, True for the entries of classical parameters that a fit estimates."""

    deviations: Callable[[Any], Any] = invert_information
    """Like the distribution, √n times the standard errors of the MLE of n observations."""


@eqx.filter_jit
def count_free(law: Any, dtype: Any) -> Array:
    """The number of classical parameters that a fit estimates."""
    free = jax.tree.leaves(type(law).information.free(law))
    return jnp.asarray(sum(jnp.sum(leaf) for leaf in free), dtype)


@eqx.filter_jit
def standard_errors(law: Any, n: Array) -> dict[str, Any]:
    """By name of the classical parameter, nan for the entries that are not free.

    Args:
        law: the maximum of the likelihood.
        n: number of observations.
    """

    def error(deviation: Array, estimated: Array | np.ndarray) -> Array:
        return jnp.where(estimated, deviation / jnp.sqrt(n), jnp.nan)

    information = type(law).information
    errors = jax.tree.map(error, information.deviations(law), information.free(law))
    return {field.name: getattr(errors, field.name) for field in dataclasses.fields(errors)}
