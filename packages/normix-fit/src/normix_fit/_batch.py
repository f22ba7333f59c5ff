"""`BatchEMFitter`: EM over all rows, as one device loop or, for CPU backends, a Python loop."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import Status
from normix_expfam.internal import require
from normix_mixtures import NormalMixture
from normix_mixtures.internal import check_observations, check_weights

from ._acceleration import Acceleration
from ._compile import compile_spans, seconds_covered
from ._concrete import refuse_tracing
from ._convergence import relative_change
from ._course import Course
from ._limits import limit_of
from ._loop import Rules, State
from ._map import RUNNING, Algorithm, Backend, Data, Plan, evaluate
from ._normal import NormalLaw, is_near_normal, normal_law
from ._progress import Progress
from ._result import EMResult, message_for
from ._several import advanced
from ._units import Units, from_standard, to_standard

Callback = Callable[[int, float], None]
Convergence = Literal["both", "parameters", "likelihood"]
Fixed = Sequence[str] | Mapping[str, ArrayLike]

_CALLBACK_EVERY = 5  # evaluations

_OWNER = "BatchEMFitter"


@final
class BatchEMFitter(eqx.Module):
    """The EM algorithm (Dempster, Laird & Rubin 1977) for normal variance-mean mixtures.

    Columns are standardised before the fit and the model is transformed back exactly, so that
    the units of the data do not matter. EM stops when both hold: the largest relative change
    of (μ, γ, L_Σ) is at most `tol`, and the estimated log-likelihood still to be gained is at
    most `gain_tol` nats in total. If the gradient of the log-likelihood says that more is to be
    gained, or EM has taken 60 evaluations or will need more than 60 further ones, L-BFGS goes on
    from there.

    With both backends "jax" the whole loop runs on the device and is compiled once per family,
    shape and configuration; with a "cpu" backend the same iteration runs as a Python loop.

    Args:
        max_iter: most evaluations after the first, of the EM map and of L-BFGS.
        tol: relative change of (μ, γ, L_Σ) at which the parameters are at rest.
        gain_tol: total log-likelihood, in nats, that may be left by EM's own estimate; a hundred
            times that by the gradient.
        algorithm: "em", or "mcecm", which computes the E-step anew before the subordinator is
            fitted (McNeil, Frey & Embrechts 2005, algorithm 3.14), at twice the cost.
        acceleration: of the EM map on mean statistics, by "anderson" (Walker & Ni 2011, SIAM J.
            Numer. Anal. 49, 1715) or "squarem" (Varadhan & Roland 2008, Scand. J. Stat. 35, 335);
            None for plain EM, which L-BFGS does not relieve before its end.
        convergence: "both" tests, "parameters" for that of `tol` alone, without a look at the
            gradient, "likelihood" for that of `gain_tol` alone.
        stop_near_normal: end as NORMAL_LIMIT where the law is nearly normal and its likelihood,
            with the estimate of what is to come, not worth its parameters by Schwarz's
            criterion; EM would crawl. False goes on to the maximum.
        symmetric: γ = 0.
        fixed: parameters that are held: "mu", "subordinator", and "p" of a generalized
            hyperbolic, "alpha" of a variance gamma or normal inverse gamma law; names keep the
            values of the (first) start, a mapping such as ``{"p": 1.0}`` gives them.
        e_step_backend: "jax" or "cpu" (NumPy/SciPy, float64).
        m_step_backend: the same for the M-step.
        callback: called on the host as ``callback(n_iter, log_likelihood)`` every few
            iterations and at the end.
        verbose: show a line of progress if the error stream is a terminal.

    Raises:
        ValueError: for settings outside their range.

    Examples:
        >>> import jax
        >>> from normix_fit import BatchEMFitter
        >>> from normix_mixtures import NormalInverseGaussian
        >>> truth = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> X = truth.sample(jax.random.key(0), (200,))
        >>> start = NormalInverseGaussian.default_init(X)
        >>> result = BatchEMFitter().fit(start, X)
        >>> history = result.log_likelihoods
        >>> result.status.name, bool((history[1:] >= history[:-1]).all())
        ('CONVERGED', True)
    """

    max_iter: int = eqx.field(static=True, default=500)
    tol: float = 1e-5
    gain_tol: float = 1e-7
    e_step_backend: Backend = eqx.field(static=True, default="jax")
    m_step_backend: Backend = eqx.field(static=True, default="jax")
    algorithm: Algorithm = eqx.field(static=True, default="em")
    acceleration: Acceleration = eqx.field(static=True, default="anderson")
    convergence: Convergence = eqx.field(static=True, default="both")
    stop_near_normal: bool = eqx.field(static=True, default=True)
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
            ("convergence", ("both", "parameters", "likelihood")),
        ):
            value = getattr(self, name)
            listed = " or ".join(repr(choice) for choice in choices)
            require(value in choices, _OWNER, name, f"be {listed}", repr(value), "choose one")

    def fit(
        self,
        model: NormalMixture | Sequence[NormalMixture],
        X: ArrayLike,
        weights: ArrayLike | None = None,
    ) -> EMResult:
        """Fit from the start `model` to the rows of X, shape (n, d).

        Several starts of one family run side by side, on the device in one call. The fit with the
        highest likelihood is returned, one that ran into an infinite likelihood or a singular
        dispersion only if all did; `elapsed` is then that of all.

        Args:
            model: the start, or a sequence of starts.
            X: observations, shape (n, d), n > d.
            weights: one per row, >= 0, shape (n,): the log-likelihood is Σ w log f(x).

        Raises:
            ValueError: if X is not (n, d) with n > d, has nan, constant or linearly dependent
                columns, or another d than the model; for weights that are negative or not one
                per row; if a name in `fixed` is not of this family; for no start, or starts of
                several families; if no start gives the data a finite likelihood.
            TypeError: for traced data or parameters, under jit, vmap or grad.
        """
        refuse_tracing(f"{_OWNER}.fit", (model, X, weights))
        began = time.perf_counter()
        starts = [model] if isinstance(model, NormalMixture) else [*model]
        families = {type(start).__name__ for start in starts}
        require(len(families) == 1, f"{_OWNER}.fit", "model", "be of one family",
                ", ".join(sorted(families)) or "none",
                "fit families one after the other")  # fmt: skip
        with compile_spans() as compiled:
            fields = self._fit(starts, X, weights)
        return EMResult(
            **fields, compile_seconds=seconds_covered(compiled), elapsed=time.perf_counter() - began
        )

    def _fit(
        self, starts: list[NormalMixture], X: ArrayLike, weights: ArrayLike | None
    ) -> dict[str, Any]:
        owner = f"{_OWNER}.fit"
        X, w = _observed(owner, starts[0], X, weights)
        names = type(starts[0]).check_fixed(_OWNER, tuple(self.fixed))
        units = Units.of(X, w)
        data = Data(units.standardised(X), w)
        jacobian = float(data.total) * units.log_jacobian
        plan = Plan(self.e_step_backend, self.m_step_backend, self.algorithm, self.symmetric, names)

        normal = None if names else normal_law(data, starts[0].joint.dispersion)
        of_interest = jnp.asarray(-jnp.inf, X.dtype)
        if normal is not None and self.stop_near_normal:
            held = X.shape[1] if self.symmetric else 0
            of_interest = normal.likelihood_of_interest(starts[0], held)
        starts = [starts[0], *(self._as_held(start, starts[0]) for start in starts[1:])]
        prepared = [self._prepared(start, units) for start in starts]
        state = self._run(prepared, data, plan, of_interest, jacobian)
        if int(state.taken) == 0:
            require(False, owner, "model", "give the data a finite likelihood",
                    message_for(Status(int(state.status))),
                    f"start from {type(starts[0]).__name__}.default_init(X)")  # fmt: skip
        if normal is not None and bool(normal.near):
            state = _not_below_normal(state, data, plan, normal)
        count = int(state.taken)
        history = np.asarray(state.log_likelihoods, np.float64)[:count] - jacobian
        fitted, status = from_standard(state.model, units), _final_status(state, of_interest)
        if not status.converged:
            history = _ending_at(history, _log_likelihood(fitted, X, w))
        held_names = (*names, "gamma") if self.symmetric else names
        return {
            "model": fitted,
            "status": status,
            "n_iter": count - 1,
            "n_evaluations": int(state.evaluated),
            "log_likelihood": float(history[-1]),
            "log_likelihoods": history,
            "param_changes": np.asarray(state.param_changes)[1:count],
            "n_observations": X.shape[0] if w is None else float(data.total),
            "fixed": held_names,
            "n_starts": len(starts),
        }

    def _as_held(self, start: NormalMixture, first: NormalMixture) -> NormalMixture:
        """A further start with what is held by name at the values of the first."""
        return start if isinstance(self.fixed, Mapping) else start.with_fixed_of(first, self.fixed)

    def _prepared(self, start: NormalMixture, units: Units) -> NormalMixture:
        """The start in standard coordinates, with what is held as it is held."""
        start = jax.tree.map(lambda leaf: leaf.astype(units.scale.dtype), start)
        if isinstance(self.fixed, Mapping):
            start = start.with_fixed(**self.fixed)
        start = to_standard(start, units)
        return start.without_skewness() if self.symmetric else start

    def _run(
        self,
        starts: list[NormalMixture],
        data: Data,
        plan: Plan,
        of_interest: Array,
        jacobian: float,
    ) -> State:
        dtype = data.X.dtype
        tol = np.inf if self.convergence == "likelihood" else self.tol
        gain_tol = np.inf if self.convergence == "parameters" else self.gain_tol
        rules = Rules(
            jnp.asarray(tol, dtype), jnp.asarray(gain_tol, dtype), of_interest, self.acceleration
        )
        progress = Progress(self.max_iter) if self.verbose else None
        callbacks = [call for call in (self.callback, progress) if call is not None]
        pause = _CALLBACK_EVERY if callbacks else self.max_iter + 1
        held = (*plan.fixed, "gamma") if self.symmetric else plan.fixed
        courses = [Course(start, data, plan, rules, self.max_iter, held) for start in starts]
        best = courses[0]
        while going := [course for course in courses if not course.over]:
            limits = [course.limit(pause) for course in going]
            states = advanced([course.state for course in going], data, limits, plan, rules)
            for course, state in zip(going, states, strict=True):
                course.resume(state)
            best = max(courses, key=lambda course: course.rank)
            for call in callbacks if best.taken > 0 else ():
                call(best.taken - 1, best.log_likelihood - jacobian)
        if progress is not None:
            progress.close()
        return best.finished()


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


def _not_below_normal(state: State, data: Data, plan: Plan, normal: NormalLaw) -> State:
    """The member next to the normal distribution if it is more likely, for near-normal rows.

    An unbounded likelihood stays one: the normal distribution is not its maximum.
    """
    last = _last_log_likelihood(state)
    full = int(state.taken) >= len(state.log_likelihoods)
    unbounded = int(state.status) == Status.UNBOUNDED
    if full or unbounded or not last < float(normal.log_likelihood):
        return state
    limit = normal.as_mixture(state.model)
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


def _log_likelihood(
    model: NormalMixture, X: Float[Array, "n d"], w: Float[Array, " n"] | None
) -> float:
    each = np.asarray(model.log_prob(X), np.float64)
    return float(np.sum(each) if w is None else np.asarray(w, np.float64) @ each)


def _ending_at(history: np.ndarray, value: float) -> np.ndarray:
    """The history with its last log-likelihood computed from the model in the units of the data.

    At a stationary point the rounding of the model leaves no trace. Next to a pole of the density
    or with a dispersion that is nearly singular it does; what was reached on the way there is then
    not known better.
    """
    return np.append(np.minimum(history[:-1], value), value)


def _last_log_likelihood(state: State) -> float:
    """-inf before the first."""
    count = int(state.taken)
    return float(state.log_likelihoods[count - 1]) if count > 0 else -np.inf


def _final_status(state: State, of_interest: Array) -> Status:
    """The status of the loop, with a limit of the family named where the model lies on it."""
    if int(state.status) == RUNNING:
        return Status.MAX_ITER
    status = Status(int(state.status))
    # Y is nearly constant on the normal limit, and cannot be solved for
    if status not in (Status.CONVERGED, Status.SOLVER_STALLED):
        return status
    dull = _last_log_likelihood(state) <= float(of_interest)
    if dull and bool(is_near_normal(state.model)):
        return Status.NORMAL_LIMIT
    limit = limit_of(state.model)
    return limit if status == Status.CONVERGED or limit == Status.NORMAL_LIMIT else status
