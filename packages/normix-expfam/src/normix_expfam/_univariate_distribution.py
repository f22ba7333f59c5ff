"""`UnivariateDistribution`: distribution function and quantiles of a distribution on the line.

All distribution functions come from one number, the log-odds Δ = log P(X <= x) - log P(X > x):
cdf = 1/(1 + e^-Δ), log cdf = -log(1 + e^-Δ), and the upper tail with -Δ, each with full relative
accuracy however small it is.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ._checks import as_floats, is_concrete, require
from ._unbatched import Unbatched


class UnivariateDistribution(Unbatched):
    """A distribution on the line with scalar parameters.

    Functions of x or of a probability take any shape and are traceable, and differentiable in
    x and in the parameters.
    """

    _axes: ClassVar[int | None] = 0

    @abstractmethod
    def _log_odds(self, x: Array) -> Array:
        """log P(X <= x) - log P(X > x), any shape; ±inf outside the support, nan at nan."""

    @abstractmethod
    def _quantile(self, log_odds: Array) -> Array:
        """x with the given log-odds, any shape; the ends of the support at ±inf, nan at nan."""

    @abstractmethod
    def mean(self) -> Float[Array, ""]:
        """E X; inf where it does not exist."""

    @abstractmethod
    def var(self) -> Float[Array, ""]:
        """Var X; inf where it does not exist."""

    @abstractmethod
    def skewness(self) -> Float[Array, ""]:
        """E (X - E X)³ / Var(X)^(3/2); inf or nan where it does not exist."""

    @abstractmethod
    def kurtosis(self) -> Float[Array, ""]:
        """Excess kurtosis E (X - E X)⁴ / Var(X)² - 3; inf or nan where it does not exist."""

    @abstractmethod
    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        """Draws of the given shape; either kind of JAX key."""

    def std(self) -> Float[Array, ""]:
        """Standard deviation."""
        return jnp.sqrt(self.var())

    def cdf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """P(X <= x)."""
        return _probability_of(self._log_odds(self._like_parameters(x)))

    def sf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """P(X > x)."""
        return _probability_of(-self._log_odds(self._like_parameters(x)))

    def log_cdf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """log P(X <= x)."""
        return jax.nn.log_sigmoid(self._log_odds(self._like_parameters(x)))

    def log_sf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """log P(X > x)."""
        return jax.nn.log_sigmoid(-self._log_odds(self._like_parameters(x)))

    def ppf(self, q: ArrayLike) -> Float[Array, "*batch"]:
        """x with P(X <= x) = q for 0 <= q <= 1; nan at nan, and outside when traced.

        Raises:
            ValueError: if a concrete q is not in [0, 1].

        Examples:
            >>> from normix_expfam import Exponential
            >>> law = Exponential(1.0)
            >>> round(float(law.ppf(0.5)), 6)  # log 2
            0.693147
            >>> round(float(law.cdf(law.ppf(0.3))), 6)
            0.3
        """
        return self._quantile(_logit(self._probability("ppf", q)))

    def isf(self, q: ArrayLike) -> Float[Array, "*batch"]:
        """x with P(X > x) = q for 0 <= q <= 1, exact for tiny q; nan at nan.

        Raises:
            ValueError: if a concrete q is not in [0, 1].

        Examples:
            >>> from normix_expfam import Exponential
            >>> round(float(Exponential(1.0).isf(1e-300)), 6)  # 300 log 10
            690.775528
        """
        return self._quantile(-_logit(self._probability("isf", q)))

    def median(self) -> Float[Array, ""]:
        """x with P(X <= x) = 1/2."""
        return self._quantile(self._like_parameters(0.0))

    def _like_parameters(self, x: ArrayLike, name: str = "x") -> Array:
        (array,) = as_floats(type(self).__name__, **{name: x})
        return array.astype(jax.tree.leaves(self)[0].dtype)

    def _probability(self, method: str, q: ArrayLike) -> Array:
        q = self._like_parameters(q, "q")
        if is_concrete(q):
            values = np.asarray(q)
            require(~((values < 0) | (values > 1)), f"{type(self).__name__}.{method}", "q",
                    "be in [0, 1]", q, "pass probabilities")  # fmt: skip
        return q


@jax.custom_jvp
def _probability_of(log_odds: Array) -> Array:
    """1 / (1 + e^-Δ)."""
    return jax.nn.sigmoid(log_odds)


@_probability_of.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # s (1 - s), the rule of jax.nn.sigmoid, would be 0 in the upper tail
    (log_odds,), (tangent,) = primals, tangents
    s = _probability_of(log_odds)
    return s, s * _probability_of(-log_odds) * tangent


def _logit(q: Array) -> Array:
    return jnp.log(q) - jnp.log1p(-q)
