"""η -> θ for a family that gives ψ alone: Newton's method on the convex ψ(θ) - θ·η."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ._newton import Evaluation, minimise
from ._triad import Triad

_MAX_STEPS = 300


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def natural_from_expectation(family: Triad, eta: jax.Array, start: jax.Array) -> jax.Array:
    """θ with ∇ψ(θ) = η, from a θ inside the domain; nan where none is found."""
    eps = jnp.finfo(eta.dtype).eps

    def evaluate(theta: jax.Array) -> Evaluation:
        psi = family._log_partition_from_theta(theta)
        gradient = family._grad_log_partition(theta) - eta
        hessian = family._hessian_log_partition(theta)
        step = -_solve(hessian, gradient)
        decrement = -gradient @ step
        terms = 1 + jnp.abs(psi) + jnp.sum(jnp.abs(theta * eta))
        decrement = jnp.where(jnp.isfinite(psi), decrement, jnp.nan)
        # far from the minimum about as far as a log-partition is like its quadratic model
        damped = jnp.minimum(1.0, 2 / (1 + jnp.sqrt(decrement)))
        # what rounding of η leaves in λ², in units of the standard deviations of t
        floor = (1e2 * eps) ** 2 * (1 + jnp.sum(eta**2 / jnp.diagonal(hessian)))
        return Evaluation(psi - theta @ eta, eps * terms, damped * step, decrement,
                          damped * decrement, floor)  # fmt: skip

    def move(theta: jax.Array, step: jax.Array, length: jax.Array) -> jax.Array:
        return theta + length * step

    theta, good, _ = minimise(start, evaluate, move, _MAX_STEPS)
    return jnp.where(good & jnp.all(jnp.isfinite(eta)), theta, jnp.nan)


@natural_from_expectation.defjvp
def _(family: Triad, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    eta, start = primals
    theta = natural_from_expectation(family, eta, start)
    return theta, _solve(family._hessian_log_partition(theta), tangents[0])


def _solve(hessian: jax.Array, rhs: jax.Array) -> jax.Array:
    """H⁻¹ rhs with H scaled to unit diagonal; nan unless H is positive definite."""
    scale = 1 / jnp.sqrt(jnp.diagonal(hessian))
    factor = jnp.linalg.cholesky(hessian * scale[:, None] * scale[None, :])
    half = jax.scipy.linalg.solve_triangular(factor, scale * rhs, lower=True)
    return scale * jax.scipy.linalg.solve_triangular(factor.T, half, lower=False)
