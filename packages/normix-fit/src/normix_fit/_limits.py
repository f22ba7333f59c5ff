"""Which limit of its family a converged model lies on."""

from normix_mixtures import GeneralizedHyperbolic, NormalMixture

from ._result import Status

_NORMAL_LIMIT = 1e6  # w: excess kurtosis below 3e-6


def limit_of(model: NormalMixture) -> Status:
    """The status of a converged fit; `model` is in the gauge of `normalize`."""
    _, a, b = model.joint.subordinator_as_gig()
    if float(a + b) / 2 > _NORMAL_LIMIT:
        return Status.NORMAL_LIMIT
    if isinstance(model, GeneralizedHyperbolic):
        if float(a) == 0:
            return Status.INVERSE_GAMMA_LIMIT
        if float(b) == 0:
            return Status.GAMMA_LIMIT
    return Status.CONVERGED
