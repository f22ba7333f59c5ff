"""The normal inverse gamma family, the skewed t law: Y ~ InverseGamma(α, β)."""

from typing import Any, Self, final

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GIGMember, InverseGamma
from normix_mixtures._dispersion import Dispersion
from normix_mixtures._joint import GIGParameters, JointNormalMixture
from normix_mixtures._marginal import NormalMixture


@final
class JointNormalInverseGamma(JointNormalMixture):
    """f(x, y) with Y ~ InverseGamma(α, β)."""

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: InverseGamma

    @classmethod
    def _assemble(cls, mu: Array, gamma: Array, dispersion: Dispersion, subordinator: Any) -> Self:
        return cls(mu, gamma, dispersion, subordinator)

    @classmethod
    def _subordinator_from_gig(cls, p: Array, a: Array, b: Array) -> GIGMember:
        del a
        return InverseGamma(-p, b / 2, check=False)

    @classmethod
    def _fit_subordinator(
        cls, log_y: Array, inverse_y: Array, y: Array, start: GIGParameters | None
    ) -> tuple[GIGMember, Array]:
        del y, start
        return InverseGamma._solve_expectation(jnp.stack([log_y, inverse_y]))

    @classmethod
    def _fit_subordinator_cpu(cls, log_y: float, inverse_y: float, y: float) -> GIGMember:
        del y
        return InverseGamma.from_expectation(jnp.array([log_y, inverse_y]), backend="cpu")


@final
class NormalInverseGamma(NormalMixture):
    """The skewed t law: X | Y ~ N(μ + γ Y, Σ Y), Y ~ InverseGamma(α, β).

    With γ = 0 and β = α it is Student's t with 2α degrees of freedom and scale matrix Σ.
    GIG(-α, 0, 2β) in terms of the generalized hyperbolic family.
    """

    joint: JointNormalInverseGamma

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
        return cls._from_parts(mu, gamma, sigma, L_Sigma, InverseGamma(alpha, beta))

    @property
    def alpha(self) -> Float[Array, ""]:
        """Shape of the subordinator; 2α degrees of freedom."""
        return self.joint.subordinator.alpha

    @property
    def beta(self) -> Float[Array, ""]:
        """Scale of the subordinator."""
        return self.joint.subordinator.beta

    @classmethod
    def _joint_class(cls) -> type[JointNormalMixture]:
        return JointNormalInverseGamma

    @classmethod
    def _wrap(cls, joint: Any) -> Self:
        return cls(joint)

    @classmethod
    def _start_subordinator(cls, like: Array) -> GIGMember:
        shape = jnp.asarray(2.5, like.dtype)
        return InverseGamma(shape, shape, check=False)
