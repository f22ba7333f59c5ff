"""A start for EM from sample moments.

With E Y = 1 and Var Y = v a component has excess kurtosis 3 v and third central moment 3 γ σ² v,
to first order in γ. The median over the columns of the sample kurtosis gives v, their skewness γ.
Where one row makes up the moments of a column they are those of weights that leave outliers out:
from the others EM would need thousands of iterations to find the bulk of the data.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from normix_expfam.internal import binary_unit, varying_like

from ._law import MixtureLaw

_LEAST, _MOST = 0.02, 2.0  # Var Y / (E Y)², where EM is not slow
_DOMINATED = 0.5  # of n, the kurtosis of a column in which one row is all that counts
_ROUNDS = 30  # each takes an outlier's share in a scale from s to about √s
_MET, _OFF = 1e-6, 0.05  # distance of μ from a row, in scales: too near, and how far then
_SKEWED = 0.2  # most of γᵀ C⁻¹ γ Var Y, the share of the skewness in the covariance C

M = TypeVar("M", bound=MixtureLaw)


def moment_start(
    build: Callable[..., M],
    X: Float[Array, "n d"],
    weights: Float[Array, " n"] | None,
    spread: Array | None,
) -> M:
    """`build(mean, cov, spread=, gamma=)` with the moments of the rows of X.

    They are taken in units in which squares and fourth powers are floating-point numbers, and the
    model is scaled back.
    """
    w = jnp.ones_like(X[:, 0]) if weights is None else weights
    centre, unit = _units(X, w)
    scaled = (X - centre[None, :]) / unit[None, :]
    mean, cov, spread, gamma = _moments(scaled, w, spread)
    return build(mean, cov, spread=spread, gamma=gamma).rescaled(centre, unit)


@jax.jit
def _units(X: Float[Array, "n d"], weights: Float[Array, " n"]) -> tuple[Array, Array]:
    """Columns in which squares and fourth powers are numbers: a centre and a power of 2."""
    centre = weights / jnp.sum(weights) @ X
    return centre, binary_unit(jnp.max(jnp.abs(X - centre[None, :]), axis=0), jnp)


@jax.jit
def _moments(
    X: Float[Array, "n d"], weights: Float[Array, " n"], spread: Array | None
) -> tuple[Array, ...]:
    w = weights / jnp.sum(weights)
    kurtosis = _kurtosis(X, w)
    dominated = (jnp.max(kurtosis) > _DOMINATED / jnp.sum(w * w)) & _has_core(X, w)
    w = jax.lax.cond(dominated, _without_outliers, lambda _, w: w, X, w)
    mean = w @ X
    centred = X - mean[None, :]
    cov = centred.T @ (centred * w[:, None])
    scale = jnp.sqrt(jnp.diagonal(cov))
    Z = centred / scale[None, :]
    square = Z * Z
    if spread is None:
        excess = jnp.sort(w @ (square * square) - 3)
        median = (excess[(len(excess) - 1) // 2] + excess[len(excess) // 2]) / 2
        spread = jnp.clip(median / 3, _LEAST, _MOST)
    gamma = scale * (w @ (square * Z)) / (3 * spread)
    factor = jnp.linalg.cholesky(cov)
    share = jnp.sum(jax.scipy.linalg.solve_triangular(factor, gamma, lower=True) ** 2) * spread
    gamma = gamma * jnp.sqrt(_SKEWED / jnp.maximum(share, _SKEWED))
    # a density with a pole at μ is infinite if μ is a row, as the middle of symmetric rows is
    nearest = jnp.min(jnp.max(jnp.abs(Z + (gamma / scale)[None, :]), axis=1))
    return mean + jnp.where(nearest < _MET, _OFF, 0.0) * scale, cov, spread, gamma


def _kurtosis(X: Float[Array, "n d"], w: Float[Array, " n"]) -> Float[Array, " d"]:
    centred = X - (w @ X)[None, :]
    square = (centred / jnp.max(jnp.abs(centred), axis=0)[None, :]) ** 2
    return (w @ (square * square)) / (w @ square) ** 2


def _has_core(X: Float[Array, "n d"], w: Float[Array, " n"]) -> Array:
    """Whether no value makes up half of a column.

    If one does, the scale of Cauchy's law is 0 at the maximum of its likelihood.
    """
    order = jnp.argsort(X, axis=0)
    middle = jnp.argmax(jnp.cumsum(w[order], axis=0) >= 0.5, axis=0)
    row = jnp.take_along_axis(order, middle[None, :], axis=0)
    return jnp.all(w @ (jnp.take_along_axis(X, row, axis=0) == X).astype(w.dtype) < 0.5)


def _without_outliers(X: Float[Array, "n d"], w: Float[Array, " n"]) -> Float[Array, " n"]:
    """Weights under which no row dominates: of the maximum likelihood of Cauchy's law.

    They are 1/(1 + q/d), q the squared distance of a row from the centre with columns in units of
    their scales; centre and scales are the weighted ones, by iteration (Kent & Tyler 1991, Ann.
    Stat. 19, 2102).
    """

    def reweighted(_: Array, u: Float[Array, " n"]) -> Float[Array, " n"]:
        centred = X - (u @ X)[None, :]
        square = centred**2 / (u @ centred**2)[None, :]
        u = w / (1 + jnp.mean(square, axis=1))
        return u / jnp.sum(u)

    return jax.lax.fori_loop(0, _ROUNDS, reweighted, varying_like(w, X))
