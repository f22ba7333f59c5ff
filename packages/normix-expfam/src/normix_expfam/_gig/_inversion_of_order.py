"""From (E 1/Y, E Y) to (a, b) of GIG(p, a, b) with p known: one equation in ω = √(ab).

E Y · E 1/Y - 1 = K_{p+1}(ω) K_{p-1}(ω) / K_p(ω)² - 1 falls from 1/(|p| - 1), or ∞ for |p| <= 1, at
ω = 0 to 0 at ω = ∞. Means beyond the value at ω = 0 have their maximum of the likelihood on the
boundary: the gamma distribution of shape p with the same E Y, or the inverse gamma distribution
with the same E 1/Y.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normix_bessel import log_kv_moments
from normix_bessel.internal import moments_at
from normix_expfam._arrays import Array, namespace_of
from normix_expfam._manual_axes import varying_like
from normix_expfam._status import Status

from ._inversion import GIGSolution

_LEAST_LOG_OMEGA = -300.0
_MAX_STEPS = 100  # 4 to 8 are usual


def solve_gig_of_order(p: Array, inverse_y: Array, y: Array) -> GIGSolution:
    """GIG(p, a, b) of the order p with (E 1/Y, E Y) as given, or its maximum on the boundary.

    Traceable and vmappable; not differentiable in reverse. Numbers of NumPy are solved for on the
    host, where nothing is compiled.

    Args:
        p: the order, a number.
        inverse_y: E 1/Y > 0, a number.
        y: E Y > 1 / E 1/Y, a number; inf puts the maximum on a = 0, for p < 0.

    Returns:
        `GIGSolution`; on INFEASIBLE the parameters are nan.
    """
    with np.errstate(all="ignore"):
        return _solve(p, inverse_y, y)


def _solve(p: Any, inverse_y: Any, y: Any) -> GIGSolution:
    xp = namespace_of(y)
    heavy = (y == xp.inf) & (p < 0)
    y = xp.where(heavy, 2 / inverse_y, y)
    spread = y * inverse_y - 1
    eps = xp.finfo(y.dtype).eps
    feasible = xp.isfinite(spread) & (y > 0) & (inverse_y > 0) & (spread > 0) & xp.isfinite(p)
    degenerate = feasible & (spread < eps ** (2 / 3))
    at_limit = feasible & (heavy | ((xp.abs(p) > 1) & (spread * (xp.abs(p) - 1) >= 1)))
    interior = feasible & ~degenerate & ~at_limit
    log_omega, good, steps = _log_omega(p, xp.where(interior, spread, 1.0), interior)
    omega = xp.exp(xp.where(interior, log_omega, 0.0))
    scale = y / _mean(p, omega)
    w = 1 / xp.where(degenerate, spread, 1.0)
    zero, nan = xp.zeros_like(y), xp.full_like(y, xp.nan)
    status = xp.where(good, int(Status.CONVERGED), int(Status.MAX_ITER))
    a, b = omega / scale, omega * scale
    cases = (
        (degenerate, w / y, w * y, Status.DEGENERATE),
        (at_limit & (p > 0), 2 * p / y, zero, Status.GAMMA_LIMIT),
        (at_limit & (p < 0), zero, -2 * p / inverse_y, Status.INVERSE_GAMMA_LIMIT),
        (~feasible, nan, nan, Status.INFEASIBLE),
    )
    for where, this_a, this_b, name in cases:
        a, b = xp.where(where, this_a, a), xp.where(where, this_b, b)
        status = xp.where(where, int(name), status)
    return GIGSolution(p, a, b, status.astype(xp.int32), steps)


def _mean(p: Any, omega: Any) -> Any:
    """E Y of GIG(p, ω, ω)."""
    if namespace_of(omega) is jnp:
        return log_kv_moments(p, omega, covariance=False).ratio_up
    return moments_at(p, omega).ratio_up


def _log_spread(p: Any, log_omega: Any) -> tuple[Any, Any]:
    """log S, S = E Y · E 1/Y - 1, and its slope in log ω.

    S = E e^u E e^-u - 1 comes from means of e^u - 1 - u and e^-u - 1 + u, which do not cancel. The
    slope of E h(t) in ω is -Cov (h, cosh t), of which the covariance of (u, f, g) is all.
    """
    xp = namespace_of(log_omega)
    omega = xp.exp(log_omega)
    kv = (log_kv_moments if xp is jnp else moments_at)(p, omega)
    (u, f, g), cov = (kv.mean[i] for i in range(3)), xp.asarray(kv.cov)
    spread = f + g + (u + f) * (g - u)
    up_up = cov[0, 0] + 2 * cov[0, 1] + cov[1, 1]
    down_down = cov[0, 0] - 2 * cov[0, 2] + cov[2, 2]
    up_down = -cov[0, 0] + cov[0, 2] - cov[0, 1] + cov[1, 2]
    # ω e^t0 and ω e^-t0
    larger = kv.w + xp.abs(p)
    smaller = omega * (omega / larger)
    rise, fall = xp.where(p > 0, larger, smaller), xp.where(p > 0, smaller, larger)
    slope = (rise * up_up + fall * up_down) * (1 - u + g)
    slope = slope + (rise * up_down + fall * down_down) * (1 + u + f)
    return xp.log(spread), -slope / (2 * spread)


def _log_omega(p: Array, spread: Array, wanted: Array) -> tuple[Array, Array, Array]:
    """Newton's method for spread⁻² in ω², inside a bracket.

    spread⁻² is about ω² + (|p| - 1)² for |p| > 1, nearly straight; for |p| <= 1 it is a power of ω
    near 0, and logarithms of both sides are nearly straight.
    """
    xp = namespace_of(spread)
    goal = xp.log(spread)
    eps = xp.finfo(spread.dtype).eps
    bounded = xp.abs(p) > 1
    low = xp.full_like(goal, _LEAST_LOG_OMEGA)
    high = 2 + xp.maximum(-goal, -goal / 2)  # spread < 1/ω, or for |p| < 1/2 about (ω log ω)⁻²

    def body(state: tuple[Array, ...]) -> tuple[Array, ...]:
        s, low, high, _, count = state
        value, slope = _log_spread(p, s)
        low, high = xp.where(value > goal, s, low), xp.where(value < goal, s, high)
        miss = value - goal
        # with Q = spread⁻², ω² changes by the fraction (Q_goal - Q) / (ω² dQ/dω²)
        fraction = xp.expm1(2 * miss) / -slope
        newton = s + xp.where(bounded, xp.log1p(xp.maximum(fraction, -1)) / 2, miss / -slope)
        fits = (newton >= low) & (newton <= high) & (~bounded | (fraction > -0.99))
        new = xp.where(fits, newton, (xp.maximum(low, s - 4) + high) / 2)
        # the rounding of the value moves s by its error over the slope
        error = 8 * eps * (1 + xp.abs(goal)) / xp.abs(slope)
        done = (xp.abs(new - s) <= 4 * eps * xp.abs(s) + error) & xp.isfinite(error)
        return new, low, high, done, count + 1

    def proceed(state: tuple[Array, ...]) -> Array:
        return ~state[3] & (state[4] < _MAX_STEPS)

    shift = xp.maximum(xp.abs(p) - 1, 0)
    square = xp.maximum(1 / spread**2 - shift**2, 1e-4 / spread**2)
    start: tuple[Array, ...] = (
        xp.log(square) / 2, low, high, ~wanted, xp.array(0, xp.int32)
    )  # fmt: skip
    if xp is jnp:
        last = jax.lax.while_loop(proceed, body, varying_like(start, p, spread))
    else:
        last = start
        while proceed(last):
            last = body(last)
    s, _, _, done, count = last
    return s, done, count
