"""`EMResult`: what a fit returns, and how it says how it ended."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, TypeVar, final

import equinox as eqx
import numpy as np
from jaxtyping import ArrayLike, Float

from normix_expfam import Status
from normix_expfam.internal import describe, require, to_host
from normix_fit._compilation import compile_spans, seconds_covered
from normix_fit._data import Rows
from normix_mixtures import Held, NormalMixture

from ._plot import plot_trace
from ._standard_errors import FitAccount, StandardErrors, rows_of, standard_errors
from ._summary import summarise

Model = TypeVar("Model", bound=NormalMixture)

_ADVICE = {
    Status.CONVERGED: "converged",
    Status.INVERSE_GAMMA_LIMIT: (
        "converged on the boundary a = 0: the fit is a skewed t law (NormalInverseGamma)"
    ),
    Status.GAMMA_LIMIT: (
        "converged on the boundary b = 0: the fit is a variance gamma law (VarianceGamma)"
    ),
    Status.NORMAL_LIMIT: (
        "the law is next to a normal one, and the data do not tell it from one (BIC prefers "
        "fewer parameters): neither its shape nor gamma is determined; use a normal law, or "
        "stop_near_normal=False to go on to the maximum"
    ),
    Status.MAX_ITER: (
        "max_iter was reached before convergence; the fit may be on its way to a poor maximum: try "
        "several starts (n_starts=8 of fit, or a list of starts), then a larger max_iter (n_passes "
        "with minibatches)"
    ),
    Status.UNBOUNDED: (
        "mu met a data point where the density of the family is infinite, or has a cusp for "
        "d/2 < p <= d/2 + 1: EM cannot go on, and the likelihood may have no maximum; remove "
        "repeated rows, or rows in which nothing moved"
    ),
    Status.SINGULAR_DISPERSION: (
        "the dispersion became singular, or too nearly so for the likelihood to be computed; look "
        "for columns that are linearly dependent or rows that are repeated, and the model returned "
        "is the best one before that"
    ),
    Status.SOLVER_STALLED: (
        "the subordinator's parameters could not be solved for; the model returned is the last "
        "one before that"
    ),
    Status.NON_FINITE: (
        "the likelihood or a parameter became nan or infinite; the model returned is the last "
        "finite one; look for extreme outliers"
    ),
}


_BOUNDED = {"NormalInverseGaussian": "nig", "NormalInverseGamma": "ninvg"}  # densities


def message_for(status: Status, family: type | None = None) -> str:
    """What a status means for a fit of a family, and what to do about it."""
    message = _ADVICE.get(status, status.message)
    if status == Status.UNBOUNDED:
        own = "" if family is None else family.__name__
        others = [short for name, short in _BOUNDED.items() if name != own]
        message += f", or fit {' or '.join(others)}, whose densities are bounded"
    return message


class _Kept:
    """The data of a fit, beside the pytree; two are equal if they are the same."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows


