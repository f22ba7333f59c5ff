"""η -> θ for the generalized inverse Gaussian: boundary tests, then Newton on a convex function.

The MLE for mean statistics η = (E log Y, 1/Y, Y) minimises the convex F(θ) = ψ(θ) - θ·η. The
family is not steep: for p > 1 the boundary b = 0 has finite E 1/Y, so F may have its minimum
there; it does exactly if the gamma law fitted to (E log Y, E Y) has shape α > 1 and
E 1/Y >= β/(α - 1), because ∂F/∂b = (η_2 - E 1/Y)/2 is then not negative at b = 0. The mirror
image, Y -> 1/Y, decides a = 0 (Barndorff-Nielsen & Halgreen 1977; Jørgensen 1982).

The scale is taken out first: y is measured in s = √(E Y / E 1/Y), after which both means are
M = √(E Y · E 1/Y).
"""

from enum import IntEnum
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from normix_bessel import log_kv_moments

from ._gamma_inversion import gamma_shape


class InversionStatus(IntEnum):
    """How the search for θ ended."""

    CONVERGED = 0
    GAMMA_LIMIT = 1
    INVERSE_GAMMA_LIMIT = 2
    DEGENERATE = 3
    MAX_STEPS = 4
    INFEASIBLE = 5

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    InversionStatus.CONVERGED: "converged to an interior solution",
    InversionStatus.GAMMA_LIMIT: "the maximum is the gamma law on the boundary b = 0",
    InversionStatus.INVERSE_GAMMA_LIMIT: "the maximum is the inverse gamma law on a = 0",
    InversionStatus.DEGENERATE: (
        "E Y · E 1/Y is 1 to working precision: the law is a point mass and its shape is not "
        "determined; the concentrated symmetric law with these means is returned"
    ),
    InversionStatus.MAX_STEPS: (
        "no convergence within max_steps; raise max_steps, or check that eta is a mean of "
        "(log y, 1/y, y)"
    ),
    InversionStatus.INFEASIBLE: (
        "eta is no mean of (log y, 1/y, y): it needs E Y · E 1/Y > 1 and "
        "-log E 1/Y < E log Y < log E Y, all finite"
    ),
}


class GIGSolution(NamedTuple):
    """Parameters with E t(Y) = η, or on the boundary the nearest law in likelihood."""

    p: jax.Array
    a: jax.Array
    b: jax.Array
    status: jax.Array  # an `InversionStatus` as int32
    steps: jax.Array  # evaluations of ψ and its derivatives


class _Point(NamedTuple):
    """A law with the exponent (k + α - β) u - α e^u - β e^-u about its own centre y0."""

    p: jax.Array
    alpha: jax.Array  # a y0 / 2 = (w + p) / 2
    beta: jax.Array  # b / (2 y0) = (w - p) / 2
    log_y0: jax.Array


class _State(NamedTuple):
    point: _Point
    objective: jax.Array
    noise: jax.Array  # rounding error of the objective
    step: jax.Array  # (Δp, Δα, Δβ), Newton's at `point`
    decrement: jax.Array  # λ² = gᵀH⁻¹g, twice the likelihood still to be gained
    slope: jax.Array  # of the objective along -step
    length: jax.Array  # fraction of the step to be tried next
    evaluations: jax.Array
    done: jax.Array


def _recentred(p: jax.Array, a: jax.Array, b: jax.Array) -> _Point:
    w = jnp.hypot(p, jnp.sqrt(a) * jnp.sqrt(b))
    upper = p > 0
    larger = jnp.where(upper, w + p, w - p)
    log_y0 = jnp.where(upper, jnp.log(larger) - jnp.log(a), jnp.log(b) - jnp.log(larger))
    y0 = jnp.exp(log_y0)
    return _Point(p, a * y0 / 2, b / y0 / 2, log_y0)


def _moved(point: _Point, step: jax.Array, length: jax.Array) -> _Point:
    """The point a fraction of the step away."""
    y0 = jnp.exp(point.log_y0)
    alpha, beta = point.alpha + length * step[1], point.beta + length * step[2]
    return _recentred(point.p + length * step[0], 2 * alpha / y0, 2 * beta * y0)


