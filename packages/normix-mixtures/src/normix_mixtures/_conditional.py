"""Conditional laws of the components of X: generalized hyperbolic, whatever the family.

With X = (X1, X2), L the Cholesky factor of the dispersion of (X2, X1), r = L22⁻¹ (x2 - μ2) and
s = L22⁻¹ γ2, X1 given X2 = x2 has Y | x2 ~ GIG(p - d2/2, a + |s|², b + |r|²) and

    μ = μ1 + L12 r,   γ = γ1 - L12 s,   Σ = L11 L11ᵀ

with the lower left and lower right blocks L12, L11 of L (Blæsild 1981, Biometrika 68, 251).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam import GeneralizedInverseGaussian
from normix_expfam.internal import is_concrete, require

from ._checks import indices_of, vector
from ._density import posterior
from ._dispersion import DenseDispersion
from ._joint import JointNormalMixture

Parts = tuple[jax.Array, jax.Array, DenseDispersion, GeneralizedInverseGaussian]


def conditional_parts(
    owner: str, joint: JointNormalMixture, indices: Sequence[int], values: ArrayLike
) -> Parts:
    """μ, γ, dispersion and subordinator of the other components, in their order.

    Raises:
        ValueError: for indices or values that do not fit, nan, or where there is none; `owner`
            stands before the message.
    """
    given = indices_of(owner, indices, joint.dimension)
    require(given.size < joint.dimension, owner, "indices", "leave a component", indices,
            "condition on fewer")  # fmt: skip
    known = vector(owner, "values", values).astype(joint.mu.dtype)
    require(known.shape == given.shape, owner, "values", f"have shape {given.shape}",
            known.shape, "pass one value per index")  # fmt: skip
    parts = _given(joint, given, known)
    law = parts[-1]
    if is_concrete(law.p, law.b):
        require(np.asarray(law.b) > 0 or np.asarray(law.p) > 0, owner, "values",
                "not be μ, where the density is infinite", known, "take other values")  # fmt: skip
    return parts


def _given(joint: JointNormalMixture, given: np.ndarray, values: jax.Array) -> Parts:
    d, k = joint.dimension, given.size
    order = np.concatenate([given, np.setdiff1d(np.arange(d), given)])
    L = joint.dispersion.transformed(jnp.asarray(np.eye(d)[order], joint.mu.dtype)).cholesky()
    mu, gamma = joint.mu[order], joint.gamma[order]
    whiten = DenseDispersion(L[:k, :k]).whiten
    r, s = whiten((values - mu[:k])[None, :]), whiten(gamma[None, :k])[0]
    law = posterior(*joint.subordinator_as_gig(), r, s)
    across = L[k:, :k]
    return (
        mu[k:] + across @ r[0], gamma[k:] - across @ s, DenseDispersion(L[k:, k:]),
        GeneralizedInverseGaussian(*(value[0] for value in law), check=False),
    )  # fmt: skip
