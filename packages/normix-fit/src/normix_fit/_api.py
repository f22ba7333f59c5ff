"""`fit` and `fit_all`: from data to a fitted model in one call."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import numpy as np
from jaxtyping import ArrayLike

from normix_expfam.internal import to_host, to_jax
from normix_mixtures import (
    FAMILIES,
    GeneralizedHyperbolic,
    Held,
    NormalInverseGamma,
    NormalInverseGaussian,
    NormalMixture,
    VarianceGamma,
    to_generalized_hyperbolic,
)

from ._backend import Choice
from ._data import Rows
from ._em._acceleration import Acceleration
from ._em._batch import BatchEMFitter, Callback, Convergence, Fixed
from ._em._evaluation import Algorithm
from ._em._starts import default_starts, is_suspect
from ._result._em_result import EMResult, timed
from ._tracing import refuse_tracing

_STARTS = 8  # where one is not enough

Model = TypeVar("Model", bound=NormalMixture)


class FitOptions(TypedDict, total=False):
    """Settings of `BatchEMFitter` as keywords of `fit` and `fit_all`; see there."""

    max_iter: int
    tol: float
    gain_tol: float
    backend: Choice
    e_step_backend: Choice | None
    m_step_backend: Choice | None
    algorithm: Algorithm
    acceleration: Acceleration
    convergence: Convergence
    stop_near_normal: bool
    symmetric: bool
    fixed: Fixed
    callback: Callback | None
    verbose: bool


@overload
def fit(
    X: ArrayLike,
    family: Literal["gh"] = "gh",
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    **options: Unpack[FitOptions],
) -> EMResult[GeneralizedHyperbolic]: ...
@overload
def fit(
    X: ArrayLike,
    family: Literal["nig"],
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    **options: Unpack[FitOptions],
) -> EMResult[NormalInverseGaussian]: ...
@overload
def fit(
    X: ArrayLike,
    family: Literal["vg"],
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    **options: Unpack[FitOptions],
) -> EMResult[VarianceGamma]: ...
@overload
def fit(
    X: ArrayLike,
    family: Literal["ninvg"],
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    **options: Unpack[FitOptions],
) -> EMResult[NormalInverseGamma]: ...
@overload
def fit(
    X: ArrayLike,
    family: type[Model],
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    **options: Unpack[FitOptions],
) -> EMResult[Model]: ...
@overload
def fit(
    X: ArrayLike,
    family: str,
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    **options: Unpack[FitOptions],
) -> EMResult[Any]: ...
def fit(
    X: ArrayLike,
    family: str | type[NormalMixture] = "gh",
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    **options: Unpack[FitOptions],
) -> EMResult[Any]:
    """Fit a family to the rows of X by EM from its default start, or from several.

    Args:
        X: observations, shape (n, d), n > d.
        family: a name in `FAMILIES`, such as "gh", "nig", "vg", "ninvg", or a class of models.
        fitter: the settings; `BatchEMFitter()` if left out.
        n_starts: the default start and others with lighter and heavier tails, side by side; the
            fit with the highest likelihood is returned. With one start, seven others are tried
            where the fit does not end, where Σ collapses against γ γᵀ, and where it ends next to a
            normal distribution though a column is clearly not normal. `EMResult.n_starts` is then
            8.
        weights: one per row, >= 0, shape (n,).
        **options: settings of `BatchEMFitter` that replace those of `fitter`: max_iter, tol,
            gain_tol, convergence, stop_near_normal, algorithm, acceleration, symmetric, fixed,
            backend, e_step_backend, m_step_backend, callback, verbose.

    Raises:
        ValueError: for an unknown family, n_starts < 1, and where `BatchEMFitter` and
            `default_init` do.
        TypeError: for an option that does not exist; for traced data, under jit, vmap or grad.

    Examples:
        >>> import jax
        >>> from normix_fit import fit
        >>> from normix_mixtures import NormalInverseGaussian
        >>> truth = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> X = truth.sample(jax.random.key(0), (200,))
        >>> result = fit(X, "nig")
        >>> result.converged, result.status.name, result.n_parameters
        (True, 'CONVERGED', 8)
        >>> result.log_likelihood > float(truth.log_prob(X).sum())
        True
    """
    settings = _settings("fit", fitter, options)
    chosen = _family(family)
    refuse_tracing("fit", (X, weights))
    found: EMResult[Any] = timed(
        lambda: _fit(settings.observe("fit", X, weights), chosen, n_starts, settings)
    )
    return found


def _settings(
    owner: str, fitter: BatchEMFitter | None, options: Mapping[str, Any]
) -> BatchEMFitter:
    """The fitter with the options in place of its own.

    Raises:
        TypeError: for an option that it does not have.
    """
    known = [field.name for field in dataclasses.fields(BatchEMFitter)]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise TypeError(f"{owner}: there is no option {name!r}; {hint}")
    return dataclasses.replace(BatchEMFitter() if fitter is None else fitter, **options)


def _fit(rows: Rows, family: type[Model], n_starts: int, fitter: BatchEMFitter) -> EMResult[Model]:
    starts: list[Any] = default_starts(family, rows, n_starts)
    result: EMResult[Model] = fitter.fit(starts, rows)
    if n_starts == 1 and is_suspect(result, rows):
        others: list[Any] = default_starts(family, rows, _STARTS)[1:]
        if not isinstance(fitter.fixed, Mapping):  # names hold what the first start has
            held = Held.of(family, tuple(fitter.fixed))
            others = [start.with_held_of(starts[0], held) for start in others]
        again: EMResult[Model] = fitter.fit(others, rows)
        result = _better(result, again)
    return result


def _better(first: EMResult[Model], second: EMResult[Model]) -> EMResult[Model]:
    """The fit with the higher likelihood, if it has a maximum, as the best of all starts."""
    better = second if _rank(second) > _rank(first) else first
    return dataclasses.replace(better, n_starts=first.n_starts + second.n_starts)


def _rank(result: EMResult[Any]) -> tuple[bool, float]:
    return result.comparable, result.log_likelihood


def fit_all(
    X: ArrayLike | Rows,
    families: Sequence[str] | None = None,
    *,
    fitter: BatchEMFitter | None = None,
    n_starts: int = 1,
    weights: ArrayLike | None = None,
    callback: Callable[[str, int, float], None] | None = None,
    **options: Any,
) -> dict[str, EMResult[Any]]:
    """Fit several families to the same data, in the order given.

    The generalized hyperbolic family contains the others. If its fit ends below one of them, by
    the gain left at convergence or in another local maximum, it is continued from the best of
    them, so that the comparison is one of nested families. It is continued as well if its own
    likelihood went on without bound and that of another did not. Its iterations and seconds are
    then those of both parts, and its status is that of the second. A fit of another family is
    not used as a start if its likelihood has no maximum (`EMResult.comparable`); `rank` puts such
    fits last.

    Args:
        X: observations, shape (n, d), n > d.
        families: names as in `fit`, each once; all of `FAMILIES` if left out.
        fitter: as in `fit`.
        n_starts: as in `fit`.
        weights: one per row, >= 0, shape (n,).
        callback: called as ``callback(family, n_iter, log_likelihood)`` every few iterations.
        **options: as in `fit`.

    Raises:
        ValueError: as `fit`.
        TypeError: as `fit`.

    Examples:
        >>> import jax
        >>> from normix_fit import fit_all, rank
        >>> from normix_mixtures import NormalInverseGaussian
        >>> truth = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> results = fit_all(truth.sample(jax.random.key(0), (200,)), ["vg", "nig"])
        >>> rank(results), results["nig"].bic < results["vg"].bic
        (['nig', 'vg'], True)
    """
    settings = _settings("fit_all", fitter, options)
    chosen = {name: _family(name) for name in (FAMILIES if families is None else families)}
    refuse_tracing("fit_all", (X, weights))
    rows = settings.observe("fit_all", X, weights)
    results: dict[str, EMResult[Any]] = {}

    def named(name: str) -> BatchEMFitter:
        return (
            settings
            if callback is None
            else dataclasses.replace(
                settings, callback=lambda n_iter, value: callback(name, n_iter, value)
            )
        )

    for name, family in chosen.items():
        results[name] = _timed_fit(rows, family, n_starts, named(name))
    bounded = [result for result in results.values() if result.comparable]
    if "gh" in results and bounded:
        first = results["gh"]
        best = max(bounded, key=lambda result: result.log_likelihood)
        below = best.log_likelihood > first.log_likelihood
        if below or not first.comparable:
            start = _as_generalized_hyperbolic(best.model)
            further = named("gh").fit(start, rows)
            if below or further.comparable:
                results["gh"] = _continue(first, further, start)
    return results


def _timed_fit(
    rows: Rows, family: type[Model], n_starts: int, fitter: BatchEMFitter
) -> EMResult[Model]:
    return timed(lambda: _fit(rows, family, n_starts, fitter))


def _continue(first: EMResult[Model], second: EMResult[Model], start: Any) -> EMResult[Model]:
    """The account of both fits as one, the move to the second start counted as an iteration.

    Where the first ended above the second start, at no maximum, its history is left out.
    """
    history, changes, n_iter = second.log_likelihoods, second.param_changes, second.n_iter
    if first.log_likelihood <= history[0]:
        begin, follow = (to_host(model).normalize() for model in (first.model, start))
        jump = np.asarray(begin.change(follow))
        history = np.concatenate([first.log_likelihoods, history])
        changes = np.concatenate([first.param_changes, jump[None], changes])
        n_iter = first.n_iter + 1 + n_iter
    return dataclasses.replace(
        second,
        n_iter=n_iter,
        log_likelihoods=history,
        param_changes=changes,
        elapsed=first.elapsed + second.elapsed,
        n_evaluations=first.n_evaluations + second.n_evaluations,
        compile_seconds=first.compile_seconds + second.compile_seconds,
    )


def _as_generalized_hyperbolic(model: NormalMixture) -> NormalMixture:
    """Made on the host, where nothing is compiled for it."""
    return to_jax(to_generalized_hyperbolic(to_host(model)), model.mu.dtype)


def _family(name: str | type[NormalMixture]) -> type[NormalMixture]:
    if not isinstance(name, str):
        return name
    if name not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {name!r}")
    return FAMILIES[name]
