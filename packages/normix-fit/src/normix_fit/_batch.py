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
    """What is carried through the loop; models are in standardised coordinates."""

    model: NormalMixture  # the best so far
    candidate: NormalMixture  # its M-step, to be evaluated
    solved: Array  # the `InversionStatus` of that M-step
    log_likelihoods: Float[Array, " max_iter_plus_1"]
    param_changes: Float[Array, " max_iter_plus_1"]
    accepted: Array  # models accepted, the start included
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
            (
                "max_iter",
                self.max_iter,
                "be an integer >= 1",
                isinstance(self.max_iter, int) and self.max_iter >= 1,
            ),
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
        model = jax.tree.map(
            lambda leaf: leaf.astype(X.dtype) if eqx.is_inexact_array(leaf) else leaf, model
        )
        host = np.asarray(X)
        shift, scale = host.mean(axis=0), host.std(axis=0)
        standard = jnp.asarray((host - shift) / scale)
        jacobian = X.shape[0] * float(np.sum(np.log(scale)))
        units = (jnp.asarray(shift), jnp.asarray(scale))

        state = self._run(_standardised(model, *units), standard, jacobian)
        status = _final_status(state)
        count = int(state.accepted)
        if count == 0:
            raise ValueError(
                f"BatchEMFitter.fit: model must give the data a finite likelihood, got "
                f"{status.message}; start from {type(model).__name__}.default_init(X)"
            )
        history = np.asarray(state.log_likelihoods, np.float64)[:count] - jacobian
        return EMResult(
            model=_in_units(state.model, *units),
            status=status,
            n_iter=count - 1,
            log_likelihood=float(history[-1]),
            log_likelihoods=history,
            param_changes=np.asarray(state.param_changes)[1:count],
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
        advance = _advance_jit if on_device else _advance
        length = self.max_iter + 1
        nothing = jnp.full(length, jnp.nan, X.dtype)
        state = _State(start, start, jnp.int32(InversionStatus.CONVERGED), nothing, nothing,
                       jnp.int32(0), jnp.int32(_RUNNING))  # fmt: skip
        while int(state.status) == _RUNNING and int(state.accepted) < length:
            pause = length if self.callback is None else _CALLBACK_EVERY
            limit = min(int(state.accepted) + pause, length)
            state = advance(state, X, jnp.asarray(limit, jnp.int32), settings)
            count = int(state.accepted)
            if self.callback is not None and count > 0:
                self.callback(count - 1, float(state.log_likelihoods[count - 1]) - jacobian)
        return state


@eqx.filter_jit
def _standardised(model: NormalMixture, shift: Array, scale: Array) -> NormalMixture:
    """The law of (X - shift) / scale, in the gauge."""
    return model.rescaled(-shift / scale, 1 / scale).normalize()


@eqx.filter_jit
def _in_units(model: NormalMixture, shift: Array, scale: Array) -> NormalMixture:
    """The law of shift + scale · X."""
    return model.rescaled(shift, scale)


def _e_step(
    model: NormalMixture, X: Float[Array, "n d"], settings: _Settings
) -> tuple[MixtureStatistics, Array, Array]:
    """Statistics, total log-likelihood, and a status if the iteration must end here."""
    expectations = model.e_step(X, backend=settings.e_step_backend)
    log_likelihood = jnp.sum(expectations.log_prob)
    p, _, b = model.joint.subordinator_as_gig()
    # at μ E 1/Y given x is infinite; the density is, for p <= d/2, or it has a cusp
    spike = (b == 0) & (p <= model.dimension / 2 + 1)
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
    """Evaluate the candidate; take it unless it is worse or broken; make the next one."""
    statistics, log_likelihood, status = _e_step(state.candidate, X, settings)
    count = state.accepted
    first = count == 0
    before = jnp.where(first, -jnp.inf, state.log_likelihoods[count - 1])
    gain = log_likelihood - before
    change = relative_change(state.model, state.candidate)

    running = status == _RUNNING
    kept = running & (gain >= 0)
    # EM cannot lower the likelihood: a fall is rounding at the maximum, or the solver failed
    rounding = 1e3 * jnp.finfo(X.dtype).eps * (1 + jnp.abs(log_likelihood))
    fell = running & (gain < 0)
    unsolved = (state.solved == int(InversionStatus.MAX_STEPS)) | (
        state.solved == int(InversionStatus.INFEASIBLE)
    )
    at_rest = (gain >= -rounding) & ~unsolved
    ending = jnp.where(at_rest, int(Status.CONVERGED), int(Status.SOLVER_STALLED))
    status = jnp.where(fell, ending, status)

    previous = before - state.log_likelihoods[jnp.maximum(count - 2, 0)]
    left = remaining_gain(jnp.where(count > 1, previous, 0.0), gain)
    settled = ~first & (change <= settings.tol) & (left <= settings.gain_tol)
    status = jnp.where((status == _RUNNING) & settled, int(Status.CONVERGED), status)

    following, solved = state.candidate.m_step_with_status(
        statistics, backend=settings.m_step_backend
    )
    moved = _State(
        state.candidate,
        following,
        solved,
        state.log_likelihoods.at[count].set(log_likelihood),
        state.param_changes.at[count].set(change),
        count + 1,
        status,
    )
    stayed = state._replace(status=status)
    chosen: _State = jax.tree.map(lambda new, old: jnp.where(kept, new, old), moved, stayed)
    return chosen


def _advance(state: _State, X: Float[Array, "n d"], limit: Array, settings: _Settings) -> _State:
    """Iterate on the host until done or at the limit."""
    while int(state.status) == _RUNNING and int(state.accepted) < int(limit):
        state = _iterate(state, X, settings)
    return state


@eqx.filter_jit
def _advance_jit(
    state: _State, X: Float[Array, "n d"], limit: Array, settings: _Settings
) -> _State:
    """The same as one device loop."""

    def proceed(state: _State) -> Array:
        return (state.status == _RUNNING) & (state.accepted < limit)

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
