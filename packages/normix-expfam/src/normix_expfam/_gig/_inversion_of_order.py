"""From (E 1/Y, E Y) to (a, b) of GIG(p, a, b) with p known: one equation in ω = √(ab).

E Y · E 1/Y - 1 = K_{p+1}(ω) K_{p-1}(ω) / K_p(ω)² - 1 falls from 1/(|p| - 1), or ∞ for |p| <= 1, at
ω = 0 to 0 at ω = ∞. Means beyond the value at ω = 0 have their maximum of the likelihood on the
boundary: the gamma distribution of shape p with the same E Y, or the inverse gamma distribution
with the same E 1/Y.
"""

import jax
import jax.numpy as jnp

from normix_bessel import log_kv_moments
from normix_expfam._manual_axes import varying_like
from normix_expfam._status import Status

from ._api import gig_moments
from ._inversion import GIGSolution

_LEAST_LOG_OMEGA = -300.0
_MAX_STEPS = 100  # 4 to 8 are usual


def solve_gig_of_order(p: jax.Array, inverse_y: jax.Array, y: jax.Array) -> GIGSolution:
    """GIG(p, a, b) of the order p with (E 1/Y, E Y) as given, or its maximum on the boundary.

    Traceable and vmappable; not differentiable in reverse.

    Args:
        p: the order, a number.
        inverse_y: E 1/Y > 0, a number.
        y: E Y > 1 / E 1/Y, a number; inf puts the maximum on a = 0, for p < 0.

    Returns:
        `GIGSolution`; on INFEASIBLE the parameters are nan.
    """
    heavy = (y == jnp.inf) & (p < 0)
    y = jnp.where(heavy, 2 / inverse_y, y)
    spread = y * inverse_y - 1
    eps = jnp.finfo(y.dtype).eps
    feasible = jnp.isfinite(spread) & (y > 0) & (inverse_y > 0) & (spread > 0) & jnp.isfinite(p)
    degenerate = feasible & (spread < eps ** (2 / 3))
    at_limit = feasible & (heavy | ((jnp.abs(p) > 1) & (spread * (jnp.abs(p) - 1) >= 1)))
    interior = feasible & ~degenerate & ~at_limit
    log_omega, good, steps = _log_omega(p, jnp.where(interior, spread, 1.0), interior)
    omega = jnp.exp(jnp.where(interior, log_omega, 0.0))
    scale = y / gig_moments(p, omega, omega).y
    w = 1 / jnp.where(degenerate, spread, 1.0)
    zero, nan = jnp.zeros_like(y), jnp.full_like(y, jnp.nan)
    status = jnp.where(good, int(Status.CONVERGED), int(Status.MAX_ITER))
    a, b = omega / scale, omega * scale
    cases = (
        (degenerate, w / y, w * y, Status.DEGENERATE),
        (at_limit & (p > 0), 2 * p / y, zero, Status.GAMMA_LIMIT),
        (at_limit & (p < 0), zero, -2 * p / inverse_y, Status.INVERSE_GAMMA_LIMIT),
        (~feasible, nan, nan, Status.INFEASIBLE),
    )
    for where, this_a, this_b, name in cases:
        a, b = jnp.where(where, this_a, a), jnp.where(where, this_b, b)
        status = jnp.where(where, int(name), status)
    return GIGSolution(p, a, b, status.astype(jnp.int32), steps)


def _log_spread(p: jax.Array, log_omega: jax.Array) -> jax.Array:
    """log(E Y · E 1/Y - 1), from means of e^u - 1 - u and e^-u - 1 + u, which do not cancel."""
    kv = log_kv_moments(p, jnp.exp(log_omega), covariance=False)
    u, f, g = (kv.mean[..., i] for i in range(3))
    return jnp.log(f + g + (u + f) * (g - u))


def _log_omega(
    p: jax.Array, spread: jax.Array, wanted: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Newton's method for spread⁻² in ω², inside a bracket.

    spread⁻² is about ω² + (|p| - 1)² for |p| > 1, nearly straight; for |p| <= 1 it is a power of ω
    near 0, and logarithms of both sides are nearly straight.
    """
    goal = jnp.log(spread)
    eps = jnp.finfo(spread.dtype).eps
    bounded = jnp.abs(p) > 1
    low = jnp.full_like(goal, _LEAST_LOG_OMEGA)
    high = 2 + jnp.maximum(-goal, -goal / 2)  # spread < 1/ω, or for |p| < 1/2 about (ω log ω)⁻²

    def body(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        s, low, high, _, count = state
        value, slope = jax.jvp(lambda s: _log_spread(p, s), (s,), (jnp.ones_like(s),))
        low, high = jnp.where(value > goal, s, low), jnp.where(value < goal, s, high)
        miss = value - goal
        # with Q = spread⁻², ω² changes by the fraction (Q_goal - Q) / (ω² dQ/dω²)
        fraction = jnp.expm1(2 * miss) / -slope
        newton = s + jnp.where(bounded, jnp.log1p(jnp.maximum(fraction, -1)) / 2, miss / -slope)
        fits = (newton >= low) & (newton <= high) & (~bounded | (fraction > -0.99))
        new = jnp.where(fits, newton, (jnp.maximum(low, s - 4) + high) / 2)
        # the rounding of the value moves s by its error over the slope
        error = 8 * eps * (1 + jnp.abs(goal)) / jnp.abs(slope)
        done = (jnp.abs(new - s) <= 4 * eps * jnp.abs(s) + error) & jnp.isfinite(error)
        return new, low, high, done, count + 1

    def proceed(state: tuple[jax.Array, ...]) -> jax.Array:
        return ~state[3] & (state[4] < _MAX_STEPS)

    shift = jnp.maximum(jnp.abs(p) - 1, 0)
    square = jnp.maximum(1 / spread**2 - shift**2, 1e-4 / spread**2)
    start: tuple[jax.Array, ...] = (
        jnp.log(square) / 2, low, high, ~wanted, jnp.array(0, jnp.int32)
    )  # fmt: skip
    s, _, _, done, count = jax.lax.while_loop(proceed, body, varying_like(start, p, spread))
    return s, done, count
