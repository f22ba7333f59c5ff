"""How an observation moves the mode of log Y, from GIG(p, a, b) to GIG(p + lift, a + g², b + r²).

In units of the mode y0 of log Y, with α = a y0/2, β = b/(2 y0), P = α + g² y0/2 and
R = β + r²/(2 y0), the new mode t y0 solves P t - R/t = α - β + lift. Where w = α + β is large, t is
next to 1, and e = t - 1 comes from the equation

    P e + R e/(1 + e) = κ + lift,   κ = (r²/y0 - g² y0)/2,

with relative accuracy, however small it is. The exponent of log Y about the new mode is
A f(u) + B h(u), A = P t, B = R/t; that of the old one is α f(v) + β h(v) at v = log t. No term is
of the size of w.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

_NEAR = 0.5  # |log t| up to which t - 1 is solved for
_SERIES = 0.02  # |u| up to which e^u - 1 - u is summed: the next term is 2e-15 of it


class Shift(NamedTuple):
    """Arrays of one shape."""

    up: jax.Array  # A
    down: jax.Array  # B
    v: jax.Array  # log t
    e: jax.Array  # t - 1 where near, else 0
    near: jax.Array  # whether |v| is small


def _excess(u: jax.Array) -> jax.Array:
    """e^u - 1 - u for |u| < `_SERIES`."""
    total = jnp.ones_like(u)
    for k in (7, 6, 5, 4, 3):
        total = 1 + total * u / k
    return total * u * u / 2


def exponents(u: jax.Array, e: jax.Array, d: jax.Array) -> tuple[jax.Array, jax.Array]:
    """f = e^u - 1 - u and h = e^-u - 1 + u, from e^u - 1 and e^-u - 1 where these do not cancel."""
    tiny = jnp.abs(u) < _SERIES
    small = jnp.where(tiny, u, 0.0)
    return jnp.where(tiny, _excess(small), e - u), jnp.where(tiny, _excess(-small), d + u)


def shift(
    order: jax.Array,
    alpha: jax.Array,
    beta: jax.Array,
    lift: jax.Array | float,
    g: jax.Array,
    r: jax.Array,
) -> Shift:
    """For the new order and the vectors g √y0 and r/√y0 on a last axis that is summed over.

    P > 0 is required where the new order is positive, else R > 0.
    """
    above, below = _parts(alpha, g), _parts(beta, r)
    P, R = above.rate + above.square, below.rate + below.square
    limit = P * R == 0
    both = above.unit * below.unit
    both = jnp.where(limit, jnp.minimum(both, float(jnp.finfo(P.dtype).max) ** 0.45), both)
    size = jnp.maximum(jnp.abs(order), jnp.where(limit, 0.0, both))
    size = jax.lax.stop_gradient(jnp.where(size > 0, size, 1.0))
    product = (both / size) ** 2 * P * R
    w = size * jnp.sqrt((order / size) ** 2 + 4 * product)
    positive = order > 0
    larger = (w + jnp.abs(order)) / 2
    smaller = size * (product / (larger / size))
    up, down = jnp.where(positive, larger, smaller), jnp.where(positive, smaller, larger)
    safe_P, safe_R = jnp.where(P > 0, P, 1.0), jnp.where(R > 0, R, 1.0)
    far = jnp.where(
        positive,
        jnp.log(larger) - jnp.log(safe_P) - 2 * jnp.log(above.unit),
        jnp.log(safe_R) + 2 * jnp.log(below.unit) - jnp.log(larger),
    )
    near = jnp.abs(far) < _NEAR
    half_g, half_r = (jnp.where(near, part.unit, 0.0) ** 2 * part.square for part in (above, below))
    numerator = 2 * (half_r - half_g + lift)
    e = jnp.where(near, numerator / jnp.where(near, alpha + beta + 2 * half_g - lift + w, 1.0), 0.0)
    return Shift(up, down, jnp.where(near, jnp.log1p(e), far), e, near)


class Means(NamedTuple):
    """Of log y, f and h of it, y in units of y0."""

    s: jax.Array
    f: jax.Array
    h: jax.Array


def _at_mode(to: Shift) -> tuple[jax.Array, jax.Array, Means]:
    """e^v - 1, e^-v - 1 and the functions of v."""
    e = jnp.where(to.near, to.e, power(to.v) - 1)
    d = jnp.where(to.near, -to.e / (1 + to.e), power(-to.v) - 1)
    return e, d, Means(to.v, *exponents(to.v, e, d))


def cost(alpha: jax.Array, beta: jax.Array, to: Shift) -> jax.Array:
    """α f(v) + β h(v)."""
    _, _, at_mode = _at_mode(to)
    return alpha * at_mode.f + beta * at_mode.h


def from_mode(to: Shift, u: jax.Array, f: jax.Array, h: jax.Array) -> Means:
    """Means of s = v + u, f(s) and h(s) from those of u, f(u) and h(u)."""
    e, d, at_mode = _at_mode(to)
    return Means(at_mode.s + u, at_mode.f + (1 + e) * f + e * u, at_mode.h + (1 + d) * h - d * u)


def power(v: jax.Array) -> jax.Array:
    """e^v, a number; it is met by 0 where it would not be one."""
    return jnp.exp(jnp.minimum(v, 0.9999 * math.log(float(jnp.finfo(v.dtype).max))))


class _Parts(NamedTuple):
    """rate + Σ root²/2 as unit² (rate + square): squares of what is very large or small too."""

    rate: jax.Array
    square: jax.Array
    unit: jax.Array


def _parts(rate: jax.Array, root: jax.Array) -> _Parts:
    unit = jnp.maximum(jnp.sqrt(rate), jnp.max(jnp.abs(root), axis=-1))
    unit = jax.lax.stop_gradient(jnp.where(unit > 0, unit, 1.0))
    scaled, inverse = root / unit[..., None], 1 / unit
    # not by two divisions, of which a compiler makes one by unit²
    return _Parts(rate * inverse * inverse, jnp.sum(scaled * scaled, axis=-1) / 2, unit)
