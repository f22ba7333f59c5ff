"""Errors for static mistakes in the inputs of mixtures."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam.internal import as_floats, as_host_floats, is_concrete, is_on_host, require

from ._dispersion import DenseDispersion, Dispersion


def vector(owner: str, argument: str, value: Any) -> jax.Array:
    """A finite vector, shape (d,) with d >= 1."""
    (array,) = as_floats(owner, **{argument: value})
    require(array.ndim == 1 and array.shape[0] > 0, owner, argument, "have shape (d,), d >= 1",
            array.shape, "pass a vector")  # fmt: skip
    if is_concrete(array):
        require(np.isfinite(array), owner, argument, "be finite", np.asarray(array),
                "repair the non-finite components")  # fmt: skip
    return array


def dispersion_of(owner: str, sigma: Any, L_Sigma: Any, d: int) -> Dispersion:
    """Σ from exactly one of a matrix or a `Dispersion`, and a Cholesky factor."""
    if isinstance(sigma, Dispersion):
        require(L_Sigma is None, owner, "sigma, L_Sigma", "be given one of the two", "both",
                "leave out L_Sigma")  # fmt: skip
        shape = sigma.diagonal().shape
        require(shape == (d,), owner, "sigma", f"have dimension {d}", shape[0],
                "mu has that many components")  # fmt: skip
        return sigma
    return DenseDispersion(matrix_factor(owner, sigma, L_Sigma, d))


def rows(
    owner: str, x: Any, d: int, dtype: Any, *, name: str = "x"
) -> tuple[jax.Array, tuple[int, ...]]:
    """x of shape (..., d) as rows, shape (n, d), with the leading shape."""
    x = as_floats(owner, **{name: x})[0].astype(dtype)
    require(x.ndim > 0 and x.shape[-1] == d, owner, name, f"have {d} components on its last axis",
            x.shape, "pass observations in rows")  # fmt: skip
    flat = x if x.ndim == 2 else x.reshape(-1, d)
    if is_concrete(flat):
        bad = np.argwhere(np.isnan(flat))
        if bad.size:
            i, j = bad[0]
            raise ValueError(
                f"{owner}: {name} must not be nan, got nan in row {i}, component {j}; drop or "
                "repair that row"
            )
    return flat, x.shape[:-1]


def finite_rows(owner: str, X: Any, d: int, dtype: Any) -> jax.Array:
    """Finite observations of d components, shape (n, d).

    Raises:
        ValueError: for another shape, nan, or concrete rows with infinite cells.
    """
    (X,) = as_floats(owner, X=X)
    require(X.ndim == 2 and X.shape[1] == d, owner, "X", f"have shape (n, {d})", X.shape,
            "pass observations in rows")  # fmt: skip
    X = rows(owner, X, d, dtype, name="X")[0]
    if is_concrete(X):
        bad = np.flatnonzero(~np.all(np.isfinite(X), axis=1))
        require(bad.size == 0, owner, "X", "be finite", f"inf in row {bad[:1]}",
                "drop or repair such rows")  # fmt: skip
    return X


def check_weights(owner: str, weights: Any, X: Any) -> Any:
    """One finite weight >= 0 per row of X, shape (n,) and of the dtype of X, or None.

    Args:
        owner: what stands before the message of an error.
        weights: one per row of X, or None.
        X: rows, shape (n, d).

    Raises:
        ValueError: for another shape, or concrete weights that are negative or not finite.
    """
    if weights is None:
        return None
    floats = as_host_floats if is_on_host(X) else as_floats
    (w,) = floats(owner, weights=weights)
    require(w.shape == X.shape[:1], owner, "weights", f"have shape {X.shape[:1]}", w.shape,
            "pass one weight per row")  # fmt: skip
    if is_concrete(w):
        good = np.isfinite(w) & (np.asarray(w) >= 0)
        require(good, owner, "weights", "be finite and non-negative", weights, "check their signs")
    return w.astype(X.dtype)


def full_rank(owner: str, A: Any, d: int) -> jax.Array:
    """A finite matrix of full row rank, shape (k, d)."""
    (A,) = as_floats(owner, A=A)
    require(A.ndim == 2 and A.shape[1] == d and 0 < A.shape[0] <= d, owner, "A",
            f"have shape (k, {d}) with 0 < k <= {d}", A.shape,
            "for the law of one weighted sum use project")  # fmt: skip
    if is_concrete(A):
        values = np.asarray(A)
        require(np.isfinite(values), owner, "A", "be finite", values, "repair its entries")
        scale = np.max(np.abs(values), axis=1, keepdims=True)
        rank = np.linalg.matrix_rank(values / np.where(scale > 0, scale, 1.0))
        require(rank == A.shape[0], owner, "A", "have full row rank", values,
                "A X + b has no density otherwise")  # fmt: skip
    return A


def indices_of(owner: str, indices: Sequence[int], d: int) -> np.ndarray:
    """Different components out of d, negative ones counted from the end, shape (k,)."""
    chosen = np.asarray(indices)
    good = chosen.ndim == 1 and chosen.size > 0 and np.issubdtype(chosen.dtype, np.integer)
    good = good and bool(np.all((chosen >= -d) & (chosen < d)))
    good = good and np.unique(chosen % d).size == chosen.size
    require(good, owner, "indices", f"be different integers from 0 to {d - 1}", indices,
            "pass a list of components")  # fmt: skip
    return np.asarray(chosen % d)


def matrix_factor(owner: str, sigma: Any, L_Sigma: Any, d: int) -> jax.Array:
    """The lower Cholesky factor from exactly one of Σ and its factor, shape (d, d)."""
    require((sigma is None) != (L_Sigma is None), owner, "sigma, L_Sigma",
            "be given one of the two", "both" if sigma is not None else "neither",
            "pass the dispersion matrix as sigma or its Cholesky factor as L_Sigma")  # fmt: skip
    name = "sigma" if L_Sigma is None else "L_Sigma"
    (matrix,) = as_floats(owner, **{name: sigma if L_Sigma is None else L_Sigma})
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


def prause_matrix(owner: str, Delta: Any, d: int) -> jax.Array:
    """Δ with det Δ = 1, shape (d, d)."""
    (Delta,) = as_floats(owner, Delta=Delta)
    require(Delta.shape == (d, d), owner, "Delta", f"have shape ({d}, {d})", Delta.shape,
            "beta has that many components")  # fmt: skip
    if is_concrete(Delta):
        determinant = np.linalg.det(np.asarray(Delta))
        rounding = max(1e-6, 100 * d * float(np.finfo(determinant.dtype).eps))
        near = np.isclose(determinant, 1, rtol=rounding)
        require(near, owner, "Delta", "have determinant 1",
                determinant, "put the scale into alpha, delta and beta")  # fmt: skip
    return Delta


def check_observations(owner: str, X: Any, xp: Any = jnp) -> Any:
    """Data that an estimate of location and full dispersion can be made from, shape (n, d).

    Args:
        owner: what stands before the message of an error.
        X: observations in rows.
        xp: jax.numpy, or numpy for an array that stays where it is, a memory map for example.

    Raises:
        ValueError: for another shape, n <= d, and concrete X with values that are not finite,
            constant columns, or columns that are linearly dependent.
    """
    X = as_host_floats(owner, X=X)[0] if xp is np else as_floats(owner, X=X)[0]
    require(X.ndim == 2 and X.shape[1] > 0, owner, "X", "have shape (n, d)", X.shape,
            "pass observations in rows; X[:, None] for one column")  # fmt: skip
    n, d = X.shape
    require(n > d, owner, "X", "have more rows than columns", X.shape,
            "a full dispersion matrix needs n > d")  # fmt: skip
    if is_concrete(X):
        values = np.asarray(X)
        for rows in _pieces(n):
            bad = np.argwhere(~np.isfinite(values[rows]))
            if bad.size:
                i, j = bad[0][0] + rows.start, bad[0][1]
                raise ValueError(
                    f"{owner}: X must be finite, got {values[i, j]} in row {i}, column {j}; "
                    "drop or repair that row"
                )
        constant = np.flatnonzero(np.max(values, axis=0) == np.min(values, axis=0))
        if constant.size:
            j = int(constant[0])
            raise ValueError(
                f"{owner}: every column of X must vary, got the constant {values[0, j]} in "
                f"column {j}; drop it"
            )
        j = dependent_column(values)
        if j is not None:
            raise ValueError(
                f"{owner}: the columns of X must be linearly independent, got column {j} as a "
                "linear combination of the columns before it; drop it"
            )
    return X


_PIECE = 1 << 16  # rows that are looked at in one go


def _pieces(n: int) -> list[slice]:
    return [slice(start, min(start + _PIECE, n)) for start in range(0, n, _PIECE)]


def dependent_column(values: np.ndarray) -> int | None:
    """The first column that is a linear combination of a constant and the columns before it.

    It is one if what the others leave of it is rounding once it is squared, as in a covariance.

    Args:
        values: shape (n, d), n > d, finite, no column constant.
    """
    standard = _Standard(values)
    if standard.is_clearly_independent():
        return None
    diagonal = np.abs(np.diagonal(standard.factor())) / np.sqrt(len(values))
    # moments are squares: beyond this the covariance of the columns is rounding
    tolerance = np.sqrt(10 * max(values.shape) * np.finfo(values.dtype).eps) / 10
    dependent = np.flatnonzero(diagonal < tolerance)
    return int(dependent[0]) if dependent.size else None


class _Standard:
    """Columns of mean 0 and variance 1, a piece of rows at a time.

    No square is taken of a number that is not of size 1.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values, self._shape = values, values.shape
        self._pieces = _pieces(len(values))
        self._largest = np.max([np.max(np.abs(values[rows]), axis=0) for rows in self._pieces], 0)
        totals = [np.sum(values[rows] / self._largest, axis=0) for rows in self._pieces]
        self._mean = np.sum(totals, axis=0) / len(values)
        ends = [np.max(np.abs(self._centred(rows)), axis=0) for rows in self._pieces]
        self._unit = np.max(ends, axis=0)
        squares = [np.sum((self._centred(r) / self._unit) ** 2, axis=0) for r in self._pieces]
        self._unit = self._unit * np.sqrt(np.sum(squares, axis=0) / len(values))

    def _centred(self, rows: slice) -> np.ndarray:
        centred: np.ndarray = self._values[rows] / self._largest - self._mean
        return centred

    def is_clearly_independent(self) -> bool:
        """Whether the pivots of the correlation matrix are far above what rounding leaves of 0."""
        products = [(piece.T @ piece) for piece in map(self._piece, self._pieces)]
        try:
            factor = np.linalg.cholesky(np.sum(products, axis=0) / len(self._values))
        except np.linalg.LinAlgError:
            return False
        least = 100 * max(self._shape) * np.finfo(factor.dtype).eps
        return bool(np.min(np.diagonal(factor)) ** 2 > least)

    def _piece(self, rows: slice) -> np.ndarray:
        piece: np.ndarray = self._centred(rows) / self._unit
        return piece

    def factor(self) -> np.ndarray:
        """R of a QR decomposition."""
        R: Any = np.zeros((0, self._shape[1]), self._values.dtype)
        for rows in self._pieces:
            R = np.linalg.qr(np.concatenate([R, self._piece(rows)]), mode="r")
        factor: np.ndarray = R
        return factor
