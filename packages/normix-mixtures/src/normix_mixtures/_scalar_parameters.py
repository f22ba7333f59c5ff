"""The parameters of X = μ + γ Y + σ √Y Z, Y ~ GIG(p, a, b), and what they must satisfy."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from normix_expfam import GeneralizedInverseGaussian
from normix_expfam.internal import Rule, checked, is_positive

from . import _component_moments as moments


class ScalarParameters(NamedTuple):
    """The parameters of X, scalars."""

    mu: Array
    gamma: Array
    sigma: Array
    p: Array
    a: Array
    b: Array

    def mean(self) -> Array:
        """E X, inf or nan where it does not exist."""
        subordinator = GeneralizedInverseGaussian(self.p, self.a, self.b, check=False)
        return moments.mean(subordinator, self.mu, self.gamma)

    def reflect(self) -> "ScalarParameters":
        """Those of -X."""
        return self._replace(mu=-self.mu, gamma=-self.gamma)

    def rescale_subordinator(self, factor: Array) -> "ScalarParameters":
        """The same distribution of X with factor · Y for Y."""
        return ScalarParameters(
            self.mu, self.gamma / factor, self.sigma / jnp.sqrt(factor),
            self.p, self.a / factor, self.b * factor,
        )  # fmt: skip


def check_normal_part(
    owner: str, given: Sequence[ArrayLike], arrays: Sequence[Array], *, check: bool
) -> list[Array]:
    """μ, γ and σ as arrays, after an error for what is outside the domain."""
    rules = (
        Rule("mu", "be finite", "repair or drop it"),
        Rule("gamma", "be finite", "repair or drop it"),
        Rule("sigma", "be finite and > 0", "it multiplies √Y"),
    )
    return [
        checked(owner, rule, holds, (value,), (array,), check=check)
        for rule, holds, value, array in zip(
            rules, (jnp.isfinite, jnp.isfinite, is_positive), given, arrays, strict=True
        )
    ]
