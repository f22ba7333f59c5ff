"""`MiniBatchEMFitter`: online EM over random batches of an array, or over chunks of rows."""

import functools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from normix_expfam import Status
from normix_expfam.internal import as_float, require
from normix_mixtures import NormalMixture
from normix_mixtures.internal import check_observations

from ._compile import compile_spans, seconds_covered
from ._concrete import refuse_tracing
from ._convergence import relative_change
from ._limits import limit_of
from ._online import OnlineEMFitter, OnlineState, UpdateStatus, _initial, _Settings, _update
from ._result import EMResult
from ._units import Units, from_standard, to_standard

_OWNER = "MiniBatchEMFitter.fit"
_EVALUATED = 8192  # rows whose density is evaluated at a time

_STATUS = {
    UpdateStatus.NON_FINITE: Status.NON_FINITE,
    UpdateStatus.SINGULAR_DISPERSION: Status.SINGULAR_DISPERSION,
    UpdateStatus.SOLVER_STALLED: Status.SOLVER_STALLED,
    UpdateStatus.EXTREME_ROWS: Status.NON_FINITE,
}

Chunks = Iterable[ArrayLike]


@final
class MiniBatchEMFitter(eqx.Module):
    """EM in blocks of `batch_size` rows, each of which moves the model: `OnlineEMFitter`'s updates.

    It is for data on which one pass of `BatchEMFitter` is long. Columns are standardised first
    and the model is transformed back exactly, so that the units of the data do not matter.

    An array is shuffled before each pass, and the rows that fill no batch, fewer than
    `batch_size`, are left out of that pass: other rows each time. An iterable of chunks, each of
    shape (rows, d) and of any length, is passed through in its own order, which should be random.
    Its first chunks, as many as fill a batch, give the units, and rows left over at the end of a
    pass begin the next one. Every pass must bring the same rows, in any order. A function without
    arguments that returns such an iterable, a generator for example, is called for every pass.

    The result counts passes as iterations. Its log-likelihoods are those of all rows under the
    start and under the model after each pass, and can fall. The status is CONVERGED, or that of a
    limit, if the last pass changed the log-likelihood by at most `gain_tol` per row, otherwise
    MAX_ITER, unless the last update was refused.

    An iterator can be passed through only once, and needs ``n_passes=1``. Its log-likelihoods are
    Σ log f(x) under the start, and Σ log f(x) in which each row is seen by the model just before
    it moved on. They do not show whether the model has come to rest: the status is never
    CONVERGED.

    Args:
        batch_size: rows in a block.
        n_passes: passes over the data.
        seed: of the shuffles.
        gain_tol: change of the log-likelihood per row, in nats, that counts as none.
        online: the step sizes, burn-in and averaging.

    Raises:
        ValueError: for settings outside their range.

    Examples:
        Chunks of 60, 60 and 80 rows are seen in batches of 50, twice.

        >>> import jax
        >>> from normix_fit import MiniBatchEMFitter
        >>> from normix_mixtures import NormalInverseGaussian
        >>> truth = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> X = truth.sample(jax.random.key(0), (200,))
        >>> start = NormalInverseGaussian.default_init(X)
        >>> fitter = MiniBatchEMFitter(batch_size=50, n_passes=2)
        >>> result = fitter.fit(start, [X[:60], X[60:120], X[120:]])
        >>> result.n_iter, result.n_observations, result.status.name
        (2, 200, 'MAX_ITER')
        >>> bool(result.log_likelihood > result.log_likelihoods[0])
        True
    """

    batch_size: int = eqx.field(static=True, default=256)
    n_passes: int = eqx.field(static=True, default=5)
    seed: int = eqx.field(static=True, default=0)
    gain_tol: float = 1e-5
    online: OnlineEMFitter = OnlineEMFitter(averaging=True)

    def __check_init__(self) -> None:
        owner = "MiniBatchEMFitter"
        for name in ("batch_size", "n_passes"):
            value = getattr(self, name)
            require(isinstance(value, int) and value >= 1, owner, name, "be an integer >= 1", value,
                    "it is a count")  # fmt: skip
        require(isinstance(self.seed, int), owner, "seed", "be an integer", self.seed,
                "equal seeds give equal fits")  # fmt: skip
        require(self.gain_tol > 0, owner, "gain_tol", "be > 0", self.gain_tol,
                "it is a change in nats per row")  # fmt: skip

    def fit(self, model: NormalMixture, X: ArrayLike | Chunks | Callable[[], Chunks]) -> EMResult:
        """Fit from the start `model` to rows of shape (n, d), or to an iterable of such chunks.

        Args:
            model: the start.
            X: an array; an iterable of chunks; or a function that returns such an iterable.

        Raises:
            ValueError: if X is not (n, d) with n > d, or has constant or linearly dependent
                columns; if rows are not finite, have not the d of the model, or are too few for a
                batch or the burn-in; if their likelihood under `model` is not finite; if X is an
                iterator and `n_passes` is more than 1, or if its passes bring different rows.
            TypeError: for traced rows or parameters.
        """
        refuse_tracing(_OWNER, (model, X if hasattr(X, "shape") else None))
        began = time.perf_counter()
        data: Any = X
        fitted = self._fit_array if hasattr(X, "shape") else self._fit_chunks
        with compile_spans() as compiled:
            fields = fitted(model, data)
        return EMResult(
            **fields, compile_seconds=seconds_covered(compiled), elapsed=time.perf_counter() - began
        )

    def _fit_array(self, model: NormalMixture, X: ArrayLike) -> dict[str, Any]:
        checked = check_observations(_OWNER, X)
        n = checked.shape[0]
        require(n >= self.batch_size, _OWNER, "batch_size", f"be at most the {n} rows of X",
                self.batch_size, "lower it, or use BatchEMFitter")  # fmt: skip
        units = _units(checked)
        start = _start(model, units)
        rows = units.standardised(checked)
        states = self._shuffled(_initial(start), rows)
        return self._passes(start, states, lambda: [np.asarray(rows)], units)

    def _fit_chunks(self, model: NormalMixture, X: Chunks | Callable[[], Chunks]) -> dict[str, Any]:
        again = X if callable(X) else functools.partial(iter, X)
        stream = iter(again())
        once = iter(again()) is stream
        require(not once or self.n_passes == 1, _OWNER, "X", f"allow {self.n_passes} passes",
                f"one {type(stream).__name__}, which is used up after one",
                "pass an array, a list of chunks or a function that returns the chunks anew, set "
                "n_passes=1, or use OnlineEMFitter")  # fmt: skip
        head, rows = _head(stream, self.batch_size)
        units = _units(rows)
        start = _start(model, units)
        if once:
            return self._single(start, _Chunks(lambda: chain(head, stream), units)(), units)
        chunks = _Chunks(again, units)
        return self._passes(start, self._in_order(start, chunks), chunks, units)

    def _shuffled(self, state: OnlineState, X: Float[Array, "n d"]) -> Iterator[OnlineState]:
        """The states after passes in random order."""
        n = X.shape[0]
        settings = self.online._settings(X.shape[1], X.dtype)
        key = jax.random.key(self.seed)
        for number in range(self.n_passes):
            order = jax.random.permutation(jax.random.fold_in(key, number), n)
            batches = order[: n - n % self.batch_size].reshape(-1, self.batch_size)
            state = _pass(state, X, batches, settings)
            yield state

    def _in_order(
        self, start: NormalMixture, chunks: Callable[[], Iterable[np.ndarray]]
    ) -> Iterator[OnlineState]:
        """The states after passes in the order of the chunks."""
        state, rest = _initial(start), None
        for _ in range(self.n_passes):
            left_over = None
            for rows in _blocks(chunks(), self.batch_size, rest):
                if len(rows) == self.batch_size:
                    state = self.online.update(state, rows)
                else:
                    left_over = rows
            rest = left_over
            yield state

    def _passes(
        self,
        start: NormalMixture,
        states: Iterator[OnlineState],
        chunks: Callable[[], Iterable[np.ndarray]],
        units: Units,
    ) -> dict[str, Any]:
        total, n = _total(start, chunks())
        _require_finite(total, start)
        models, likelihoods, state = [start], [total], _initial(start)
        for state in states:
            models.append(self.online.model(state))
            likelihoods.append(_total(models[-1], chunks())[0])
        return self._result(models, likelihoods, state, n, units, gain_tol=self.gain_tol)

    def _single(
        self, start: NormalMixture, chunks: Iterable[np.ndarray], units: Units
    ) -> dict[str, Any]:
        """One pass over what can be seen once, with likelihoods as it goes."""
        state = _initial(start)
        at_start, running, n = 0.0, 0.0, 0
        for rows in _blocks(chunks, self.batch_size, None):
            block = _padded(rows, self.batch_size)
            n += len(rows)
            at_start += float(_log_likelihood(start, *block))
            if len(rows) == self.batch_size:
                state = self.online.update(state, rows)
                running += float(state.log_likelihood)
            else:
                running += float(_log_likelihood(state.model, *block))
        _require_finite(at_start, start)
        models = [start, self.online.model(state)]
        return self._result(models, [at_start, running], state, n, units, gain_tol=-np.inf)

    def _result(
        self,
        models: list[NormalMixture],
        likelihoods: list[float],
        state: OnlineState,
        n: int,
        units: Units,
        *,
        gain_tol: float,
    ) -> dict[str, Any]:
        outcome = UpdateStatus(int(state.status))
        ready = outcome != UpdateStatus.BURN_IN or int(state.n_refused) > 0
        require(ready, _OWNER, "X",
                f"fill batches of {self.batch_size} rows beyond the burn-in",
                f"{n} rows in a pass",
                "lower batch_size or burn_in, or pass more rows")  # fmt: skip
        history = np.array(likelihoods) - n * units.log_jacobian
        status = _STATUS.get(outcome, Status.MAX_ITER)
        if not np.isfinite(history[-1]):
            status = Status.UNBOUNDED if history[-1] == np.inf else Status.NON_FINITE
        elif not outcome.refused and abs(history[-1] - history[-2]) <= gain_tol * n:
            status = limit_of(models[-1])
        changes = [float(relative_change(*pair)) for pair in pairwise(models)]
        return {
            "model": from_standard(models[-1], units),
            "status": status,
            "n_iter": len(models) - 1,
            "n_evaluations": len(models) - 1,
            "log_likelihood": float(history[-1]),
            "log_likelihoods": history,
            "param_changes": np.array(changes),
            "n_observations": n,
        }


