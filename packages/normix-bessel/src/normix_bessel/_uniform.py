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
    x, p, r = 1 / w, v / w, z / w
    square, one = p * p, jnp.ones_like(v)
    total, by_x = jax.jvp(lambda x: _sum(x, square), (x,), (one,))
    _, by_square = jax.jvp(lambda s: _sum(x, s), (square,), (one,))
    # along w, as ∂v w = v/w and ∂z w = z/w; along v²/w², with ∂v = 2 p r² / w, ∂z = -2 p² r / w
    along_w = -x * (0.5 + x * by_x / total)
    along_square = 2 * x * p * r * (by_square / total)
    dv = t0 + (p * along_w + r * along_square)
    dz = -p * (v / (w + z)) / r + (r * along_w - p * along_square)
    return _log_kve(v, z, t0, w, total), dv, dz
