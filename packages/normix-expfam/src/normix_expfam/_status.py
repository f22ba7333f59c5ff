"""How the inversion of η ends."""

from enum import IntEnum
from typing import TypeVar

import jax
import jax.numpy as jnp

Law = TypeVar("Law")


class InversionStatus(IntEnum):
    """How the search for θ ended."""

    CONVERGED = 0
    """E t(Y) = η inside the domain."""

    GAMMA_LIMIT = 1
    """The likelihood has its maximum on the boundary b = 0."""

    INVERSE_GAMMA_LIMIT = 2
    """The likelihood has its maximum on the boundary a = 0."""

    DEGENERATE = 3
    """η is that of a point mass, to working precision."""

    MAX_STEPS = 4
    """No convergence within the steps allowed."""

    INFEASIBLE = 5
    """No law of the family has this η."""

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    InversionStatus.CONVERGED: "converged to an interior solution",
    InversionStatus.GAMMA_LIMIT: "the maximum is the gamma law on the boundary b = 0",
    InversionStatus.INVERSE_GAMMA_LIMIT: "the maximum is the inverse gamma law on a = 0",
    InversionStatus.DEGENERATE: (
        "E Y · E 1/Y is 1 to working precision: the law is a point mass and its shape is not "
        "determined; the concentrated symmetric law with these means is returned"
    ),
    InversionStatus.MAX_STEPS: (
        "no convergence within max_steps; raise max_steps, or check that eta is a mean of "
        "sufficient_statistics(x)"
    ),
    InversionStatus.INFEASIBLE: (
        "eta is no mean of sufficient_statistics(x) over data that vary; for the GIG law it needs "
        "E Y · E 1/Y > 1 and -log E 1/Y < E log Y < log E Y, all finite"
    ),
}


def with_status(law: Law) -> tuple[Law, jax.Array]:
    """The distribution and CONVERGED where its parameters are finite, else INFEASIBLE."""
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(law)]))
    found, failed = int(InversionStatus.CONVERGED), int(InversionStatus.INFEASIBLE)
    return law, jnp.where(finite, found, failed).astype(jnp.int32)
