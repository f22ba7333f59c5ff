"""Rows that come in chunks of any length, the same ones in every pass."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam.internal import as_float, require
from normix_fit._data import DenseRows, Rows
from normix_fit._standardisation import Units
from normix_fit._tracing import refuse_tracing
from normix_mixtures.internal import check_observations

T = TypeVar("T")
Chunks = Iterable[ArrayLike]

_BLOCK = 8192  # rows that are evaluated at a time


class _Passes:
    """What the first pass brought, by which later ones are known."""

    first: tuple[int, int] | None = None  # number of rows and checksum


@final
class ChunkedRows(Rows):
    """Rows of a re-iterable source, in standard coordinates once units are given.

    Args:
        owner: what stands before the message of an error.
        again: brings the chunks anew, each of shape (rows, d).
        head: the first rows, which give units.
        in_units: in which the rows are passed on.
    """

    owner: str = eqx.field(static=True)
    again: Callable[[], Chunks] = eqx.field(static=True)
    head: DenseRows
    in_units: Units | None = None
    passes: _Passes = eqx.field(static=True, default_factory=_Passes)

    @property
    def total(self) -> Float[Array, ""]:
        return jnp.asarray(self.n_observations, self.dtype)

    @property
    def dimension(self) -> int:
        return self.head.dimension

    @property
    def dtype(self) -> np.dtype:
        return self.head.dtype

    @property
    def namespace(self) -> Any:
        return jnp

    @property
    def on_device(self) -> bool:
        return False

    @property
    def n_observations(self) -> int:
        """Their number, known after a whole pass."""
        if self.passes.first is None:
            for _ in self.chunks():
                pass
        return 0 if self.passes.first is None else self.passes.first[0]

    def chunks(self) -> Iterator[np.ndarray]:
        """One pass.

        Raises:
            ValueError: for a chunk of another shape than (rows, d), rows that are not finite, or
                other rows than in the first pass.
        """
        number_of_rows, checksum = 0, 0
        for number, chunk in enumerate(self.again()):
            rows = self._check(number, chunk)
            number_of_rows += len(rows)
            checksum = (checksum + _checksum(np.asarray(rows))) % 2**64
            yield np.asarray(rows if self.in_units is None else self.in_units.standardise(rows))
        found = number_of_rows, checksum
        if self.passes.first is None:
            self.passes.first = found
        before = self.passes.first[0]
        other = f"{before} rows in one pass and {number_of_rows} in another"
        require(found == self.passes.first, self.owner, "X", "bring the same rows in every pass",
                other if before != number_of_rows else f"other values in the {before} rows",
                "pass an array, a list of chunks or a function that reads the rows anew, or give "
                "a changing stream to OnlineEMFitter")  # fmt: skip

    def _check(self, number: int, chunk: ArrayLike) -> Float[Array, "n d"]:
        refuse_tracing(self.owner, chunk)
        rows = as_float(chunk).astype(self.dtype)
        require(rows.ndim == 2 and rows.shape[1] == self.dimension, self.owner, f"chunk {number}",
                f"have shape (rows, {self.dimension})", rows.shape,
                "pass observations in rows")  # fmt: skip
        bad = np.flatnonzero(~np.all(np.isfinite(rows), axis=1))
        require(bad.size == 0, self.owner, f"chunk {number}", "be finite",
                f"nan or inf in row {bad[:1]}", "drop or repair such rows")  # fmt: skip
        return rows

    def _padded(self, most: int | None) -> Iterator[tuple[Array, Array]]:
        size = _BLOCK if most is None else most
        for rows in in_blocks(self.chunks(), size):
            yield pad(rows, size)

    def reduce(self, f: Callable[..., T], *args: Any, most: int | None = None) -> T:
        return self._over_blocks(jnp.add, most, f, *args)

    def reduce_max(self, f: Callable[..., T], *args: Any) -> T:
        return self._over_blocks(jnp.maximum, None, f, *args)

    def _over_blocks(
        self, combine: Callable[..., Any], most: int | None, f: Callable[..., T], *args: Any
    ) -> T:
        each = eqx.filter_jit(f)
        results = (each(*block, *args) for block in self._padded(most))
        found: T = next(results)
        for other in results:
            found = jax.tree.map(combine, found, other)
        return found

    def middle(self) -> Float[Array, " d"]:
        """That of the first rows."""
        middle = self.head.middle()
        return middle if self.in_units is None else self.in_units.standardise(middle[None, :])[0]

    def scatter_factor(self, centre: Float[Array, " d"]) -> Float[Array, "d d"]:
        factor = np.zeros((0, self.dimension))
        for rows in self.chunks():
            stacked = np.concatenate([factor, rows - np.asarray(centre)[None, :]])
            factor = np.asarray(np.linalg.qr(stacked, mode="r"))
        sign = np.where(np.diagonal(factor) < 0, -1.0, 1.0)
        scale = np.sqrt(self.n_observations)
        return jnp.asarray(factor.T * sign[None, :] / scale, self.dtype)

    def units(self) -> Units:
        """Those of the first rows."""
        return self.head.units()

    def standardised(self, units: Units) -> "ChunkedRows":
        return ChunkedRows(self.owner, self.again, self.head, units, self.passes)


def read_head(
    owner: str, stream: Iterator[ArrayLike], size: int
) -> tuple[list[ArrayLike], DenseRows]:
    """The first chunks, as many as hold `size` rows with units, and their rows.

    Raises:
        ValueError: for no chunks, or where `check_observations` does for all of them.
    """
    head: list[ArrayLike] = []
    held, wanted, name = 0, size, f"{owner}, first chunks"
    for chunk in stream:
        refuse_tracing(owner, chunk)
        head.append(chunk)
        held += np.shape(chunk)[0] if np.ndim(chunk) else 0
        if held >= wanted:
            rows = _join(head)
            try:
                return head, _dense(check_observations(name, rows))
            except ValueError:
                if not np.all(np.isfinite(rows)):
                    raise
                wanted = 2 * held  # a column may not have varied yet
    require(len(head) > 0, owner, "X", "have chunks", "none", "pass arrays (rows, d)")
    return head, _dense(check_observations(name, _join(head)))


def _dense(X: Array) -> DenseRows:
    return DenseRows(X, jnp.ones_like(X, shape=X.shape[:1]))


def _join(chunks: list[ArrayLike]) -> Array:
    """Their rows; what is no chunk is left to `ChunkedRows` to find."""
    arrays = [as_float(chunk) for chunk in chunks]
    alike = [a for a in arrays if a.ndim == 2 and a.shape[1:] == arrays[0].shape[1:]]
    return jnp.concatenate(alike) if alike else arrays[0]


def _checksum(rows: np.ndarray) -> int:
    """A number that other rows do not have, but the same rows in any order and in any chunks.

    The sum modulo 2^64 of a hash of every row: a linear one of its bits, column by column, and the
    second half of the mixer of splitmix64 (Steele, Lea & Flood 2014, OOPSLA 49, 453).
    """
    bits = np.ascontiguousarray(rows).view(f"u{rows.dtype.itemsize}").astype(np.uint64)
    factors = np.cumprod(np.full(rows.shape[1], 0x9E3779B97F4A7C15, np.uint64))
    hashed = np.sum(bits * factors[None, :], axis=1, dtype=np.uint64)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return int(np.sum(hashed ^ (hashed >> np.uint64(31)), dtype=np.uint64))


def in_blocks(
    chunks: Iterable[np.ndarray], size: int, rest: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """The rows after `rest` in blocks of `size`, and at last those left over, if any."""
    for chunk in chunks:
        rows = chunk if rest is None else np.concatenate([rest, chunk])
        full = len(rows) - len(rows) % size
        yield from (rows[i : i + size] for i in range(0, full, size))
        rest = rows[full:]
    if rest is not None and len(rest) > 0:
        yield rest


def pad(rows: np.ndarray, size: int) -> tuple[Array, Array]:
    """`size` rows, the first one repeated at weight 0 where there are fewer, and the weights."""
    index = np.arange(size)
    real = index < len(rows)
    return jnp.asarray(rows[np.where(real, index, 0)]), jnp.asarray(real.astype(rows.dtype))
