"""Several starts of one family: the default one, and others with lighter and heavier tails."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from normix_expfam import Status
from normix_expfam.internal import require, to_host
from normix_fit._data import Rows
from normix_fit._result._em_result import EMResult
from normix_mixtures import NormalMixture

from ._normal_reference import is_near_normal

_SPREADS = (0.05, 4.0)  # Var Y / (E Y)², from nearly normal to excess kurtosis 12
_LONG = 200  # evaluations
_COLLAPSED = 1e4  # γᵀ Σ⁻¹ γ in the gauge
_ERRORS = 4.0  # of skewness and kurtosis of normal columns
_ORDERS = (-0.5, 1.0, -2.0)  # p of the generalized hyperbolic family: nig, hyperbolic, like a t law


def default_starts(family: type[NormalMixture], rows: Rows, n_starts: int) -> list[NormalMixture]:
    """`default_init`, and beside it n_starts - 1 with spreads in geometric progression.

    Raises:
        ValueError: for n_starts < 1.
    """
    whole = isinstance(n_starts, int) and n_starts >= 1
    require(whole, "fit", "n_starts", "be an integer >= 1", n_starts, "1 is usual")
    starts = [family.default_start(rows)]
    for number, spread in enumerate(np.geomspace(*_SPREADS, n_starts - 1)):
        xp = rows.namespace
        given: Any = np.float64(spread) if xp is np else jnp.asarray(spread, rows.dtype)
        start = family.default_start(rows, given)
        if family.shape_parameter == "p":
            start = start.with_fixed(p=_ORDERS[number % len(_ORDERS)])
        starts.append(start)
    return starts


def is_suspect(result: EMResult[Any], rows: Rows) -> bool:
    """Whether a fit from the default start should be tried from others.

    It is if `_LONG` evaluations led to no end; if Σ collapsed against γ γᵀ, so that all rows lie on
    one side of a plane; or if the fit ended next to the normal distribution though a column is no
    sample of one: its skewness or kurtosis is `_ERRORS` standard errors off.
    """
    model = to_host(result.model).normalize()
    if not result.comparable:
        return False
    if result.status == Status.MAX_ITER and result.n_evaluations > _LONG:
        # towards the normal distribution all starts crawl
        return not bool(is_near_normal(model))
    if not result.converged:
        return False
    whitened = model.joint.dispersion.whiten(model.gamma[None, :])
    if float(np.sum(whitened**2)) > _COLLAPSED:
        return True
    return bool(is_near_normal(model)) and not _looks_normal(rows)


def _looks_normal(rows: Rows) -> bool:
    """Whether skewness and kurtosis of every column are those of a sample of a normal one."""
    n = float(rows.total)
    middle = np.asarray(rows.middle(), np.float64)

    def moments(X: Any, weights: Any, centre: np.ndarray, unit: np.ndarray, power: int) -> Any:
        Z = (np.asarray(X, np.float64) - centre) / unit
        return np.asarray(weights, np.float64) @ Z**power / n

    def width(X: Any, _: Any) -> Any:
        return np.max(np.abs(np.asarray(X, np.float64) - middle), axis=0)

    unit = rows.reduce_max(width)
    mean = middle + unit * rows.reduce(moments, middle, unit, 1)
    unit = unit * np.sqrt(rows.reduce(moments, mean, unit, 2))
    skewness = np.abs(rows.reduce(moments, mean, unit, 3))
    excess = np.abs(rows.reduce(moments, mean, unit, 4) - 3)
    odd = (skewness > _ERRORS * np.sqrt(6 / n)) | (excess > _ERRORS * np.sqrt(24 / n))
    return not bool(np.any(odd))
