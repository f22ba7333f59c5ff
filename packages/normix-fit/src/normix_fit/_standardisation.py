"""Standardised coordinates: the fit does not depend on the units of the data."""

from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_mixtures import NormalMixture

Model = TypeVar("Model", bound=NormalMixture)

_NORMAL = 1.4826022185056018  # standard deviations in the median distance of normal data


class Units(eqx.Module):
    """X = shift + scale · Z, componentwise, Z of median 0 and a bulk of spread 1.

    Not by moments: an outlier that makes them up would leave the bulk of the data far from 0, or
    close together, in units of its own spread, and sums of squares without digits.
    """

    shift: Float[Array, " d"]
    scale: Float[Array, " d"]

    def standardise(self, X: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Z for X."""
        return (X - self.shift[None, :]) / self.scale[None, :]

    @property
    def log_jacobian(self) -> float:
        """log f(Z) - log f(X) of one row, Σ log scale."""
        return float(np.sum(np.log(np.asarray(self.scale, np.float64))))

    def to_standard(self, model: Model) -> Model:
        """The distribution of Z for that of X, in the gauge."""
        found: Model = _to_standard(model, self)
        return found

    def from_standard(self, model: Model) -> Model:
        """The distribution of X for that of Z."""
        found: Model = _from_standard(model, self)
        return found


def units_of_columns(X: Float[Array, "n d"], weights: Float[Array, " n"] | None = None) -> Units:
    """The median of each column, and the median distance from it of the cells elsewhere.

    Cells at the median do not count: they may be more than half of a column.
    """
    host = np.asarray(X, np.float64)
    w = None if weights is None else np.asarray(weights, np.float64)
    shift = np.array([_median(column, w) for column in host.T])
    away = np.abs(host - shift)
    scale = np.array([
        _median(column[column > 0], None if w is None else w[column > 0])
        for column in away.T
    ])  # fmt: skip
    return Units(jnp.asarray(shift, X.dtype), jnp.asarray(_NORMAL * scale, X.dtype))


@eqx.filter_jit
def _to_standard(model: Any, units: Units) -> Any:
    return model.rescaled(-units.shift / units.scale, 1 / units.scale).normalize()


@eqx.filter_jit
def _from_standard(model: Any, units: Units) -> Any:
    return model.rescaled(units.shift, units.scale)


def _median(values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"] | None) -> float:
    """The middle value, each counted as often as its weight says; 0 of none."""
    if values.size == 0:
        return 0.0
    if weights is None:
        return float(np.median(values))
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    places = [np.searchsorted(below, below[-1] / 2, side) for side in ("left", "right")]
    return float(np.mean(values[order[np.minimum(places, values.size - 1)]]))
