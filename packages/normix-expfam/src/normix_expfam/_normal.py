"""The multivariate normal distribution: its factor, entropy, divergences, fit and standard errors.

Distributions are N(μ, L Lᵀ) with the fields mu and L_Sigma.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._checks import Backend, array_namespace
from ._divergence import Divergences, renyi
from ._information import Information
from ._kl_term import kl_term
from ._sample_spread import binary_unit


def solve_lower(factor: jax.Array, rhs: jax.Array, *, transpose: bool = False) -> jax.Array:
    """L⁻¹ rhs, or L⁻ᵀ rhs."""
    solved: jax.Array = jax.scipy.linalg.solve_triangular(
        factor, rhs, lower=True, trans=1 if transpose else 0
    )
    return solved


def cholesky(matrix: Any, xp: Any = jnp) -> Any:
    """The lower Cholesky factor, nan where there is none, by jax.numpy or numpy."""
    try:
        return xp.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:  # of numpy
        return np.full_like(matrix, np.nan)


def normal_log_base(d: int) -> float:
    """-(d/2) log 2π."""
    return -d / 2 * float(np.log(2 * np.pi))


def _entropy(law: Any) -> jax.Array:
    d = law.mu.shape[0]
    return d / 2 - normal_log_base(d) + jnp.sum(jnp.log(jnp.diagonal(law.L_Sigma)))


def _compare(law: Any, other: Any) -> tuple[jax.Array, jax.Array]:
    """L'⁻¹(μ - μ') and L'⁻¹(L - L') for the other's μ' and L'."""
    return (
        solve_lower(other.L_Sigma, law.mu - other.mu),
        solve_lower(other.L_Sigma, law.L_Sigma - other.L_Sigma),
    )


def _kl(law: Any, other: Any) -> jax.Array:
    # with Σ = L'(I + E)(I + E)ᵀL'ᵀ, from the lower triangular E = L'⁻¹(L - L')
    shift, apart = _compare(law, other)
    diagonal = jnp.diagonal(apart)
    # squares of the pivots 1 + e against their logarithms
    pivots = 1 + diagonal
    ones = jnp.ones_like(pivots)
    spread = kl_term(ones, pivots**2, diagonal * (1 + pivots), ones, 2 * jnp.log(pivots))
    return (shift @ shift + jnp.sum(jnp.tril(apart, -1) ** 2) + jnp.sum(spread)) / 2


def _renyi(law: Any, other: Any, order: jax.Array) -> jax.Array:
    # where the other is standard normal, means are not large beside spreads
    family: Any = type(law)
    shift, apart = _compare(law, other)
    eye = jnp.eye(shift.shape[0], dtype=shift.dtype)
    mine = family(shift, eye + apart, check=False).natural_params()
    standard = family(jnp.zeros_like(shift), eye, check=False).natural_params()
    return renyi(family, mine, standard, order)


def _replace(law: Any, mu: jax.Array, factor: jax.Array) -> Any:
    return eqx.tree_at(lambda law: (law.mu, law.L_Sigma), law, (mu, factor))


def _free(law: Any) -> Any:
    free = jnp.ones(law.mu.shape, bool), jnp.tril(jnp.ones(law.L_Sigma.shape, bool))
    return _replace(law, *free)


def _deviations(law: Any) -> Any:
    # √n L⁻¹(Σ̂ - Σ)L⁻ᵀ tends to a symmetric W with independent entries of variance 1, and 2 on
    # the diagonal; then √n (L̂ - L) = L Φ(W), Φ the lower triangle with its diagonal halved
    squares = law.L_Sigma**2
    from_here_on = jnp.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
    found = jnp.sqrt(jnp.sum(squares, axis=1)), jnp.sqrt(from_here_on - squares / 2)
    return _replace(law, *found)


NORMAL_DIVERGENCES = Divergences(entropy=_entropy, kl=_kl, renyi=_renyi)
NORMAL_INFORMATION = Information(free=_free, deviations=_deviations)


def fit_normal(x: Any, weights: Any, backend: Backend) -> tuple[Any, Any, Any]:
    """(μ, L) of maximum likelihood, L nan unless the third, that the covariance is regular.

    It is found about the mean: E x xᵀ - μ μᵀ cancels where the mean is large beside the spread.
    """
    xp = array_namespace(backend)
    x = xp.asarray(x)
    share = xp.full_like(x[:, 0], 1 / x.shape[0])
    if weights is not None:
        share = xp.asarray(weights) / xp.sum(xp.asarray(weights))
    mu = share @ x
    centred = x - mu[None, :]
    # products of columns need not be numbers in the units of the data
    unit = binary_unit(xp.max(xp.abs(centred), axis=0), xp)
    centred = centred / unit[None, :]
    cov = (centred * share[:, None]).T @ centred
    factor = cholesky(cov, xp)
    # rounding leaves a pivot of a singular matrix positive
    eps, pivots = xp.finfo(factor.dtype).eps, xp.diagonal(factor)
    spread, d = xp.sqrt(xp.diagonal(cov)), x.shape[1]
    regular = xp.all(pivots > 4 * np.sqrt(d * eps) * spread)
    regular &= xp.all(pivots > 16 * eps * xp.abs(mu / unit))
    regular &= xp.sum(share > 0) > d
    return mu, xp.where(regular, unit[:, None] * factor, xp.nan), regular