def _evaluate(point: _Point, log_y: jax.Array, mean: jax.Array) -> tuple[jax.Array, ...]:
    """F, its noise, Newton step in (p, α, β), decrement and slope, for η = (log_y, mean, mean)."""
    z = 2 * jnp.sqrt(point.alpha) * jnp.sqrt(point.beta)
    kv = log_kv_moments(point.p, z)
    y0 = jnp.exp(point.log_y0)
    # ψ - θ·η with every term taken about y0
    target_u = log_y - point.log_y0
    up, down = mean / y0, mean * y0
    objective = (
        kv.log_kv - point.p * kv.saddle + kv.w
        - (point.p * target_u - point.alpha * (up - 1) - point.beta * (down - 1))
    )  # fmt: skip
    target = jnp.stack([target_u, up - 1 - target_u, down - 1 + target_u])
    terms = 1 + jnp.abs(kv.log_kv) + jnp.abs(point.p * kv.saddle) + jnp.abs(objective)
    noise = jnp.finfo(terms.dtype).eps * terms
    gradient, hessian = kv.mean - target, jnp.asarray(kv.cov)
    # Newton in the natural parameters (k, -α, -β) of (u, f, g), that is in (k, α, β) after a
    # change of sign
    sign = jnp.array([1.0, -1.0, -1.0], gradient.dtype)
    gradient = sign * gradient
    hessian = hessian * (sign[:, None] * sign[None, :])
    step = _newton_step(gradient, hessian, jnp.zeros(3, bool), jnp.zeros_like(gradient))
    decrement = -gradient @ step
    # α and β stay positive: where the step leaves less than 5 % of one, that one is set to 5 %
    # and the quadratic model minimised over the others (cutting the whole step would jam)
    least = jnp.stack([jnp.full_like(y0, -jnp.inf), -0.95 * point.alpha, -0.95 * point.beta])
    fixed = step < least
    for _ in range(2):
        step = _newton_step(gradient, hessian, fixed, least)
        fixed = fixed | (step < least)
    step = jnp.maximum(step, least)
    k, da, db = step[0], step[1], step[2]
    return objective, noise, jnp.stack([k + da - db, da, db]), decrement, -gradient @ step


def _newton_step(
    gradient: jax.Array, hessian: jax.Array, fixed: jax.Array, values: jax.Array
) -> jax.Array:
    """Minimise g·x + ½ xᵀHx over the components that are not fixed at their values."""
    held = jnp.where(fixed, values, 0.0)
    scale = 1 / jnp.sqrt(jnp.diagonal(hessian))
    free = jnp.where(fixed, 0.0, scale)
    matrix = hessian * free[:, None] * free[None, :] + jnp.diag(jnp.where(fixed, 1.0, 0.0))
    return jnp.where(fixed, values, -free * _solve3(matrix, free * (gradient + hessian @ held)))


def _solve3(matrix: jax.Array, rhs: jax.Array) -> jax.Array:
    """Solve a 3x3 positive definite system by Cholesky, written out."""
    floor = jnp.finfo(matrix.dtype).eps
    l00 = jnp.sqrt(matrix[0, 0])
    l10, l20 = matrix[1, 0] / l00, matrix[2, 0] / l00
    l11 = jnp.sqrt(jnp.maximum(matrix[1, 1] - l10**2, floor))
    l21 = (matrix[2, 1] - l20 * l10) / l11
    l22 = jnp.sqrt(jnp.maximum(matrix[2, 2] - l20**2 - l21**2, floor))
    y0 = rhs[0] / l00
    y1 = (rhs[1] - l10 * y0) / l11
    y2 = (rhs[2] - l20 * y0 - l21 * y1) / l22
    x2 = y2 / l22
    x1 = (y1 - l21 * x2) / l11
    x0 = (y0 - l10 * x1 - l20 * x2) / l00
    return jnp.stack([x0, x1, x2])


def _newton(
    start: _Point, log_y: jax.Array, mean: jax.Array, max_steps: int
) -> tuple[_Point, jax.Array, jax.Array]:
    """Damped Newton with backtracking: the minimiser, whether it converged, evaluations."""
    eps = jnp.finfo(log_y.dtype).eps

    def floor(point: _Point) -> jax.Array:
        # E (sinh u - u) has standard deviation ~ w^-3/2 and is known to eps
        return (1e3 * eps * (1 + 0.01 * (point.alpha + point.beta) ** 1.5)) ** 2

    def body(state: _State) -> _State:
        trial = _moved(state.point, state.step, state.length)
        objective, noise, step, decrement, slope = _evaluate(trial, log_y, mean)
        gain = 1e-4 * state.length * state.slope
        # within the noise of F the decrement decides, which is computed without cancellation
        lower = objective <= state.objective - gain + 2 * state.noise
        closer = (objective <= state.objective + 1e3 * state.noise) & (
            decrement < state.decrement / 2
        )
        # so near the end a full step that gains nothing has met rounding
        rounding = (state.decrement <= 1e4 * floor(state.point)) & (decrement > state.decrement / 2)
        accept = (lower | closer) & jnp.isfinite(decrement) & ~rounding
        finished = accept & (decrement <= floor(trial))
        stalled = ~accept & (state.length < 1e-8)
        taken = _State(trial, objective, noise, step, decrement, slope, jnp.ones_like(objective),
                       state.evaluations, finished)  # fmt: skip
        kept = state._replace(length=0.25 * state.length, done=stalled | rounding)
        chosen: _State = jax.tree.map(lambda new, old: jnp.where(accept, new, old), taken, kept)
        return chosen._replace(evaluations=state.evaluations + 1)

    def proceed(state: _State) -> jax.Array:
        return ~state.done & (state.evaluations < max_steps)

    # the first trial is the start itself: an empty step from an infinite objective
    infinite = jnp.full_like(log_y, jnp.inf)
    nothing = jnp.zeros_like(log_y)
    first = _State(start, infinite, nothing, jnp.zeros(3, log_y.dtype), infinite, nothing,
                   jnp.ones_like(log_y), jnp.array(0, jnp.int32), jnp.array(False))  # fmt: skip
    last = jax.lax.while_loop(proceed, body, first)
    # a stall at rounding level is convergence; one above it is not
    good = last.decrement <= jnp.maximum(1e4 * floor(last.point), eps)
    return last.point, good, last.evaluations