def _units(X: Float[Array, "n d"]) -> Units:
    if X.dtype == jnp.float32:
        warnings.warn(
            f"{_OWNER} runs in float32: statistics keep about 7 digits; set "
            "jax.config.update('jax_enable_x64', True) before making arrays for more",
            stacklevel=4,
        )
    return Units.of(X)


def _start(model: NormalMixture, units: Units) -> NormalMixture:
    """The model in standard coordinates, in the gauge and the precision of the data."""
    d = units.scale.shape[0]
    require(model.dimension == d, _OWNER, "X", f"have the {model.dimension} columns of model",
            d, f"start from {type(model).__name__}.default_init")  # fmt: skip
    dtype = units.scale.dtype
    return to_standard(jax.tree.map(lambda leaf: leaf.astype(dtype), model), units)


def _head(stream: Iterator[ArrayLike], size: int) -> tuple[list[ArrayLike], Float[Array, "n d"]]:
    """The first chunks, as many as hold `size` rows with units, and their rows.

    Raises:
        ValueError: for no chunks, or where `check_observations` does for all of them.
    """
    head: list[ArrayLike] = []
    held, wanted, owner = 0, size, f"{_OWNER}, first chunks"
    for chunk in stream:
        refuse_tracing(_OWNER, chunk)
        head.append(chunk)
        held += np.shape(chunk)[0] if np.ndim(chunk) else 0
        if held >= wanted:
            rows = _joined(head)
            try:
                return head, check_observations(owner, rows)
            except ValueError:
                if not np.all(np.isfinite(rows)):
                    raise
                wanted = 2 * held  # a column may not have varied yet
    require(len(head) > 0, _OWNER, "X", "have chunks", "none", "pass arrays (rows, d)")
    return head, check_observations(owner, _joined(head))


