"""Which limit of its family a converged model lies on."""

from typing import Any

from normix_expfam import Status
from normix_mixtures import GeneralizedHyperbolic

_NORMAL_LIMIT = 1e6  # w: excess kurtosis below 3e-6
_NOTHING = 1e-12


def limit_of(model: Any) -> Status:
    """The status of a converged fit; `model` is in the gauge of `normalize`."""
    p, a, b = (float(part) for part in model.joint.subordinator_as_gig())
    if (a + b) / 2 > _NORMAL_LIMIT:
        return Status.NORMAL_LIMIT
    if isinstance(model, GeneralizedHyperbolic):
        # of order (ab/4)^|p| is what tells the law from its limit
        on_it = a * b == 0 or (a * b / 4) ** abs(p) < _NOTHING
        if on_it and p < 0:
            return Status.INVERSE_GAMMA_LIMIT
        if on_it and p > 0:
            return Status.GAMMA_LIMIT
    return Status.CONVERGED
