"""`MiniBatchEMFitter`: online EM over random batches of an array, or over chunks of rows."""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from typing import Any, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from normix_expfam import Status
from normix_expfam.internal import require
from normix_fit._data import DenseRows, Rows
from normix_fit._em._batch import log_likelihood_of_block
from normix_fit._em._termination import limit_of
from normix_fit._observe import observe
from normix_fit._result._em_result import EMResult, timed
from normix_fit._standardisation import Units
from normix_fit._tracing import refuse_tracing
from normix_mixtures import NormalMixture

from ._chunks import ChunkedRows, Chunks, in_blocks, pad, read_head
from ._online import OnlineEMFitter
from ._state import OnlineState, UpdateStatus, initial_state
from ._update import Settings, update_state

Model = TypeVar("Model", bound=NormalMixture)

_OWNER = "MiniBatchEMFitter.fit"
_EVALUATED = 8192  # rows whose density is evaluated at a time

_STATUS = {
    UpdateStatus.NON_FINITE: Status.NON_FINITE,
    UpdateStatus.SINGULAR_DISPERSION: Status.SINGULAR_DISPERSION,
    UpdateStatus.SOLVER_STALLED: Status.SOLVER_STALLED,
    UpdateStatus.EXTREME_ROWS: Status.NON_FINITE,
}


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

    def fit(self, model: Model, X: ArrayLike | Chunks | Callable[[], Chunks]) -> EMResult[Model]:
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
        data: Any = X
        fitted = self._fit_array if hasattr(X, "shape") else self._fit_chunks
        return timed(lambda: fitted(model, data))

    def _fit_array(self, model: Model, X: ArrayLike) -> EMResult[Model]:
        rows = observe(_OWNER, X)
        assert isinstance(rows, DenseRows)
        n = rows.X.shape[0]
        require(n >= self.batch_size, _OWNER, "batch_size", f"be at most the {n} rows of X",
                self.batch_size, "lower it, or use BatchEMFitter")  # fmt: skip
        units = _units(rows)
        start = _start(model, units)
        data = rows.standardised(units)
        return self._passes(start, self._shuffled(initial_state(start), data.X), data, units)

    def _fit_chunks(self, model: Model, X: Chunks | Callable[[], Chunks]) -> EMResult[Model]:
        again = X if callable(X) else functools.partial(iter, X)
        stream = iter(again())
        once = iter(again()) is stream
        require(not once or self.n_passes == 1, _OWNER, "X", f"allow {self.n_passes} passes",
                f"one {type(stream).__name__}, which is used up after one",
                "pass an array, a list of chunks or a function that returns the chunks anew, set "
                "n_passes=1, or use OnlineEMFitter")  # fmt: skip
        chunks, head = read_head(_OWNER, stream, self.batch_size)
        units = _units(head)
        start = _start(model, units)
        if once:
            rows = ChunkedRows(_OWNER, lambda: chain(chunks, stream), head, units)
            return self._single(start, rows.chunks(), units)
        rows = ChunkedRows(_OWNER, again, head, units)
        return self._passes(start, self._in_order(start, rows), rows, units)

    def _shuffled(self, state: OnlineState, X: Float[Array, "n d"]) -> Iterator[OnlineState]:
        """The states after passes in random order."""
        n = X.shape[0]
        settings = self.online.settings(X.shape[1], X.dtype)
        key = jax.random.key(self.seed)
        for number in range(self.n_passes):
            order = jax.random.permutation(jax.random.fold_in(key, number), n)
            batches = order[: n - n % self.batch_size].reshape(-1, self.batch_size)
            state = _pass(state, X, batches, settings)
            yield state

    def _in_order(self, start: NormalMixture, rows: ChunkedRows) -> Iterator[OnlineState]:
        """The states after passes in the order of the chunks."""
        state, rest = initial_state(start), None
        for _ in range(self.n_passes):
            left_over = None
            for block in in_blocks(rows.chunks(), self.batch_size, rest):
                if len(block) == self.batch_size:
                    state = self.online.update(state, block)
                else:
                    left_over = block
            rest = left_over
            yield state

    def _passes(
        self, start: Model, states: Iterator[OnlineState], rows: Rows, units: Units
    ) -> EMResult[Model]:
        total = _log_likelihood(start, rows)
        _require_finite(total, start)
        models: list[Any] = [start]
        likelihoods, state = [total], initial_state(start)
        for state in states:
            models.append(self.online.model(state))
            likelihoods.append(_log_likelihood(models[-1], rows))
        n = int(rows.n_observations)
        return self._result(models, likelihoods, state, n, units, gain_tol=self.gain_tol)

    def _single(self, start: Model, chunks: Iterable[np.ndarray], units: Units) -> EMResult[Model]:
        """One pass over what can be seen once, with likelihoods as it goes."""
        state = initial_state(start)
        at_start, running, n = 0.0, 0.0, 0
        for rows in in_blocks(chunks, self.batch_size):
            block = DenseRows(*pad(rows, self.batch_size))
            n += len(rows)
            at_start += _log_likelihood(start, block)
            if len(rows) == self.batch_size:
                state = self.online.update(state, rows)
                running += float(state.log_likelihood)
            else:
                running += _log_likelihood(state.model, block)
        _require_finite(at_start, start)
        models = [start, self.online.model(state)]
        return self._result(models, [at_start, running], state, n, units, gain_tol=-np.inf)

    def _result(
        self,
        models: list[Any],
        likelihoods: list[float],
        state: OnlineState,
        n: int,
        units: Units,
        *,
        gain_tol: float,
    ) -> EMResult[Any]:
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
        changes = [float(one.change(other)) for one, other in pairwise(models)]
        return EMResult(
            model=units.from_standard(models[-1]),
            status=status,
            n_iter=len(models) - 1,
            n_evaluations=len(models) - 1,
            log_likelihood=float(history[-1]),
            log_likelihoods=history,
            param_changes=np.array(changes),
            n_observations=n,
        )