def _joined(chunks: list[ArrayLike]) -> Array:
    """Their rows; what is no chunk is left to `_Chunks` to find."""
    arrays = [as_float(chunk) for chunk in chunks]
    alike = [a for a in arrays if a.ndim == 2 and a.shape[1:] == arrays[0].shape[1:]]
    return jnp.concatenate(alike) if alike else arrays[0]


class _Chunks:
    """All chunks in standard coordinates, called once for every pass.

    Raises:
        ValueError: for a chunk of another shape than (rows, d), rows that are not finite, or
            other rows than in the first pass.
    """

    def __init__(self, again: Callable[[], Chunks], units: Units):
        self.again, self.units = again, units
        self.first: tuple[int, int] | None = None  # number of rows and checksum

    def __call__(self) -> Iterator[np.ndarray]:
        number_of_rows, checksum = 0, 0
        for number, chunk in enumerate(self.again()):
            rows = self._checked(number, chunk)
            number_of_rows += len(rows)
            checksum = (checksum + _checksum(np.asarray(rows))) % 2**64
            yield np.asarray(self.units.standardised(rows))
        found = number_of_rows, checksum
        if self.first is None:
            self.first = found
        before = self.first[0]
        other = f"{before} rows in one pass and {number_of_rows} in another"
        require(found == self.first, _OWNER, "X", "bring the same rows in every pass",
                other if before != number_of_rows else f"other values in the {before} rows",
                "pass an array, a list of chunks or a function that reads the rows anew, or give "
                "a changing stream to OnlineEMFitter")  # fmt: skip

    def _checked(self, number: int, chunk: ArrayLike) -> Float[Array, "n d"]:
        refuse_tracing(_OWNER, chunk)
        d = self.units.scale.shape[0]
        rows = as_float(chunk).astype(self.units.scale.dtype)
        require(rows.ndim == 2 and rows.shape[1] == d, _OWNER, f"chunk {number}",
                f"have shape (rows, {d})", rows.shape,
                "pass observations in rows")  # fmt: skip
        bad = np.flatnonzero(~np.all(np.isfinite(rows), axis=1))
        require(bad.size == 0, _OWNER, f"chunk {number}", "be finite",
                f"nan or inf in row {bad[:1]}", "drop or repair such rows")  # fmt: skip
        return rows


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


