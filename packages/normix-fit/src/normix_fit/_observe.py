"""Data as they are given, checked once."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam.internal import Backend, require
from normix_mixtures.internal import check_observations, check_weights

from ._data import DenseRows, Rows
from ._host_rows import HostRows


def observe(
    owner: str, X: ArrayLike | Rows, weights: ArrayLike | None = None, backend: Backend = "jax"
) -> Rows:
    """Rows for a backend, checked and copied at most once; rows of weight 0 do not count.

    Args:
        owner: what stands before the message of an error.
        X: observations, shape (n, d), n > d; `Rows` pass as they are.
        weights: one per row, >= 0, shape (n,).
        backend: of the E-step.

    Raises:
        ValueError: if X is not (n, d) with n > d, has nan, constant or linearly dependent columns;
            for weights that are negative or not one per row.
    """
    if isinstance(X, Rows):
        require(weights is None, owner, "weights", "be left out beside rows that have their own",
                "both", "give the weights to the rows")  # fmt: skip
        if isinstance(X, HostRows) and backend == "jax":
            return X.in_jax()
        if isinstance(X, DenseRows) and backend == "cpu":
            return rows_of_checked(np.asarray(X.X), np.asarray(X.weights) if X.weighted else None)
        return X
    xp = jnp if backend == "jax" else np
    array = check_observations(owner, X, xp)
    w = check_weights(owner, weights, array)
    if w is not None and not np.all(np.asarray(w) > 0):
        used = np.flatnonzero(np.asarray(w) > 0)
        array, w = check_observations(owner, array[used], xp), w[used]
    return rows_of_checked(array, w)


def rows_of_checked(array: Any, weights: Any) -> Rows:
    """Rows of an array of NumPy or of JAX that has been checked."""
    if isinstance(array, np.ndarray):
        single = array.dtype == np.float32
        weights = None if weights is None else np.asarray(weights, np.float64)
        widest = jnp.result_type(float)
        return HostRows(array, weights, None, np.dtype(np.float32) if single else np.dtype(widest))
    counted = jnp.ones_like(array, shape=array.shape[:1]) if weights is None else weights
    return DenseRows(array, counted, weighted=weights is not None)
