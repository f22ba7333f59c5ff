"""Errors for static mistakes in the inputs of mixtures."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam import as_float, is_concrete, require


def vector(owner: str, argument: str, value: Any) -> jax.Array:
    """A finite vector, shape (d,) with d >= 1."""
    array = as_float(value)
    require(array.ndim == 1 and array.shape[0] > 0, owner, argument, "have shape (d,), d >= 1",
            array.shape, "pass a vector")  # fmt: skip
    if is_concrete(array):
        require(np.isfinite(array), owner, argument, "be finite", np.asarray(array),
                "repair the non-finite components")  # fmt: skip
    return array


def matrix_factor(owner: str, sigma: Any, L_Sigma: Any, d: int) -> jax.Array:
    """The lower Cholesky factor from exactly one of Σ and its factor, shape (d, d)."""
    require((sigma is None) != (L_Sigma is None), owner, "sigma, L_Sigma",
            "be given one of the two", "both" if sigma is not None else "neither",
            "pass the dispersion matrix as sigma or its Cholesky factor as L_Sigma")  # fmt: skip
    name = "sigma" if L_Sigma is None else "L_Sigma"
    matrix = as_float(sigma if L_Sigma is None else L_Sigma)
    require(matrix.shape == (d, d), owner, name, f"have shape ({d}, {d})", matrix.shape,
            "mu has that many components")  # fmt: skip
    if is_concrete(matrix):
        require(np.isfinite(matrix), owner, name, "be finite", np.asarray(matrix),
                "repair the non-finite entries")  # fmt: skip
    if L_Sigma is not None:
        if is_concrete(matrix):
            lower = np.asarray(matrix)
            require(np.all(np.triu(lower, 1) == 0) and np.all(np.diagonal(lower) > 0), owner, name,
                    "be lower triangular with a positive diagonal", lower,
                    "pass numpy.linalg.cholesky(sigma)")  # fmt: skip
        return matrix
    if is_concrete(matrix):
        full = np.asarray(matrix)
        scale = np.max(np.abs(full))
        require(np.allclose(full, full.T, rtol=0, atol=1e-6 * scale), owner, name,
                "be symmetric", full, "pass (sigma + sigma.T) / 2 if that is meant")  # fmt: skip
    factor = jnp.linalg.cholesky((matrix + matrix.T) / 2)
    if is_concrete(factor):
        require(np.isfinite(factor), owner, name, "be positive definite", np.asarray(matrix),
                "its Cholesky factorisation fails")  # fmt: skip
    return factor


def observations(owner: str, X: Any) -> jax.Array:
    """Data that an estimate of location and full dispersion can be made from, shape (n, d)."""
    X = as_float(X)
    require(X.ndim == 2 and X.shape[1] > 0, owner, "X", "have shape (n, d)", X.shape,
            "pass observations in rows; X[:, None] for one column")  # fmt: skip
    n, d = X.shape
    require(n > d, owner, "X", "have more rows than columns", X.shape,
            "a full dispersion matrix needs n > d")  # fmt: skip
    if is_concrete(X):
        values = np.asarray(X)
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            i, j = bad[0]
            raise ValueError(
                f"{owner}: X must be finite, got {values[i, j]} in row {i}, column {j}; "
                "drop or repair that row"
            )
        spread = np.ptp(values, axis=0)
        if np.any(spread == 0):
            j = int(np.argmin(spread))
            raise ValueError(
                f"{owner}: every column of X must vary, got the constant {values[0, j]} in "
                f"column {j}; drop it"
            )
        _require_full_rank(owner, values)
    return X


def _require_full_rank(owner: str, values: np.ndarray) -> None:
    """Name a column that is a linear combination of those before it."""
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    diagonal = np.abs(np.diagonal(np.linalg.qr(standard, mode="r"))) / np.sqrt(len(values))
    tolerance = 10 * max(values.shape) * np.finfo(values.dtype).eps
    if np.any(diagonal < tolerance):
        j = int(np.argmax(diagonal < tolerance))
        raise ValueError(
            f"{owner}: the columns of X must be linearly independent, got column {j} as a "
            "linear combination of the columns before it; drop it"
        )
