"""`Status`: how an inversion of η or a fit ended, under one numbering."""

from enum import IntEnum
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam._arrays import Array

from ._checks import is_concrete

Distribution = TypeVar("Distribution")


class Status(IntEnum):
    """How a search for parameters ended; the numbers are codes and have no order.

    `message` is true of every model; that of a result is in terms of its model, and gives the
    remedy.
    """

    CONVERGED = 0
    """A solution inside the family: a stationary point of the likelihood."""

    GAMMA_LIMIT = 1
    """The maximum lies on the boundary b = 0, where Y is gamma distributed."""

    INVERSE_GAMMA_LIMIT = 2
    """The maximum lies on the boundary a = 0, where Y is inverse gamma distributed."""

    NORMAL_LIMIT = 3
    """Next to a normal distribution, from which these data, nearly normal, do not tell it."""

    RUNNING = 4
    """Not ended; no result has it."""

    MAX_ITER = 5
    """The iterations, steps or passes allowed were used up."""

    DEGENERATE = 6
    """The data are those of a point mass, to working precision."""

    INFEASIBLE = 7
    """No member of the family has these means."""

    UNBOUNDED = 8
    """The location met a row at which the density is infinite or has a cusp.

    The model is that of the meeting, if its likelihood is finite and the largest yet.
    """

    SINGULAR_DISPERSION = 9
    """Σ became singular."""

    SOLVER_STALLED = 10
    """The subordinator could not be fitted."""

    NON_FINITE = 11
    """The likelihood or a parameter became nan or infinite."""

    @property
    def converged(self) -> bool:
        """Whether the model is a stationary point, on a boundary or as good as a normal one."""
        return self in _CONVERGED

    @property
    def has_maximum(self) -> bool:
        """False where the likelihood grows without bound, so that its value compares with nothing.

        So it is for UNBOUNDED and SINGULAR_DISPERSION.
        """
        return self not in (Status.UNBOUNDED, Status.SINGULAR_DISPERSION)

    @property
    def message(self) -> str:
        """What happened, whatever the family."""
        return _MESSAGES[self]


_CONVERGED = (
    Status.CONVERGED,
    Status.GAMMA_LIMIT,
    Status.INVERSE_GAMMA_LIMIT,
    Status.NORMAL_LIMIT,
)

_MESSAGES = {
    Status.CONVERGED: "converged",
    Status.GAMMA_LIMIT: "converged on the boundary, at a gamma limit",
    Status.INVERSE_GAMMA_LIMIT: "converged on the boundary, at an inverse gamma limit",
    Status.NORMAL_LIMIT: "converged next to a normal distribution",
    Status.RUNNING: "not ended",
    Status.MAX_ITER: "no convergence within the iterations allowed",
    Status.DEGENERATE: (
        "the data are those of a point mass, to working precision, and determine no shape; the "
        "concentrated distribution with their means is returned"
    ),
    Status.INFEASIBLE: "no member of the family has these means",
    Status.UNBOUNDED: "the likelihood grows without bound where the location meets a row",
    Status.SINGULAR_DISPERSION: "a scale matrix became singular",
    Status.SOLVER_STALLED: "a part of the model could not be fitted",
    Status.NON_FINITE: "the likelihood or a parameter became nan or infinite",
}


def is_one_of(code: Any, *statuses: Status) -> Any:
    """Whether codes, numbers or arrays, traced or not, are among these statuses."""
    found = code == int(statuses[0])
    for status in statuses[1:]:
        found = found | (code == int(status))
    return found


def has_converged(code: Any) -> Any:
    """`Status.converged` of codes, numbers or arrays, traced or not."""
    return is_one_of(code, *_CONVERGED)


def with_status(found: Distribution) -> tuple[Distribution, Array]:
    """The distribution and CONVERGED where its parameters are finite, else INFEASIBLE."""
    leaves = jax.tree.leaves(found)
    xp: Any = np if is_concrete(*leaves) else jnp
    finite = xp.all(xp.stack([xp.all(xp.isfinite(leaf)) for leaf in leaves]))
    codes = int(Status.CONVERGED), int(Status.INFEASIBLE)
    return found, xp.where(finite, *codes).astype(xp.int32)
