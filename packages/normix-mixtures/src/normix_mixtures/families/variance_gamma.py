"""The variance gamma family: Y ~ Gamma(α, β)."""

from typing import Any, Self, final

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import Gamma, GIGMember
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import GIGParameters, JointNormalMixture
from normix_mixtures._marginal import NormalMixture


@final
class JointVarianceGamma(JointNormalMixture):
    """f(x, y) with Y ~ Gamma(α, β)."""

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: Gamma

    @classmethod
    def _assemble(cls, mu: Array, gamma: Array, dispersion: Dispersion, subordinator: Any) -> Self:
        return cls(mu, gamma, dispersion, subordinator)

    @classmethod
    def _subordinator_from_gig(cls, p: Array, a: Array, b: Array) -> GIGMember:
        del b
        return Gamma(p, a / 2, check=False)

    @classmethod
    def _fit_subordinator(
        cls, log_y: Array, inverse_y: Array, y: Array, start: GIGParameters | None
    ) -> tuple[GIGMember, Array]:
        del inverse_y, start
        return Gamma._solve_expectation(jnp.stack([log_y, y]))

    @classmethod
    def _fit_subordinator_cpu(cls, log_y: float, inverse_y: float, y: float) -> GIGMember:
        del inverse_y
        return Gamma.from_expectation(jnp.array([log_y, y]), backend="cpu")


@final
class VarianceGamma(NormalMixture):
    """The variance gamma law: X | Y ~ N(μ + γ Y, Σ Y), Y ~ Gamma(α, β).

    GIG(α, 2β, 0) in terms of the generalized hyperbolic family; R's ghyp has λ = α, ψ = 2β.
    Its density is infinite at μ when α <= d/2.
    """

    joint: JointVarianceGamma

    @classmethod
    def from_classical(
        cls,
        mu: ArrayLike,
        gamma: ArrayLike,
        sigma: ArrayLike | None = None,
        *,
        alpha: ArrayLike,
        beta: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:
        """From location μ (d,), skewness γ (d,), dispersion Σ (d, d) or its Cholesky factor.

        Raises:
            ValueError: for shapes that do not fit, Σ that is not symmetric positive definite,
                or parameters of the subordinator that are not positive.
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
    def _joint_class(cls) -> type[JointNormalMixture]:
        return JointVarianceGamma

    @classmethod
    def _wrap(cls, joint: Any) -> Self:
        return cls(joint)

    @classmethod
    def _start_subordinator(cls, like: Array) -> GIGMember:
        two = jnp.asarray(2.0, like.dtype)
        return Gamma(two, two, check=False)
