"""Subordinators with the mode of log Y at 0, GIG(p, a, b) with a - b = 2p, in two coordinates.

The gauge fixes the scale of Y; what is left of its family is a surface, a curve on a boundary or
with a shape held, or a point with all of Y held.
"""

from typing import Any, Self, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_expfam import GeneralizedInverseGaussian, Status

from ._held import Held


@final
class Slice(eqx.Module):
    """The distributions in the gauge about one of them."""

    limit: Status = eqx.field(static=True)
    """GAMMA_LIMIT on b = 0, INVERSE_GAMMA_LIMIT on a = 0, CONVERGED inside."""

    holds_order: bool = eqx.field(static=True)
    """Whether p has one value inside: that of the family, or a held one."""

    free: tuple[bool, bool] = eqx.field(static=True)
    """Which of the coordinates move it."""

    p: Float[Array, ""]
    a: Float[Array, ""]
    b: Float[Array, ""]

    @classmethod
    def through(cls, joint: Any, held: Held) -> Self:
        """The one through the subordinator of a joint distribution in the gauge."""
        p, a, b = joint.subordinator_as_gig()
        full = joint.subordinator_family is GeneralizedInverseGaussian
        holds_order = not full or held.fixes_shape
        if float(b) == 0:
            limit = Status.GAMMA_LIMIT
        elif float(a) == 0:
            limit = Status.INVERSE_GAMMA_LIMIT
        else:
            limit = Status.CONVERGED
        inside = limit == Status.CONVERGED
        # a subordinator with one parameter, its scale, has nothing but the gauge
        scale_alone = len(joint.subordinator_family.gig_statistics) == 1
        first = not (scale_alone or (held.subordinator if inside else held.fixes_shape))
        return cls(limit, holds_order, (first, inside and not holds_order), p, a, b)

    def at(self, u: Float[Array, "2"]) -> GeneralizedInverseGaussian:
        """The distribution at the coordinates u; the second counts inside with p free."""
        none = jnp.zeros_like(self.p)
        if self.limit == Status.GAMMA_LIMIT:
            p = self.p * jnp.exp(u[0])
            a, b = 2 * p, none
        elif self.limit == Status.INVERSE_GAMMA_LIMIT:
            p = self.p * jnp.exp(u[0])
            a, b = none, -2 * p
        elif self.holds_order:
            # the smaller of the two in logarithms, the larger as a sum
            small = jnp.minimum(self.a, self.b) * jnp.exp(u[0])
            p, large = self.p, small + 2 * jnp.abs(self.p)
            a, b = jnp.where(p > 0, large, small), jnp.where(p > 0, small, large)
        else:
            a, b = self.a * jnp.exp(u[0]), self.b * jnp.exp(u[1])
            p = (a - b) / 2
        return GeneralizedInverseGaussian(p, a, b, check=False)


def free_coordinates(part: Slice, d: int, held: Held) -> np.ndarray:
    """Which of the coordinates (of μ, of γ, of Σ by rows, of the slice) are free, shape (k,)."""
    return np.concatenate([
        np.full(d, not held.mu),
        np.full(d, not held.gamma),
        np.full(d * (d + 1) // 2, True),
        np.array(part.free),
    ])  # fmt: skip
