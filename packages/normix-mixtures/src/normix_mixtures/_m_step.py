"""The M-step: the model that mean statistics make most likely, with what is held as it is."""

from typing import TypeVar

from jaxtyping import Int

from normix_expfam import Status
from normix_expfam.internal import Array, is_on_host, namespace_of, to_host

from ._held import Held
from ._joint import JointNormalMixture
from ._normal_part import normal_part
from ._statistics import MixtureStatistics

Joint = TypeVar("Joint", bound=JointNormalMixture)


def maximise(
    joint: Joint, statistics: MixtureStatistics, held: Held
) -> tuple[Joint, Int[Array, ""]]:
    """The joint distribution of highest expected likelihood, in the gauge, and a `Status`.

    Args:
        joint: that under which the statistics were taken: the values of what is held, the form of
            Σ, and a start for the subordinator.
        statistics: about any origin.
        held: what keeps its value.
    """
    origin, means = statistics.origin, statistics.mean().parts
    xp = namespace_of(origin)
    mu = joint.mu - origin if held.mu else None
    normal = normal_part(means, xp, symmetric=held.gamma, mu=mu)
    subordinator, status = _fit_subordinator(joint, xp.stack(means[:3]), held)
    dispersion = joint.dispersion.fitted(normal.sigma)
    found = joint._assemble(normal.mu + origin, normal.gamma, dispersion, subordinator)
    return found.normalize(), status


def _fit_subordinator(joint: JointNormalMixture, means: Array, held: Held) -> tuple[object, Array]:
    family = type(joint)
    if held.subordinator:
        return joint.subordinator, namespace_of(means).int32(Status.CONVERGED)
    law = joint.subordinator_as_gig()
    if held.shape is None:
        found, status = family._fit_subordinator(means, law)
    else:
        found, status = family._fit_subordinator_of_order(means, law.p)
    # a family of one's own may know JAX only
    return (to_host(found), to_host(status)) if is_on_host(means) else (found, status)
