"""The M-step: the model that mean statistics make most likely, with what is held as it is."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from normix_expfam import Status
from normix_expfam.internal import Backend

from ._held import Held
from ._joint import JointNormalMixture
from ._normal_part import normal_part
from ._statistics import MixtureStatistics

Joint = TypeVar("Joint", bound=JointNormalMixture)


def maximise(
    joint: Joint, statistics: MixtureStatistics, held: Held, backend: Backend
) -> tuple[Joint, Int[Array, ""]]:
    """The joint distribution of highest expected likelihood, in the gauge, and a `Status`.

    Args:
        joint: that under which the statistics were taken: the values of what is held, the form of
            Σ, and a start for the subordinator.
        statistics: about any origin.
        held: what keeps its value.
        backend: of the subordinator's fit; with a shape held both backends use one solver.
    """
    origin, means = statistics.origin, statistics.mean().parts
    mu = joint.mu - origin if held.mu else None
    normal = normal_part(means, jnp, symmetric=held.gamma, mu=mu)
    subordinator, status = _fit_subordinator(joint, jnp.stack(means[:3]), held, backend)
    dispersion = joint.dispersion.fitted(normal.sigma)
    found = joint._assemble(normal.mu + origin, normal.gamma, dispersion, subordinator)
    return found.normalize(), status


def _fit_subordinator(
    joint: JointNormalMixture, means: Array, held: Held, backend: Backend
) -> tuple[object, Array]:
    family = type(joint)
    if held.subordinator:
        return joint.subordinator, jnp.int32(Status.CONVERGED)
    if held.shape is not None:
        return family._fit_subordinator_of_order(means, joint.subordinator_as_gig().p)
    if backend == "cpu":
        try:
            found = family._fit_subordinator_cpu(np.asarray(means, np.float64))
        except ValueError:
            # the CPU solvers say so where the others return a status
            nan = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), joint.subordinator)
            return nan, jnp.int32(Status.INFEASIBLE)
        found = jax.tree.map(lambda leaf: leaf.astype(means.dtype), found)
        return found, jnp.int32(Status.CONVERGED)
    return family._fit_subordinator(means, joint.subordinator_as_gig())
