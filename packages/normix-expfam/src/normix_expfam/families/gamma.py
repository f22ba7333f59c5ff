"""The gamma distribution."""

from typing import Any, ClassVar, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from normix_expfam._arrays import Array, namespace_of
from normix_expfam._checks import Backend, positive_scalars
from normix_expfam._divergence import Divergences
from normix_expfam._gamma import (
    GAMMA_DIVERGENCES,
    GAMMA_INFORMATION,
    fit_gamma,
    fit_gamma_to_gap,
    gamma_covariance,
    gamma_log_density,
    gamma_log_partition,
    gamma_mean,
)
from normix_expfam._gig._member import GIGMember
from normix_expfam._information import Information
from normix_expfam._manual_axes import varying_like
from normix_expfam._sample_spread import Spread
from normix_expfam._scipy import parameters_without_location
from normix_expfam._status import with_status


@final
class Gamma(GIGMember):
    """Gamma(α, β): density β^α / Γ(α) y^(α-1) e^(-β y) on y > 0, mean α/β.

    θ = (α - 1, -β), t(y) = (log y, y), h = 1, ψ = log Γ(α) - α log β.
    scipy.stats.gamma has ``a = α, scale = 1/β``. Equal to GIG(α, 2β, 0).

    Args:
        alpha: shape α > 0.
        beta: rate β > 0.
        check: False leaves out the check, for models built in a loop.

    Raises:
        ValueError: if a concrete parameter is not positive and finite; a traced one raises
            at run time, by `equinox.error_if`.

    Examples:
        >>> from normix_expfam import Gamma
        >>> law = Gamma(3.0, 2.0)
        >>> float(law.mean()), round(float(law.log_prob(1.0)), 6)  # log 4 - 2
        (1.5, -0.613706)
        >>> same = Gamma.from_expectation(law.expectation_params())
        >>> round(float(same.alpha), 6), round(float(same.beta), 6)
        (3.0, 2.0)
    """

    eta_rule: ClassVar[str] = "satisfy E log Y < log E Y, both finite"
    gig_statistics: ClassVar[tuple[int, ...]] = (0, 2)
    divergences: ClassVar[Divergences] = GAMMA_DIVERGENCES
    information: ClassVar[Information] = GAMMA_INFORMATION

    alpha: Float[Array, ""]
    beta: Float[Array, ""]

    def __init__(self, alpha: ArrayLike, beta: ArrayLike, *, check: bool = True):
        self.alpha, self.beta = positive_scalars("Gamma", check=check, alpha=alpha, beta=beta)

    def natural_params(self) -> Float[Array, "2"]:
        return jnp.stack([self.alpha - 1, -self.beta])

    @classmethod
    def from_natural(cls, theta: Float[Array, "2"]) -> Self:
        return cls(theta[0] + 1, -theta[1])

    def as_gig(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        return self.alpha, 2 * self.beta, namespace_of(self.beta).zeros_like(self.beta)

    @classmethod
    def from_gig(cls, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> Self:
        del b
        return cls._unchecked(p, namespace_of(a).asarray(a) / 2)

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "2"]:
        return jnp.stack([jnp.log(x), x])

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "2"]) -> Float[Array, ""]:
        return gamma_log_partition(theta[0] + 1, -theta[1])

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2"]:
        return gamma_mean(theta[0] + 1, -theta[1])

    @classmethod
    def _hessian_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2 2"]:
        return gamma_covariance(theta[0] + 1, -theta[1])

    @classmethod
    def _log_partition_cpu(cls, theta: np.ndarray) -> float:
        from normix_expfam import _cpu_gamma

        return _cpu_gamma.log_partition(theta[0] + 1, -theta[1])

    @classmethod
    def _grad_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam import _cpu_gamma

        return _cpu_gamma.mean(theta[0] + 1, -theta[1])

    @classmethod
    def _hessian_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam import _cpu_gamma

        return _cpu_gamma.covariance(theta[0] + 1, -theta[1])

    @classmethod
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        return with_status(cls._unchecked(*fit_gamma(eta[1], eta[0], backend)))

    @classmethod
    def _from_spread(cls, data: Spread, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        return with_status(cls(*fit_gamma_to_gap(data.mean, data.log_gap, backend), check=False))

    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        return gamma_log_density(self.alpha, self.beta, x)

    def mean(self) -> Float[Array, ""]:
        return self.alpha / self.beta

    def var(self) -> Float[Array, ""]:
        return self.alpha / self.beta / self.beta

    def skewness(self) -> Float[Array, ""]:
        return 2 / jnp.sqrt(self.alpha)

    def kurtosis(self) -> Float[Array, ""]:
        return 6 / self.alpha

    def mode(self) -> Float[Array, ""]:
        return jnp.maximum(self.alpha - 1, 0.0) / self.beta

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        alpha, key = varying_like(self.alpha, key), varying_like(key, self.alpha)
        return jax.random.gamma(key, alpha, shape, alpha.dtype) / self.beta

    def to_scipy(self) -> Any:
        from scipy import stats

        return stats.gamma(float(self.alpha), scale=1 / float(self.beta))

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        _, found = parameters_without_location("Gamma.from_scipy", frozen, "gamma")
        return cls(found["a"], 1 / found["scale"])
