"""The CPU member of the GIG triad: NumPy and SciPy, float64, sharing no kernel with JAX.

Values come from scipy.special.kve and moments from a dense quadrature
(`normix_bessel` with backend="cpu"); η -> θ is L-BFGS-B on the exact objective and gradient.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from normix_bessel import log_kv, log_kv_moments
from normix_expfam import _gamma_on_host
from normix_expfam._kl_term import exp_gap
from normix_expfam._status import Status

from ._moments import GIGMoments

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
Solution = tuple[tuple[float, float, float], Status]  # (p, a, b), nan if it is not found

_RESTARTS = 12  # of L-BFGS-B; 5 sufficed for 60 random laws, p in ±50, a and b in 10^±6
_NOWHERE = (np.nan, np.nan, np.nan)
_SWAP = np.array([0, 2, 1])
_REFLECT = np.array([-1.0, 1.0, 1.0])


def _mode_of_log(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w = np.hypot(p, np.sqrt(a) * np.sqrt(b))
    return np.asarray(np.where(p > 0, w + p, b) / np.where(p > 0, a, w - p))


def log_partition(p: ArrayLike, a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """ψ(p, a, b), broadcast."""
    return moments(p, a, b, only_value=True).log_partition


def moments(p: ArrayLike, a: ArrayLike, b: ArrayLike, *, only_value: bool = False) -> GIGMoments:
    """ψ, E log Y, E 1/Y, E Y, broadcast over p, a, b; the limits a = 0 and b = 0 included."""
    from scipy import special

    p, a, b = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (p, a, b)))
    shape = p.shape
    p, a, b = p.ravel(), a.ravel(), b.ravel()
    out = np.full((4, p.size), np.nan)
    inside = (a > 0) & (b > 0)
    if inside.any():
        p1, a1, b1 = p[inside], a[inside], b[inside]
        z = np.sqrt(a1) * np.sqrt(b1)
        out[0, inside] = (
            np.log(2) + log_kv(p1, z, backend="cpu") + (p1 / 2) * (np.log(b1) - np.log(a1))
        )
        if not only_value:
            kv = log_kv_moments(p1, z, covariance=False, backend="cpu")
            y0 = _mode_of_log(p1, a1, b1)
            u, f, g = kv.mean.T
            out[1:, inside] = np.log(y0) + u, (1 - u + g) / y0, (1 + u + f) * y0
    for limit, sign in (((b == 0) & (p > 0), 1), ((a == 0) & (p < 0), -1)):
        alpha, rate = np.abs(p[limit]), (a + b)[limit] / 2
        with np.errstate(divide="ignore"):
            inverse = np.where(alpha > 1, rate / np.maximum(alpha - 1, 0), np.inf)
        rows = (sign * (special.digamma(alpha) - np.log(rate)), inverse, alpha / rate)
        out[0, limit] = special.gammaln(alpha) - alpha * np.log(rate)
        out[1:, limit] = rows if sign > 0 else (rows[0], rows[2], rows[1])
    return GIGMoments(*(row.reshape(shape) for row in out))


def covariance(p: float, a: float, b: float) -> np.ndarray:
    """Cov (log Y, 1/Y, Y) of one distribution, shape (3, 3)."""
    if a == 0 or b == 0:
        return _limit_covariance(abs(p), (a + b) / 2, mirrored=bool(a == 0))
    kv = log_kv_moments(p, np.sqrt(a) * np.sqrt(b), backend="cpu")
    y0 = float(_mode_of_log(np.asarray(p), np.asarray(a), np.asarray(b)))
    change = np.array([[1, 0, 0], [-1 / y0, 0, 1 / y0], [y0, y0, 0]])
    return change @ kv.cov @ change.T


def _limit_covariance(alpha: float, rate: float, *, mirrored: bool) -> np.ndarray:
    """Of (log X, 1/X, X) for X ~ Gamma(alpha, rate), or with 1/X for X."""
    from scipy import special

    first = alpha - 1
    exists = first > 0
    log_inverse = -rate / first**2 if exists else -np.inf
    var_inverse = rate**2 / (first**2 * (alpha - 2)) if alpha > 2 else np.inf
    cross = -1 / first if exists else -np.inf
    cov = np.array([
        [special.polygamma(1, alpha), log_inverse, 1 / rate],
        [log_inverse, var_inverse, cross],
        [1 / rate, cross, alpha / rate**2],
    ])  # fmt: skip
    return cov[_SWAP][:, _SWAP] * np.outer(_REFLECT, _REFLECT) if mirrored else cov


def _inverse_root(x: np.ndarray) -> np.ndarray:
    """T with T Tᵀ about the inverse Hessian of the objective in x = (p, log a, log b).

    Without it L-BFGS-B stops far from the maximum of a concentrated distribution, whose Hessian has
    the condition number w². The ridge keeps steps in the logarithms finite where a or b is
    immaterial.
    """
    p, a, b = float(x[0]), float(np.exp(x[1])), float(np.exp(x[2]))
    change = np.array([[1, 0, 0], [0, 0, -a / 2], [0, -b / 2, 0]])
    hessian = change @ covariance(p, a, b) @ change.T + np.diag([0.0, 1e-2, 1e-2])
    scale = np.sqrt(np.diagonal(hessian))
    factor = np.linalg.cholesky(hessian / np.outer(scale, scale) + 1e-14 * np.eye(3))
    return np.asarray(np.linalg.inv(factor).T / scale[:, None])


def _in_coordinates(objective: Objective, x: np.ndarray, root: np.ndarray) -> Objective:
    """The objective and its gradient as functions of ξ, at x + root ξ."""

    def pull_back(xi: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = objective(x + root @ xi)
        return value, root.T @ slope

    return pull_back


def solve(eta: np.ndarray) -> Solution:
    """GIG(p, a, b) with E t(Y) = η, or its maximum on the boundary.

    INFEASIBLE if η is not a mean of (log y, 1/y, y), MAX_ITER if L-BFGS-B stops short of a
    stationary point.
    """
    log_y, inverse_y, y = (float(x) for x in eta)
    if not (np.isfinite(log_y) and 0 < inverse_y < np.inf and y > 0):
        return _NOWHERE, Status.INFEASIBLE
    return solve_gaps(y, inverse_y, np.log(y) - log_y, np.log(inverse_y) + log_y)


def solve_gaps(y: float, inverse_y: float, lower: float, upper: float) -> Solution:
    """The same for log E Y - E log Y and log E 1/Y + E log Y in place of E log Y."""
    heavy = y == np.inf  # the maximum is then on a = 0, and E Y plays no part in it
    lower = 1.0 if heavy else lower
    if not (0 < lower < np.inf and 0 < upper < np.inf):
        return _NOWHERE, Status.INFEASIBLE
    s, log_mean, centred = np.sqrt(y) / np.sqrt(inverse_y), (lower + upper) / 2, (upper - lower) / 2
    alpha, mirror, excess = (
        _gamma_on_host.shape(lower),
        _gamma_on_host.shape(upper),
        np.expm1(2 * log_mean),
    )
    if not heavy and alpha > 1 and excess * (alpha - 1) >= 1:
        return (alpha, 2 * alpha / y, 0.0), Status.GAMMA_LIMIT
    if heavy or (mirror > 1 and excess * (mirror - 1) >= 1):
        return (-mirror, 0.0, 2 * mirror / inverse_y), Status.INVERSE_GAMMA_LIMIT

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        # ψ - θ·η about the mode y0 of log Y, in (u, f, g) of `KvMoments`
        p, a, b = x[0], np.exp(x[1]), np.exp(x[2])
        kv = log_kv_moments(p, np.sqrt(a) * np.sqrt(b), covariance=False, backend="cpu")
        y0 = float(_mode_of_log(np.asarray(p), np.asarray(a), np.asarray(b)))
        up, down = a * y0 / 2, b / y0 / 2
        f = exp_gap(log_mean - np.log(y0), np) + lower
        g = exp_gap(log_mean + np.log(y0), np) + upper
        du, df, dg = kv.mean - np.array([centred - np.log(y0), f, g])
        value = float(kv.log_mass) + up * f + down * g
        return value, np.array([du, -up * (du + df), -down * (dg - du)])

    from scipy import optimize

    x = np.array([0.0, -np.log(2 * log_mean), -np.log(2 * log_mean)])
    for _ in range(_RESTARTS):
        root = _inverse_root(x)
        step = optimize.minimize(
            _in_coordinates(objective, x, root), np.zeros(3), jac=True, method="L-BFGS-B",
            options={"maxiter": 50, "ftol": 0.0, "gtol": 1e-9},
        )  # fmt: skip
        x = x + root @ step.x
        value, slope = objective(x)
        if np.sum((_inverse_root(x).T @ slope) ** 2) < 1e-13 * (1 + abs(value)):
            found = float(x[0]), float(np.exp(x[1]) / s), float(np.exp(x[2]) * s)
            return found, Status.CONVERGED
    return _NOWHERE, Status.MAX_ITER
