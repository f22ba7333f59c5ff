"""`BatchEMFitter`: EM over all rows, as one device loop or, for CPU backends, a Python loop."""

import time
import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import InversionStatus
from normix_mixtures import (
    GeneralizedHyperbolic,
    MixtureStatistics,
    NormalMixture,
    check_observations,
)

from ._convergence import relative_change, remaining_gain
from ._result import EMResult, Status

Backend = Literal["jax", "cpu"]
Callback = Callable[[int, float], None]

_RUNNING = -1
_CALLBACK_EVERY = 5  # iterations
_LARGEST_INVERSE = 1e10  # of E 1/Y given a row, where log Y has its mode at 0
_NORMAL_LIMIT = 1e6  # w: excess kurtosis below 3e-6


class _State(NamedTuple):
    """What is carried through the loop; the model is in standardised coordinates."""

    model: NormalMixture
    statistics: MixtureStatistics
    log_likelihoods: Float[Array, " max_iter_plus_1"]
    param_changes: Float[Array, " max_iter"]
    count: Array
    status: Array


class _Settings(NamedTuple):
    tol: Array
    gain_tol: Array
    e_step_backend: Backend
    m_step_backend: Backend


@final
class BatchEMFitter(eqx.Module):
    """The EM algorithm (Dempster, Laird & Rubin 1977) for normal variance-mean mixtures.

    Columns are standardised before the fit and the model is transformed back exactly, so that
    the units of the data do not matter. It stops when both hold: the largest relative change
    of (μ, γ, L_Σ) is at most `tol`, and the estimated log-likelihood still to be gained is at
    most `gain_tol` nats in total.

    With both backends "jax" the whole loop runs on the device and is compiled once per family,
    shape and `max_iter`; with a "cpu" backend the same iteration runs as a Python loop.

    Args:
        max_iter: most iterations.
        tol: relative change of (μ, γ, L_Σ) at which the parameters are at rest.
        gain_tol: total log-likelihood, in nats, that may be left.
        e_step_backend, m_step_backend: "jax" or "cpu" (NumPy/SciPy, float64).
        callback: called on the host as ``callback(n_iter, log_likelihood)`` every few
            iterations and at the end.

    Raises:
        ValueError: for settings outside their range.
    """

    max_iter: int = eqx.field(static=True, default=500)
    tol: float = 1e-5
    gain_tol: float = 1e-7
    e_step_backend: Backend = eqx.field(static=True, default="jax")
    m_step_backend: Backend = eqx.field(static=True, default="jax")
    callback: Callback | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        for name, value, rule, good in (
            ("max_iter", self.max_iter, "be an integer >= 1", self.max_iter >= 1),
            ("tol", self.tol, "be > 0", self.tol > 0),
            ("gain_tol", self.gain_tol, "be > 0", self.gain_tol > 0),
        ):
            if not good:
                raise ValueError(f"BatchEMFitter: {name} must {rule}, got {value}")
        for name in ("e_step_backend", "m_step_backend"):
            if getattr(self, name) not in ("jax", "cpu"):
                raise ValueError(
                    f"BatchEMFitter: {name} must be 'jax' or 'cpu', got {getattr(self, name)!r}"
                )

    def fit(self, model: NormalMixture, X: ArrayLike) -> EMResult:
        """Fit from the start `model` to the rows of X, shape (n, d).

        Raises:
            ValueError: if X is not (n, d) with n > d, has nan, constant or linearly dependent
                columns, or another d than the model.
        """
        began = time.perf_counter()
        X = check_observations("BatchEMFitter.fit", X)
        if X.shape[1] != model.dimension:
            raise ValueError(
                f"BatchEMFitter.fit: X must have the {model.dimension} columns of the model, "
                f"got shape {X.shape}; start from {type(model).__name__}.default_init(X)"
            )
        if X.dtype == jnp.float32:
            warnings.warn(
                "BatchEMFitter.fit runs in float32: log-likelihoods keep about 7 digits; set "
                "jax.config.update('jax_enable_x64', True) before making arrays for more",
                stacklevel=2,
            )
        host = np.asarray(X)
        shift, scale = host.mean(axis=0), host.std(axis=0)
        standard = jnp.asarray((host - shift) / scale)
        jacobian = X.shape[0] * float(np.sum(np.log(scale)))
        start = model.rescaled(jnp.asarray(-shift / scale), jnp.asarray(1 / scale)).normalize()

        state = self._run(start, standard, jacobian)
        status = _final_status(state)
        count = int(state.count)
        history = np.asarray(state.log_likelihoods, np.float64)[: count + 1] - jacobian
        return EMResult(
            model=state.model.rescaled(jnp.asarray(shift), jnp.asarray(scale)),
            status=status,
            n_iter=count,
            log_likelihood=float(history[-1]),
            log_likelihoods=history,
            param_changes=np.asarray(state.param_changes)[:count],
            elapsed=time.perf_counter() - began,
            n_observations=X.shape[0],
        )

    def _run(self, start: NormalMixture, X: Float[Array, "n d"], jacobian: float) -> _State:
        on_device = self.e_step_backend == "jax" and self.m_step_backend == "jax"
        settings = _Settings(
            jnp.asarray(self.tol, X.dtype),
            jnp.asarray(self.gain_tol, X.dtype),
            self.e_step_backend,
            self.m_step_backend,
        )
        initial, advance = (_initial_jit, _advance_jit) if on_device else (_initial, _advance)
        state = initial(start, X, self.max_iter, settings)
        while int(state.status) == _RUNNING and int(state.count) < self.max_iter:
            pause = self.max_iter if self.callback is None else _CALLBACK_EVERY
            limit = min(int(state.count) + pause, self.max_iter)
            state = advance(state, X, jnp.asarray(limit, jnp.int32), settings)
            if self.callback is not None:
                count = int(state.count)
                self.callback(count, float(state.log_likelihoods[count]) - jacobian)
        return state


