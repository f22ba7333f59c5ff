"""`fit` and `fit_all`: from data to a fitted model in one call."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

from normix_mixtures import FAMILIES, NormalMixture, to_generalized_hyperbolic

from ._batch import BatchEMFitter, Callback
from ._compile import compile_spans, seconds_covered
from ._concrete import refuse_tracing
from ._convergence import relative_change
from ._result import EMResult
from ._starts import default_starts, is_suspect

_STARTS = 8  # where one is not enough


def fit(
    X: ArrayLike,
    family: str = "gh",
    *,
    weights: ArrayLike | None = None,
    n_starts: int = 1,
    **options: Any,
) -> EMResult:
    """Fit a family to the rows of X by EM from its default start, or from several.

    Args:
        X: observations, shape (n, d), n > d.
        family: a name in `FAMILIES`, such as "gh", "nig", "vg", "ninvg".
        weights: one per row, >= 0, shape (n,).
        n_starts: the default start and others with lighter and heavier tails, side by side; the
            fit with the highest likelihood is returned. With one start, seven others are tried
            where the fit does not end, where Σ collapses against γ γᵀ, and where it ends next to a
            normal distribution though a column is clearly not normal. `EMResult.n_starts` is then
            8.
        **options: of `BatchEMFitter`: max_iter, tol, gain_tol, convergence, stop_near_normal,
            algorithm, acceleration, symmetric, fixed, e_step_backend, m_step_backend, callback,
            verbose.

    Raises:
        ValueError: for an unknown family, n_starts < 1, and where `BatchEMFitter` and
            `default_init` do.
        TypeError: for traced data, under jit, vmap or grad.

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
    refuse_tracing("fit", (X, weights))
    began = time.perf_counter()
    with compile_spans() as spans:
        fitter = BatchEMFitter(**options)
        starts = default_starts(_family(family), X, weights, n_starts)
        result = fitter.fit(starts, X, weights)
        if n_starts == 1 and is_suspect(result, X, weights):
            _, *others = default_starts(_family(family), X, weights, _STARTS)
            if not isinstance(fitter.fixed, Mapping):  # names hold what the first start has
                others = [start.with_fixed_of(starts[0], fitter.fixed) for start in others]
            result = _better(result, fitter.fit(others, X, weights))
    return dataclasses.replace(
        result, elapsed=time.perf_counter() - began, compile_seconds=seconds_covered(spans)
    )


def _better(first: EMResult, second: EMResult) -> EMResult:
    """The fit with the higher likelihood, if it has a maximum, as the best of all starts."""
    better = second if _rank(second) > _rank(first) else first
    return dataclasses.replace(better, n_starts=first.n_starts + second.n_starts)


def _rank(result: EMResult) -> tuple[bool, float]:
    return result.comparable, result.log_likelihood


def fit_all(
    X: ArrayLike,
    families: Sequence[str] | None = None,
    *,
    weights: ArrayLike | None = None,
    n_starts: int = 1,
    callback: Callable[[str, int, float], None] | None = None,
    **options: Any,
) -> dict[str, EMResult]:
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
        weights: one per row, >= 0, shape (n,).
        n_starts: as in `fit`.
        callback: called as ``callback(family, n_iter, log_likelihood)`` every few iterations.
        **options: of `BatchEMFitter`.

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
    results = {}
    families = tuple(FAMILIES) if families is None else families
    for name in families:
        _family(name)
    for name in families:
        results[name] = fit(
            X, name, weights=weights, n_starts=n_starts, callback=_named(callback, name), **options
        )
    bounded = [result for result in results.values() if result.comparable]
    if "gh" in results and bounded:
        first = results["gh"]
        best = max(bounded, key=lambda result: result.log_likelihood)
        below = best.log_likelihood > first.log_likelihood
        if below or not first.comparable:
            start = to_generalized_hyperbolic(best.model)
            fitter = BatchEMFitter(callback=_named(callback, "gh"), **options)
            further = fitter.fit(start, X, weights)
            if below or further.comparable:
                results["gh"] = _continued(first, further, start)
    return results


def _continued(first: EMResult, second: EMResult, start: NormalMixture) -> EMResult:
    """The account of both fits as one, the move to the second start counted as an iteration.

    Where the first ended above the second start, at no maximum, its history is left out.
    """
    history, changes, n_iter = second.log_likelihoods, second.param_changes, second.n_iter
    if first.log_likelihood <= history[0]:
        jump = np.asarray(relative_change(first.model.normalize(), start.normalize()))
        history = np.concatenate([first.log_likelihoods, history])
        changes = np.concatenate([first.param_changes, jump[None], changes])
        n_iter = first.n_iter + 1 + n_iter
    return EMResult(
        model=second.model,
        status=second.status,
        n_iter=n_iter,
        log_likelihood=second.log_likelihood,
        log_likelihoods=history,
        param_changes=changes,
        elapsed=first.elapsed + second.elapsed,
        n_observations=second.n_observations,
        n_evaluations=first.n_evaluations + second.n_evaluations,
        compile_seconds=first.compile_seconds + second.compile_seconds,
        fixed=second.fixed,
    )


def _named(callback: Callable[[str, int, float], None] | None, name: str) -> Callback | None:
    if callback is None:
        return None
    return lambda n_iter, log_likelihood: callback(name, n_iter, log_likelihood)


def _family(name: str) -> type[NormalMixture]:
    if name not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {name!r}")
    return FAMILIES[name]
