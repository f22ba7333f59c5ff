"""Functions of x of X = μ + γ Y + σ √Y Z, Y ~ GIG(p, a, b), each compiled once for a shape of x.

Their values at ±inf are the limits; a nan stays one.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from . import _density, _transform
from ._scalar_parameters import ScalarParameters
from ._tail import _means, _odds, _quantile


@jax.jit
def log_density(of: ScalarParameters, x: Array) -> Array:
    """log f(x), any shape."""
    mu, gamma, sigma, p, a, b = of
    infinite = jnp.isinf(x)
    z = (jnp.where(infinite, mu, x) - mu) / sigma
    value = _density.log_density(p, a, b, z.reshape(-1, 1), (gamma / sigma)[None])
    return jnp.where(infinite, -jnp.inf, value.reshape(x.shape) - jnp.log(sigma))


@jax.jit
def log_odds(of: ScalarParameters, x: Array) -> Array:
    """log P(X <= x) - log P(X > x), any shape."""
    mu, gamma, sigma, p, a, b = of
    infinite = jnp.isinf(x)
    from_mu = jnp.where(infinite, 0.0, x - mu)
    return jnp.where(infinite, x, _odds.log_odds(p, a, b, gamma, sigma, from_mu))


@jax.jit
def quantile(of: ScalarParameters, odds: Array) -> Array:
    """x with these `log_odds`, any shape."""
    mu, gamma, sigma, p, a, b = of
    infinite = jnp.isinf(odds)
    from_mu = _quantile.quantile(p, a, b, gamma, sigma, jnp.where(infinite, 0.0, odds))
    return jnp.where(infinite, odds, mu + from_mu)


@jax.jit
def mean_above(of: ScalarParameters, x: Array) -> Array:
    """E (X | X > x), any shape."""
    mu, gamma, sigma, p, a, b = of
    finite = jnp.isfinite(x)
    inside = _means.mean_above(p, a, b, gamma, sigma, jnp.where(finite, x - mu, 0.0))
    edge = jnp.where(x == -jnp.inf, of.mean(), x)
    return jnp.where(finite, mu + inside, edge)


@jax.jit
def mean_beyond(of: ScalarParameters, odds: Array) -> Array:
    """`mean_above` the `quantile` of log-odds, any shape."""
    mu, gamma, sigma, p, a, b = of
    finite = jnp.isfinite(odds)
    from_mu = _means.mean_beyond(p, a, b, gamma, sigma, jnp.where(finite, odds, 0.0))
    edge = jnp.where(odds == -jnp.inf, of.mean(), odds)
    return jnp.where(finite, mu + from_mu, edge)


@jax.jit
def characteristic(of: ScalarParameters, t: Array) -> Array:
    """E exp(i t X) at real t, any shape."""
    mu, gamma, sigma, p, a, b = of
    return _transform.characteristic(p, a, b, (sigma * t)[..., None], gamma * t, mu * t)
