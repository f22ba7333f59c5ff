"""`BatchEMFitter`: EM over all rows, as one device loop or, for CPU backends, a Python loop."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam.toolbox import require
from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalMixture,
    check_observations,
    check_weights,
)

from ._acceleration import Acceleration
from ._compile_time import compile_seconds
from ._convergence import relative_change
from ._loop import Rules, State, advance, advance_on_device, begin
from ._map import RUNNING, Algorithm, Backend, Data, Plan, evaluate
from ._progress import Progress
from ._result import EMResult, Status
from ._units import Units, from_standard, to_standard

Callback = Callable[[int, float], None]
Fixed = Sequence[str] | Mapping[str, ArrayLike]

_CALLBACK_EVERY = 5  # evaluations
_NORMAL_LIMIT = 1e6  # w: excess kurtosis below 3e-6
_LEAST_SPREAD = 1e-8  # Var Y / (E Y)² of the law that stands for the normal one

_OWNER = "BatchEMFitter"


@final
class BatchEMFitter(eqx.Module):
    """The EM algorithm (Dempster, Laird & Rubin 1977) for normal variance-mean mixtures.

    Columns are standardised before the fit and the model is transformed back exactly, so that
    the units of the data do not matter. It stops when both hold: the largest relative change
    of (μ, γ, L_Σ) is at most `tol`, and the estimated log-likelihood still to be gained is at
    most `gain_tol` nats in total.

    With both backends "jax" the whole loop runs on the device and is compiled once per family,
    shape and configuration; with a "cpu" backend the same iteration runs as a Python loop.

    Args:
        max_iter: most evaluations of the EM map after the first.
        tol: relative change of (μ, γ, L_Σ) at which the parameters are at rest.
        gain_tol: total log-likelihood, in nats, that may be left.
        algorithm: "em", or "mcecm", which computes the E-step anew before the subordinator is
            fitted (McNeil, Frey & Embrechts 2005, algorithm 3.14), at twice the cost.
        acceleration: "anderson", "squarem", or None for plain EM; see `_acceleration`.
        symmetric: γ = 0.
        fixed: parameters that are held: "mu", "subordinator", and "p" of a generalized
            hyperbolic, "alpha" of a variance gamma or normal inverse gamma law; names keep the
            start's values, a mapping such as ``{"p": 1.0}`` gives them.
        e_step_backend, m_step_backend: "jax" or "cpu" (NumPy/SciPy, float64).
        callback: called on the host as ``callback(n_iter, log_likelihood)`` every few
            iterations and at the end.
        verbose: show a line of progress if the error stream is a terminal.

    Raises:
        ValueError: for settings outside their range.
    """

    max_iter: int = eqx.field(static=True, default=500)
    tol: float = 1e-5
    gain_tol: float = 1e-7
    e_step_backend: Backend = eqx.field(static=True, default="jax")
    m_step_backend: Backend = eqx.field(static=True, default="jax")
    algorithm: Algorithm = eqx.field(static=True, default="em")
    acceleration: Acceleration = eqx.field(static=True, default="anderson")
    symmetric: bool = eqx.field(static=True, default=False)
    fixed: Fixed = ()
    callback: Callback | None = eqx.field(static=True, default=None)
    verbose: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        whole = isinstance(self.max_iter, int) and self.max_iter >= 1
        require(whole, _OWNER, "max_iter", "be an integer >= 1", self.max_iter, "500 is usual")
        for name in ("tol", "gain_tol"):
            value = getattr(self, name)
            require(value > 0, _OWNER, name, "be > 0", value, "1e-5 and 1e-7 are usual")
        for name, choices in (
            ("e_step_backend", ("jax", "cpu")),
            ("m_step_backend", ("jax", "cpu")),
            ("algorithm", ("em", "mcecm")),
            ("acceleration", ("anderson", "squarem", None)),
        ):
            value = getattr(self, name)
            listed = " or ".join(repr(choice) for choice in choices)
            require(value in choices, _OWNER, name, f"be {listed}", repr(value), "choose one")

    def fit(self, model: NormalMixture, X: ArrayLike, weights: ArrayLike | None = None) -> EMResult:
        """Fit from the start `model` to the rows of X, shape (n, d).

        Args:
            model: the start.
            X: observations, shape (n, d), n > d.
            weights: one per row, >= 0, shape (n,): the log-likelihood is Σ w log f(x).

        Raises:
            ValueError: if X is not (n, d) with n > d, has nan, constant or linearly dependent
                columns, or another d than the model; for weights that are negative or not one
                per row; if a name in `fixed` is not of this family.
        """
        began = time.perf_counter()
        with compile_seconds() as compiled:
            fields = self._fit(model, X, weights)
        return EMResult(
            **fields, compile_seconds=float(sum(compiled)), elapsed=time.perf_counter() - began
        )

    def _fit(self, model: NormalMixture, X: ArrayLike, weights: ArrayLike | None) -> dict[str, Any]:
        owner = f"{_OWNER}.fit"
        X, w = _observed(owner, model, X, weights)
        names = type(model).check_fixed(_OWNER, tuple(self.fixed))
        model = jax.tree.map(lambda leaf: leaf.astype(X.dtype), model)
        if isinstance(self.fixed, Mapping):
            model = model.with_fixed(**self.fixed)
        units = Units.of(X, w)
        data = Data(units.standardised(X), w)
        jacobian = float(data.total) * units.log_jacobian
        plan = Plan(self.e_step_backend, self.m_step_backend, self.algorithm, self.symmetric, names)

        start = to_standard(model, units)
        if self.symmetric:
            start = start.without_skewness()
        state = self._run(start, data, plan, jacobian)
        if int(state.taken) == 0:
            require(False, owner, "model", "give the data a finite likelihood",
                    Status(int(state.status)).message,
                    f"start from {type(model).__name__}.default_init(X)")  # fmt: skip
        state = state if names else _not_below_normal(state, data, plan)
        count = int(state.taken)
        history = np.asarray(state.log_likelihoods, np.float64)[:count] - jacobian
        held = (*names, "gamma") if self.symmetric else names
        return {
            "model": from_standard(state.model, units),
            "status": _final_status(state),
            "n_iter": count - 1,
            "n_evaluations": int(state.evaluated),
            "log_likelihood": float(history[-1]),
            "log_likelihoods": history,
            "param_changes": np.asarray(state.param_changes)[1:count],
            "n_observations": X.shape[0] if w is None else float(data.total),
            "fixed": held,
        }

    def _run(self, start: NormalMixture, data: Data, plan: Plan, jacobian: float) -> State:
        dtype = data.X.dtype
        rules = Rules(
            jnp.asarray(self.tol, dtype), jnp.asarray(self.gain_tol, dtype), self.acceleration
        )
        progress = Progress(self.max_iter) if self.verbose else None
        callbacks = [call for call in (self.callback, progress) if call is not None]
        go_on = advance_on_device if plan.on_device else advance
        length = self.max_iter + 1
        state = begin(start, data, self.max_iter)
        while int(state.status) == RUNNING and int(state.evaluated) < length:
            pause = _CALLBACK_EVERY if callbacks else length
            limit = min(int(state.evaluated) + pause, length)
            state = go_on(state, data, jnp.int32(limit), plan, rules)
            count = int(state.taken)
            for call in callbacks if count > 0 else ():
                call(count - 1, float(state.log_likelihoods[count - 1]) - jacobian)
        if progress is not None:
            progress.close()
        return state


def _observed(
    owner: str, model: NormalMixture, X: ArrayLike, weights: ArrayLike | None
) -> tuple[Float[Array, "n d"], Float[Array, " n"] | None]:
    """The checked data; rows of weight 0 do not count."""
    X = check_observations(owner, X)
    require(X.shape[1] == model.dimension, owner, "X",
            f"have the {model.dimension} columns of the model", X.shape,
            f"start from {type(model).__name__}.default_init(X)")  # fmt: skip
    if X.dtype == jnp.float32:
        warnings.warn(
            "BatchEMFitter.fit runs in float32: log-likelihoods keep about 7 digits; set "
            "jax.config.update('jax_enable_x64', True) before making arrays for more",
            stacklevel=4,
        )
    w = check_weights(owner, weights, X)
    if w is not None and not np.all(np.asarray(w) > 0):
        used = np.flatnonzero(np.asarray(w) > 0)
        X, w = check_observations(owner, X[used]), w[used]
    return X, w


def _not_below_normal(state: State, data: Data, plan: Plan) -> State:
    """The law next to the normal one, if the data are no heavier-tailed and it is more likely."""
    X, n, d = np.asarray(data.X), float(data.total), data.X.shape[1]
    W = X if data.weights is None else X * np.asarray(data.weights)[:, None]
    covariance = X.T @ W / n
    half_log_det = float(np.sum(np.log(np.diagonal(np.linalg.cholesky(covariance)))))
    normal = -n * (half_log_det + d / 2 * (np.log(2 * np.pi) + 1))
    last = float(state.log_likelihoods[state.taken - 1])
    if last >= normal or int(state.taken) >= len(state.log_likelihoods):
        return state
    limit = type(state.model).from_moments(np.zeros(d, X.dtype), covariance, spread=_LEAST_SPREAD)
    limit = limit.normalize()
    value = evaluate(limit, data, plan).log_likelihood
    if not float(value) > last:
        return state
    change = relative_change(state.model, limit)
    return state._replace(
        model=limit,
        log_likelihoods=state.log_likelihoods.at[state.taken].set(value),
        param_changes=state.param_changes.at[state.taken].set(change),
        taken=state.taken + 1,
        evaluated=state.evaluated + 1,
        status=jnp.int32(Status.CONVERGED),
    )


def _final_status(state: State) -> Status:
    """The status of the loop, with a limit of the family named where the model lies on it."""
    if int(state.status) == RUNNING:
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
