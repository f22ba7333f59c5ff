"""Ascent of the observed log-likelihood by L-BFGS, where EM crawls.

The coordinates, their curvature and the gradient by Fisher's identity are those of a frame about
the model (`NormalMixture.frame`). An evaluation is an E-step, and the program of the EM loop does
it; all else, the test of the gradient at the end of EM included, is done on the host by NumPy and
SciPy, which need no compilation.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from normix_mixtures import Held, NormalMixture
from normix_mixtures.internal import LONGEST

_FLAT = 0.01  # of the usual curvature, the least
_PAIRS = 30  # that L-BFGS remembers
_WORSE = 1e3  # nats below the start, for what has no likelihood


class Point(NamedTuple):
    """A model with its log-likelihood, and the mean statistics under it."""

    model: NormalMixture
    log_likelihood: float
    statistics: Any


def unexplained(point: Point, total: float, held: Held) -> float:
    """At most so many nats are left to gain, if no coordinate of the frame is nearly flat.

    Σ g²/2c of the gradient g, with the curvature c a hundredth of its order of magnitude, but of
    each coordinate at most g times the way that it can go; 0 for a model without a frame.
    """
    frame = point.model.frame(held)
    if frame is None:
        return 0.0
    free = frame.free
    slope = frame.gradient(np.zeros(len(free)), point.statistics)
    way = np.where(slope < 0, -frame.lowest, LONGEST)
    with np.errstate(over="ignore"):  # the way is the bound then
        gains = np.minimum(slope * slope / (2 * _FLAT * frame.curvature), np.abs(slope) * way)
    return float(total * np.sum(gains[free]))


class _SpentError(Exception):
    """The evaluations are used up."""


def ascend(
    start: Point,
    evaluate: Callable[[NormalMixture], Point],
    total: float,
    held: Held,
    most: int,
    gain_tol: float,
) -> int:
    """Climb from `start` with at most `most` evaluations, and return their number.

    Args:
        start: where to begin, a model with a frame.
        evaluate: computes the E-step under a model, and keeps what it wants to keep; the
            log-likelihood is -inf where EM cannot continue from the model.
        total: number of rows, or the sum of weights.
        held: what is held.
        most: evaluations.
        gain_tol: nats; the ascent ends when it gains less in a step.
    """
    import scipy.optimize

    frame = start.model.frame(held)
    if frame is None:
        return 0
    free = frame.free
    # in these units the curvature is of order 1
    unit = np.sqrt(total * frame.curvature[free])
    spent = 0

    def fallen(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal spent
        u = np.zeros(len(free))
        u[free] = x / unit
        point = start
        if np.any(x != 0):
            if spent == most:
                raise _SpentError
            spent += 1
            point = evaluate(start.model.moved(frame, u))
        if not np.isfinite(point.log_likelihood):
            return _WORSE, np.zeros_like(x)
        slope = frame.gradient(u, point.statistics)[free]
        return start.log_likelihood - point.log_likelihood, -total / unit * slope

    with contextlib.suppress(_SpentError):
        scipy.optimize.minimize(
            fallen,
            np.zeros(np.count_nonzero(free)),
            jac=True,
            method="L-BFGS-B",
            # bounds on all make the first step one of the gradient in these units
            bounds=scipy.optimize.Bounds(unit * frame.lowest[free], unit * LONGEST),
            options={
                "maxcor": _PAIRS, "maxiter": most, "maxfun": most,
                "ftol": gain_tol / 10, "gtol": np.sqrt(gain_tol) / 30,
            },
        )  # fmt: skip
    return spent
