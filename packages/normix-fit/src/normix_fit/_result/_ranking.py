"""`rank`: fits of several families to the same data, in order."""

from collections.abc import Mapping
from typing import Any

from normix_expfam import Status

from ._em_result import EMResult

_CRITERIA = ("aic", "bic")


def rank(results: Mapping[str, EMResult[Any]], by: str = "aic") -> list[str]:
    """Names of fits to the same data, the best by an information criterion first.

    Fits that converged or used up their iterations come before those that broke off, and last,
    as given, come those whose likelihood compares with nothing (`EMResult.comparable`): a variance
    gamma law that closes in on one row has any likelihood one likes.

    Args:
        results: as `fit_all` returns them.
        by: "aic" or "bic".

    Raises:
        ValueError: for another criterion.

    Examples:
        >>> import jax
        >>> from normix_fit import fit_all, rank
        >>> from normix_expfam import Status
    from normix_mixtures import NormalInverseGaussian
        >>> truth = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> rank(fit_all(truth.sample(jax.random.key(0), (200,)), ["vg", "nig"]))
        ['nig', 'vg']
    """
    if by not in _CRITERIA:
        raise ValueError(f"rank: by must be one of {', '.join(_CRITERIA)}, got {by!r}")

    def key(name: str) -> tuple[int, float]:
        result = results[name]
        if not result.comparable:
            return 2, 0.0
        on_its_way = result.converged or result.status == Status.MAX_ITER
        return (0 if on_its_way else 1), float(getattr(result, by))

    return sorted(results, key=key)
