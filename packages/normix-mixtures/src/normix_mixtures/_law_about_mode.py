"""Integrals of GIG(p, a, b) about the mode of log Y: of one distribution, and of many of one order.

With Y = y0 e^u they are log C + ½ log w, C the mass of u, log E e^u, log E e^-u and E u: functions
of the order and of z = √(ab) that are next to 0 or constant wherever the distribution is narrow.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln

from normix_bessel.internal import FixedOrder, evaluate, look_up, tabulate
from normix_expfam import mode_of_log
from normix_expfam.internal import digamma_and_trigamma


class Table:
    """Functions of z at one order, in a table that covers what was asked for."""

    def __init__(self, order: float) -> None:
        self._order = order
        self._ends = np.inf, 0.0
        self._table: FixedOrder | None = None

    def look_up(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        """log C + ½ log w, log E e^u, log E e^-u and E u about the mode, each of the shape of z."""
        low, high = float(np.min(z)), float(np.max(z))
        if self._table is None or low < self._ends[0] or high > self._ends[1]:
            self._ends = min(low, self._ends[0]), max(high, self._ends[1])
            self._table = tabulate(self._order, np, *self._ends)
        found = look_up(self._table, z, np)
        # at orders of size 1 and above nothing changes
        return found if abs(self._order) >= 1 else about_mode(self._order, z, found, np)


def about_mode(v: Any, z: Any, found: Any, xp: Any) -> tuple[Any, Any, Any, Any]:
    """What `normix_bessel` has about the mode of an order of size 1, at a smaller order v."""
    mass, up, down, shift = found
    size = xp.abs(v)
    reference = xp.maximum(size, 1.0)
    w, far = xp.sqrt(size * size + z * z), xp.sqrt(reference * reference + z * z)
    bend = xp.log((reference + far) / (size + w))
    mass = mass + xp.log(w / far) / 2 + (size - reference) * (size + reference) / (w + far)
    mass = mass + size * bend
    bend = xp.where(v >= 0, bend, -bend)
    return mass, up + bend, down - bend, shift + bend


def log_mass(p: Any, a: Any, b: Any, xp: Any) -> Any:
    """log ∫ exp(-φ), φ the exponent of log Y about its mode."""
    inside = (a > 0) & (b > 0)
    z = xp.where(inside, xp.sqrt(a) * xp.sqrt(b), 1.0)[None]
    mass = about_mode(p, z, evaluate(p, z, xp), xp)[0][0] - xp.log((a + b) / 2) / 2
    edge = in_the_limit(p, xp)[0] - xp.log(xp.abs(p)) / 2
    return xp.where(inside, mass, edge)


def in_the_limit(v: Any, xp: Any) -> tuple[Any, Any, Any, Any]:
    """As `Table.look_up` at z = 0, where Y is gamma or inverse gamma of shape |v|."""
    size = xp.abs(v)
    log_gamma, digamma = _of_gamma(size, xp)
    mass = log_gamma + size - (size - 0.5) * xp.log(size)
    shift = digamma - xp.log(size)
    beyond = size > 1
    inverse = xp.where(beyond, -xp.log1p(-1 / xp.where(beyond, size, 2.0)), xp.inf)
    none, above = xp.zeros_like(inverse), v > 0
    up, down = xp.where(above, none, inverse), xp.where(above, inverse, none)
    return mass, up, down, xp.where(above, shift, -shift)


def _of_gamma(size: Any, xp: Any) -> tuple[Any, Any]:
    """log Γ and its slope."""
    if xp is jnp:
        return gammaln(size), digamma(size)
    if size == 0:
        return np.float64(np.inf), np.float64(-np.inf)
    return np.float64(math.lgamma(size)), np.float64(digamma_and_trigamma(float(size))[0])


def moments(p: Any, a: Any, b: Any) -> tuple[float, float, float]:
    """E log Y, E 1/Y and E Y, in NumPy."""
    p, a, b = np.float64(p), np.float64(a), np.float64(b)
    y0 = float(mode_of_log(p, a, b))
    if a * b == 0:
        _, up, down, shift = in_the_limit(p, np)
    else:
        z = np.sqrt(a * np.ones(1)) * np.sqrt(b)
        _, up, down, shift = (float(x[0]) for x in about_mode(p, z, evaluate(p, z, np), np))
    return math.log(y0) + shift, math.exp(down) / y0, math.exp(up) * y0
