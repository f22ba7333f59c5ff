"""The gamma triad and fit on the CPU backend, in X ~ Gamma(α, β) with t(x) = (log x, x)."""

import numpy as np
from scipy import special


def log_partition(alpha: float, beta: float) -> float:
    """log Γ(α) - α log β."""
    return float(special.gammaln(alpha) - alpha * np.log(beta))


def mean(alpha: float, beta: float) -> np.ndarray:
    """(E log X, E X)."""
    return np.array([special.digamma(alpha) - np.log(beta), alpha / beta])


def covariance(alpha: float, beta: float) -> np.ndarray:
    """Cov (log X, X)."""
    return np.array([[special.polygamma(1, alpha), 1 / beta], [1 / beta, alpha / beta**2]])
