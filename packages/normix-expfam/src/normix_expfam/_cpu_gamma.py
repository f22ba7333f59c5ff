"""The gamma triad and fit on the CPU backend, in X ~ Gamma(α, β) with t(x) = (log x, x)."""

import numpy as np
from scipy import optimize, special

from ._stirling import LARGE, stirling_series


def log_partition(alpha: float, beta: float) -> float:
    """log Γ(α) - α log β."""
    return float(special.gammaln(alpha) - alpha * np.log(beta))


def mean(alpha: float, beta: float) -> np.ndarray:
    """(E log X, E X)."""
    return np.array([special.digamma(alpha) - np.log(beta), alpha / beta])


def covariance(alpha: float, beta: float) -> np.ndarray:
    """Cov (log X, X)."""
    return np.array([[special.polygamma(1, alpha), 1 / beta], [1 / beta, alpha / beta**2]])


def shape(c: float) -> float:
    """α with log α - digamma(α) = c > 0; inf at c = 0, nan below."""
    if not 0 <= c < np.inf:
        return np.nan
    if c == 0 or 1 / c == np.inf:
        return np.inf
    # 1/(2α) < c < 1/α brackets it
    root: float = optimize.brentq(
        lambda alpha: _log_less_digamma(alpha) - c, 0.5 / c, 1.0 / c,
        xtol=1e-300, rtol=8.9e-16,
    )  # fmt: skip
    return root


def _log_less_digamma(alpha: float) -> float:
    """log α - digamma(α), for large α as ½/α less the slope of Stirling's remainder."""
    if alpha < LARGE:
        return float(np.log(alpha) - special.digamma(alpha))
    return float(0.5 / alpha - stirling_series(1, 1 / alpha))
