"""The density of Y ~ GIG(p, a, b) about the mode y0 of log Y, without terms of the size of w.

log f(y) = -φ(y) - log y - log C with φ = A (r - log(1+r)) + B (log(1+r) - r/(1+r)), r = y/y0 - 1,
A = a y0 / 2, B = b / (2 y0), and C = ∫ e^-φ dy/y, which is the sum of the two tails from y0.
The terms of θ·t(y) - ψ are of the size of w = √(p² + ab) and cancel; here the error is √w eps.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from normix_expfam._tangents import along

from ._api import gig_moments
from ._jax import by_parameters, mode_and_rates, moments_and_mass
from ._moments import GIGMoments
from ._tails import tails

_LARGEST_ERROR = 2e3  # in units of eps, at which the mass of a Bessel pass is still taken


@jax.custom_jvp
def log_density(p: jax.Array, a: jax.Array, b: jax.Array, y: jax.Array) -> jax.Array:
    """log f(y) at y > 0; under vmap over y alone, C is computed once."""
    return _with_mass(p, a, b, y, log_mass(p, a, b))


def log_mass(p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """log C, of Y in units of its mode."""
    _, alpha, beta = mode_and_rates(p, a, b)
    both = tails(p, 2 * alpha, 2 * beta, jnp.ones_like(alpha))
    return jnp.logaddexp(both.lower, both.upper)


def _with_mass(
    p: jax.Array, a: jax.Array, b: jax.Array, y: jax.Array, mass: jax.Array
) -> jax.Array:
    y0, up, down = mode_and_rates(p, a, b)
    near = jnp.abs(y - y0) < 0.5 * y0
    r = jnp.where(near, (y - y0) / y0, 0.0)
    u = jnp.where(near, jnp.log1p(r), jnp.log(y) - jnp.log(y0))
    # A e^u = a y / 2 and B e^-u = b / (2 y) are finite where e^u or e^-u is not
    rise = jnp.where(near, up * r, a * y / 2 - up) - up * u
    fall = jnp.where(near, -down * r / (1 + r), b / y / 2 - down) + down * u
    return -(rise + fall) - jnp.log(y) - mass


@partial(log_density.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, y = primals
    value = log_density(p, a, b, y)
    return value, along(_slopes(p, a, b, y, gig_moments(p, a, b)), tangents, value)


def _slopes(
    p: jax.Array, a: jax.Array, b: jax.Array, y: jax.Array, moments: GIGMoments
) -> tuple[jax.Array, ...]:
    """The derivatives of log f(y) in p, a, b and y."""
    score = jnp.log(y) - moments.log_y, 1 / y - moments.inverse_y, y - moments.y
    return *by_parameters(score), (p - 1) / y - a / 2 + b / y / y / 2


@jax.custom_jvp
def moments_and_log_density(
    p: jax.Array, a: jax.Array, b: jax.Array, y: jax.Array
) -> tuple[GIGMoments, jax.Array]:
    """`gig_moments` and `log_density` of equally shaped p, a, b, y, in one pass where it can be."""
    moments, mass, error = moments_and_mass(p, a, b)
    mass = jax.lax.cond(jnp.all(error < _LARGEST_ERROR), lambda: mass, lambda: log_mass(p, a, b))
    return moments, _with_mass(p, a, b, y, mass)


@moments_and_log_density.defjvp
def _(primals: Any, tangents: Any) -> Any:
    p, a, b, y = primals
    found = moments_and_log_density(p, a, b, y)
    moments, slopes = jax.jvp(gig_moments, (p, a, b), tangents[:3])
    return found, (slopes, along(_slopes(p, a, b, y, moments), tangents, y))
