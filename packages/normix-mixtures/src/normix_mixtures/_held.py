"""`Held`: what keeps its value while a model is fitted."""

from collections.abc import Sequence
from typing import Any, Self, final

import equinox as eqx
import jax
import numpy as np

from normix_expfam.internal import require

_ANY_FAMILY = ("mu", "gamma", "subordinator")


@final
class Held(eqx.Module):
    """Names of parameters that keep their values, and the mask that they are over a model.

    Args:
        names: out of "mu", "gamma", "subordinator" and the `shape_parameter` of a family. γ is
            held at 0: at another value it would depend on the scale of Y, which the gauge fixes.

    Examples:
        >>> from normix_mixtures import GeneralizedHyperbolic, Held
        >>> model = GeneralizedHyperbolic.from_classical([0.0], sigma=[[1.0]], p=1.0, a=1.0, b=1.0)
        >>> held = Held.of(GeneralizedHyperbolic, ["p"], symmetric=True)
        >>> held.names, model.count_parameters(held)  # μ, Σ and one of a and b
        (('gamma', 'p'), 3)
    """

    names: tuple[str, ...] = eqx.field(static=True, default=())

    @classmethod
    def of(
        cls, family: Any, names: Sequence[str], *, symmetric: bool = False, owner: str = "Held.of"
    ) -> Self:
        """What is held by name in a family, and γ = 0 if symmetric.

        Raises:
            ValueError: for a name that the family cannot hold.
        """
        shape = () if family.shape_parameter is None else (family.shape_parameter,)
        known = ("mu", "subordinator", *shape)
        for name in names:
            require(name in known, owner, "fixed", f"have names among {', '.join(known)}",
                    repr(name), "for gamma = 0 use symmetric=True; the scale of Y is the "
                    "gauge")  # fmt: skip
        named = {*names, *(("gamma",) if symmetric else ())}
        order = ("mu", "gamma", *shape, "subordinator")
        return cls(tuple(name for name in order if name in named))

    @property
    def mu(self) -> bool:
        """Whether μ is held."""
        return "mu" in self.names

    @property
    def gamma(self) -> bool:
        """Whether γ = 0 is held."""
        return "gamma" in self.names

    @property
    def subordinator(self) -> bool:
        """Whether the distribution of Y is held."""
        return "subordinator" in self.names

    @property
    def shape(self) -> str | None:
        """The name of the shape parameter of Y if it is held by itself."""
        return next((name for name in self.names if name not in _ANY_FAMILY), None)

    @property
    def fixes_shape(self) -> bool:
        """Whether the shape of Y is held, by itself or with all of Y."""
        return self.subordinator or self.shape is not None

    def with_subordinator(self) -> "Held":
        """This, and all of the distribution of Y."""
        return Held((*(name for name in self.names if name in ("mu", "gamma")), "subordinator"))

    def mask(self, model: Any) -> Any:
        """Booleans in the structure of a model, True for the numbers that are held."""
        joint = model.joint
        mask = jax.tree.map(lambda leaf: np.zeros(np.shape(leaf), bool), joint)
        law = jax.tree.map(lambda leaf: leaf | self.subordinator, mask.subordinator)
        if self.shape is not None:
            name = self.shape
            law = eqx.tree_at(lambda law: getattr(law, name), law, replace_fn=np.ones_like)
        mask = eqx.tree_at(
            lambda m: (m.mu, m.gamma, m.subordinator),
            mask,
            (mask.mu | self.mu, mask.gamma | self.gamma, law),
        )
        return eqx.tree_at(lambda m: m.joint, model, mask)


def count_free(model: Any, held: Held | None) -> int:
    """Free parameters of a model, less what is held and, of the subordinator, the gauge."""
    joint = model.joint
    free = jax.tree.map(lambda leaf: np.ones(np.shape(leaf), bool), joint)
    free = eqx.tree_at(lambda parts: parts.dispersion, free, joint.dispersion.free())
    if held is not None:
        mask = held.mask(model).joint
        free = jax.tree.map(lambda each, kept: each & ~np.asarray(kept), free, mask)
    of_y = sum(int(np.sum(leaf)) for leaf in jax.tree.leaves(free.subordinator))
    return sum(int(np.sum(leaf)) for leaf in jax.tree.leaves(free)) - min(of_y, 1)
