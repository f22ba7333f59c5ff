"""`GIGMember`: distributions on y > 0 that are GIG(p, a, b) for some (p, a, b)."""

from abc import abstractmethod
from dataclasses import fields
from functools import partial
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from normix_expfam._arrays import Array, is_on_host
from normix_expfam._checks import Backend
from normix_expfam._log_partition import hook
from normix_expfam._positive_support import interior_point, log_indicator
from normix_expfam._sample_spread import Spread, spread
from normix_expfam._univariate_family import UnivariateFamily

from ._raw_moments import raw_moment
from ._tails import log_odds, quantile


class GIGMember(UnivariateFamily):
    """A distribution that is GIG(p, a, b), whose distribution function and quantiles it shares."""

    gig_statistics: eqx.AbstractClassVar[tuple[int, ...]]
    """Which of (log y, 1/y, y) are the statistics of the family, in its order."""

    @abstractmethod
    def as_gig(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """(p, a, b) with density ∝ y^(p-1) exp(-(a y + b/y)/2)."""

    @classmethod
    @abstractmethod
    def from_gig(cls, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> Self:
        """The member that is GIG(p, a, b), unchecked; a parameter it fixes is not looked at.

        Of parameters that are arrays or numbers of NumPy the fields are such ones.
        """

    @classmethod
    def _unchecked(cls, *parameters: Any) -> Self:
        """The member with these parameters as they are, arrays of JAX or of NumPy."""
        if not all(map(is_on_host, parameters)):
            family: Any = cls
            built: Self = family(*parameters, check=False)
            return built
        law = object.__new__(cls)
        for field, value in zip(fields(cls), parameters, strict=True):
            object.__setattr__(law, field.name, value)
        return law

    @classmethod
    @abstractmethod
    def _from_spread(cls, data: Spread, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        """The MLE for data of this spread with its `Status`.

        It is traced for "jax"; for "cpu" the spread is of NumPy's numbers in float64.
        """

    @classmethod
    def _fit(cls, x: Array, weights: Array | None, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        if backend == "cpu":
            rows = None if weights is None else np.asarray(weights, np.float64)
            with np.errstate(all="ignore"):
                return cls._from_spread(spread(np.asarray(x, np.float64), rows, np), "cpu")
        return _fit_to_spread(cls, _spread(x, weights))

    @staticmethod
    @hook
    def _log_base_of(x: Array) -> Float[Array, ""]:
        return log_indicator(x)

    @staticmethod
    @hook
    def _interior_point(x: Array) -> Array:
        return interior_point(x)

    @hook
    def _mean_log_base(self) -> Float[Array, ""]:
        return jnp.zeros((), self.natural_params().dtype)

    @hook
    def raw_moment(self, order: ArrayLike) -> Float[Array, "*batch"]:
        return raw_moment(*self.as_gig(), self._like_parameters(order, "order"))

    @hook
    def _log_odds(self, x: Array) -> Array:
        return _of_x(*self.as_gig(), x)

    @hook
    def _quantile(self, log_odds: Array) -> Array:
        return _of_odds(*self.as_gig(), log_odds)


@jax.jit
def _of_x(p: Array, a: Array, b: Array, x: Array) -> Array:
    return log_odds(*(jnp.broadcast_to(y, x.shape) for y in (p, a, b)), x)


@jax.jit
def _of_odds(p: Array, a: Array, b: Array, odds: Array) -> Array:
    return quantile(*(jnp.broadcast_to(y, odds.shape) for y in (p, a, b)), odds)


@jax.jit
def _spread(x: Array, weights: Array | None) -> Spread:
    """Compiled for each shape of data, `_fit_to_spread` once for each family."""
    return spread(x, weights)


@partial(jax.jit, static_argnums=0)
def _fit_to_spread(family: Any, data: Spread) -> Any:
    return family._from_spread(data, "jax")
