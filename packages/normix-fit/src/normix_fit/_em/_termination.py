"""What ends a fit: no likelihood left to gain, and the limit of its family a model lies on."""

from typing import Any

import numpy as np
from jaxtyping import Float

from normix_expfam import Status
from normix_expfam.internal import Array, namespace_of
from normix_mixtures import GeneralizedHyperbolic

_NORMAL_LIMIT = 1e6  # w: excess kurtosis below 3e-6
_LOG_NOTHING = np.log(1e-12)


def remaining_gain(history: Float[Array, " m"], taken: Array, value: Array) -> Float[Array, ""]:
    """Aitken's estimate of the log-likelihood still to be gained after `value`.

    With gains falling geometrically by r the rest is the last gain times r / (1 - r) (Böhning et
    al. 1994, Annals of the Institute of Statistical Mathematics 46, 373). Of the last two ratios
    r is the larger: one small gain of an extrapolation does not stop a fit. It is infinite while
    gains are not falling, unless the last gain is 0.

    Args:
        history: log-likelihoods of the models taken before, the first `taken` entries.
        taken: their number.
        value: log-likelihood of the next.
    """
    xp = namespace_of(value)
    places = taken - xp.arange(3, 0, -1, dtype=xp.int32)
    gains = xp.diff(xp.append(history[xp.maximum(places, 0)], value))
    falling = (gains[1:] < gains[:-1]) & (gains[:-1] > 0)
    ratios = xp.where(falling, gains[1:] / xp.where(falling, gains[:-1], 1.0), 1.0)
    # the first gain of the three may not exist yet, and then the second must
    r = xp.max(xp.where(places[:2] >= 0, ratios, 0.0))
    r = xp.where(taken >= 2, r, 1.0)
    estimate = gains[-1] * r / xp.where(r < 1, 1 - r, 1.0)
    nothing = (taken > 0) & (gains[-1] <= 0)
    left: Array = xp.where(nothing, 0.0, xp.where(r < 1, estimate, xp.inf))
    return left


def limit_of(model: Any) -> Status:
    """The status of a converged fit; `model` is in the gauge of `normalize`."""
    p, a, b = (float(part) for part in model.joint.subordinator_as_gig())
    if (a + b) / 2 > _NORMAL_LIMIT:
        return Status.NORMAL_LIMIT
    if isinstance(model, GeneralizedHyperbolic):
        # of order (ab/4)^|p| is what tells the law from its limit
        on_it = a * b == 0 or abs(p) * (np.log(a * b) - np.log(4)) < _LOG_NOTHING
        if on_it and p < 0:
            return Status.INVERSE_GAMMA_LIMIT
        if on_it and p > 0:
            return Status.GAMMA_LIMIT
    return Status.CONVERGED
