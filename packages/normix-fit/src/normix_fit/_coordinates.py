"""Free coordinates (m, g, T by rows, two of the subordinator) about a model in the gauge.

The subordinator moves on the slice a - b = 2p, where log Y has its mode at 0.
"""

from collections.abc import Collection
from typing import Literal, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_expfam import GeneralizedInverseGaussian
from normix_mixtures import NormalMixture


@final
class Slice(eqx.Module):
    """The laws GIG(p, a, b) with a - b = 2p, that is with the mode of log Y at 0, about one."""

    kind: Literal["inside", "p held", "a = 0", "b = 0", "held"] = eqx.field(static=True)
    p: Float[Array, ""]
    a: Float[Array, ""]
    b: Float[Array, ""]

    def at(self, u: Float[Array, "2"]) -> GeneralizedInverseGaussian:
        """The law at the coordinates u: "inside" uses both, "held" none, all others the first."""
        none = jnp.zeros_like(self.p)
        if self.kind == "held":
            p, a, b = self.p, self.a, self.b
        elif self.kind == "inside":
            a, b = self.a * jnp.exp(u[0]), self.b * jnp.exp(u[1])
            p = (a - b) / 2
        elif self.kind == "p held":
            # the smaller of the two in logarithms, the larger as a sum
            small = jnp.minimum(self.a, self.b) * jnp.exp(u[0])
            p, large = self.p, small + 2 * jnp.abs(self.p)
            a, b = jnp.where(p > 0, large, small), jnp.where(p > 0, small, large)
        elif self.kind == "b = 0":
            p = self.p * jnp.exp(u[0])
            a, b = 2 * p, none
        else:
            p = self.p * jnp.exp(u[0])
            a, b = none, -2 * p
        return GeneralizedInverseGaussian(p, a, b, check=False)


def slice_of(model: NormalMixture, fixed: Collection[str]) -> Slice:
    """The slice through a model in the gauge, with the parameters in `fixed` held."""
    p, a, b = model.joint.subordinator_as_gig()
    full = model.joint.subordinator_family is GeneralizedInverseGaussian
    if len(model.joint.subordinator_family.gig_statistics) == 1:  # its scale, which is the gauge
        return Slice("held", p, a, b)
    if float(b) == 0:
        return Slice("b = 0", p, a, b)
    if float(a) == 0:
        return Slice("a = 0", p, a, b)
    return Slice("inside" if full and "p" not in fixed else "p held", p, a, b)


def free_coordinates(law: Slice, d: int, fixed: Collection[str]) -> np.ndarray:
    """Which of the coordinates are free, shape (k,)."""
    free = np.ones(2 * d + d * (d + 1) // 2 + 2, bool)
    free[:d] = "mu" not in fixed
    free[d : 2 * d] = "gamma" not in fixed
    on_boundary = law.kind in ("a = 0", "b = 0")
    free[-2] = not (on_boundary and {"p", "alpha"} & set(fixed))
    free[-1] = law.kind == "inside"
    if law.kind == "held" or "subordinator" in fixed:
        free[-2:] = False
    return free