def _units(rows: Rows) -> Units:
    if rows.dtype == jnp.float32:
        warnings.warn(
            f"{_OWNER} runs in float32: statistics keep about 7 digits; set "
            "jax.config.update('jax_enable_x64', True) before making arrays for more",
            stacklevel=6,
        )
    return rows.units()


def _start(model: Model, units: Units) -> Any:
    """The model in standard coordinates, in the gauge and the precision of the data."""
    d = units.scale.shape[0]
    require(model.dimension == d, _OWNER, "X", f"have the {model.dimension} columns of model",
            d, f"start from {type(model).__name__}.default_init")  # fmt: skip
    dtype = units.scale.dtype
    return units.to_standard(jax.tree.map(lambda leaf: leaf.astype(dtype), model))


@eqx.filter_jit
def _pass(
    state: OnlineState,
    X: Float[Array, "n d"],
    batches: Int[Array, "k m"],
    settings: Settings,
) -> OnlineState:
    """Updates with the rows of every batch, in turn."""
    weights = jnp.ones_like(X, shape=batches.shape[1:])

    def one(state: OnlineState, batch: Array) -> tuple[OnlineState, None]:
        return update_state(state, DenseRows(X[batch], weights), settings), None

    last: OnlineState = jax.lax.scan(one, state, batches)[0]
    return last


def _log_likelihood(model: NormalMixture, rows: Rows) -> float:
    """Σ w log f(x)."""
    if rows.on_device:
        return float(_on_device(model, rows))
    return float(rows.reduce(log_likelihood_of_block, model))


@eqx.filter_jit
def _on_device(model: NormalMixture, rows: Rows) -> Float[Array, ""]:
    total: Array = rows.reduce(log_likelihood_of_block, model, most=_EVALUATED)
    return total


def _require_finite(total: float, start: NormalMixture) -> None:
    require(np.isfinite(total), _OWNER, "model", "give the data a finite likelihood", total,
            f"start from {type(start).__name__}.default_init")  # fmt: skip