@partial(jax.jit, static_argnames="max_steps")
def solve_gig(
    eta: jax.Array,
    start: tuple[jax.Array, jax.Array, jax.Array] | None = None,
    *,
    max_steps: int = 100,
) -> GIGSolution:
    """GIG(p, a, b) with (E log Y, E 1/Y, E Y) = η, or its maximum on the boundary.

    Traceable and vmappable: one `lax.while_loop` without host callbacks.

    Args:
        eta: (E log Y, E 1/Y, E Y), shape (3,), float32 or float64.
        start: (p, a, b) to start Newton from, for a sequence of similar problems; laws on the
            boundary are no start and are replaced by the default.
        max_steps: most evaluations of ψ with its derivatives.

    Returns:
        `GIGSolution`; on INFEASIBLE the parameters are nan.
    """
    log_y, inverse_y, y = eta[0], eta[1], eta[2]
    log_s = (jnp.log(y) - jnp.log(inverse_y)) / 2
    log_mean = (jnp.log(y) + jnp.log(inverse_y)) / 2
    centred = log_y - log_s
    finite = jnp.isfinite(centred) & jnp.isfinite(log_mean)
    feasible = finite & (y > 0) & (inverse_y > 0) & (jnp.abs(centred) < log_mean)
    eps = jnp.finfo(eta.dtype).eps
    degenerate = feasible & (log_mean < eps ** (2 / 3))

    alpha = gamma_shape(jnp.where(feasible, log_mean - centred, 1.0))
    mirror = gamma_shape(jnp.where(feasible, log_mean + centred, 1.0))
    squared = jnp.exp(2 * log_mean)  # E Y · E 1/Y >= α/(α-1)
    gamma = feasible & ~degenerate & (alpha > 1) & (squared * (alpha - 1) >= alpha)
    inverse_gamma = feasible & ~degenerate & (mirror > 1) & (squared * (mirror - 1) >= mirror)

    interior = feasible & ~degenerate & ~gamma & ~inverse_gamma
    log_mean_safe = jnp.where(interior, log_mean, 0.5)
    centred_safe = jnp.where(interior, centred, 0.0)
    mean = jnp.exp(log_mean_safe)
    concentration = 1 / (2 * log_mean_safe)
    p0, a0, b0 = jnp.zeros_like(mean), concentration, concentration
    s = jnp.exp(log_s)
    if start is not None:
        usable = interior & (start[1] > 0) & (start[2] > 0)
        p0 = jnp.where(usable, start[0], p0)
        a0 = jnp.where(usable, start[1] * s, a0)
        b0 = jnp.where(usable, start[2] / s, b0)
    point, good, count = _newton(_recentred(p0, a0, b0), centred_safe, mean, max_steps)
    y0 = jnp.exp(point.log_y0)

    p, a, b = point.p, 2 * point.alpha / y0 / s, 2 * point.beta * y0 * s
    w = jnp.where(degenerate, 1 / (2 * jnp.maximum(log_mean, eps)), 1.0)
    cases = (
        (degenerate, (jnp.zeros_like(p), w / s, w * s), InversionStatus.DEGENERATE),
        (inverse_gamma, (-mirror, jnp.zeros_like(a), 2 * mirror / inverse_y),
         InversionStatus.INVERSE_GAMMA_LIMIT),
        (gamma, (alpha, 2 * alpha / y, jnp.zeros_like(b)), InversionStatus.GAMMA_LIMIT),
        (~feasible, (jnp.full_like(p, jnp.nan),) * 3, InversionStatus.INFEASIBLE),
    )  # fmt: skip
    status = jnp.where(good, int(InversionStatus.CONVERGED), int(InversionStatus.MAX_STEPS))
    for where, values, name in cases:
        p, a, b = (jnp.where(where, x, y_) for x, y_ in zip(values, (p, a, b), strict=True))
        status = jnp.where(where, int(name), status)
    return GIGSolution(p, a, b, status.astype(jnp.int32), count)
