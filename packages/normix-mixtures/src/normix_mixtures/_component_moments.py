"""Moments of X = μ + γ Y + σ √Y Z, componentwise, by the cumulants of Y.

    κ2 = σ² E Y + γ² κ2(Y),   κ3 = γ³ κ3(Y) + 3 γ σ² κ2(Y),
    κ4 = γ⁴ κ4(Y) + 6 γ² σ² κ3(Y) + 3 σ⁴ κ2(Y),

sums without cancellation, however concentrated Y is. E |X|^k exists when E Y^k does, and for γ = 0
when E Y^(k/2) does.
"""

import jax
import jax.numpy as jnp

from normix_expfam import GeneralizedInverseGaussian


def mean(law_of_y: GeneralizedInverseGaussian, mu: jax.Array, gamma: jax.Array) -> jax.Array:
    """E X; for γ = 0 nan where E √Y is infinite."""
    value = mu + _times(gamma, law_of_y.mean())
    return jnp.where((gamma != 0) | _exists(law_of_y, 0.5), value, jnp.nan)


def variance(
    law_of_y: GeneralizedInverseGaussian, gamma: jax.Array, square: jax.Array
) -> jax.Array:
    """Var X for σ² = square; inf where it is infinite, nan where the mean does not exist."""
    value = square * law_of_y.mean() + _times(gamma**2, law_of_y.var())
    return jnp.where(_exists(law_of_y, 0.5), value, jnp.nan)


def covariance(
    law_of_y: GeneralizedInverseGaussian, gamma: jax.Array, sigma: jax.Array
) -> jax.Array:
    """Cov X = Σ E Y + γ γᵀ Var Y, shape (d, d)."""
    value = _times(sigma, law_of_y.mean()) + _times(jnp.outer(gamma, gamma), law_of_y.var())
    # E |X_i X_j| needs E Y^1.5 if one of the two is skewed
    skewed = gamma != 0
    exists = (skewed[:, None] == skewed[None, :]) | _exists(law_of_y, 1.5)
    return jnp.where(exists & _exists(law_of_y, 0.5), value, jnp.nan)


def skewness(
    law_of_y: GeneralizedInverseGaussian, gamma: jax.Array, square: jax.Array
) -> jax.Array:
    """κ3 / κ2^(3/2)."""
    var_y, scale = law_of_y.var(), variance(law_of_y, gamma, square)
    third = law_of_y.skewness() * var_y**1.5
    value = (_times(gamma**3, third) + _times(3 * gamma * square, var_y)) / scale**1.5
    exists = (scale < jnp.inf) & ((gamma != 0) | (_exists(law_of_y, 1.5)))
    return jnp.where(exists, value, jnp.nan)


def kurtosis(
    law_of_y: GeneralizedInverseGaussian, gamma: jax.Array, square: jax.Array
) -> jax.Array:
    """Excess kurtosis κ4 / κ2²."""
    var_y, scale = law_of_y.var(), variance(law_of_y, gamma, square)
    third, fourth = law_of_y.skewness() * var_y**1.5, law_of_y.kurtosis() * var_y**2
    value = _times(gamma**4, fourth) + _times(6 * gamma**2 * square, third) + 3 * square**2 * var_y
    return jnp.where(scale < jnp.inf, value / scale**2, jnp.nan)


def _exists(law_of_y: GeneralizedInverseGaussian, order: float) -> jax.Array:
    """Whether E Y^order is finite."""
    return (law_of_y.a > 0) | (order + law_of_y.p < 0)


def _times(factor: jax.Array, moment: jax.Array) -> jax.Array:
    """factor · moment, 0 where the factor is 0 and the moment does not exist."""
    absent = (factor == 0) & ~jnp.isfinite(moment)
    # the product that is not taken must not be 0 · inf, or its derivative is nan
    return jnp.where(absent, 0.0, factor * jnp.where(absent, 1.0, moment))
