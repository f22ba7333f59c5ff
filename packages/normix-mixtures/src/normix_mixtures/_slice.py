"""Subordinators with the mode of log Y at 0, GIG(p, a, b) with a - b = 2p, in two coordinates.

The gauge fixes the scale of Y; what is left of its family is a surface, a curve on a boundary or
with a shape held, or a point with all of Y held.
"""

from typing import Any, Self, final

import equinox as eqx
import numpy as np
from jaxtyping import Float

from normix_expfam import GeneralizedInverseGaussian, Status
from normix_expfam.internal import Array, namespace_of

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
        return GeneralizedInverseGaussian.from_gig(*self._parameters(u))

    def _parameters(self, u: Float[Array, "2"]) -> tuple[Array, Array, Array]:
        xp = namespace_of(self.p)
        none = xp.zeros_like(self.p)
        if self.limit == Status.GAMMA_LIMIT:
            p = self.p * xp.exp(u[0])
            return p, 2 * p, none
        if self.limit == Status.INVERSE_GAMMA_LIMIT:
            p = self.p * xp.exp(u[0])
            return p, none, -2 * p
        if self.holds_order:
            # the smaller of the two in logarithms, the larger as a sum
            small = xp.minimum(self.a, self.b) * xp.exp(u[0])
            p, large = self.p, small + 2 * xp.abs(self.p)
            return p, xp.where(p > 0, large, small), xp.where(p > 0, small, large)
        a, b = self.a * xp.exp(u[0]), self.b * xp.exp(u[1])
        return (a - b) / 2, a, b

    def slope(self, u: Float[Array, "2"]) -> Float[Array, "3 2"]:
        """The derivatives of (p, a, b) in u."""
        xp = namespace_of(self.p)
        p, a, b = self._parameters(u)
        none = xp.zeros_like(p)
        if self.limit == Status.GAMMA_LIMIT:
            first, second = (p, 2 * p, none), (none, none, none)
        elif self.limit == Status.INVERSE_GAMMA_LIMIT:
            first, second = (p, none, -2 * p), (none, none, none)
        elif self.holds_order:
            small = xp.minimum(a, b)
            first, second = (none, small, small), (none, none, none)
        else:
            first, second = (a / 2, a, none), (-b / 2, none, b)
        slope: Array = xp.stack([xp.stack(first), xp.stack(second)], axis=1)
        return slope


def free_coordinates(part: Slice, d: int, held: Held) -> np.ndarray:
    """Which of the coordinates (of μ, of γ, of Σ by rows, of the slice) are free, shape (k,)."""
    return np.concatenate([
        np.full(d, not held.mu),
        np.full(d, not held.gamma),
        np.full(d * (d + 1) // 2, True),
        np.array(part.free),
    ])  # fmt: skip
