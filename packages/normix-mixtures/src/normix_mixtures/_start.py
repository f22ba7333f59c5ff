"""A start for EM from sample moments.

With E Y = 1 and Var Y = v a component has excess kurtosis 3 v and third central moment 3 γ σ² v,
to first order in γ. The median over the columns of the sample kurtosis gives v, their skewness γ.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_LEAST, _MOST = 0.02, 2.0  # Var Y / (E Y)², where EM is not slow
_SKEWED = 0.2  # most of γᵀ C⁻¹ γ Var Y, the share of the skewness in the covariance C

M = TypeVar("M")


def moment_start(
    build: Callable[..., M],
    X: Float[Array, "n d"],
    weights: Float[Array, " n"] | None,
    spread: Array | None,
) -> M:
    """`build(mean, cov, spread=, gamma=)` with the moments of the rows of X."""
    w = jnp.ones_like(X[:, 0]) if weights is None else weights
    mean, cov, spread, gamma = _moments(X, w, spread)
    return build(mean, cov, spread=spread, gamma=gamma)


@jax.jit
def _moments(
    X: Float[Array, "n d"], weights: Float[Array, " n"], spread: Array | None
) -> tuple[Array, ...]:
    w = weights / jnp.sum(weights)
    mean = w @ X
    centred = X - mean[None, :]
    cov = centred.T @ (centred * w[:, None])
    scale = jnp.sqrt(jnp.diagonal(cov))
    Z = centred / scale[None, :]
    square = Z * Z
    if spread is None:
        spread = jnp.clip(jnp.median(w @ (square * square) - 3) / 3, _LEAST, _MOST)
    gamma = scale * (w @ (square * Z)) / (3 * spread)
    factor = jnp.linalg.cholesky(cov)
    share = jnp.sum(jax.scipy.linalg.solve_triangular(factor, gamma, lower=True) ** 2) * spread
    return mean, cov, spread, gamma * jnp.sqrt(_SKEWED / jnp.maximum(share, _SKEWED))
