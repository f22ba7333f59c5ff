"""Entropy and divergence of GIG distributions about the mode y0 of log Y.

With u = log(Y/y0), A = a y0 / 2 and B = b / (2 y0), as in `_density`,

    -log f(Y) = A (e^u - 1 - u) + B (e^-u - 1 + u) + u + log y0 + log C,

whose means are of the size of 1, while ψ and θ·η are of the size of w = √(p² + ab).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from normix_bessel import log_kv_moments
from normix_expfam._divergence import quadratic_form
from normix_expfam._gamma import gamma_mean_log
from normix_expfam._kl_term import exp_gap
from normix_expfam._tangents import along

from ._density import log_mass
from ._jax import by_parameters, interior_or_one, limit_covariance, mode_of_log


class _Centre(NamedTuple):
    """A distribution about its y0."""

    y0: jax.Array
    up: jax.Array
    down: jax.Array
    u: jax.Array  # means
    f: jax.Array
    g: jax.Array
    log_mass: jax.Array


def _centre(p: jax.Array, a: jax.Array, b: jax.Array) -> _Centre:
    inside, p1, a1, b1 = interior_or_one(p, a, b)
    mean = log_kv_moments(p1, jnp.sqrt(a1) * jnp.sqrt(b1), covariance=False).mean
    # at the limits Y or 1/Y is gamma, whose mean is y0 or 1/y0
    gamma = b == 0
    shape = jnp.where(inside, 2.0, jnp.abs(p))
    log_x = gamma_mean_log(shape)
    exists = shape > 1
    inverse = jnp.where(exists, 1 / jnp.where(exists, shape - 1, 1.0) + log_x, jnp.inf)
    edge = (
        jnp.where(gamma, log_x, -log_x),
        jnp.where(gamma, -log_x, inverse),
        jnp.where(gamma, inverse, -log_x),
    )
    u, f, g = (jnp.where(inside, mean[..., k], edge[k]) for k in range(3))
    y0 = mode_of_log(p, a, b)
    return _Centre(y0, a * y0 / 2, b / y0 / 2, u, f, g, log_mass(p, a, b))


def _times(rate: jax.Array, mean: jax.Array) -> jax.Array:
    """Their product, in which an infinite mean of rate 0 counts for nothing."""
    return jnp.where(rate == 0, 0.0, rate * mean)


@jax.custom_jvp
def entropy(p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """-E log f(Y), scalar parameters."""
    at = _centre(p, a, b)
    depth = _times(at.up, at.f) + _times(at.down, at.g)
    return depth + at.u + jnp.log(at.y0) + at.log_mass


@partial(entropy.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b = primals
    # minus the covariance of log f with t(Y), inside in the statistics (u, f, g)
    inside, p1, a1, b1 = interior_or_one(p, a, b)
    y0 = mode_of_log(p1, a1, b1)
    cov: Any = log_kv_moments(p1, jnp.sqrt(a1) * jnp.sqrt(b1)).cov
    row = jnp.stack([jnp.ones_like(y0), a1 * y0 / 2, b1 / y0 / 2]) @ cov
    centred = row[0], (row[2] - row[0]) / y0, (row[0] + row[1]) * y0
    theta = jnp.stack([p - 1, -b / 2, -a / 2])
    plain = jnp.sum(_times(theta[:, None], limit_covariance(p, a, b)), axis=0)
    slopes = tuple(jnp.where(inside, x, -y) for x, y in zip(centred, plain, strict=True))
    value = entropy(p, a, b)
    return value, along(by_parameters(slopes), tangents, value)


def divergence(
    law: tuple[jax.Array, jax.Array, jax.Array], other: tuple[jax.Array, jax.Array, jax.Array]
) -> jax.Array:
    """KL(law ‖ other) up to rounding of numbers of its own size and 1, scalar parameters."""
    at = _centre(*law)
    y0 = mode_of_log(*other)
    up, down = other[1] * y0 / 2, other[2] / y0 / 2
    close = jnp.abs(at.y0 - y0) < 0.5 * y0
    d = jnp.where(
        close, jnp.log1p(jnp.where(close, at.y0 - y0, 0.0) / y0), jnp.log(at.y0) - jnp.log(y0)
    )
    rise = _tilt(up, other[1] * at.y0 / 2, d, at.u, at.f)
    fall = _tilt(down, other[2] / at.y0 / 2, -d, -at.u, at.g)
    mine = _times(at.up, at.f) + _times(at.down, at.g)
    return rise + fall - mine + log_mass(*other) - at.log_mass


def _tilt(rate: jax.Array, moved: jax.Array, d: jax.Array, u: jax.Array, f: jax.Array) -> jax.Array:
    """rate E (e^v - 1 - v), v = u + d, where moved = rate e^d, from E u and f = E (e^u - 1 - u)."""
    near = jnp.abs(d) < 1
    d_near = jnp.where(near, d, 0.0)
    close = rate * (exp_gap(d_near) + jnp.expm1(d_near) * u) + _times(moved, f)
    return jnp.where(near, close, _times(moved, 1 + u + f) - rate * (1 + u + d))


def variance_along(theta: jax.Array, delta: jax.Array) -> jax.Array:
    """Var δ·t(Y), in which an infinite moment along which δ is 0 counts for nothing."""
    p, a, b = theta[0] + 1, -2 * theta[2], -2 * theta[1]
    inside, p1, a1, b1 = interior_or_one(p, a, b)
    y0 = mode_of_log(p1, a1, b1)
    cov: Any = log_kv_moments(p1, jnp.sqrt(a1) * jnp.sqrt(b1)).cov
    up, down = delta[2] * y0, delta[1] / y0
    step = jnp.stack([delta[0] + up - down, up, down])
    edge = quadratic_form(limit_covariance(p, a, b), delta)
    return jnp.where(inside, step @ cov @ step, edge)
