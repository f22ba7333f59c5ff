"""The inverse gamma law."""

from typing import ClassVar, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, polygamma
from jaxtyping import Array, ArrayLike, Float

from normix_expfam._checks import positive_scalars
from normix_expfam._family import ExponentialFamily
from normix_expfam._gamma_inversion import gamma_shape
from normix_expfam._positive import interior_point, log_indicator


@final
class InverseGamma(ExponentialFamily):
    """InverseGamma(α, β): density β^α / Γ(α) y^(-α-1) e^(-β/y) on y > 0; 1/Y ~ Gamma(α, β).

    θ = (-α - 1, -β), t(y) = (log y, 1/y), h = 1, ψ = log Γ(α) - α log β.
    scipy.stats.invgamma has ``a = α, scale = β``. Equal to GIG(-α, 0, 2β).

    Args:
        alpha: shape α > 0.
        beta: rate β > 0.

    Raises:
        ValueError: if a concrete parameter is not positive and finite.
    """

    eta_rule: ClassVar[str] = "satisfy -log E 1/Y < E log Y, both finite"

    alpha: Float[Array, ""]
    beta: Float[Array, ""]

    def __init__(self, alpha: ArrayLike, beta: ArrayLike):
        self.alpha, self.beta = positive_scalars("InverseGamma", alpha=alpha, beta=beta)

    def natural_params(self) -> Float[Array, "2"]:
        return jnp.stack([-self.alpha - 1, -self.beta])

    @classmethod
    def from_natural(cls, theta: Float[Array, "2"]) -> Self:
        return cls(-theta[0] - 1, -theta[1])

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "2"]:
        return jnp.stack([jnp.log(x), 1 / x])

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        return log_indicator(x)

    @staticmethod
    def _interior_point(x: Array) -> Array:
        return interior_point(x)

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "2"]) -> Float[Array, ""]:
        alpha, beta = -theta[0] - 1, -theta[1]
        return gammaln(alpha) - alpha * jnp.log(beta)

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2"]:
        alpha, beta = -theta[0] - 1, -theta[1]
        return jnp.stack([jnp.log(beta) - digamma(alpha), alpha / beta])

    @classmethod
    def _hessian_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2 2"]:
        alpha, beta = -theta[0] - 1, -theta[1]
        rows = ([polygamma(1, alpha), -1 / beta], [-1 / beta, alpha / beta**2])
        return jnp.stack([jnp.stack(row) for row in rows])

    @classmethod
    def _log_partition_cpu(cls, theta: np.ndarray) -> float:
        from normix_expfam import _cpu_gamma

        return _cpu_gamma.log_partition(-theta[0] - 1, -theta[1])

    @classmethod
    def _grad_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam import _cpu_gamma

        return _cpu_gamma.mean(-theta[0] - 1, -theta[1]) * np.array([-1.0, 1.0])

    @classmethod
    def _hessian_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam import _cpu_gamma

        sign = np.array([-1.0, 1.0])
        return _cpu_gamma.covariance(-theta[0] - 1, -theta[1]) * np.outer(sign, sign)

    @classmethod
    def _from_expectation(cls, eta: Float[Array, "2"]) -> Self:
        alpha = gamma_shape(jnp.log(eta[1]) + eta[0])
        return cls(alpha, alpha / eta[1])

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        """Draws of the given shape."""
        return self.beta / jax.random.gamma(key, self.alpha, shape, self.alpha.dtype)
