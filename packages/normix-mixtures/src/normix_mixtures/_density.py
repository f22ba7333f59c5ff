"""The density of X = μ + γ Y + √Y L Z and the law of Y given X, from whitened rows.

By Bayes' rule, for every y > 0,

    f(x) = f_Y(y) N(x; μ + γ y, Σ y) / f(y | x),   Y | x ~ GIG(p - d/2, a + γᵀΣ⁻¹γ, b + Q(x)),

Q(x) = (x - μ)ᵀΣ⁻¹(x - μ) (McNeil, Frey & Embrechts 2005, section 3.2.3). Taken at y1, the mode of
log Y given x, no term is larger than the density itself asks for, whereas the textbook
difference ψ(posterior) - ψ(prior) + (x - μ)ᵀΣ⁻¹γ is one of numbers of the size of √(ab).
The value does not depend on y1, which is therefore held constant in derivatives.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from normix_expfam import mode_of_log
from normix_expfam.toolbox import gig_log_density


class Posterior(NamedTuple):
    """Y | x ~ GIG(p, a, b) for every row, shapes (n,)."""

    p: jax.Array
    a: jax.Array
    b: jax.Array


def posterior(p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array) -> Posterior:
    """From whitened rows z = L⁻¹(x - μ), shape (n, d), and L⁻¹γ, shape (d,)."""
    n, d = z.shape
    gain = skew @ skew
    return Posterior(
        jnp.broadcast_to(p - d / 2, (n,)),
        jnp.broadcast_to(a + gain, (n,)),
        b + jnp.sum(z * z, axis=1),
    )


def log_density(
    p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array
) -> tuple[jax.Array, Posterior]:
    """log f of the whitened rows, without -½ log det Σ, shape (n,), and the law of Y given each.

    +inf where the density is infinite: at z = 0 for b = 0 and p <= d/2.
    """
    given = posterior(p, a, b, z, skew)
    pole = (given.b == 0) & (given.p <= 0)
    safe = Posterior(jnp.where(pole, 1.0, given.p), given.a, jnp.where(pole, 1.0, given.b))
    y1 = jax.lax.stop_gradient(mode_of_log(*safe))
    prior = jax.vmap(gig_log_density, in_axes=(None, None, None, 0))(p, a, b, y1)
    distance = z - y1[:, None] * skew[None, :]
    normal = -jnp.sum(distance * distance, axis=1) / (2 * y1)
    normal = normal - z.shape[1] / 2 * (jnp.log(y1) + math.log(2 * math.pi))
    value = prior + normal - gig_log_density(*safe, y1)
    return jnp.where(pole, jnp.inf, value), given
