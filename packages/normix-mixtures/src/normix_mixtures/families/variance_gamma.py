"""The variance gamma family: Y ~ Gamma(α, β)."""

from typing import Any, Self, final

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import ExponentialFamily, Gamma
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import GIGParameters, JointNormalMixture, closed_form_status
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

    def subordinator_as_gig(self) -> GIGParameters:
        y = self.subordinator
        return GIGParameters(y.alpha, 2 * y.beta, jnp.zeros_like(y.beta))

    @classmethod
    def _subordinator_from_gig(cls, p: Array, a: Array, b: Array) -> ExponentialFamily:
        del b
        return Gamma(p, a / 2)

    @classmethod
    def _fit_subordinator(
        cls, log_y: Array, inverse_y: Array, y: Array, start: GIGParameters | None
    ) -> tuple[ExponentialFamily, Array]:
        del inverse_y, start
        law = Gamma._from_expectation(jnp.stack([log_y, y]))
        return law, closed_form_status(law)

    @classmethod
    def _fit_subordinator_cpu(cls, log_y: float, inverse_y: float, y: float) -> ExponentialFamily:
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
    def _start_subordinator(cls, like: Array) -> ExponentialFamily:
        two = jnp.asarray(2.0, like.dtype)
        return Gamma(two, two)