def _initial(
    model: NormalMixture, X: Float[Array, "n d"], max_iter: int, settings: _Settings
) -> _State:
    statistics, log_likelihood, status = _e_step(model, X, settings)
    history = jnp.full(max_iter + 1, jnp.nan, X.dtype).at[0].set(log_likelihood)
    changes = jnp.full(max_iter, jnp.nan, X.dtype)
    return _State(model, statistics, history, changes, jnp.array(0, jnp.int32), status)


def _e_step(
    model: NormalMixture, X: Float[Array, "n d"], settings: _Settings
) -> tuple[MixtureStatistics, Array, Array]:
    """Statistics, total log-likelihood, and a status if the iteration must end here."""
    expectations = model.e_step(X, backend=settings.e_step_backend)
    log_likelihood = jnp.sum(expectations.log_prob)
    p, _, b = model.joint.subordinator_as_gig()
    spike = (b == 0) & (p <= model.dimension / 2)  # the density is infinite at μ
    met = jnp.max(expectations.inverse_y) > _LARGEST_INVERSE
    unbounded = (log_likelihood == jnp.inf) | (spike & met)
    finite = jnp.isfinite(log_likelihood) & jnp.all(
        jnp.stack([jnp.all(jnp.isfinite(part)) for part in expectations])
    )
    singular = ~jnp.all(jnp.isfinite(model.L_Sigma))
    status = jnp.where(finite, _RUNNING, int(Status.NON_FINITE))
    status = jnp.where(singular, int(Status.SINGULAR_DISPERSION), status)
    status = jnp.where(unbounded, int(Status.UNBOUNDED), status).astype(jnp.int32)
    return MixtureStatistics.from_rows(X, expectations), log_likelihood, status


def _iterate(state: _State, X: Float[Array, "n d"], settings: _Settings) -> _State:
    """One M-step and the E-step at the new model; a worse or broken model is not taken."""
    model, inner = state.model.m_step_with_status(state.statistics, backend=settings.m_step_backend)
    statistics, log_likelihood, status = _e_step(model, X, settings)
    count = state.count
    before = state.log_likelihoods[count]
    gain = log_likelihood - before
    change = relative_change(state.model, model)

    stalled = (inner == int(InversionStatus.MAX_STEPS)) | (inner == int(InversionStatus.INFEASIBLE))
    running = status == _RUNNING
    # EM cannot lower the likelihood: a fall is rounding at the maximum, or the solver failed
    rounding = 1e3 * jnp.finfo(X.dtype).eps * (1 + jnp.abs(before))
    at_rest = running & (gain < 0) & (gain >= -rounding)
    status = jnp.where(running & (gain < -rounding), int(Status.SOLVER_STALLED), status)
    status = jnp.where(stalled & (gain < 0), int(Status.SOLVER_STALLED), status)
    status = jnp.where(at_rest, int(Status.CONVERGED), status)

    previous = before - state.log_likelihoods[jnp.maximum(count - 1, 0)]
    left = remaining_gain(jnp.where(count > 0, previous, 0.0), gain)
    settled = (change <= settings.tol) & (left <= settings.gain_tol)
    status = jnp.where((status == _RUNNING) & settled, int(Status.CONVERGED), status)
    kept = running & (gain >= 0)

    moved = _State(
        model,
        statistics,
        state.log_likelihoods.at[count + 1].set(log_likelihood),
        state.param_changes.at[count].set(change),
        count + 1,
        status,
    )
    stayed = state._replace(status=status)
    chosen: _State = jax.tree.map(lambda new, old: jnp.where(kept, new, old), moved, stayed)
    return chosen


def _advance(state: _State, X: Float[Array, "n d"], limit: Array, settings: _Settings) -> _State:
    """Iterate on the host until done or at the limit."""
    while int(state.status) == _RUNNING and int(state.count) < int(limit):
        state = _iterate(state, X, settings)
    return state


_initial_jit = eqx.filter_jit(_initial)


@eqx.filter_jit
def _advance_jit(
    state: _State, X: Float[Array, "n d"], limit: Array, settings: _Settings
) -> _State:
    """The same as one device loop."""

    def proceed(state: _State) -> Array:
        return (state.status == _RUNNING) & (state.count < limit)

    last: _State = jax.lax.while_loop(proceed, lambda s: _iterate(s, X, settings), state)
    return last


def _final_status(state: _State) -> Status:
    """The status of the loop, with a limit of the family named where the model lies on it."""
    if int(state.status) == _RUNNING:
        return Status.MAX_ITER
    status = Status(int(state.status))
    if status != Status.CONVERGED:
        return status
    _, a, b = state.model.joint.subordinator_as_gig()
    if float(a + b) / 2 > _NORMAL_LIMIT:
        return Status.NORMAL_LIMIT
    if isinstance(state.model, GeneralizedHyperbolic):
        if float(a) == 0:
            return Status.INVERSE_GAMMA_LIMIT
        if float(b) == 0:
            return Status.GAMMA_LIMIT
    return status
