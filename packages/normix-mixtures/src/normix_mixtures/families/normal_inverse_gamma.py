"""The normal inverse gamma family, the skewed t distribution: Y ~ InverseGamma(α, β)."""

from typing import ClassVar, Self, final

from jaxtyping import ArrayLike, Float

from normix_expfam import GIGMember, InverseGamma, Status
from normix_expfam.internal import Array, namespace_of
from normix_mixtures._conventions import degrees_of_freedom
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import JointNormalMixture
from normix_mixtures._marginal import NormalMixture
from normix_mixtures._registry import register_family


@final
class JointNormalInverseGamma(JointNormalMixture):
    """f(x, y) with Y ~ InverseGamma(α, β)."""

    subordinator_family: ClassVar[type[GIGMember]] = InverseGamma

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: InverseGamma

    @classmethod
    def _fit_subordinator_of_order(
        cls, means: Float[Array, "3"], p: Array
    ) -> tuple[GIGMember, Array]:
        found = InverseGamma._unchecked(-p, -p / means[1])
        return found, namespace_of(means).int32(Status.CONVERGED)


@final
@register_family("ninvg")
class NormalInverseGamma(NormalMixture):
    """The skewed t distribution: X | Y ~ N(μ + γ Y, Σ Y), Y ~ InverseGamma(α, β).

    With β = α it has 2α degrees of freedom and scale matrix Σ, and for γ = 0 is Student's t; see
    `skewed_t`. GIG(-α, 0, 2β) in terms of the generalized hyperbolic family. It is built by
    `from_classical` or `skewed_t`.

    Args:
        joint: the joint distribution f(x, y).

    Examples:
        The density of Student's t with 4 degrees of freedom is 3/8 at 0, and its variance is 2.

        >>> from normix_mixtures import NormalInverseGamma
        >>> law = NormalInverseGamma.skewed_t([0.0], sigma=[[1.0]], df=4.0)
        >>> round(float(law.prob([0.0])), 6), round(float(law.var()[0]), 6)
        (0.375, 2.0)
    """

    joint_family: ClassVar[type[JointNormalMixture]] = JointNormalInverseGamma
    shape_parameter: ClassVar[str | None] = "alpha"
    subordinator_density: ClassVar[str] = "y^(-alpha-1) exp(-beta/y)"

    joint: JointNormalInverseGamma

    @classmethod
    def from_classical(
        cls, mu: ArrayLike, gamma: ArrayLike | None = None,
        sigma: ArrayLike | Dispersion | None = None, *, alpha: ArrayLike, beta: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """From μ, γ, Σ and Y ~ InverseGamma(α, β); see `NormalMixture.from_classical`.

        Args:
            alpha: shape of Y, > 0.
            beta: scale of Y, > 0.
        """
        return cls._from_parts(mu, gamma, sigma, L_Sigma, InverseGamma(alpha, beta))

    @classmethod
    def skewed_t(
        cls,
        mu: ArrayLike,
        gamma: ArrayLike | None = None,
        sigma: ArrayLike | Dispersion | None = None,
        *,
        df: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:
        """With df degrees of freedom: α = β = df/2; for γ = 0 Student's t with scale matrix Σ.

        Args:
            mu: shape (d,).
            gamma: skewness, shape (d,); 0 if left out.
            sigma: Σ, or L_Sigma in place of it, as in `from_classical`.
            df: degrees of freedom, > 0; inf is the normal distribution N(μ + γ, Σ).
            L_Sigma: lower Cholesky factor of Σ.

        Raises:
            ValueError: as `from_classical`, and if df is not positive.
        """
        half = degrees_of_freedom("NormalInverseGamma.skewed_t", df) / 2
        return cls.from_classical(mu, gamma, sigma, alpha=half, beta=half, L_Sigma=L_Sigma)

    @property
    def df(self) -> Float[Array, ""]:
        """Degrees of freedom 2α."""
        return 2 * self.alpha

    @property
    def alpha(self) -> Float[Array, ""]:
        """Shape of the subordinator."""
        return self.joint.subordinator.alpha

    @property
    def beta(self) -> Float[Array, ""]:
        """Scale of the subordinator."""
        return self.joint.subordinator.beta

    @classmethod
    def _subordinator_of_spread(cls, spread: Array) -> GIGMember:
        return InverseGamma._unchecked(2 + 1 / spread, 1 + 1 / spread)
