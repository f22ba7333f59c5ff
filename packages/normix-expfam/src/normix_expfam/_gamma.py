"""ψ of the gamma law, and its shape from mean statistics: log α - digamma(α) = c."""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln, polygamma


def gamma_log_partition(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """log Γ(α) - α log β, scalars; +inf outside the domain, where the integral diverges."""
    inside = (alpha > 0) & (beta > 0)
    alpha, beta = jnp.where(inside, alpha, 1.0), jnp.where(inside, beta, 1.0)
    return jnp.where(inside, gammaln(alpha) - alpha * jnp.log(beta), jnp.inf)


def jensen_gap(log_mean: jax.Array, mean_log: jax.Array) -> jax.Array:
    """log E X - E log X; 0 where it is the rounding of its terms, as for constant data."""
    gap = log_mean - mean_log
    rounding = 4 * jnp.finfo(gap.dtype).eps * (1 + jnp.abs(log_mean))
    return jnp.where(jnp.abs(gap) > rounding, gap, 0.0)


def gamma_shape(c: jax.Array) -> jax.Array:
    """α > 0 with log α - digamma(α) = c for c > 0; inf at c = 0, nan below.

    The left side falls from inf to 0. Minka's start (2002, "Estimating a Gamma distribution")
    is within 1.5 % and his Newton step, on 1/α, converges quadratically from it.
    """
    positive = c > 0
    c_safe = jnp.where(positive, c, 1.0)
    alpha = (3 - c_safe + jnp.sqrt((c_safe - 3) ** 2 + 24 * c_safe)) / (12 * c_safe)
    for _ in range(5):
        residual = jnp.log(alpha) - digamma(alpha) - c_safe
        slope = 1 / alpha - polygamma(1, alpha)
        alpha = alpha / (1 + residual / (alpha * slope))
    return jnp.where(positive, alpha, jnp.where(c == 0, jnp.inf, jnp.nan))
