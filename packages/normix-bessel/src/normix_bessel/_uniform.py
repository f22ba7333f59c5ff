"""Debye's uniform expansion: log(e^z K_v(z)) without an exponential, for hypot(v, z) >= LIMIT.

With w = hypot(v, z), t0 = asinh(v/z) and U_k of DLMF 10.41.9 (DLMF 10.41.4),

    K_v(z) ~ √(π / 2w) e^(-w + v t0) S,   S = Σ (-1)^k U_k(v/w) / v^k = Σ (-1/w)^k V_k(v²/w²),

as U_k(p) = p^k V_k(p²): no power of v is divided by, and v = 0 is no exception.
"""

import math
from fractions import Fraction
from itertools import zip_longest

import jax
import jax.numpy as jnp

from ._saddle import saddle_point

LIMIT = 64.0
_TERMS = 11  # the next is below 1e-18 at w = LIMIT, for every v


def _coefficients() -> list[list[float]]:
    """V_k, ascending in p², by U_{k+1} = ½ p² (1 - p²) U_k' + (1/8) ∫_0^p (1 - 5 s²) U_k(s) ds."""
    u, found = [Fraction(1)], []
    for k in range(_TERMS):
        found.append([float(c) for c in u[k::2]])
        lower = [
            Fraction(0),
            *((Fraction(i, 2) + Fraction(1, 8 * (i + 1))) * c for i, c in enumerate(u)),
        ]
        upper = [Fraction(0)] * 3 + [
            -(Fraction(i, 2) + Fraction(5, 8 * (i + 3))) * c for i, c in enumerate(u)
        ]
        u = [a + b for a, b in zip_longest(lower, upper, fillvalue=Fraction(0))]
    return found


_V = _coefficients()


def _sum(x: jax.Array, square: jax.Array) -> jax.Array:
    """S at x = 1/w and v²/w²."""
    total = jnp.zeros_like(x)
    for coefficients in reversed(_V):
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
