"""Integrals of GIG(p, a, b) in NumPy: for one distribution, and for many of one order."""

import math
from typing import Any

import numpy as np

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
        return _about_the_mode(self._order, z, look_up(self._table, z, np))


def _about_the_mode(v: float, z: np.ndarray, found: Any) -> tuple[np.ndarray, ...]:
    """What `normix_bessel` has about the mode of an order of size 1, at a smaller order."""
    mass, up, down, shift = found
    size = abs(v)
    if size >= 1:
        return mass, up, down, shift
    w, far = np.hypot(size, z), np.hypot(1.0, z)
    bend = np.log((1 + far) / (size + w))
    mass = mass + np.log(w / far) / 2 + (size * size - 1) / (w + far) + size * bend
    bend = bend if v >= 0 else -bend
    return mass, up + bend, down - bend, shift + bend


def log_mass(p: float, a: float, b: float) -> float:
    """log ∫ exp(-φ), φ the exponent of log Y about its mode."""
    if a * b == 0:
        return in_the_limit(p)[0] - math.log(abs(p)) / 2
    z = np.sqrt([a]) * np.sqrt([b])
    mass = _about_the_mode(p, z, evaluate(p, z))[0]
    return float(mass[0]) - math.log((a + b) / 2) / 2


def in_the_limit(v: float) -> tuple[float, float, float, float]:
    """As `Table.look_up` at z = 0, where Y is gamma or inverse gamma of shape |v|."""
    size = abs(v)
    if size == 0:
        return np.nan, np.nan, np.nan, np.nan
    mass = math.lgamma(size) + size - (size - 0.5) * math.log(size)
    shift = digamma_and_trigamma(size)[0] - math.log(size)
    inverse = math.log(size / (size - 1)) if size > 1 else np.inf
    return (mass, 0.0, inverse, shift) if v > 0 else (mass, inverse, 0.0, -shift)


def moments(p: Any, a: Any, b: Any) -> tuple[float, float, float]:
    """E log Y, E 1/Y and E Y."""
    p, a, b = float(p), float(a), float(b)
    y0 = float(mode_of_log(*np.array([p, a, b])))
    if a * b == 0:
        _, up, down, shift = in_the_limit(p)
    else:
        z = np.sqrt([a]) * np.sqrt([b])
        _, up, down, shift = (float(x[0]) for x in _about_the_mode(p, z, evaluate(p, z)))
    return math.log(y0) + shift, math.exp(down) / y0, math.exp(up) * y0
