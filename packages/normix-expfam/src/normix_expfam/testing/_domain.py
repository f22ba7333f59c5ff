"""Where ψ is finite: a convex set of natural parameters, on which it is convex."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily

from ._facts import facts_of, require_holds

_LENGTHS = 2.0 ** np.arange(-3, 9)  # of the steps along a coordinate, in units of 1 / sd of t


def check_domain(dist: ExponentialFamily) -> None:
    """ψ is finite on an interval of every line, convex there, and infinite or nan beyond.

    The lines go through θ along the coordinates. Where ψ is finite `from_natural` finds a member.
    """
    facts, family = facts_of(dist), type(dist)
    steps = np.concatenate([-_LENGTHS[::-1], [0.0], _LENGTHS])
    see = "_log_partition_from_theta"
    for i, sd in enumerate(facts.sd):
        at = np.tile(facts.theta, (steps.size, 1))
        at[:, i] += steps / sd
        psi = np.asarray(_values(family, at))
        inside = np.flatnonzero(np.isfinite(psi))
        require_holds(dist, f"psi is finite on an interval of theta[{i}]",
                      np.all(np.diff(inside) == 1), f"{psi} at {at[:, i]}", see)  # fmt: skip
        x, y = at[inside, i], psi[inside]
        slopes = np.diff(y) / np.diff(x)
        terms = 1 + np.abs(y) + np.abs(at[inside] * facts.eta).sum(axis=1)
        noise = 64 * np.finfo(np.float64).eps * (terms[1:] + terms[:-1]) / np.diff(x)
        require_holds(dist, f"psi is convex in theta[{i}]",
                      np.diff(slopes) >= -(noise[1:] + noise[:-1]), f"{y} at {x}", see)  # fmt: skip
        for theta in at[inside[[0, -1]]]:
            require_holds(dist, "psi is finite in the domain of from_natural only",
                          _is_member(family, theta), f"theta {theta}", see)  # fmt: skip


def _is_member(family: type[ExponentialFamily], theta: np.ndarray) -> bool:
    try:
        law = family.from_natural(jax.numpy.asarray(theta))
    except ValueError:
        return False
    return all(bool(np.all(np.isfinite(leaf))) for leaf in jax.tree.leaves(law))


@partial(jax.jit, static_argnums=0)
def _values(family: type[ExponentialFamily], theta: Array) -> Array:
    return jax.vmap(family._log_partition_from_theta)(theta)
