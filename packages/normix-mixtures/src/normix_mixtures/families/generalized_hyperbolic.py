"""The generalized hyperbolic family: Y ~ GIG(p, a, b)."""

from typing import Any, Self, final

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GeneralizedInverseGaussian, GIGMember, solve_gig
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import GIGParameters, JointNormalMixture
from normix_mixtures._marginal import NormalMixture


@final
class JointGeneralizedHyperbolic(JointNormalMixture):
    """f(x, y) with Y ~ GIG(p, a, b), its gamma and inverse gamma limits included."""

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: GeneralizedInverseGaussian

    @classmethod
    def _assemble(cls, mu: Array, gamma: Array, dispersion: Dispersion, subordinator: Any) -> Self:
        return cls(mu, gamma, dispersion, subordinator)

    @classmethod
    def _subordinator_from_gig(cls, p: Array, a: Array, b: Array) -> GIGMember:
        return GeneralizedInverseGaussian(p, a, b, check=False)

    @classmethod
    def _fit_subordinator(
        cls, log_y: Array, inverse_y: Array, y: Array, start: GIGParameters | None
    ) -> tuple[GIGMember, Array]:
        solution = solve_gig(jnp.stack([log_y, inverse_y, y]), start)
        return GeneralizedInverseGaussian(*solution[:3], check=False), solution.status

    @classmethod
    def _fit_subordinator_cpu(cls, log_y: float, inverse_y: float, y: float) -> GIGMember:
        return GeneralizedInverseGaussian.from_expectation(
            jnp.array([log_y, inverse_y, y]), backend="cpu"
        )


@final
class GeneralizedHyperbolic(NormalMixture):
    """The generalized hyperbolic law: X | Y ~ N(μ + γ Y, Σ Y), Y ~ GIG(p, a, b).

    With b = 0 it is variance gamma, with a = 0 the skewed t law, with p = -1/2 normal inverse
    Gaussian. R's ghyp writes λ = p, χ = b, ψ = a, in the gauge E Y = 1.
    """

    joint: JointGeneralizedHyperbolic

    @classmethod
    def from_classical(
        cls,
        mu: ArrayLike,
        gamma: ArrayLike,
        sigma: ArrayLike | None = None,
        *,
        p: ArrayLike,
        a: ArrayLike,
        b: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:
        """From location μ (d,), skewness γ (d,), dispersion Σ (d, d) or its Cholesky factor.

        Raises:
            ValueError: for shapes that do not fit, Σ that is not symmetric positive definite,
                or (p, a, b) outside the GIG domain.
        """
        return cls._from_parts(mu, gamma, sigma, L_Sigma, GeneralizedInverseGaussian(p, a, b))

    @property
    def p(self) -> Float[Array, ""]:
        """Shape of the subordinator."""
        return self.joint.subordinator.p

    @property
    def a(self) -> Float[Array, ""]:
        """Rate of Y in the subordinator."""
        return self.joint.subordinator.a

    @property
    def b(self) -> Float[Array, ""]:
        """Rate of 1/Y in the subordinator."""
        return self.joint.subordinator.b

    @classmethod
    def _joint_class(cls) -> type[JointNormalMixture]:
        return JointGeneralizedHyperbolic

    @classmethod
    def _wrap(cls, joint: Any) -> Self:
        return cls(joint)

    @classmethod
    def _start_subordinator(cls, like: Array) -> GIGMember:
        # the gauge of log Y: a = w + p, b = w - p, here with p = -1/2 and ab = 1
        w = 1.25**0.5
        p, a, b = (jnp.asarray(v, like.dtype) for v in (-0.5, w - 0.5, w + 0.5))
        return GeneralizedInverseGaussian(p, a, b, check=False)
