"""`Rows`: what data are to the fitters, wherever they are and in however many blocks.

Nothing else walks over rows: standardisation, the default start, the normal distribution of the
data, the E-step, standard errors and minibatches ask for sums over blocks. Data of another kind are
another implementation of this class.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_mixtures import DenseDispersion
from normix_mixtures.internal import middle_of_columns

from ._standardisation import Units, units_of_columns

T = TypeVar("T")


class Rows(eqx.Module):
    """Weighted observations of d columns, seen through sums over blocks of them."""

    @property
    @abstractmethod
    def total(self) -> Float[Array, ""]:
        """Number of rows, or the sum of their weights."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The number d of columns."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype:
        """Of the rows, and so of what is computed from them."""

    @property
    @abstractmethod
    def namespace(self) -> Any:
        """numpy or jax.numpy, of the arrays that are blocks."""

    @property
    @abstractmethod
    def on_device(self) -> bool:
        """Whether `reduce` can be traced: then a fit is one program."""

    @property
    @abstractmethod
    def n_observations(self) -> int | float:
        """`total` as a number; an integer without weights."""

    @abstractmethod
    def reduce(self, f: Callable[..., T], *args: Any, most: int | None = None) -> T:
        """The sum over blocks of f(X, weights, *args), leaf by leaf.

        Args:
            f: of a block X, shape (m, d), and its weights, shape (m,), 0 for rows that fill up a
                block.
            *args: passed on to f, under tracing as they are.
            most: rows in a block, for an f that needs much memory.
        """

    @abstractmethod
    def reduce_max(self, f: Callable[..., T], *args: Any) -> T:
        """The maximum over blocks of f(X, weights, *args), leaf by leaf."""

    @abstractmethod
    def middle(self) -> Float[Array, " d"]:
        """In each column a cell at which the weight of the cells up to it reaches a half."""

    @abstractmethod
    def scatter_factor(self, centre: Float[Array, " d"]) -> Float[Array, "d d"]:
        """L, lower triangular, with L Lᵀ = Σ w (x - centre)(x - centre)ᵀ / Σ w.

        Not from that sum, which has half of the digits.
        """

    @abstractmethod
    def units(self) -> Units:
        """A median and a spread for every column."""

    @abstractmethod
    def standardised(self, units: Units) -> "Rows":
        """The same rows in standard coordinates."""


@final
class DenseRows(Rows):
    """Rows that are one array, on the host or on a device."""

    X: Float[Array, "n d"]
    weights: Float[Array, " n"]
    weighted: bool = eqx.field(static=True, default=False)

    @property
    def total(self) -> Float[Array, ""]:
        return jnp.sum(self.weights)

    @property
    def dimension(self) -> int:
        return self.X.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.X.dtype)

    @property
    def namespace(self) -> Any:
        return jnp

    @property
    def on_device(self) -> bool:
        return True

    @property
    def n_observations(self) -> int | float:
        return float(self.total) if self.weighted else self.X.shape[0]

    def reduce(self, f: Callable[..., T], *args: Any, most: int | None = None) -> T:
        n = self.X.shape[0]
        if most is None or n <= most:
            return f(self.X, self.weights, *args)
        blocks = -(-n // most)
        size = -(-n // blocks)
        # the last block is filled up with rows that exist, at weight 0
        index = jnp.arange(blocks * size) % n
        counted = jnp.where(jnp.arange(blocks * size) < n, self.weights[index], 0.0)
        data = self.X[index].reshape(blocks, size, -1), counted.reshape(blocks, size)
        each = jax.lax.map(lambda block: f(*block, *args), data)
        summed: T = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), each)
        return summed

    def reduce_max(self, f: Callable[..., T], *args: Any) -> T:
        return f(self.X, self.weights, *args)

    def middle(self) -> Float[Array, " d"]:
        return middle_of_columns(self.X, self.weights)

    def scatter_factor(self, centre: Float[Array, " d"]) -> Float[Array, "d d"]:
        share = jnp.sqrt(self.weights / self.total)
        return DenseDispersion.from_gram((self.X - centre[None, :]) * share[:, None]).cholesky()

    def units(self) -> Units:
        return units_of_columns(self.X, self.weights if self.weighted else None)

    def standardised(self, units: Units) -> Self:
        return type(self)(units.standardise(self.X), self.weights, self.weighted)
