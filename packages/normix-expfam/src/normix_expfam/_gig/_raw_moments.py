"""Moments of Y ~ GIG(p, a, b) beyond those of its statistics, limits included.

E Y^k = exp(ψ(p + k) - ψ(p)). Central moments of concentrated distributions are not
differences of these but sums over nodes in u = log(Y / y0) (see `_tails`).
"""

import jax
import jax.numpy as jnp
import numpy as np

from ._api import gig_log_partition
from ._jax import mode_of_log

_CONCENTRATED = 30.0  # w beyond which E (Y - m)⁴ is summed; differences lose w³
_NODES = 32  # on each side of the mode
_DEPTH = 45.0


def raw_moment(p: jax.Array, a: jax.Array, b: jax.Array, order: jax.Array) -> jax.Array:
    """E Y^order, scalar parameters, any shape of orders; +inf where it does not exist."""
    p, a, b = (jnp.broadcast_to(x, order.shape) for x in (p, a, b))
    return jnp.exp(gig_log_partition(p + order, a, b) - gig_log_partition(p, a, b))


def mode(p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """Where the density is largest, y > 0 with a y - b/y = 2 (p - 1); 0 if b = 0 and p <= 1."""
    order = p - 1
    # from a b where that is a normal number: √b has no derivative at the limit b = 0
    product = a * b
    extreme = ((product < jnp.finfo(p.dtype).tiny) | (product == jnp.inf)) & (a > 0) & (b > 0)
    root = jnp.sqrt(jnp.where(extreme, a, 1.0)) * jnp.sqrt(jnp.where(extreme, b, 1.0))
    square = order**2 + jnp.where(extreme, 1.0, product)
    w = jnp.where(extreme, jnp.hypot(order, root), jnp.sqrt(jnp.where(square > 0, square, 1.0)))
    upper = order > 0
    numerator, denominator = jnp.where(upper, w + order, b), jnp.where(upper, a, w - order)
    return jnp.where(square > 0, numerator / denominator, 0.0)


def skewness_and_kurtosis(p: jax.Array, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Skewness and excess kurtosis; nan with an infinite variance, else +inf if infinite."""
    w = jnp.hypot(p, jnp.sqrt(a) * jnp.sqrt(b))
    concentrated = jax.lax.stop_gradient(w) > _CONCENTRATED
    # each form where it is finite, so that derivatives of the other are not nan
    far = _by_differences(*(jnp.where(concentrated, 1.0, x) for x in (p, a, b)))
    near = _by_sums(*(jnp.where(concentrated, x, 40.0) for x in (p, a, b)))
    skewness, kurtosis = (jnp.where(concentrated, x, y) for x, y in zip(near, far, strict=True))
    return skewness, kurtosis


def _by_differences(p: jax.Array, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    # in units of the mean, so that powers of Y stay numbers; the unit changes nothing
    mean = jax.lax.stop_gradient(raw_moment(p, a, b, jnp.ones_like(p)))
    unit = jnp.where(mean < jnp.inf, mean, 1.0)
    m1, m2, m3, m4 = raw_moment(p, a * unit, b / unit, jnp.arange(1.0, 5.0, dtype=p.dtype))
    var = m2 - m1**2
    third = jnp.where(m3 < jnp.inf, m3 - 3 * m1 * m2 + 2 * m1**3, jnp.inf)
    fourth = jnp.where(m4 < jnp.inf, m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4, jnp.inf)
    exists = m2 < jnp.inf
    skewness = jnp.where(exists, third / var**1.5, jnp.nan)
    return skewness, jnp.where(exists, fourth / var**2 - 3, jnp.nan)


def _by_sums(p: jax.Array, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    y0 = jax.lax.stop_gradient(mode_of_log(p, a, b))
    up, down = a * y0 / 2, b / y0 / 2
    # φ >= w u² / (2 + |u|), so it is the depth before these ends
    depth = _DEPTH / jax.lax.stop_gradient(up + down)
    end = depth / 2 + jnp.sqrt(depth**2 / 4 + 2 * depth)
    nodes = jnp.asarray(np.linspace(-1, 1, 2 * _NODES + 1), p.dtype)
    u = end * nodes
    e = jnp.expm1(u)
    weight = jnp.exp(p * u - up * e - down * jnp.expm1(-u))
    weight = weight / jnp.sum(weight)
    d = e - weight @ e
    var, third, fourth = (weight @ d**k for k in (2, 3, 4))
    return third / var**1.5, fourth / var**2 - 3
