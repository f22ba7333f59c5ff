"""The inverse Gaussian distribution."""

from typing import Any, ClassVar, Self, final

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float, Int

from normix_expfam._arrays import Array, namespace_of
from normix_expfam._checks import Backend, array_namespace, positive_scalars
from normix_expfam._divergence import Divergences
from normix_expfam._gig._member import GIGMember
from normix_expfam._gig._sampling import sample_gig
from normix_expfam._information import Information
from normix_expfam._inverse_gaussian import (
    INVERSE_GAUSSIAN_DIVERGENCES,
    INVERSE_GAUSSIAN_INFORMATION,
    inverse_gaussian_covariance,
    inverse_gaussian_log_kernel,
)
from normix_expfam._positive_support import interior_point, log_indicator
from normix_expfam._sample_spread import Spread
from normix_expfam._scipy import parameters_without_location
from normix_expfam._status import with_status


@final
class InverseGaussian(GIGMember):
    """InverseGaussian(μ, λ): density √(λ / 2πy³) exp(-λ (y-μ)² / (2μ²y)) on y > 0, mean μ.

    θ = (-λ/2, -λ/(2μ²)), t(y) = (1/y, y), h = y^(-3/2), ψ = ½ log(2π/λ) - λ/μ.
    scipy.stats.invgauss has ``mu = μ/λ, scale = λ``. Equal to GIG(-1/2, λ/μ², λ).
    η = (E 1/Y, E Y) = (1/μ + 1/λ, μ) (Chhikara & Folks 1989).

    Args:
        mu: mean μ > 0.
        lam: shape λ > 0.
        check: False leaves out the check, for models built in a loop.

    Raises:
        ValueError: if a concrete parameter is not positive and finite; a traced one raises
            at run time, by `equinox.error_if`.

    Examples:
        >>> from normix_expfam import InverseGaussian
        >>> law = InverseGaussian(2.0, 4.0)
        >>> round(float(law.var()), 6)  # μ³/λ
        2.0
        >>> [round(float(x), 6) for x in law.expectation_params()]
        [0.75, 2.0]
    """

    eta_rule: ClassVar[str] = "satisfy E Y > 0 and E 1/Y > 1 / E Y, both finite"
    gig_statistics: ClassVar[tuple[int, ...]] = (1, 2)
    divergences: ClassVar[Divergences] = INVERSE_GAUSSIAN_DIVERGENCES
    information: ClassVar[Information] = INVERSE_GAUSSIAN_INFORMATION

    mu: Float[Array, ""]
    lam: Float[Array, ""]

    def __init__(self, mu: ArrayLike, lam: ArrayLike, *, check: bool = True):
        self.mu, self.lam = positive_scalars("InverseGaussian", check=check, mu=mu, lam=lam)

    def natural_params(self) -> Float[Array, "2"]:
        return jnp.stack([-self.lam / 2, -self.lam / self.mu / self.mu / 2])

    @classmethod
    def from_natural(cls, theta: Float[Array, "2"]) -> Self:
        return cls(jnp.sqrt(theta[0] / theta[1]), -2 * theta[0])

    def as_gig(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        return (
            namespace_of(self.mu).full_like(self.mu, -0.5),
            self.lam / self.mu / self.mu,
            self.lam,
        )

    @classmethod
    def from_gig(cls, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> Self:
        del p
        xp = namespace_of(b)
        return cls._unchecked(xp.sqrt(xp.asarray(b) / a), b)

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "2"]:
        return jnp.stack([1 / x, x])

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        return log_indicator(x) - 1.5 * jnp.log(interior_point(x))

    @classmethod
    def _from_spread(cls, data: Spread, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        # 1/λ = E 1/Y - 1 / E Y
        xp = array_namespace(backend)
        varied = data.excess > 0
        lam = xp.where(varied, data.mean / xp.where(varied, data.excess, 1.0), xp.nan)
        return with_status(cls(data.mean, xp.where(lam > 0, lam, xp.nan), check=False))

    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        return inverse_gaussian_log_kernel(self, x)

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "2"]) -> Float[Array, ""]:
        roots = jnp.sqrt(-theta)
        return 0.5 * jnp.log(-jnp.pi / theta[0]) - 2 * roots[0] * roots[1]

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2"]:
        roots = jnp.sqrt(-theta)
        return jnp.stack([roots[1] / roots[0] - 0.5 / theta[0], roots[0] / roots[1]])

    @classmethod
    def _hessian_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2 2"]:
        roots = jnp.sqrt(-theta)
        return inverse_gaussian_covariance(roots[0] / roots[1], -2 * theta[0])

    @classmethod
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        xp = array_namespace(backend)
        excess = eta[0] - 1 / eta[1]
        # an excess that is rounding, as for constant data, determines nothing
        least = 4 * xp.finfo(eta.dtype).eps * eta[0]
        attained = (excess > least) & (excess < xp.inf) & (eta[1] > 0)
        lam = 1 / xp.where(attained, excess, 1.0)
        return with_status(cls._unchecked(eta[1], xp.where(attained, lam, xp.nan)))

    def mean(self) -> Float[Array, ""]:
        return self.mu

    def var(self) -> Float[Array, ""]:
        return self.mu / self.lam * self.mu * self.mu

    def skewness(self) -> Float[Array, ""]:
        return 3 * jnp.sqrt(self.mu / self.lam)

    def kurtosis(self) -> Float[Array, ""]:
        return 15 * self.mu / self.lam

    def mode(self) -> Float[Array, ""]:
        ratio = 3 * self.mu / (2 * self.lam)
        return self.mu / (ratio + jnp.hypot(ratio, jnp.ones_like(ratio)))

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        return sample_gig(key, *(jnp.broadcast_to(x, shape) for x in self.as_gig()))

    def to_scipy(self) -> Any:
        from scipy import stats

        return stats.invgauss(float(self.mu / self.lam), scale=float(self.lam))

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        _, found = parameters_without_location("InverseGaussian.from_scipy", frozen, "invgauss")
        return cls(found["mu"] * found["scale"], found["scale"])
