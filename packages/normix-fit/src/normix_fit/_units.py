"""Standardised coordinates: the fit does not depend on the units of the data."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_mixtures import NormalMixture


class Units(eqx.Module):
    """X = shift + scale · Z, componentwise, Z of median 0 and variance 1.

    Not of mean 0: an outlier that makes up the mean would leave the bulk of the data far from 0 in
    units of its own spread, and sums of squares without digits.
    """

    shift: Float[Array, " d"]
    scale: Float[Array, " d"]

    @classmethod
    def of(cls, X: Float[Array, "n d"], weights: Float[Array, " n"] | None = None) -> Self:
        """Median and standard deviation of the rows of X, the latter with weights if given."""
        host = np.asarray(X)
        shift = np.median(host, axis=0)
        centred = host - shift
        size = np.max(np.abs(centred), axis=0)  # whose square may be no floating-point number
        centred = centred / size
        mean = np.average(centred, axis=0, weights=weights)
        scale = size * np.sqrt(np.average((centred - mean) ** 2, axis=0, weights=weights))
        return cls(jnp.asarray(shift, X.dtype), jnp.asarray(scale, X.dtype))

    def standardised(self, X: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Z for X."""
        return (X - self.shift[None, :]) / self.scale[None, :]

    @property
    def log_jacobian(self) -> float:
        """log f(Z) - log f(X) of one row, Σ log scale."""
        return float(np.sum(np.log(np.asarray(self.scale, np.float64))))


@eqx.filter_jit
def to_standard(model: NormalMixture, units: Units) -> NormalMixture:
    """The law of Z for that of X, in the gauge."""
    return model.rescaled(-units.shift / units.scale, 1 / units.scale).normalize()


@eqx.filter_jit
def from_standard(model: NormalMixture, units: Units) -> NormalMixture:
    """The law of X for that of Z."""
    return model.rescaled(units.shift, units.scale)
