"""E exp(s Y) of Y ~ GIG(p, a, b) for complex s with Re s <= 0, for characteristic functions.

exp(s y) turns a into a - 2s, so the value is a ratio of two GIG integrals, one with complex a. Its
path is moved to a line in log y through the complex saddle y0 = (w + p)/(a - 2s), w² = p² +
(a - 2s) b, and bends from there so that both ends fall like a real integrand. The exponent is
A f(v) + B h(v) (f = e^v - 1 - v, h = e^-v - 1 + v) with A, B = (w ± p)/2, whose real parts are
positive since Re w² > p². Factors before the integrals are ratios to s = 0, without the
cancellation of two log-partitions.
"""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam.internal import reach

from ._mode_mass import prior_of
from ._mode_shift import exponents

_DEPTH = 40.0
_VANISHED = 1e4  # -log|E exp(s Y)| is above half of it for |s| b > _VANISHED (_VANISHED + w)
_NODES = 40  # Gauss-Legendre nodes of a panel
_TURN = 4.0  # u at which the path has half of its final angle
_EDGES = (6.0, 40.0)  # panels near either end of a range; between them it is an exponential


def log_laplace(p: jax.Array, a: jax.Array, b: jax.Array, s: jax.Array) -> jax.Array:
    """log E exp(s Y), complex s of any shape with Re s <= 0, a branch that is 0 at s = 0."""
    w = jnp.hypot(p, jnp.sqrt(a) * jnp.sqrt(b))
    _, up, down = prior_of(p, a, b)
    upper = p > 0
    size, least = jnp.abs(p), jnp.where(upper, w + p, w - p)
    p, a, b, w, size, least, up, down = (
        jax.lax.complex(x, jnp.zeros_like(x)) for x in (p, a, b, w, size, least, up, down)
    )
    rate = a - 2 * s
    w_s = jnp.sqrt(p * p + rate * b)
    rise = -2 * s * b / (w_s + w)  # w_s - w
    # log y0(s)/y0(0), by the form of y0 that does not cancel
    moved = jnp.log1p(rise / least)
    log_ratio = jnp.where(upper, moved - jnp.log1p(-2 * s / jnp.where(upper, a, 1.0)), -moved)
    half = rate * b / (2 * (w_s + size))  # (w - |p|)/2
    A, B = (jnp.where(side, half + size, half) for side in (upper, ~upper))
    return p * log_ratio - rise + _log_integral(A, B) - _log_integral(up, down)


def characteristic(
    p: jax.Array, a: jax.Array, b: jax.Array, turned: jax.Array, drift: jax.Array, phase: jax.Array
) -> jax.Array:
    """E exp(i tᵀX) from Lᵀt on the last axis, tᵀγ and tᵀμ.

    E exp(s Y) at s = i tᵀγ - |Lᵀt|²/2. Past the last t with a square it falls like |t|^(-2p) for
    b = 0; for b > 0 it is 0 from far smaller ones on.
    """
    w = jnp.hypot(p, jnp.sqrt(a) * jnp.sqrt(b))
    square = float(jnp.finfo(phase.dtype).max) ** 0.8
    last = _VANISHED * (_VANISHED + w) / jnp.where(b > 0, b, 1.0)
    square = jnp.where(b > 0, jnp.minimum(square, last), square)
    # t enters squared through Lᵀt, and as it is through tᵀγ
    beyond = jnp.max(jnp.abs(turned), axis=-1) / jnp.sqrt(square)
    unit = jax.lax.stop_gradient(jnp.maximum(jnp.maximum(beyond, jnp.abs(drift) / square), 1.0))
    near = turned / unit[..., None]
    s = jax.lax.complex(-jnp.sum(near * near, axis=-1) / 2, drift / unit)
    found = log_laplace(p, a, b, s)
    size = jnp.exp(found.real - jnp.where(b == 0, 2 * p * jnp.log(unit), 0.0))
    angle = jnp.where(size > 0, found.imag + phase, 0.0)
    return jax.lax.complex(size * jnp.cos(angle), size * jnp.sin(angle))


def _log_integral(A: jax.Array, B: jax.Array) -> jax.Array:
    """log ∫ exp(-A (e^v - 1 - v) - B (e^-v - 1 + v)) dv, any shape, Re A, Re B >= 0.

    The path leaves the saddle v = 0 to the right as v = u + i θ(u) with θ from 0 towards -arg A, so
    that A e^v turns real, however small the real part of A is; to the left likewise with B. It
    does so slowly, θ'(0) < 1/2, to remain on the slopes of the saddle.
    """
    none = jnp.zeros_like(A.real)
    nodes, weights = (
        jnp.asarray(table, none.dtype).reshape((1,) * none.ndim + (-1,))
        for table in np.polynomial.legendre.leggauss(_NODES)
    )
    largest = 0.97 * math.log(float(jnp.finfo(none.dtype).max))
    total = jnp.zeros_like(A)
    for up, down in ((A, B), (B, A)):  # u > 0, and u < 0 mirrored
        angle = -jnp.angle(up)[..., None]
        end = reach(none, 0.5 * jnp.abs(up), down.real, _DEPTH, steps=4)
        end = jax.lax.stop_gradient(end)
        near, far = (jnp.minimum(edge, end / 2) for edge in _EDGES)
        edges = [none, near, far, end - far, end - near, end]
        for low, high in pairwise(edges):
            half = (high - low)[..., None] / 2
            u = low[..., None] + half * (1 + nodes)
            turn = jax.lax.stop_gradient(angle / (_TURN + u))
            v = jax.lax.complex(u, turn * u)
            # where e^u is not a number its factor is 0: a limit of the family
            near_v = jax.lax.complex(jnp.minimum(u, largest), turn * u)
            grow, fall = jnp.expm1(near_v), jnp.expm1(-near_v)
            f, h = exponents(v, grow, fall)
            exponent = up[..., None] * f + down[..., None] * h
            speed = turn * _TURN / (_TURN + u)
            weight = jax.lax.complex(half * weights, half * weights * speed)
            total = total + jnp.sum(weight * jnp.exp(-exponent), -1)
    return jnp.log(total)
