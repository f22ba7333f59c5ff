"""The generalized hyperbolic family: Y ~ GIG(p, a, b), limits included."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Self, final

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from normix_expfam import (
    GeneralizedInverseGaussian,
    GIGMember,
    Status,
    solve_gig,
    solve_gig_of_order,
)
from normix_expfam.internal import Array, as_float, is_on_host, namespace_of, solve_gig_on_host
from normix_mixtures._checks import prause_matrix, vector
from normix_mixtures._conventions import Prause, rates_of_alpha_bar, rates_of_prause
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import GIGParameters, JointNormalMixture
from normix_mixtures._marginal import NormalMixture, family_of_conditionals
from normix_mixtures._registry import register_family


@final
class JointGeneralizedHyperbolic(JointNormalMixture):
    """f(x, y) with Y ~ GIG(p, a, b), its gamma and inverse gamma limits included."""

    subordinator_family: ClassVar[type[GIGMember]] = GeneralizedInverseGaussian
    boundaries: ClassVar[Mapping[Status, str]] = MappingProxyType({
        Status.GAMMA_LIMIT: "b = 0 of the subordinator, a gamma distribution",
        Status.INVERSE_GAMMA_LIMIT: "a = 0 of the subordinator, an inverse gamma distribution",
    })  # fmt: skip

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: GeneralizedInverseGaussian

    @classmethod
    def _fit_subordinator(
        cls, means: Float[Array, "3"], start: GIGParameters | None
    ) -> tuple[GIGMember, Array]:
        solution = (solve_gig_on_host if is_on_host(means) else solve_gig)(means, start)
        return GeneralizedInverseGaussian.from_gig(*solution[:3]), solution.status

    @classmethod
    def _fit_subordinator_of_order(
        cls, means: Float[Array, "3"], p: Array
    ) -> tuple[GIGMember, Array]:
        solution = solve_gig_of_order(p, means[1], means[2])
        return GeneralizedInverseGaussian.from_gig(*solution[:3]), solution.status


@final
@register_family("gh")
@family_of_conditionals
class GeneralizedHyperbolic(NormalMixture):
    """The generalized hyperbolic distribution: X | Y ~ N(μ + γ Y, Σ Y), Y ~ GIG(p, a, b).

    With b = 0 it is variance gamma, with a = 0 the skewed t distribution, with p = -1/2 normal
    inverse Gaussian, with p = (d + 1)/2 hyperbolic (Barndorff-Nielsen 1977). It is built by
    `from_classical`; for other conventions by `from_ghyp` and `from_prause`.

    Args:
        joint: the joint distribution f(x, y).

    Examples:
        The scale of Y is not identified: p = -1/2, a = b = 1 is NIG with μ_Y = λ = 1.

        >>> from normix_mixtures import GeneralizedHyperbolic, NormalInverseGaussian
        >>> eye = [[1.0, 0.0], [0.0, 1.0]]
        >>> law = GeneralizedHyperbolic.from_classical([0.0, 1.0], sigma=eye, p=-0.5, a=1.0, b=1.0)
        >>> nig = NormalInverseGaussian.from_classical([0.0, 1.0], sigma=eye, mu_ig=1.0, lam=1.0)
        >>> bool(law.is_close(nig)), law.n_parameters
        (True, 9)
        >>> [round(float(x), 6) for x in law.mean()]
        [0.0, 1.0]
    """

    joint_family: ClassVar[type[JointNormalMixture]] = JointGeneralizedHyperbolic
    shape_parameter: ClassVar[str | None] = "p"
    subordinator_density: ClassVar[str] = "y^(p-1) exp(-(a y + b/y)/2)"

    joint: JointGeneralizedHyperbolic

    @classmethod
    def from_classical(
        cls, mu: ArrayLike, gamma: ArrayLike | None = None,
        sigma: ArrayLike | Dispersion | None = None, *, p: ArrayLike, a: ArrayLike, b: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """From μ, γ, Σ and Y ~ GIG(p, a, b); see `NormalMixture.from_classical`.

        Args:
            p: shape of Y.
            a: rate of Y, >= 0; 0 for p < 0 only.
            b: rate of 1/Y, >= 0; 0 for p > 0 only.
        """
        return cls._from_parts(mu, gamma, sigma, L_Sigma, GeneralizedInverseGaussian(p, a, b))

    @classmethod
    def from_ghyp(
        cls,
        lambda_: ArrayLike,
        chi: ArrayLike | None = None,
        psi: ArrayLike | None = None,
        *,
        alpha_bar: ArrayLike | None = None,
        mu: ArrayLike,
        sigma: ArrayLike,
        gamma: ArrayLike | None = None,
    ) -> Self:
        """From the parameters of R's ghyp: λ = p, χ = b, ψ = a, or alpha.bar = √(χψ) and E Y = 1.

        Args:
            lambda_: λ of the subordinator.
            chi: χ of the subordinator, in any gauge.
            psi: ψ of the subordinator, in the same gauge.
            alpha_bar: in place of chi and psi, in the gauge E Y = 1.
            mu: location, shape (d,).
            sigma: the dispersion matrix, shape (d, d).
            gamma: skewness, shape (d,); 0 if left out.

        Raises:
            ValueError: as `from_classical`, and unless either chi and psi or alpha_bar are given.

        Examples:
            >>> from normix_mixtures import GeneralizedHyperbolic
            >>> eye = [[1.0, 0.0], [0.0, 1.0]]
            >>> law = GeneralizedHyperbolic.from_ghyp(
            ...     -0.5, alpha_bar=2.0, mu=[0.0, 1.0], sigma=eye
            ... )
            >>> round(float(law.a), 6), round(float(law.b), 6)
            (2.0, 2.0)
            >>> round(float(law.to_ghyp().alpha_bar), 6)
            2.0
        """
        chi, psi = rates_of_alpha_bar(f"{cls.__name__}.from_ghyp", lambda_, chi, psi, alpha_bar)
        return cls.from_classical(mu, gamma, sigma, p=lambda_, a=psi, b=chi)

    @classmethod
    def from_prause(
        cls,
        lambda_: ArrayLike,
        alpha: ArrayLike,
        beta: ArrayLike,
        delta: ArrayLike,
        mu: ArrayLike,
        Delta: ArrayLike,
    ) -> Self:
        """From GH(λ, α, β, δ, μ, Δ) of Prause (1999): γ = Δβ, Σ = Δ, a = α² - βᵀΔβ, b = δ².

        Args:
            lambda_: λ = p, a number.
            alpha: a number with α² >= βᵀΔβ.
            beta: shape (d,).
            delta: a number >= 0.
            mu: location, shape (d,).
            Delta: shape (d, d), with determinant 1.

        Raises:
            ValueError: outside the domain, or if det Δ is not 1.
        """
        owner = f"{cls.__name__}.from_prause"
        beta = vector(owner, "beta", beta)
        Delta = prause_matrix(owner, Delta, beta.shape[0]).astype(beta.dtype)
        length = jnp.sqrt(beta @ Delta @ beta)
        alpha = as_float(alpha).astype(beta.dtype)
        a, b = rates_of_prause(owner, alpha, length, delta, dimension=beta.shape[0])
        return cls.from_classical(mu, Delta @ beta, Delta, p=lambda_, a=a, b=b)

    def to_prause(self) -> Prause:
        """λ, α, β, δ, μ, Δ: the gauge det Σ = 1."""
        joint = self.joint
        joint = joint.rescaled_subordinator(
            jnp.exp(2 * joint.dispersion.half_log_det() / self.dimension)
        )
        p, a, b = joint.subordinator_as_gig()
        skew = joint.dispersion.whiten(joint.gamma[None, :])[0]
        alpha = jnp.sqrt(a + skew @ skew)
        Delta = joint.dispersion.matrix()
        return Prause(p, alpha, jnp.linalg.solve(Delta, joint.gamma), jnp.sqrt(b), joint.mu, Delta)

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
    def _subordinator_of_spread(cls, spread: Array) -> GIGMember:
        p = namespace_of(spread).full_like(spread, -0.5)
        return GeneralizedInverseGaussian.from_gig(p, 1 / spread, 1 / spread)