@eqx.filter_jit
def _pass(
    state: OnlineState,
    X: Float[Array, "n d"],
    batches: Int[Array, "k m"],
    settings: _Settings,
) -> OnlineState:
    """Updates with the rows of every batch, in turn."""
    weights = jnp.ones_like(X, shape=batches.shape[1:])

    def one(state: OnlineState, batch: Array) -> tuple[OnlineState, None]:
        return _update(state, X[batch], weights, settings), None

    last: OnlineState = jax.lax.scan(one, state, batches)[0]
    return last


def _blocks(
    chunks: Iterable[np.ndarray], size: int, rest: np.ndarray | None
) -> Iterator[np.ndarray]:
    """The rows after `rest` in blocks of `size`, and at last those left over, if any."""
    for chunk in chunks:
        rows = chunk if rest is None else np.concatenate([rest, chunk])
        full = len(rows) - len(rows) % size
        yield from (rows[i : i + size] for i in range(0, full, size))
        rest = rows[full:]
    if rest is not None and len(rest) > 0:
        yield rest


def _total(model: NormalMixture, chunks: Iterable[np.ndarray]) -> tuple[float, int]:
    """Σ log f(x) and the number of rows."""
    total, n = 0.0, 0
    for rows in _blocks(chunks, _EVALUATED, None):
        total += float(_log_likelihood(model, *_padded(rows, _EVALUATED)))
        n += len(rows)
    return total, n


def _padded(rows: np.ndarray, size: int) -> tuple[Array, Array]:
    """`size` rows, the first one repeated where there are fewer, and which of them are real."""
    index = np.arange(size)
    real = index < len(rows)
    return jnp.asarray(rows[np.where(real, index, 0)]), jnp.asarray(real)


@eqx.filter_jit
def _log_likelihood(
    model: NormalMixture, rows: Float[Array, "n d"], real: Bool[Array, " n"]
) -> Float[Array, ""]:
    return jnp.sum(jnp.where(real, model.log_prob(rows), 0.0))


def _require_finite(total: float, start: NormalMixture) -> None:
    require(np.isfinite(total), _OWNER, "model", "give the data a finite likelihood", total,
            f"start from {type(start).__name__}.default_init")  # fmt: skip
