"""`BatchEMFitter`: EM over all rows, as one device loop or, for CPU backends, a Python loop."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam import Status
from normix_expfam.internal import (
    Array,
    Backend,
    is_on_host,
    namespace_of,
    require,
    to_host,
    to_jax,
)
from normix_fit._backend import CHOICES, Choice, resolve
from normix_fit._data import Rows
from normix_fit._observe import observe
from normix_fit._result._em_result import EMResult, message_for, timed, with_data
from normix_fit._standardisation import Units
from normix_fit._tracing import refuse_tracing
from normix_mixtures import Held, NormalMixture

from ._acceleration import Acceleration, put
from ._course import Course
from ._evaluation import Algorithm, Plan, evaluate, is_host
from ._loop import Rules, State, advance
from ._normal_reference import NormalReference, is_near_normal, normal_reference
from ._progress import Progress
from ._termination import limit_of

Model = TypeVar("Model", bound=NormalMixture)
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

    The backend is that of the whole fit. "cpu" is NumPy and BLAS in float64, which compile
    nothing; with "jax" the whole loop runs on the device and is compiled once per family, shape and
    configuration. Both take the same steps. "auto", the default, is "cpu" for data on the host and
    for an array of JAX on a CPU, where JAX runs on a CPU, and "jax" elsewhere: for arrays on an
    accelerator or in shards, and beside an accelerator.

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
        backend: "auto", "jax" or "cpu"; `EMResult.backend` says which one it was.
        e_step_backend: another one for the E-step; the loop runs on the host then.
        m_step_backend: another one for the M-step.
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
    backend: Choice = eqx.field(static=True, default="auto")
    e_step_backend: Choice | None = eqx.field(static=True, default=None)
    m_step_backend: Choice | None = eqx.field(static=True, default=None)
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
            ("backend", CHOICES),
            ("e_step_backend", (*CHOICES, None)),
            ("m_step_backend", (*CHOICES, None)),
            ("algorithm", ("em", "mcecm")),
            ("acceleration", ("anderson", "squarem", None)),
            ("convergence", ("both", "parameters", "likelihood")),
        ):
            value = getattr(self, name)
            listed = " or ".join(repr(choice) for choice in choices)
            require(value in choices, _OWNER, name, f"be {listed}", repr(value), "choose one")

    def fit(
        self,
        model: Model | Sequence[Model],
        X: ArrayLike | Rows,
        weights: ArrayLike | None = None,
    ) -> EMResult[Model]:
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
        owner = f"{_OWNER}.fit"
        refuse_tracing(owner, (model, X, weights))
        starts = [model] if isinstance(model, NormalMixture) else [*model]
        families = {type(start).__name__ for start in starts}
        require(len(families) == 1, owner, "model", "be of one family",
                ", ".join(sorted(families)) or "none",
                "fit families one after the other")  # fmt: skip
        return timed(lambda: self._fit(starts, self.observe(owner, X, weights)))

    def observe(self, owner: str, X: ArrayLike | Rows, weights: ArrayLike | None) -> Rows:
        """The data in the form that the E-step's backend takes, checked.

        Raises:
            ValueError: as `fit`; `owner` stands before the message.
        """
        return observe(owner, X, weights, self._backends(X)[0])

    def _backends(self, X: Any) -> tuple[Backend, Backend]:
        """Of the E-step and of the M-step."""
        given = {"e_step_backend": self.e_step_backend, "m_step_backend": self.m_step_backend}
        e_step, m_step = (
            resolve(_OWNER, name, self.backend if choice is None else choice, X)
            for name, choice in given.items()
        )
        return e_step, m_step

    def _fit(self, starts: list[Model], rows: Rows) -> EMResult[Model]:
        owner = f"{_OWNER}.fit"
        first = starts[0]
        require(rows.dimension == first.dimension, owner, "X",
                f"have the {first.dimension} columns of the model", rows.dimension,
                f"start from {type(first).__name__}.default_init(X)")  # fmt: skip
        plan = Plan(*self._backends(rows), self.algorithm, self.held(type(first)))
        if rows.dtype == np.float32 and "jax" in (plan.e_step_backend, plan.m_step_backend):
            warnings.warn(
                "BatchEMFitter.fit runs in float32: log-likelihoods keep about 7 digits; set "
                "jax.config.update('jax_enable_x64', True) before making arrays for more",
                stacklevel=5,
            )
        held = plan.held
        units = rows.units()
        data = rows.standardised(units)
        jacobian = float(data.total) * units.log_jacobian
        on_device = plan.on_device and rows.on_device
        of_interest: Any = jnp.asarray(-jnp.inf, rows.dtype) if on_device else np.float64(-np.inf)
        if rows.namespace is np:
            starts = [to_host(start) for start in starts]
            first = starts[0]

        normal = None
        if not (held.mu or held.fixes_shape):
            normal = normal_reference(data, first.joint.dispersion)
        if normal is not None and self.stop_near_normal:
            of_interest = normal.likelihood_of_interest(first, held)
        prepared = [self._prepare(start, first, held, units) for start in starts]
        if not on_device:
            prepared, of_interest, normal, units = to_host((prepared, of_interest, normal, units))
        state = self._run(prepared, data, plan, of_interest, jacobian)
        if int(state.taken) == 0:
            require(False, owner, "model", "give the data a finite likelihood",
                    message_for(Status(int(state.status)), type(first)),
                    f"start from {type(first).__name__}.default_init(X)")  # fmt: skip
        if normal is not None and bool(normal.near):
            state = _not_below_normal(state, data, plan, normal)
        count = int(state.taken)
        history = np.asarray(state.log_likelihoods, np.float64)[:count] - jacobian
        model, status = units.from_standard(state.model), _final_status(state, of_interest)
        if not status.converged:
            history = _end_at(history, _log_likelihood(rows, model))
        result: EMResult[Model] = EMResult(
            model=to_jax(model, rows.dtype) if is_host(model) else model,
            status=status,
            n_iter=count - 1,
            n_evaluations=int(state.evaluated),
            log_likelihood=float(history[-1]),
            log_likelihoods=history,
            param_changes=np.asarray(state.param_changes)[1:count],
            n_observations=rows.n_observations,
            held=held,
            n_starts=len(starts),
            backend=plan.backend,
        )
        return with_data(result, rows)

    def held(self, family: type[NormalMixture]) -> Held:
        """What `fixed` and `symmetric` hold in a family.

        Raises:
            ValueError: if a name in `fixed` is not of this family.
        """
        return Held.of(family, tuple(self.fixed), symmetric=self.symmetric, owner=_OWNER)

    def _prepare(self, start: Model, first: Model, held: Held, units: Units) -> Any:
        """The start in standard coordinates, with what is held as it is held."""
        if not is_host(start):
            dtype = units.scale.dtype
            start, first = jax.tree.map(lambda leaf: leaf.astype(dtype), (start, first))
        if isinstance(self.fixed, Mapping):
            start = start.with_fixed(**self.fixed)
        else:
            start = start.with_held_of(first, Held(tuple(n for n in held.names if n != "gamma")))
        standard = units.to_standard(start)
        return standard.without_skewness() if held.gamma else standard

    def _run(
        self, starts: list[Any], data: Rows, plan: Plan, of_interest: Array, jacobian: float
    ) -> State:
        tol = np.inf if self.convergence == "likelihood" else self.tol
        gain_tol = np.inf if self.convergence == "parameters" else self.gain_tol
        bounds: Any = np.float64(tol), np.float64(gain_tol)
        if not is_on_host(of_interest):
            bounds = to_jax(bounds, data.dtype)
        rules = Rules(bounds[0], bounds[1], of_interest, self.acceleration)
        progress = Progress(self.max_iter) if self.verbose else None
        callbacks = [call for call in (self.callback, progress) if call is not None]
        pause = _CALLBACK_EVERY if callbacks else self.max_iter + 1
        courses = [Course(start, data, plan, rules, self.max_iter) for start in starts]
        best = courses[0]
        while going := [course for course in courses if not course.over]:
            limits = [course.limit(pause) for course in going]
            states = advance([course.state for course in going], data, limits, plan, rules)
            for course, state in zip(going, states, strict=True):
                course.resume(state)
            best = max(courses, key=lambda course: course.rank)
            for call in callbacks if best.taken > 0 else ():
                call(best.taken - 1, best.log_likelihood - jacobian)
        if progress is not None:
            progress.close()
        return best.finished()


def _not_below_normal(state: State, data: Rows, plan: Plan, normal: NormalReference) -> State:
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
    change = state.model.change(limit)
    return state._replace(
        model=limit,
        log_likelihoods=put(state.log_likelihoods, state.taken, np.asarray(value)),
        param_changes=put(state.param_changes, state.taken, np.asarray(change)),
        taken=state.taken + 1,
        evaluated=state.evaluated + 1,
        status=namespace_of(state.status).int32(Status.CONVERGED),
    )


def log_likelihood_of_block(X: Any, weights: Any, model: NormalMixture) -> Any:
    """Σ w log f(x), in the units of the data."""
    each = model.log_prob(X)
    xp = namespace_of(each)
    return xp.sum(xp.where(weights > 0, weights * each, 0.0))


def _log_likelihood(rows: Rows, model: NormalMixture) -> float:
    host = is_host(model)
    moved = model
    if host and rows.namespace is not np:
        moved = to_jax(model, rows.dtype)
    return float(rows.reduce(log_likelihood_of_block, moved))


def _end_at(history: np.ndarray, value: float) -> np.ndarray:
    """The history with its last log-likelihood computed from the model in the units of the data.

    At a stationary point the rounding of the model leaves no trace. Next to a pole of the density
    or with a dispersion that is nearly singular it does; what was reached on the way there is then
    not known better.
    """
    return np.append(np.minimum(history[:-1], value), value)


def _last_log_likelihood(state: State) -> float:
    """-inf before the first."""
    count = int(state.taken)
    return float(np.asarray(state.log_likelihoods)[count - 1]) if count > 0 else -np.inf


def _final_status(state: State, of_interest: Array) -> Status:
    """The status of the loop, with a limit of the family named where the model lies on it."""
    if int(state.status) == Status.RUNNING:
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
