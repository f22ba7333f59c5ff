"""The normal inverse Gaussian family: Y ~ InverseGaussian(μ_Y, λ)."""

from collections.abc import Mapping
from typing import ClassVar, Self, final

from jaxtyping import ArrayLike, Float

from normix_expfam import GIGMember, InverseGaussian
from normix_expfam.internal import Array, namespace_of
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import JointNormalMixture
from normix_mixtures._marginal import NormalMixture
from normix_mixtures._registry import register_family


@final
class JointNormalInverseGaussian(JointNormalMixture):
    """f(x, y) with Y ~ InverseGaussian(mean, shape λ)."""

    subordinator_family: ClassVar[type[GIGMember]] = InverseGaussian

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: InverseGaussian


@final
@register_family("nig")
class NormalInverseGaussian(NormalMixture):
    """The normal inverse Gaussian distribution: X | Y ~ N(μ + γ Y, Σ Y).

    Y ~ InverseGaussian(μ_Y, λ), or GIG(-1/2, λ/μ_Y², λ) in terms of the generalized hyperbolic
    family (Barndorff-Nielsen 1997). It is built by `from_classical`.

    Args:
        joint: the joint distribution f(x, y).

    Examples:
        >>> import jax.numpy as jnp
        >>> from normix_mixtures import NormalInverseGaussian
        >>> law = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> jnp.round(law.cov(), 6).tolist()  # Σ E Y + γ γᵀ Var Y
        [[2.0, 0.0], [0.0, 1.0]]
        >>> same = law.affine([[2.0, 0.0], [0.0, 1.0]]).affine([[0.5, 0.0], [0.0, 1.0]])
        >>> bool(same.is_close(law))
        True
    """

    joint_family: ClassVar[type[JointNormalMixture]] = JointNormalInverseGaussian
    subordinator_density: ClassVar[str] = "y^(-3/2) exp(-lam (y - mu_ig)^2 / (2 mu_ig^2 y))"
    subordinator_aliases: ClassVar[Mapping[str, str]] = {"mu": "mu_ig"}

    joint: JointNormalInverseGaussian

    @classmethod
    def from_classical(
        cls, mu: ArrayLike, gamma: ArrayLike | None = None,
        sigma: ArrayLike | Dispersion | None = None, *, mu_ig: ArrayLike, lam: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """From μ, γ, Σ and Y ~ InverseGaussian(μ_Y, λ); see `NormalMixture.from_classical`.

        Args:
            mu_ig: mean μ_Y of Y, > 0.
            lam: shape λ of Y, > 0.
        """
        return cls._from_parts(mu, gamma, sigma, L_Sigma, InverseGaussian(mu_ig, lam))

    @property
    def mu_ig(self) -> Float[Array, ""]:
        """Mean of the subordinator."""
        return self.joint.subordinator.mu

    @property
    def lam(self) -> Float[Array, ""]:
        """Shape of the subordinator."""
        return self.joint.subordinator.lam

    @classmethod
    def _subordinator_of_spread(cls, spread: Array) -> GIGMember:
        return InverseGaussian._unchecked(namespace_of(spread).ones_like(spread), 1 / spread)
