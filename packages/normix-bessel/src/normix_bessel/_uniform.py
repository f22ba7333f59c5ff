"""Debye's uniform expansion: log(e^z K_v(z)) without an exponential, for hypot(v, z) >= LIMIT.

The formula is in `_debye`. It serves batches that lie in its domain as a whole.
"""

import math

import jax
import jax.numpy as jnp

from ._debye import polynomials
from ._saddle import saddle_point

LIMIT = 64.0
_TERMS = 11  # the next is below 1e-18 at w = LIMIT, for every v


def _sum(x: jax.Array, square: jax.Array) -> jax.Array:
    """Σ (-x)^k V_k(square) at x = 1/w, square = v²/w²."""
    total = jnp.zeros_like(x)
    for coefficients in reversed(polynomials(_TERMS)):
        term = jnp.full_like(x, coefficients[-1])
        for c in coefficients[-2::-1]:
            term = term * square + c
        total = term - x * total
    return total


def _log_kve(
    v: jax.Array, z: jax.Array, t0: jax.Array, w: jax.Array, total: jax.Array
) -> jax.Array:
    """z - w = -v² / (w + z) does not cancel."""
    return v * (t0 - v / (w + z)) + jnp.log(math.sqrt(math.pi / 2) * total / jnp.sqrt(w))


def value(v: jax.Array, z: jax.Array) -> tuple[jax.Array]:
    """log(e^z K_v(z)), v >= 0."""
    w = jnp.hypot(v, z)
    return (_log_kve(v, z, saddle_point(v, z), w, _sum(1 / w, (v / w) ** 2)),)


def gradient(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z), from ∂v (v t0 - w) = t0 and ∂z (v t0 - w + z) = -v² / (z (w + z))."""
    t0, w = saddle_point(v, z), jnp.hypot(v, z)
    p, r = v / w, z / w
    log_kve, along_w, along_square = _slopes(v, z, t0, w)
    dv = t0 + (p * along_w + r * r * along_square)
    dz = -p * (v / (w + z)) / r + r * (along_w - p * along_square)
    return log_kve, dv, dz


def _slopes(v: jax.Array, z: jax.Array, t0: jax.Array, w: jax.Array) -> tuple[jax.Array, ...]:
    """log(e^z K), and the derivatives of the logarithm of its sum.

    Along w, as ∂v w = p and ∂z w = r; along v²/w² without the factor r that its derivatives
    ∂v = 2 p r² / w and ∂z = -2 p² r / w have in common, with p = v/w, r = z/w.
    """
    x, p = 1 / w, v / w
    square, one = p * p, jnp.ones_like(v)
    total, by_x = jax.jvp(lambda x: _sum(x, square), (x,), (one,))
    _, by_square = jax.jvp(lambda s: _sum(x, s), (square,), (one,))
    along_w = -x * (0.5 + x * by_x / total)
    return _log_kve(v, z, t0, w, total), along_w, 2 * x * p * (by_square / total)


def mean(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """log(e^z K) and the means of u, f and g (`KvMoments`), v >= 0.

    E u = ∂v log K - t0. With C = E cosh u - 1 and S = E sinh u, E sinh t = sinh t0 gives
    S = -p C, and E cosh t = -∂z log K gives C = (E cosh t - cosh t0) / r; so E f = C + S - E u and
    E g = C - S + E u.
    """
    t0, w = saddle_point(v, z), jnp.hypot(v, z)
    p, r = v / w, z / w
    log_kve, along_w, along_square = _slopes(v, z, t0, w)
    u = p * along_w + r * r * along_square
    excess = p * along_square - along_w
    return log_kve, u, excess * (r * r / (1 + p)) - u, excess * (1 + p) + u
