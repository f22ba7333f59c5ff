"""y - x - x log(y/x) >= 0 without cancellation, the piece that densities and divergences share.

About its mode the logarithm of a gamma, inverse gamma or GIG density is a sum of such terms, and so
is the divergence of two such distributions (scipy.special.kl_div is the same function of x and y).
"""

from typing import Any

import jax
import jax.numpy as jnp

_NEAR = 0.25  # |y/x - 1| below which the series is taken; beyond it the difference loses one digit
_TERMS = 9  # of the series: v² <= 1/49, so that the next one is below 1e-17


def _series(r: Any) -> Any:
    """r - log(1 + r) near 0, from log(1 + r) = 2 atanh(v) with v = r / (2 + r)."""
    v = r / (2 + r)
    square = v * v
    tail = square / (2 * _TERMS + 1)
    for k in range(_TERMS - 1, 0, -1):
        tail = square * (tail + 1 / (2 * k + 1))
    return v * (r - 2 * tail)


@jax.custom_jvp
def _gap(r: jax.Array) -> jax.Array:
    return _series(r)


@_gap.defjvp
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (r,), (tangent,) = primals, tangents
    return _gap(r), r / (1 + r) * tangent


def kl_term(x: Any, y: Any, gap: Any, unit: Any, log_ratio: Any, xp: Any = jnp) -> Any:
    """y - x - x log(y/x), elementwise.

    Args:
        x: x >= 0.
        y: y > 0, or 0 with x.
        gap: with unit > 0 the ratio gap/unit = y/x - 1, by the difference that loses least.
        unit: see gap.
        log_ratio: log(y/x), which is used away from y = x.
        xp: jax.numpy or numpy.
    """
    near = xp.abs(gap) < _NEAR * unit
    r = xp.where(near, gap, 0.0) / xp.where(near, unit, 1.0)
    return xp.where(near, x * (_gap if xp is jnp else _series)(r), y - x - x * log_ratio)


def exp_gap(x: Any, xp: Any = jnp) -> Any:
    """e^x - 1 - x >= 0, elementwise."""
    e = xp.expm1(x)
    one = xp.ones_like(e)
    return kl_term(one, one + e, e, one, x, xp)
