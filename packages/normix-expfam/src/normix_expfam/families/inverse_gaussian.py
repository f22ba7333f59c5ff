"""The inverse Gaussian law."""

import math
from typing import Any, ClassVar, Self, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from normix_expfam._checks import positive_scalars
from normix_expfam._divergence import mixed
from normix_expfam._gig._api import gig_moments
from normix_expfam._gig._member import GIGMember
from normix_expfam._gig._sampling import sample_gig
from normix_expfam._kl_term import kl_term
from normix_expfam._positive import interior_point, log_indicator
from normix_expfam._sample_spread import Spread
from normix_expfam._scipy import parameters_without_location
from normix_expfam._status import with_status
from normix_expfam._stirling import LOG_2PI


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
        return jnp.full_like(self.mu, -0.5), self.lam / self.mu / self.mu, self.lam

    @classmethod
    def from_gig(cls, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> Self:
        del p
        return cls(jnp.sqrt(jnp.asarray(b) / a), b, check=False)

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "2"]:
        return jnp.stack([1 / x, x])

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        return log_indicator(x) - 1.5 * jnp.log(interior_point(x))

    @classmethod
    def _from_spread(cls, data: Spread) -> tuple[Self, Int[Array, ""]]:
        # 1/λ = E 1/Y - 1 / E Y
        varied = data.excess > 0
        lam = jnp.where(varied, data.mean / jnp.where(varied, data.excess, 1.0), jnp.nan)
        return with_status(cls(data.mean, jnp.where(lam > 0, lam, jnp.nan), check=False))

    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        # roots first: λ/x and μ² need not be numbers where their quotient is one
        depth = jnp.sqrt(self.lam) / jnp.sqrt(x) * (x - self.mu) / self.mu
        return (jnp.log(self.lam) - LOG_2PI - depth * depth) / 2

    def _mean_log_base(self) -> Float[Array, ""]:
        return -1.5 * self._mean_log()

    def _mean_log(self) -> Float[Array, ""]:
        """E log Y, with that of Y/μ ~ GIG(-1/2, φ, φ), φ = λ/μ."""
        phi = self.lam / self.mu
        # E log(Y/λ) differs from its limit at φ = 0, Y = λ/χ², by O(φ log φ)
        small = phi < jnp.finfo(phi.dtype).tiny ** 0.5
        safe = jnp.where(small, 1.0, phi)
        scaled = gig_moments(jnp.full_like(phi, -0.5), safe, safe).log_y
        limit = jnp.log(self.lam) + (float(np.euler_gamma) + math.log(2))
        return jnp.where(small, limit, jnp.log(self.mu) + scaled)

    def _mean(self) -> Float[Array, "2"]:
        return jnp.stack([1 / self.mu + 1 / self.lam, self.mu])

    def _information(self) -> Float[Array, "2 2"]:
        return _covariance(self.mu, self.lam)

    def _entropy(self) -> Float[Array, ""]:
        # E λ (Y-μ)² / (μ² Y) = 1
        return (1 + LOG_2PI - jnp.log(self.lam)) / 2 + 1.5 * self._mean_log()

    def _kl(self, other: Self) -> Float[Array, ""]:
        return self._renyi(other, jnp.ones_like(self.mu))

    def _renyi(self, other: Self, order: Array) -> Float[Array, ""]:
        # in λ the divergence is that of -½ log λ; in the means it is the Jensen gap of λ/μ, the
        # root of λ · λ/μ², as a quotient with its difference of squares
        rest = 1 - order
        apart = self.lam - other.lam
        lam = other.lam + order * apart
        phi, phi_other = self.lam / self.mu, other.lam / other.mu
        slope = order * self.lam * (other.mu / self.mu) + rest * other.lam * (self.mu / other.mu)
        inside = (lam > 0) & (slope > 0)
        known = jnp.isfinite(lam) & jnp.isfinite(slope)
        lam, slope = jnp.where(inside, lam, 1.0), jnp.where(inside, slope, 1.0)
        half = jnp.full_like(lam, 0.5)

        def term(end: Array, step: Array) -> Array:
            return kl_term(half, end / lam / 2, step, lam, jnp.log(end) - jnp.log(lam))

        spread = mixed(order, term(self.lam, rest * apart), term(other.lam, -order * apart))
        gap = (other.mu - self.mu) / self.mu * ((other.mu - self.mu) / other.mu)
        middle = jnp.sqrt(lam / self.mu) * jnp.sqrt(slope / other.mu)
        shift = order * (phi / (middle + order * phi + rest * phi_other)) * phi_other * gap
        return jnp.where(inside, spread + shift, jnp.where(known, jnp.inf, jnp.nan))

    def _asymptotic_deviations(self) -> Self:
        # the information in (μ, λ) is diagonal, λ/μ³ and 1/(2 λ²)
        return type(self)(jnp.sqrt(self.var()), jnp.sqrt(2.0) * self.lam, check=False)

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
        return _covariance(roots[0] / roots[1], -2 * theta[0])

    @classmethod
    def _from_expectation(cls, eta: Float[Array, "2"]) -> Self:
        excess = eta[0] - 1 / eta[1]
        # an excess that is rounding, as for constant data, determines nothing
        least = 4 * jnp.finfo(eta.dtype).eps * eta[0]
        attained = (excess > least) & (excess < jnp.inf) & (eta[1] > 0)
        lam = 1 / jnp.where(attained, excess, 1.0)
        return cls(eta[1], jnp.where(attained, lam, jnp.nan), check=False)

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


def _covariance(mu: Array, lam: Array) -> Array:
    """Cov (1/Y, Y), shape (2, 2)."""
    cross = -mu / lam
    rows = ([1 / lam / mu + 2 / lam / lam, cross], [cross, mu / lam * mu * mu])
    return jnp.stack([jnp.stack(row) for row in rows])
