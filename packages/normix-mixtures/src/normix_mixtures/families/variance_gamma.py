"""The variance gamma family: Y ~ Gamma(α, β)."""

from typing import ClassVar, Self, final

from jaxtyping import ArrayLike, Float

from normix_expfam import Gamma, GIGMember, Status
from normix_expfam.internal import Array, namespace_of
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import JointNormalMixture
from normix_mixtures._marginal import NormalMixture
from normix_mixtures._registry import register_family


@final
class JointVarianceGamma(JointNormalMixture):
    """f(x, y) with Y ~ Gamma(α, β)."""

    subordinator_family: ClassVar[type[GIGMember]] = Gamma

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: Gamma

    @classmethod
    def _fit_subordinator_of_order(
        cls, means: Float[Array, "3"], p: Array
    ) -> tuple[GIGMember, Array]:
        return Gamma._unchecked(p, p / means[2]), namespace_of(means).int32(Status.CONVERGED)


@final
@register_family("vg")
class VarianceGamma(NormalMixture):
    """The variance gamma distribution: X | Y ~ N(μ + γ Y, Σ Y), Y ~ Gamma(α, β).

    GIG(α, 2β, 0) in terms of the generalized hyperbolic family (Madan & Seneta 1990); R's ghyp has
    λ = α, ψ = 2β. At α = 1 it is the (asymmetric) Laplace distribution. Its density is infinite at
    μ when α <= d/2. It is built by `from_classical`.

    Args:
        joint: the joint distribution f(x, y).

    Examples:
        With α = β = 1 and Σ = 1 the density is `exp(-√2 |x|) / √2`.

        >>> from normix_mixtures import VarianceGamma
        >>> law = VarianceGamma.from_classical([0.0], sigma=[[1.0]], alpha=1.0, beta=1.0)
        >>> round(float(law.log_prob([0.0])), 6)  # -log(2)/2
        -0.346574
    """

    joint_family: ClassVar[type[JointNormalMixture]] = JointVarianceGamma
    shape_parameter: ClassVar[str | None] = "alpha"
    subordinator_density: ClassVar[str] = "y^(alpha-1) exp(-beta y)"

    joint: JointVarianceGamma

    @classmethod
    def from_classical(
        cls, mu: ArrayLike, gamma: ArrayLike | None = None,
        sigma: ArrayLike | Dispersion | None = None, *, alpha: ArrayLike, beta: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """From μ, γ, Σ and Y ~ Gamma(α, β); see `NormalMixture.from_classical`.

        Args:
            alpha: shape of Y, > 0.
            beta: rate of Y, > 0.
        """
        return cls._from_parts(mu, gamma, sigma, L_Sigma, Gamma(alpha, beta))

    @property
    def alpha(self) -> Float[Array, ""]:
        """Shape of the subordinator."""
        return self.joint.subordinator.alpha

    @property
    def beta(self) -> Float[Array, ""]:
        """Rate of the subordinator."""
        return self.joint.subordinator.beta

    @classmethod
    def _subordinator_of_spread(cls, spread: Array) -> GIGMember:
        return Gamma._unchecked(1 / spread, 1 / spread)
