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

from normix_expfam import GIGMoments, mode_of_log
from normix_expfam.toolbox import gig_log_density, gig_moments_and_log_density


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
) -> jax.Array:
    """log f of the whitened rows, without -½ log det Σ, shape (n,).

    +inf where the density is infinite: at z = 0 for b = 0 and p <= d/2.
    """
    given, y1, pole = _at_mode(posterior(p, a, b, z, skew))
    log_joint = _log_joint(p, a, b, z, skew, y1)
    return jnp.where(pole, jnp.inf, log_joint - gig_log_density(*given, y1))


def moments_and_log_density(
    p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array
) -> tuple[GIGMoments, jax.Array]:
    """E log Y, E 1/Y, E Y given each row, and `log_density`; at a pole the moments are limits."""
    given = posterior(p, a, b, z, skew)
    safe, y1, _ = _at_mode(given)
    moments, log_given = gig_moments_and_log_density(*safe, y1)
    value = _log_joint(p, a, b, z, skew, y1) - log_given
    log_prob, *rest = at_pole(given, value, moments)
    return GIGMoments(moments.log_partition, *rest), log_prob


def at_pole(given: Posterior, log_prob: jax.Array, moments: GIGMoments) -> list[jax.Array]:
    """log f, E log Y, E 1/Y, E Y with their limits at a pole, where Y | x is a point mass at 0."""
    pole = (given.b == 0) & (given.p <= 0)
    limits = (jnp.inf, -jnp.inf, jnp.inf, 0.0)
    values = (log_prob, *moments[1:])
    return [jnp.where(pole, x, jnp.asarray(y)) for x, y in zip(limits, values, strict=True)]


def _at_mode(given: Posterior) -> tuple[Posterior, jax.Array, jax.Array]:
    """The posterior with another law where it is none, the mode of its log Y, and where."""
    pole = (given.b == 0) & (given.p <= 0)
    safe = Posterior(jnp.where(pole, 1.0, given.p), given.a, jnp.where(pole, 1.0, given.b))
    return safe, jax.lax.stop_gradient(mode_of_log(*safe)), pole


def _log_joint(
    p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array, y: jax.Array
) -> jax.Array:
    """log f_Y(y) + log N(z; y skew, y I), one y per row."""
    prior = jax.vmap(gig_log_density, in_axes=(None, None, None, 0))(p, a, b, y)
    distance = z - y[:, None] * skew[None, :]
    normal = -jnp.sum(distance * distance, axis=1) / (2 * y)
    return prior + normal - z.shape[1] / 2 * (jnp.log(y) + math.log(2 * math.pi))
