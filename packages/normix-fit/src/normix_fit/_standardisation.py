"""Standardised coordinates: the fit does not depend on the units of the data."""

from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from normix_expfam.internal import Array, is_on_host
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
        move = _to_standard if is_on_host(self.shift) else _to_standard_in_jax
        found: Model = move(model, self)
        return found

    def from_standard(self, model: Model) -> Model:
        """The distribution of X for that of Z."""
        move = _from_standard if is_on_host(self.shift) else _from_standard_in_jax
        found: Model = move(model, self)
        return found


def units_of_columns(X: Float[Array, "n d"], weights: Float[Array, " n"] | None = None) -> Units:
    """The median of each column, and the median distance from it of the cells elsewhere.

    Cells at the median do not count: they may be more than half of a column.
    """
    w = None if weights is None else np.asarray(weights, np.float64)
    found = [_units_of_column(np.asarray(X[:, j], np.float64), w) for j in range(X.shape[1])]
    shift, scale = np.array(found).T
    if is_on_host(X):
        return Units(shift, scale)
    return Units(jnp.asarray(shift, X.dtype), jnp.asarray(scale, X.dtype))


def _units_of_column(
    column: Float[np.ndarray, " n"], w: Float[np.ndarray, " n"] | None
) -> tuple[float, float]:
    shift = _median(column, w)
    away = np.abs(column - shift)
    off = away > 0
    return shift, _NORMAL * _median(away[off], None if w is None else w[off])


def _to_standard(model: Any, units: Units) -> Any:
    return model.rescaled(-units.shift / units.scale, 1 / units.scale).normalize()


def _from_standard(model: Any, units: Units) -> Any:
    return model.rescaled(units.shift, units.scale)


_to_standard_in_jax = eqx.filter_jit(_to_standard)
_from_standard_in_jax = eqx.filter_jit(_from_standard)


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
