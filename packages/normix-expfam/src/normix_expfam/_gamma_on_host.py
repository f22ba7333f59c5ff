"""The shape of a gamma distribution in NumPy, as `_gamma` has it in JAX, without SciPy."""

import math
from typing import Any

import numpy as np

from . import _gamma_shape
from ._stirling import LARGE, stirling_series

_STEEP = 1e100  # c beyond which log α is nothing beside 1/α


def shape(c: Any) -> np.float64:
    """α with log α - digamma(α) = c > 0; inf at c = 0, nan below."""
    if not 0 <= c < np.inf:
        return np.float64(np.nan)
    if c == 0 or 1 / c == np.inf:
        return np.float64(np.inf)
    c = np.float64(c)
    if c > _STEEP:
        return 1 / c
    alpha = np.float64(_gamma_shape.start(c, np))
    for _ in range(_gamma_shape.STEPS):
        alpha = np.float64(_gamma_shape.step(alpha, c, *_remainder(alpha)))
    return alpha


def _remainder(x: np.float64) -> tuple[float, float]:
    """δ' and δ'' of Stirling's formula."""
    if x >= LARGE:
        return float(stirling_series(1, 1 / x)), float(stirling_series(2, 1 / x))
    first, second = digamma_and_trigamma(float(x))
    return first - math.log(x) + 0.5 / x, second - (1 + 0.5 / x) / x


def digamma_and_trigamma(x: float) -> tuple[float, float]:
    """ψ and ψ' at x > 0, by the recurrence ψ(x) = ψ(x + 1) - 1/x and Stirling's formula.

    Of all of SciPy a fit would import its special functions for these two.
    """
    first = second = 0.0
    while x < LARGE:
        first, second, x = first - 1 / x, second + 1 / (x * x), x + 1
    inverse = 1 / x
    first += math.log(x) - inverse / 2 + stirling_series(1, inverse)
    second += inverse + inverse * inverse / 2 + stirling_series(2, inverse)
    return float(first), float(second)
