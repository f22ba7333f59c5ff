"""Several starts of one family: the default one, and others with lighter and heavier tails."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam import Status
from normix_expfam.internal import require
from normix_mixtures import NormalMixture

from ._normal import is_near_normal
from ._result import EMResult

_SPREADS = (0.05, 4.0)  # Var Y / (E Y)², from nearly normal to excess kurtosis 12
_LONG = 200  # evaluations
_COLLAPSED = 1e4  # γᵀ Σ⁻¹ γ in the gauge
_ERRORS = 4.0  # of skewness and kurtosis of normal columns
_ORDERS = (-0.5, 1.0, -2.0)  # p of the generalized hyperbolic family: nig, hyperbolic, like a t law


def default_starts(
    family: type[NormalMixture], X: ArrayLike, weights: ArrayLike | None, n_starts: int
) -> list[NormalMixture]:
    """`default_init`, and beside it n_starts - 1 with spreads in geometric progression.

    Raises:
        ValueError: for n_starts < 1, and where `default_init` does.
    """
    whole = isinstance(n_starts, int) and n_starts >= 1
    require(whole, "fit", "n_starts", "be an integer >= 1", n_starts, "1 is usual")
    starts = [family.default_init(X, weights)]
    for number, spread in enumerate(np.geomspace(*_SPREADS, n_starts - 1)):
        start = family.default_init(X, weights, spread=float(spread))
        if family.shape_parameter == "p":
            start = start.with_fixed(p=_ORDERS[number % len(_ORDERS)])
        starts.append(start)
    return starts


def is_suspect(result: EMResult, X: ArrayLike, weights: ArrayLike | None) -> bool:
    """Whether a fit from the default start should be tried from others.

    It is if `_LONG` evaluations led to no end; if Σ collapsed against γ γᵀ, so that all rows lie on
    one side of a plane; or if the fit ended next to the normal distribution though a column is no
    sample of one: its skewness or kurtosis is `_ERRORS` standard errors off.
    """
    model = result.model.normalize()
    if not result.comparable:
        return False
    if result.status == Status.MAX_ITER and result.n_evaluations > _LONG:
        # towards the normal distribution all starts crawl
        return not bool(is_near_normal(model))
    if not result.converged:
        return False
    whitened = model.joint.dispersion.whiten(model.gamma[None, :])
    if float(jnp.sum(whitened**2)) > _COLLAPSED:
        return True
    if not bool(is_near_normal(model)):
        return False
    X = np.asarray(X, np.float64)
    w = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    w, n = w / np.sum(w), np.sum(w)
    centred = X - np.median(X, axis=0)
    centred = centred / np.max(np.abs(centred), axis=0)
    Z = centred - w @ centred
    Z = Z / np.sqrt(w @ Z**2)
    skewness, excess = np.abs(w @ Z**3), np.abs(w @ Z**4 - 3)
    return bool(
        np.any((skewness > _ERRORS * np.sqrt(6 / n)) | (excess > _ERRORS * np.sqrt(24 / n)))
    )