@final
class EMResult(eqx.Module, Generic[Model]):
    """A fitted model and the account of its fit; a pytree.

    Attributes:
        model: the fitted model, in the units of the data and in the gauge of `normalize`.
        status: how the fit ended.
        n_iter: number of M-steps taken.
        log_likelihood: total log-likelihood of the data as they are, natural logarithm.
        log_likelihoods: its history, shape (n_iter + 1,); it never falls.
        param_changes: largest relative change of the normal parameters (μ, γ, `L_Σ`) in each
            iteration, shape (n_iter,), each in units of √Σ_jj of its row.
        elapsed: seconds from call to return, compilation included.
        n_observations: number of rows, or the sum of their weights.
        n_evaluations: number of E-steps computed over all rows.
        compile_seconds: the part of `elapsed` that went into compiling.
        held: what was held; its names are out of mu, gamma, p, alpha, subordinator.
        n_starts: number of starts of which this is the best fit.
        backend: the engine that ran: "cpu" (NumPy and BLAS), "jax", or "mixed".
    """

    model: Model
    status: Status = eqx.field(static=True)
    n_iter: int = eqx.field(static=True)
    log_likelihood: float
    log_likelihoods: Float[np.ndarray, " n_iter_plus_1"]
    param_changes: Float[np.ndarray, " n_iter"]
    n_observations: int | float = eqx.field(static=True)
    elapsed: float = 0.0
    n_evaluations: int = eqx.field(static=True, default=0)
    compile_seconds: float = 0.0
    held: Held = Held()
    n_starts: int = eqx.field(static=True, default=1)
    backend: Literal["jax", "cpu", "mixed"] = eqx.field(static=True, default="jax")
    _kept: _Kept | None = eqx.field(static=True, default=None, repr=False)

    def __repr__(self) -> str:
        return describe(self)

    @property
    def converged(self) -> bool:
        """Whether the fit ended at a stationary point of the likelihood, or at a normal law."""
        return self.status.converged

    @property
    def message(self) -> str:
        """How the fit ended, and what to do about it."""
        return message_for(self.status, type(self.model))

    @property
    def comparable(self) -> bool:
        """Whether the likelihood may be compared with that of other fits, converged or not.

        False where it has no maximum (`Status.has_maximum`), and where it or a parameter of the
        normal part is not finite.
        """
        model = to_host(self.model)
        parts = (self.log_likelihood, model.mu, model.gamma, model.joint.dispersion.pivots())
        finite = all(bool(np.all(np.isfinite(np.asarray(part)))) for part in parts)
        return self.status.has_maximum and finite

    @property
    def n_parameters(self) -> int:
        """Free parameters of the law, without the gauge and what was held."""
        return self.model.count_parameters(self.held)

    @property
    def aic(self) -> float:
        """Akaike's criterion 2 k - 2 log L."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion k log n - 2 log L."""
        return float(self.n_parameters * np.log(self.n_observations) - 2 * self.log_likelihood)

    def summary(self) -> str:
        """The fit as a plain-text table; components are listed up to d = 12.

        μ and scale √Σ_jj are in the units of the data; γ, Σ and the law of Y are in the gauge in
        which log Y has its mode at 0.

        Examples:
            >>> import jax
            >>> from normix_fit import fit
            >>> from normix_mixtures import NormalInverseGaussian
            >>> truth = NormalInverseGaussian.from_classical(
            ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
            ... )
            >>> result = fit(truth.sample(jax.random.key(0), (200,)), "nig")
            >>> for line in result.summary().splitlines()[:5]:
            ...     print(line)
            NormalInverseGaussian
              status          converged
              observations    200
              components      2
              parameters      8
        """
        facts = {name: _as_text(value) for name, value in self.__rich_repr__()}
        facts["seconds"] += f" ({_as_text(self.compile_seconds)} of them compiling)"
        del facts["family"]
        return summarise(self.model, list(facts.items()))

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        """The account without arrays, as rich prints it."""
        yield "family", type(self.model).__name__
        yield "status", self.message
        yield "observations", self.n_observations
        yield "components", self.model.dimension
        yield "parameters", self.n_parameters
        if self.held.names:
            yield "held", ", ".join(self.held.names)
        yield "log-likelihood", self.log_likelihood
        yield "per row", self.log_likelihood / self.n_observations
        yield "AIC", self.aic
        yield "BIC", self.bic
        yield "iterations", self.n_iter
        yield "evaluations", self.n_evaluations
        if self.n_starts > 1:
            yield "best of", f"{self.n_starts} starts"
        yield "seconds", self.elapsed

    def standard_errors(
        self, X: ArrayLike | None = None, weights: ArrayLike | None = None
    ) -> StandardErrors:
        """Standard errors of μ, γ, Σ and the subordinator, in the gauge of `normalize`.

        From the observed information -∇² log L of the marginal likelihood, by the delta method
        (Efron & Hinkley 1978). Parameters that were held have 0. For a generalized hyperbolic fit
        with a = 0 or b = 0 that parameter has nan, and the others are those of a fit with it held.

        Args:
            X: the data of the fit, shape (n, d). They may be left out for the result of a batch
                fit, which keeps them, in memory and when it is pickled.
            weights: those of the fit, one per row, >= 0, shape (n,); a weight counts as a number
                of equal rows.

        Raises:
            ValueError: if X or the weights are not finite, or not those of the fit: of another
                number, sum or log-likelihood; if the status is NORMAL_LIMIT or UNBOUNDED; if the
                dispersion is not dense; if the information is not positive definite, so that the
                model is no maximum.
        """
        owner = "EMResult.standard_errors"
        determined = self.status not in (Status.NORMAL_LIMIT, Status.UNBOUNDED)
        require(determined, owner, "status", "be that of a maximum with a determined shape",
                f"{self.status.name}: {self.message}",
                "fit another family")  # fmt: skip
        fit = FitAccount(self.n_observations, self.log_likelihood, self.held)
        if X is not None:
            return standard_errors(owner, self.model, rows_of(owner, self.model, X, weights), fit)
        if self._kept is None:
            raise ValueError(f"{owner}: X must be given, this result does not know its data")
        return standard_errors(owner, self.model, self._kept.rows, fit)

    def plot(self, ax: Any = None) -> Any:
        """Distance to the last log-likelihood, and the changes of the parameters, on a log axis.

        Args:
            ax: matplotlib axes to draw on; without it a figure is made.

        Returns:
            The matplotlib figure, which belongs to the caller.

        Raises:
            ImportError: if a figure has to be made and matplotlib is not installed.
        """
        return plot_trace(self.log_likelihoods, self.param_changes, ax)


def _as_text(value: Any) -> str:
    """Integers and text as they are; large floats, such as a likelihood, to 10 digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.10g}" if abs(value) > 1e3 else f"{value:.4g}"


def timed(fit: Callable[[], EMResult[Model]]) -> EMResult[Model]:
    """The result of a fit with the seconds that it took, and those of them spent compiling."""
    began = time.perf_counter()
    # what is not finite ends a fit with a status, in NumPy as in JAX
    with compile_spans() as spans, np.errstate(all="ignore"):
        result = fit()
    return dataclasses.replace(
        result, elapsed=time.perf_counter() - began, compile_seconds=seconds_covered(spans)
    )


def with_data(result: EMResult[Model], rows: Rows) -> EMResult[Model]:
    """The result with its data at hand, for what is asked of it later."""
    return dataclasses.replace(result, _kept=_Kept(rows))
