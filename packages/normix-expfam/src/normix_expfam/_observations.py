"""Observations and their weights: arrays of one dtype, checked, and the means of t over them."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ._checks import as_floats, at_once, is_concrete, require


def check_observations(
    family: Any, owner: str, x: ArrayLike, weights: ArrayLike | None, *, varied: bool
) -> tuple[Array, Array | None]:
    """The observations and their weights as arrays, checked where they are concrete.

    Args:
        family: the exponential family whose support they must lie in.
        owner: what stands before the message of an error.
        x: shape `(n, *event)`.
        weights: shape (n,), or None.
        varied: whether constant data are an error, in a family that does not fit them.

    Raises:
        ValueError: for no data, points outside the support, weights that are negative, of another
            length or all zero, and constant data.
    """
    (x,) = as_floats(owner, x=x)
    require(x.ndim == 1 + family.event_ndim and x.shape[0] > 0, owner, "x",
            f"have shape (n, ...) with n > 0 and {family.event_ndim} event axes", x.shape,
            "pass one observation per row")  # fmt: skip
    if is_concrete(x):
        with at_once(x):
            outside = np.flatnonzero(~np.isfinite(family.log_base_measure(x)))
        require(outside.size == 0, owner, "x", "lie in the support",
                f"{np.asarray(x)[outside[:1]]} in row {outside[:1]}",
                "drop or repair such rows")  # fmt: skip
    if weights is not None:
        x, weights = _check_weights(owner, x, weights)
    if varied and is_concrete(x, weights) and not family.fits_constant_data:
        rows = np.asarray(x) if weights is None else np.asarray(x)[np.asarray(weights) > 0]
        require(np.any(rows != rows[0]), owner, "x", "vary", f"only the value {rows[0]}",
                "the maximum is a point mass, which does not belong to the family")  # fmt: skip
    return x, weights


def _check_weights(owner: str, x: Array, weights: ArrayLike) -> tuple[Array, Array]:
    x, weights = as_floats(owner, x=x, weights=weights)
    require(weights.shape == x.shape[:1], owner, "weights", f"have shape {x.shape[:1]}",
            weights.shape, "pass one weight per row")  # fmt: skip
    if is_concrete(weights):
        require(np.isfinite(weights) & (np.asarray(weights) >= 0), owner, "weights",
                "be finite and non-negative", weights, "check their signs")  # fmt: skip
        require(np.any(np.asarray(weights) > 0), owner, "weights", "not all be zero",
                weights, "leave them out for equal weights")  # fmt: skip
    return x, weights


def mean_statistics(family: Any, x: Array, weights: Array | None) -> Array:
    """The mean of t over the observations."""
    t: Array = family.sufficient_statistics(x)
    return jnp.mean(t, axis=0) if weights is None else weights @ t / jnp.sum(weights)
