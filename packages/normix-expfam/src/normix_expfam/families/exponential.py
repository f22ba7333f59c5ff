"""The exponential distribution."""

from typing import Any, ClassVar, Self, final

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float, Int

from normix_expfam._arrays import Array, namespace_of
from normix_expfam._checks import Backend, array_namespace, positive_scalars
from normix_expfam._gig._member import GIGMember
from normix_expfam._sample_spread import Spread
from normix_expfam._scipy import parameters_without_location
from normix_expfam._status import with_status


@final
class Exponential(GIGMember):
    """Exponential(rate): density rate e^(-rate x) on x >= 0, mean 1/rate.

    θ = -rate, t(x) = x, h = 1, ψ = -log rate.
    scipy.stats.expon has ``scale = 1/rate``. Equal to Gamma(1, rate) and GIG(1, 2 rate, 0).

    Args:
        rate: rate > 0.
        check: False leaves out the check, for models built in a loop.

    Raises:
        ValueError: if a concrete rate is not positive and finite; a traced one raises
            at run time, by `equinox.error_if`.

    Examples:
        >>> from normix_expfam import Exponential
        >>> law = Exponential(2.0)
        >>> float(law.mean()), round(float(law.log_prob(1.0)), 6)  # log 2 - 2
        (0.5, -1.306853)
        >>> round(float(law.raw_moment(3)), 6)  # 3! / 2³
        0.75
    """

    eta_rule: ClassVar[str] = "satisfy 0 < E X < inf"
    gig_statistics: ClassVar[tuple[int, ...]] = (2,)
    fits_constant_data: ClassVar[bool] = True

    rate: Float[Array, ""]

    def __init__(self, rate: ArrayLike, *, check: bool = True):
        (self.rate,) = positive_scalars("Exponential", check=check, rate=rate)

    def natural_params(self) -> Float[Array, "1"]:
        return -self.rate[None]

    @classmethod
    def from_natural(cls, theta: Float[Array, "1"]) -> Self:
        return cls(-theta[0])

    def as_gig(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        xp = namespace_of(self.rate)
        return xp.ones_like(self.rate), 2 * self.rate, xp.zeros_like(self.rate)

    @classmethod
    def from_gig(cls, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> Self:
        del p, b
        return cls._unchecked(namespace_of(a).asarray(a) / 2)

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "1"]:
        return x[None]

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        inside = (x >= 0) & (x < jnp.inf)
        return jnp.where(jnp.isnan(x), x, jnp.where(inside, 0.0, -jnp.inf))

    @staticmethod
    def _interior_point(x: Array) -> Array:
        return jnp.where((x >= 0) & (x < jnp.inf), x, 1.0)

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "1"]) -> Float[Array, ""]:
        return -jnp.log(-theta[0])

    @classmethod
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        return cls._of_mean(eta[0], backend)

    @classmethod
    def _from_spread(cls, data: Spread, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        return cls._of_mean(data.mean, backend)

    @classmethod
    def _of_mean(cls, mean: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        xp = array_namespace(backend)
        attained = (mean > 0) & (mean < xp.inf)
        rate = xp.where(attained, 1 / xp.where(attained, mean, 1.0), xp.nan)
        return with_status(cls(rate, check=False))

    def _log_odds(self, x: Array) -> Array:
        # log(e^(rate x) - 1)
        inside = (x > 0) & (x < jnp.inf)
        scaled = self.rate * jnp.where(inside, x, 1.0)
        value = scaled + jnp.log(-jnp.expm1(-scaled))
        beyond = jnp.where(x <= 0, -jnp.inf, jnp.where(x > 0, jnp.inf, x))
        return jnp.where(inside, value, beyond)

    def _quantile(self, log_odds: Array) -> Array:
        return jax.nn.softplus(log_odds) / self.rate

    def mean(self) -> Float[Array, ""]:
        return 1 / self.rate

    def var(self) -> Float[Array, ""]:
        return 1 / self.rate**2

    def skewness(self) -> Float[Array, ""]:
        return jnp.full_like(self.rate, 2.0)

    def kurtosis(self) -> Float[Array, ""]:
        return jnp.full_like(self.rate, 6.0)

    def mode(self) -> Float[Array, ""]:
        return jnp.zeros_like(self.rate)

    def raw_moment(self, order: ArrayLike) -> Float[Array, "*batch"]:
        order = self._like_parameters(order, "order")
        exists = order > -1
        safe = jnp.where(exists, order, 0.0)
        value = jnp.exp(jax.scipy.special.gammaln(1 + safe) - safe * jnp.log(self.rate))
        return jnp.where(exists, value, jnp.where(jnp.isnan(order), order, jnp.inf))

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        return jax.random.exponential(key, shape, self.rate.dtype) / self.rate

    def to_scipy(self) -> Any:
        from scipy import stats

        return stats.expon(scale=1 / float(self.rate))

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        _, found = parameters_without_location("Exponential.from_scipy", frozen, "expon")
        return cls(1 / found["scale"])
