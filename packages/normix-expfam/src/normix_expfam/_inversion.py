"""η -> θ for the generalized inverse Gaussian: boundary tests, then Newton on a convex function.

The MLE for mean statistics η = (E log Y, 1/Y, Y) minimises the convex F(θ) = ψ(θ) - θ·η. The
family is not steep: for p > 1 the boundary b = 0 has finite E 1/Y, so F may have its minimum
there; it does exactly if the gamma law fitted to (E log Y, E Y) has shape α > 1 and
E 1/Y >= β/(α - 1), because ∂F/∂b = (η_2 - E 1/Y)/2 is then not negative at b = 0. The mirror
image, Y -> 1/Y, decides a = 0 (Barndorff-Nielsen & Halgreen 1977; Jørgensen 1982).

The scale is taken out first: y is measured in s = √(E Y / E 1/Y), after which both means are
M = √(E Y · E 1/Y).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from normix_bessel import log_kv_moments

from ._gamma import gamma_shape
from ._newton import Evaluation, minimise
from ._status import InversionStatus

_SIGN = np.array([1.0, -1.0, -1.0])  # (k, α, β) multiplies (u, -f, -g)


class GIGSolution(NamedTuple):
    """Parameters with E t(Y) = η, or on the boundary the nearest law in likelihood."""

    p: jax.Array
    """Shape p."""

    a: jax.Array
    """Rate a of Y, 0 in the inverse gamma limit."""

    b: jax.Array
    """Rate b of 1/Y, 0 in the gamma limit."""

    status: jax.Array
    """An `InversionStatus` as int32."""

    steps: jax.Array
    """Evaluations of ψ and its derivatives."""


class _Point(NamedTuple):
    """A law with the exponent (k + α - β) u - α e^u - β e^-u about its own centre y0."""

    p: jax.Array
    alpha: jax.Array  # a y0 / 2 = (w + p) / 2
    beta: jax.Array  # b / (2 y0) = (w - p) / 2
    log_y0: jax.Array


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


def _signed(cov: jax.Array) -> jax.Array:
    """The covariance of (u, f, g) as the Hessian of F in (k, α, β)."""
    sign = jnp.asarray(_SIGN, cov.dtype)
    return cov * (sign[:, None] * sign[None, :])


def _evaluate(point: _Point, log_y: jax.Array, mean: jax.Array) -> Evaluation:
    """F for η = (log_y, mean, mean), with Newton's step in (p, α, β)."""
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
    # Newton in the natural parameters (k, -α, -β) of (u, f, g), that is in (k, α, β) after a
    # change of sign
    hessian = _signed(jnp.asarray(kv.cov))
    gradient = jnp.asarray(_SIGN, hessian.dtype) * (kv.mean - target)
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
    step_in_p = jnp.stack([k + da - db, da, db])
    # E (sinh u - u) has standard deviation ~ w^-3/2 and is known to eps
    eps, w = jnp.finfo(terms.dtype).eps, point.alpha + point.beta
    floor = (1e3 * eps * (1 + 0.01 * w**1.5)) ** 2
    return Evaluation(objective, noise, step_in_p, decrement, -gradient @ step, floor)


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


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _interior(
    max_steps: int, log_y: jax.Array, mean: jax.Array, start: tuple[jax.Array, ...]
) -> tuple[jax.Array, ...]:
    """p, a, b with E t = (log_y, mean, mean), whether they were reached, and evaluations."""

    def evaluate(point: _Point) -> Evaluation:
        return _evaluate(point, log_y, mean)

    point, good, count = minimise(_recentred(*start), evaluate, _moved, max_steps)
    y0 = jnp.exp(point.log_y0)
    return point.p, 2 * point.alpha / y0, 2 * point.beta * y0, good, count


@_interior.defjvp
def _(max_steps: int, primals: Any, tangents: Any) -> tuple[Any, Any]:
    # dθ = H⁻¹ dη in the statistics (u, f, g) about the mode of the solution
    log_y, mean, start = primals
    d_log_y, d_mean, _ = tangents
    p, a, b, good, count = _interior(max_steps, log_y, mean, start)
    point = _recentred(p, a, b)
    y0 = jnp.exp(point.log_y0)
    kv = log_kv_moments(p, 2 * jnp.sqrt(point.alpha) * jnp.sqrt(point.beta))
    d_target = jnp.stack([d_log_y, d_mean / y0 - d_log_y, d_mean * y0 + d_log_y])
    free, nothing = jnp.zeros(3, bool), jnp.zeros(3, p.dtype)
    gradient, hessian = jnp.asarray(_SIGN, p.dtype) * d_target, _signed(jnp.asarray(kv.cov))
    k, alpha, beta = _newton_step(-gradient, hessian, free, nothing)
    moved = k + alpha - beta, 2 * alpha / y0, 2 * beta * y0
    discrete = [np.zeros(jnp.shape(x), jax.dtypes.float0) for x in (good, count)]
    return (p, a, b, good, count), (*moved, *discrete)


@partial(jax.jit, static_argnames="max_steps")
def solve_gig(
    eta: jax.Array,
    start: tuple[jax.Array, jax.Array, jax.Array] | None = None,
    *,
    max_steps: int = 100,
) -> GIGSolution:
    """GIG(p, a, b) with (E log Y, E 1/Y, E Y) = η, or its maximum on the boundary.

    Traceable and vmappable: one `lax.while_loop` without host callbacks. Differentiable in η in
    forward and reverse mode, by dθ = (∇²ψ)⁻¹ dη inside and by the closed form on the boundary.

    Args:
        eta: (E log Y, E 1/Y, E Y), shape (3,), float32 or float64; E Y may be inf, which puts the
            maximum on a = 0.
        start: (p, a, b) to start Newton from, for a sequence of similar problems; laws on the
            boundary are no start and are replaced by the default.
        max_steps: most evaluations of ψ with its derivatives.

    Returns:
        `GIGSolution`; on INFEASIBLE the parameters are nan.

    Examples:
        >>> import jax.numpy as jnp
        >>> from normix_expfam import InversionStatus, gig_moments, solve_gig
        >>> moments = gig_moments(1.0, 2.0, 3.0, backend="cpu")
        >>> eta = jnp.array([moments.log_y, moments.inverse_y, moments.y])
        >>> found = solve_gig(eta)
        >>> [round(float(x), 6) for x in found[:3]], InversionStatus(int(found.status)).name
        ([1.0, 2.0, 3.0], 'CONVERGED')
    """
    log_y, inverse_y, y = eta[0], eta[1], eta[2]
    # with a > 0 the likelihood is 0, and E Y plays no part in that of a = 0
    heavy = y == jnp.inf
    y = jnp.where(heavy, jnp.exp(log_y + 1), y)
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
    gamma = feasible & ~degenerate & ~heavy & (alpha > 1) & (squared * (alpha - 1) >= alpha)
    beyond = (mirror > 1) & (squared * (mirror - 1) >= mirror)
    inverse_gamma = feasible & ~degenerate & (heavy | beyond)

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
    p, a, b, good, count = _interior(max_steps, centred_safe, mean, (p0, a0, b0))
    a, b = a / s, b * s
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
