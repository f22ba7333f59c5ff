"""The normal inverse Gaussian family: Y ~ InverseGaussian(μ, λ)."""

from typing import Any, Self, final

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GIGMember, InverseGaussian
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import GIGParameters, JointNormalMixture
from normix_mixtures._marginal import NormalMixture


@final
class JointNormalInverseGaussian(JointNormalMixture):
    """f(x, y) with Y ~ InverseGaussian(mean, shape λ)."""

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: InverseGaussian

    @classmethod
    def _assemble(cls, mu: Array, gamma: Array, dispersion: Dispersion, subordinator: Any) -> Self:
        return cls(mu, gamma, dispersion, subordinator)

    @classmethod
    def _subordinator_from_gig(cls, p: Array, a: Array, b: Array) -> GIGMember:
        del p
        return InverseGaussian(jnp.sqrt(b / a), b, check=False)

    @classmethod
    def _fit_subordinator(
        cls, log_y: Array, inverse_y: Array, y: Array, start: GIGParameters | None
    ) -> tuple[GIGMember, Array]:
        del log_y, start
        return InverseGaussian._solve_expectation(jnp.stack([inverse_y, y]))

    @classmethod
    def _fit_subordinator_cpu(cls, log_y: float, inverse_y: float, y: float) -> GIGMember:
        del log_y
        return InverseGaussian.from_expectation(jnp.array([inverse_y, y]), backend="cpu")


@final
class NormalInverseGaussian(NormalMixture):
    """The normal inverse Gaussian law: X | Y ~ N(μ + γ Y, Σ Y), Y ~ InverseGaussian(μ_Y, λ).

    GIG(-1/2, λ/μ_Y², λ) in terms of the generalized hyperbolic family (Barndorff-Nielsen 1997).
    """

    joint: JointNormalInverseGaussian

    @classmethod
    def from_classical(
        cls,
        mu: ArrayLike,
        gamma: ArrayLike,
        sigma: ArrayLike | None = None,
        *,
        mu_ig: ArrayLike,
        lam: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:
        """From location μ (d,), skewness γ (d,), dispersion Σ (d, d) or its Cholesky factor.

        Raises:
            ValueError: for shapes that do not fit, Σ that is not symmetric positive definite,
                or parameters of the subordinator that are not positive.
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
    def _joint_class(cls) -> type[JointNormalMixture]:
        return JointNormalInverseGaussian

    @classmethod
    def _wrap(cls, joint: Any) -> Self:
        return cls(joint)

    @classmethod
    def _start_subordinator(cls, like: Array) -> GIGMember:
        # GIG(-1/2, a, b) with ab = 1 in the gauge of log Y: λ = b = √1.25 + 1/2, mean √(b/a) = b
        shape = jnp.asarray(1.25**0.5 + 0.5, like.dtype)
        return InverseGaussian(shape, shape, check=False)
