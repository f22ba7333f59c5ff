"""The remainder of Stirling's formula, which stays accurate where log Γ is large.

log Γ(x) = (x - ½) log x - x + ½ log 2π + δ(x) with δ(x) ~ Σ B_2k / (2k (2k-1) x^(2k-1)), DLMF 5.11.1.
"""

from functools import cache, partial
from math import factorial, log, pi, prod
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln, polygamma

LOG_2PI = log(2 * pi)

# B_2k / (2k (2k-1)), k = 1, 2, ...
_SERIES = (
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400,
    43867 / 244188, -174611 / 125400,
)  # fmt: skip
LARGE = 8.0  # from here on these terms leave 1e-17 of δ and of δ''


@cache
def _coefficients(order: int) -> list[float]:
    """Of the derivative of that order, for x^-(1 + order + 2 j), j = 0, 1, ..."""
    sign = (-1) ** order
    return [sign * c * prod(range(2 * j + 1, 2 * j + 1 + order)) for j, c in enumerate(_SERIES)]


def stirling_series(order: int, inverse: Any) -> Any:
    """The derivative of that order of δ at 1/inverse >= `LARGE`, elementwise."""
    square = inverse * inverse
    total = 0.0 * square
    for coefficient in reversed(_coefficients(order)):
        total = total * square + coefficient
    return total * inverse ** (order + 1)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def stirling(order: int, x: jax.Array) -> jax.Array:
    """The derivative of that order of δ at x > 0, elementwise; differentiable to every order."""
    large = x >= LARGE
    series = stirling_series(order, 1 / jnp.where(large, x, LARGE))
    return jnp.where(large, series, _difference(order, jnp.where(large, 1.0, x)))


def _difference(order: int, x: jax.Array) -> jax.Array:
    """The same as a difference, which loses little where x is small."""
    if order == 0:
        return gammaln(x) - (x - 0.5) * jnp.log(x) + x - LOG_2PI / 2
    if order == 1:
        return digamma(x) - jnp.log(x) + 0.5 / x
    sign = (-1) ** order
    first, second = factorial(order - 2), factorial(order - 1) / 2
    return polygamma(order - 1, x) - sign * (first + second / x) / x ** (order - 1)


@stirling.defjvp
def _(order: int, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    return stirling(order, x), stirling(order + 1, x) * tangent
