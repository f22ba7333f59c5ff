"""Conditional laws of the components of X: generalized hyperbolic, whatever the family.

With X = (X1, X2), L the Cholesky factor of the dispersion of (X2, X1), r = L22⁻¹ (x2 - μ2) and
s = L22⁻¹ γ2, X1 given X2 = x2 has Y | x2 ~ GIG(p - d2/2, a + |s|², b + |r|²) and

    μ = μ1 + L12 r,   γ = γ1 - L12 s,   Σ = L11 L11ᵀ

with the lower left and lower right blocks L12, L11 of L (Blæsild 1981, Biometrika 68, 251).
"""

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam import GeneralizedInverseGaussian

from ._density import posterior
from ._dispersion import DenseDispersion
from ._joint import JointNormalMixture


def conditional_parts(
    joint: JointNormalMixture, given: np.ndarray, values: jax.Array
) -> tuple[jax.Array, jax.Array, DenseDispersion, GeneralizedInverseGaussian]:
    """μ, γ, dispersion and subordinator of the other components, in their order."""
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
