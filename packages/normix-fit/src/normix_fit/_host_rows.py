"""`HostRows`: an array of NumPy, or a memory map, seen in blocks that fit the cache."""

from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from normix_mixtures.internal import blocks, middle_of_columns

from ._data import DenseRows, Rows
from ._standardisation import Units, units_of_columns

T = TypeVar("T")

_COPIED = 1 << 27  # bytes up to which standardised rows are held, and not made anew in each pass


@final
class HostRows(Rows):
    """Rows on the host, never copied whole where they are many; what is computed is float64."""

    X: np.ndarray
    weights: np.ndarray | None
    in_units: Units | None = None
    result_dtype: np.dtype = eqx.field(static=True, default=np.dtype(np.float64))

    @property
    def namespace(self) -> Any:
        return np

    @property
    def total(self) -> Any:
        return np.float64(len(self.X)) if self.weights is None else np.sum(self.weights)

    @property
    def dimension(self) -> int:
        return int(self.X.shape[1])

    @property
    def dtype(self) -> np.dtype:
        return self.result_dtype

    @property
    def on_device(self) -> bool:
        return False

    @property
    def n_observations(self) -> int | float:
        return len(self.X) if self.weights is None else float(self.total)

    def _blocks(self) -> Iterator[tuple[Any, Any]]:
        for rows in blocks(*self.X.shape):
            block: Any = np.asarray(self.X[rows], np.float64)
            if self.in_units is not None:
                block = self.in_units.standardise(block)
            yield block, np.ones(len(block)) if self.weights is None else self.weights[rows]

    def reduce(self, f: Callable[..., T], *args: Any, most: int | None = None) -> T:
        del most
        return self._over_blocks(np.add, f, *args)

    def reduce_max(self, f: Callable[..., T], *args: Any) -> T:
        return self._over_blocks(np.maximum, f, *args)

    def _over_blocks(self, combine: Callable[..., Any], f: Callable[..., T], *args: Any) -> T:
        results = (f(*block, *args) for block in self._blocks())
        found = next(results)
        for other in results:
            found = jax.tree.map(combine, found, other)
        return found

    def middle(self) -> Any:
        X: Any = self.X
        weights: Any = np.ones(len(self.X)) if self.weights is None else self.weights
        columns = [middle_of_columns(X[:, j : j + 1], weights) for j in range(self.dimension)]
        middle: Any = np.concatenate(columns).astype(np.float64)
        return middle if self.in_units is None else self.in_units.standardise(middle[None, :])[0]

    def scatter_factor(self, centre: Any) -> Any:
        R: Any = np.zeros((0, self.dimension))
        for block, weights in self._blocks():
            share = np.sqrt(weights / self.total)
            R = np.linalg.qr(np.concatenate([R, (block - centre) * share[:, None]]), mode="r")
        return R.T * np.where(np.diagonal(R) < 0, -1.0, 1.0)

    def units(self) -> Units:
        X: Any = self.X
        weights: Any = self.weights
        return units_of_columns(X, weights)

    def standardised(self, units: Units) -> Self:
        if self.X.size * 8 > _COPIED:
            return type(self)(self.X, self.weights, units, self.result_dtype)
        X: Any = np.asarray(self.X, np.float64)
        whole: Any = units.standardise(X)
        return type(self)(whole, self.weights, None, self.result_dtype)

    def in_jax(self) -> DenseRows:
        """The same rows as one array of JAX."""
        X = jnp.asarray(self.X, self.result_dtype)
        w = jnp.ones_like(X[:, 0]) if self.weights is None else jnp.asarray(self.weights, X.dtype)
        return DenseRows(X, w, weighted=self.weights is not None)
