"""The inverse Gaussian law."""

from typing import ClassVar, Self, final

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from normix_expfam._checks import positive_scalars
from normix_expfam._family import ExponentialFamily
from normix_expfam._positive import interior_point, log_indicator
from normix_expfam._sampling import sample_gig


@final
class InverseGaussian(ExponentialFamily):
    """InverseGaussian(μ, λ): density √(λ / 2πy³) exp(-λ (y-μ)² / (2μ²y)) on y > 0, mean μ.

    θ = (-λ/2, -λ/(2μ²)), t(y) = (1/y, y), h = y^(-3/2), ψ = ½ log(2π/λ) - λ/μ.
    scipy.stats.invgauss has ``mu = μ/λ, scale = λ``. Equal to GIG(-1/2, λ/μ², λ).
    η = (E 1/Y, E Y) = (1/μ + 1/λ, μ) (Chhikara & Folks 1989).

    Args:
        mu: mean μ > 0.
        lam: shape λ > 0.

    Raises:
        ValueError: if a concrete parameter is not positive and finite.
    """

    eta_rule: ClassVar[str] = "satisfy E Y > 0 and E 1/Y > 1 / E Y, both finite"

    mu: Float[Array, ""]
    lam: Float[Array, ""]

    def __init__(self, mu: ArrayLike, lam: ArrayLike):
        self.mu, self.lam = positive_scalars("InverseGaussian", mu=mu, lam=lam)

    def natural_params(self) -> Float[Array, "2"]:
        return jnp.stack([-self.lam / 2, -self.lam / (2 * self.mu**2)])

    @classmethod
    def from_natural(cls, theta: Float[Array, "2"]) -> Self:
        return cls(jnp.sqrt(theta[0] / theta[1]), -2 * theta[0])

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "2"]:
        return jnp.stack([1 / x, x])

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        return log_indicator(x) - 1.5 * jnp.log(interior_point(x))

    @staticmethod
    def _interior_point(x: Array) -> Array:
        return interior_point(x)

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "2"]) -> Float[Array, ""]:
        return 0.5 * jnp.log(-jnp.pi / theta[0]) - 2 * jnp.sqrt(theta[0] * theta[1])

    @classmethod
    def _from_expectation(cls, eta: Float[Array, "2"]) -> Self:
        excess = eta[0] - 1 / eta[1]
        attained = (excess > 0) & (excess < jnp.inf) & (eta[1] > 0)
        return cls(eta[1], jnp.where(attained, 1 / excess, jnp.nan))

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        """Draws of the given shape."""
        mu, lam = jnp.broadcast_to(self.mu, shape), jnp.broadcast_to(self.lam, shape)
        return sample_gig(key, jnp.full_like(mu, -0.5), lam / mu**2, lam)
