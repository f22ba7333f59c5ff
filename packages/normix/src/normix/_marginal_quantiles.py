"""Quantiles of one column of a mixture on the host, for pictures: SciPy only, nothing compiled.

X = μ + γ Y + σ √Y Z is a normal law averaged over Y, P(X <= x) = E Φ((x - μ - γ Y) / (σ √Y)). The
mean over Y ~ GIG(p, a, b) is a sum over nodes even in log y, which converges geometrically. Far in
a heavy tail of a skewed law Φ is a step between two nodes; there it is its mean between them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normix_mixtures import NormalMixture

_DEPTH: Final = 32.0  # e^-32 of the largest weight is left out
_LARGEST_LOG: Final = 700.0
_LOWEST: Final = 20.0  # below its mode log y may as well be that: √y is 5e-5 of the middle one
_NODES: Final = 200
_SPACING: Final = 0.15  # of log y, over the relative width of Φ as a function of it
_MOST_NODES: Final = 1000
_SHARP: Final = 0.7  # of the argument of Φ between two nodes; below, the sum has all digits
_GRID: Final = 257
_NEWTON: Final = 8
_LARGEST_REACH: Final = 300.0

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Marginal:
    """The law of one column: μ, γ, σ, the nodes of log y and their probabilities."""

    mu: float
    gamma: float
    sigma: float
    log_y: _Floats
    weights: _Floats

    def ppf(self, q: ArrayLike) -> _Floats:
        """x with P(X <= x) = q, for q (k,) inside (0, 1), exact to a thousandth of their spread.

        The error is one of rounding unless a heavy tail and a strong skewness meet.
        """
        from scipy.special import logit

        target = np.asarray(logit(np.asarray(q, np.float64)))
        with np.errstate(over="ignore"):  # what is beyond every number is in no tail
            return self._at(self._solve(target))

    def _solve(self, target: _Floats) -> _Floats:
        """t at which the log-odds are `target`: a table, then Newton's method in its cells."""
        reach = 4.0
        while True:
            t = np.linspace(-reach, reach, _GRID)
            odds, _ = self._log_odds(t)
            if (odds[0] < target.min() and odds[-1] > target.max()) or reach > _LARGEST_REACH:
                break
            reach *= 1.5
        right = np.clip(np.searchsorted(odds, target), 1, _GRID - 1)
        low, high = t[right - 1], t[right]
        t = np.interp(target, odds, t)
        for _ in range(_NEWTON):
            odds, slope = self._log_odds(t)
            low, high = np.where(odds < target, t, low), np.where(odds < target, high, t)
            step = (target - odds) / slope
            # Next to a pole of the density a step may leave the bracket.
            inside = (t + step >= low) & (t + step <= high)
            t = np.where(inside, t + step, (low + high) / 2)
        return t

    def _at(self, t: _Floats) -> _Floats:
        """x = centre + unit sinh t, at which power tails and normal ones are nearly straight."""
        y = np.exp(self.log_y[np.argmax(self.weights)])
        return np.asarray(self.mu + self.gamma * y + self.sigma * np.sqrt(y) * np.sinh(t))

    def _log_odds(self, t: _Floats) -> tuple[_Floats, _Floats]:
        """log P(X <= x) / P(X > x) at the x of t, and its slope in t."""
        from scipy.special import ndtr

        x = (self._at(t)[:, None] - self.mu) / self.sigma
        g = self.gamma / self.sigma
        half = (self.log_y[1] - self.log_y[0]) / 2

        def argument(v: _Floats) -> _Floats:
            return np.asarray(x * np.exp(-v / 2) - g * np.exp(v / 2))

        z = argument(self.log_y)
        below, above, density = ndtr(z), ndtr(-z), _normal_density(z)
        before, after = argument(self.log_y - half), argument(self.log_y + half)
        sharp = np.abs(after - before) > _SHARP
        if sharp.any():
            before, after = before[sharp], after[sharp]
            width = after - before
            below[sharp] = (_integral_of_ndtr(after) - _integral_of_ndtr(before)) / width
            above[sharp] = (_integral_of_ndtr(-before) - _integral_of_ndtr(-after)) / width
            density[sharp] = (ndtr(after) - ndtr(before)) / width
        tiny = np.finfo(float).tiny
        lower = np.maximum(below @ self.weights, tiny)
        upper = np.maximum(above @ self.weights, tiny)
        middle = self.log_y[np.argmax(self.weights)]
        slope = density @ (self.weights * np.exp((middle - self.log_y) / 2)) * np.cosh(t)
        return np.log(lower) - np.log(upper), np.maximum(slope / lower / upper, tiny)


def marginals(model: NormalMixture, columns: Iterable[int]) -> list[Marginal]:
    """The laws of some columns."""
    p, a, b = map(float, model.joint.subordinator_as_gig())
    mu, gamma, factor = (
        np.asarray(part, np.float64) for part in (model.mu, model.gamma, model.L_Sigma)
    )
    sigma = np.linalg.norm(factor, axis=1)
    found = []
    for j in columns:
        log_y, weights = _mixing_weights(p, a, b, float(gamma[j] / sigma[j]))
        found.append(Marginal(float(mu[j]), float(gamma[j]), float(sigma[j]), log_y, weights))
    return found


def _normal_density(z: _Floats) -> _Floats:
    return np.asarray(np.exp(-z * z / 2) / np.sqrt(2 * np.pi))


def _integral_of_ndtr(z: _Floats) -> _Floats:
    from scipy.special import ndtr

    return np.asarray(z * ndtr(z) + _normal_density(z))


def _mixing_weights(p: float, a: float, b: float, g: float) -> tuple[_Floats, _Floats]:
    """Nodes of log y, and the probabilities of Y ~ GIG(p, a, b) at them, with sum 1."""

    def exponent(v: _Floats) -> _Floats:
        with np.errstate(over="ignore"):
            return np.asarray(p * v - (a * np.exp(v) + b * np.exp(-v)) / 2)

    low, high, last = -_LARGEST_LOG, _LARGEST_LOG, np.inf
    while high - low < 0.9 * last:
        last = high - low
        v = np.linspace(low, high, 20 * _NODES)
        inside = np.flatnonzero(exponent(v) > exponent(v).max() - _DEPTH)
        low, high = v[max(inside[0] - 1, 0)], v[min(inside[-1] + 1, v.size - 1)]
    middle = float(v[np.argmax(exponent(v))])
    start = max(float(low), middle - _LOWEST)
    width = 1 / np.hypot(1, g * np.exp(min(middle / 2, _LARGEST_LOG / 2)))
    nodes = max(_NODES, min(_MOST_NODES, int((high - start) / (_SPACING * width))))
    log_y = np.linspace(start, high, nodes)
    weights = np.exp(exponent(log_y) - exponent(log_y).max())
    if start > low:
        v = np.linspace(low, start, 20 * _NODES)
        beyond = np.exp(exponent(v) - exponent(log_y).max())
        weights[0] += np.trapezoid(beyond, v) / (log_y[1] - log_y[0]) - weights[0] / 2
    return log_y, weights / weights.sum()
