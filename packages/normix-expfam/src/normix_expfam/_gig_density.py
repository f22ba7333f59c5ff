"""The density of Y ~ GIG(p, a, b) about the mode y0 of log Y, without terms of the size of w.

log f(y) = -φ(y) - log y - log C with φ = A (r - log(1+r)) + B (log(1+r) - r/(1+r)), r = y/y0 - 1,
A = a y0 / 2, B = b / (2 y0), and C = ∫ e^-φ dy/y, which is the sum of the two tails from y0.
The terms of θ·t(y) - ψ are of the size of w = √(p² + ab) and cancel; here the error is √w eps.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ._along import along
from ._gig import by_parameters, gig_moments, mode_of_log
from ._gig_distribution import tails


@jax.custom_jvp
def log_density(p: jax.Array, a: jax.Array, b: jax.Array, y: jax.Array) -> jax.Array:
    """log f(y) at one y > 0; under vmap over y alone, C is computed once."""
    y0 = mode_of_log(p, a, b)
    both = tails(p, a, b, y0)
    up, down = a * y0 / 2, b / y0 / 2
    near = jnp.abs(y - y0) < 0.5 * y0
    r = jnp.where(near, (y - y0) / y0, 0.0)
    u = jnp.where(near, jnp.log1p(r), jnp.log(y) - jnp.log(y0))
    # A e^u = a y / 2 and B e^-u = b / (2 y) are finite where e^u or e^-u is not
    rise = jnp.where(near, up * r, a * y / 2 - up) - up * u
    fall = jnp.where(near, -down * r / (1 + r), b / y / 2 - down) + down * u
    return -(rise + fall) - jnp.log(y) - jnp.logaddexp(both.lower, both.upper)


@partial(log_density.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, y = primals
    moments = gig_moments(p, a, b)
    score = jnp.log(y) - moments.log_y, 1 / y - moments.inverse_y, y - moments.y
    by_y = (p - 1) / y - a / 2 + b / y / y / 2
    value = log_density(p, a, b, y)
    return value, along((*by_parameters(score), by_y), tangents, value)
