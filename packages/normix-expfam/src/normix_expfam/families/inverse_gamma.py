"""The inverse gamma distribution."""

from typing import Any, ClassVar, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from normix_expfam._arrays import Array, namespace_of
from normix_expfam._checks import Backend, array_namespace, positive_scalars
from normix_expfam._divergence import Divergences
from normix_expfam._gamma import (
    GAMMA_DIVERGENCES,
    GAMMA_INFORMATION,
    fit_gamma,
    fit_gamma_to_gap,
    gamma_covariance,
    gamma_log_partition,
    gamma_mean,
    inverse_gamma_log_density,
)
from normix_expfam._gig._member import GIGMember
from normix_expfam._information import Information
from normix_expfam._manual_axes import varying_like
from normix_expfam._sample_spread import Spread
from normix_expfam._scipy import parameters_without_location
from normix_expfam._status import with_status


def _mirror(rows: Array) -> Array:
    """Of log Y = -log X in place of log X."""
    return jnp.stack([-rows[0], rows[1]])


def _mean(law: Any) -> Array:
    return _mirror(GAMMA_INFORMATION.mean(law))


def _covariance(law: Any) -> Array:
    return _mirror(_mirror(GAMMA_INFORMATION.covariance(law)).T)


def _entropy(law: Any) -> Array:
    # log Y = -log X for X = 1/Y
    return GAMMA_DIVERGENCES.entropy(law) + 2 * _mean(law)[0]


@final
class InverseGamma(GIGMember):
    """InverseGamma(α, β): density β^α / Γ(α) y^(-α-1) e^(-β/y) on y > 0; 1/Y ~ Gamma(α, β).

    θ = (-α - 1, -β), t(y) = (log y, 1/y), h = 1, ψ = log Γ(α) - α log β.
    scipy.stats.invgamma has ``a = α, scale = β``. Equal to GIG(-α, 0, 2β).

    Args:
        alpha: shape α > 0.
        beta: rate β > 0.
        check: False leaves out the check, for models built in a loop.

    Raises:
        ValueError: if a concrete parameter is not positive and finite; a traced one raises
            at run time, by `equinox.error_if`.

    Examples:
        >>> from normix_expfam import InverseGamma
        >>> law = InverseGamma(3.0, 2.0)
        >>> round(float(law.mean()), 6), round(float(law.log_prob(1.0)), 6)  # log 4 - 2
        (1.0, -0.613706)
        >>> same = InverseGamma.from_natural(law.natural_params())
        >>> float(same.alpha), float(same.beta)
        (3.0, 2.0)
    """

    eta_rule: ClassVar[str] = "satisfy -log E 1/Y < E log Y, both finite"
    gig_statistics: ClassVar[tuple[int, ...]] = (0, 1)
    divergences: ClassVar[Divergences] = GAMMA_DIVERGENCES._replace(entropy=_entropy)
    information: ClassVar[Information] = GAMMA_INFORMATION._replace(
        mean=_mean, covariance=_covariance
    )

    alpha: Float[Array, ""]
    beta: Float[Array, ""]

    def __init__(self, alpha: ArrayLike, beta: ArrayLike, *, check: bool = True):
        self.alpha, self.beta = positive_scalars(
            "InverseGamma", check=check, alpha=alpha, beta=beta
        )

    def natural_params(self) -> Float[Array, "2"]:
        return jnp.stack([-self.alpha - 1, -self.beta])

    @classmethod
    def from_natural(cls, theta: Float[Array, "2"]) -> Self:
        return cls(-theta[0] - 1, -theta[1])

    def as_gig(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        return -self.alpha, namespace_of(self.beta).zeros_like(self.beta), 2 * self.beta

    @classmethod
    def from_gig(cls, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> Self:
        del a
        return cls._unchecked(-namespace_of(p).asarray(p), namespace_of(b).asarray(b) / 2)

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "2"]:
        return jnp.stack([jnp.log(x), 1 / x])

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "2"]) -> Float[Array, ""]:
        return gamma_log_partition(-theta[0] - 1, -theta[1])

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2"]:
        return _mirror(gamma_mean(-theta[0] - 1, -theta[1]))

    @classmethod
    def _hessian_log_partition(cls, theta: Float[Array, "2"]) -> Float[Array, "2 2"]:
        return _mirror(_mirror(gamma_covariance(-theta[0] - 1, -theta[1])).T)

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
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        return with_status(cls._unchecked(*fit_gamma(eta[1], -eta[0], backend)))

    @classmethod
    def _from_spread(cls, data: Spread, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        # log E 1/Y + E log Y
        gap = array_namespace(backend).log1p(data.excess) - data.log_gap
        return with_status(cls(*fit_gamma_to_gap(data.inverse_mean, gap, backend), check=False))

    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        return inverse_gamma_log_density(self.alpha, self.beta, x)

    def _beyond(self, order: float) -> tuple[Array, Array]:
        """Whether E Y^order is finite, and α - order, which is 1 where it is not."""
        exists = self.alpha > order
        return exists, jnp.where(exists, self.alpha - order, 1.0)

    def mean(self) -> Float[Array, ""]:
        exists, first = self._beyond(1.0)
        return jnp.where(exists, self.beta / first, jnp.inf)

    def var(self) -> Float[Array, ""]:
        (exists, second), (_, first) = self._beyond(2.0), self._beyond(1.0)
        return jnp.where(exists, (self.beta / first) ** 2 / second, jnp.inf)

    def skewness(self) -> Float[Array, ""]:
        (exists, third), (var, second) = self._beyond(3.0), self._beyond(2.0)
        value = jnp.where(exists, 4 * jnp.sqrt(second) / third, jnp.inf)
        return jnp.where(var, value, jnp.nan)

    def kurtosis(self) -> Float[Array, ""]:
        (exists, fourth), (_, third), (var, _) = map(self._beyond, (4.0, 3.0, 2.0))
        value = jnp.where(exists, 6 * (5 * self.alpha - 11) / (third * fourth), jnp.inf)
        return jnp.where(var, value, jnp.nan)

    def mode(self) -> Float[Array, ""]:
        return self.beta / (self.alpha + 1)

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        alpha, key = varying_like(self.alpha, key), varying_like(key, self.alpha)
        return self.beta / jax.random.gamma(key, alpha, shape, alpha.dtype)

    def to_scipy(self) -> Any:
        from scipy import stats

        return stats.invgamma(float(self.alpha), scale=float(self.beta))

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        _, found = parameters_without_location("InverseGamma.from_scipy", frozen, "invgamma")
        return cls(found["a"], found["scale"])
