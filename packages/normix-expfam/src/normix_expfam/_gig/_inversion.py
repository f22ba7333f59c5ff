"""η -> θ for the generalized inverse Gaussian: boundary tests, then Newton on a convex function.

The MLE for mean statistics η = (E log Y, 1/Y, Y) minimises the convex F(θ) = ψ(θ) - θ·η. The
family is not steep: for p > 1 the boundary b = 0 has finite E 1/Y, so F may have its minimum
there; it does exactly if the gamma distribution fitted to (E log Y, E Y) has shape α > 1 and
E 1/Y >= β/(α - 1), because ∂F/∂b = (η_2 - E 1/Y)/2 is then not negative at b = 0. The mirror
image, Y -> 1/Y, decides a = 0 (Barndorff-Nielsen & Halgreen 1977; Jørgensen 1982).

The scale is taken out first: y is measured in s = √(E Y / E 1/Y), after which both means are
M = √(E Y · E 1/Y). What is left of η are the gaps log E Y - E log Y and log E 1/Y + E log Y, half
of whose sum is log M. They are as small as the squared coefficient of variation: from data they are
known relative to their size, from η to rounding of its terms.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from normix_bessel import log_kv_moments
from normix_bessel.internal import moments_at
from normix_expfam import _gamma_on_host
from normix_expfam._arrays import Array, namespace_of
from normix_expfam._gamma import gamma_shape
from normix_expfam._kl_term import exp_gap
from normix_expfam._newton import Evaluation, minimise
from normix_expfam._status import Status

_SIGN = np.array([1.0, -1.0, -1.0])  # (k, α, β) multiplies (u, -f, -g)


class GIGTarget(NamedTuple):
    """Mean statistics as scales and gaps."""

    y: Array
    """E Y."""

    inverse_y: Array
    """E 1/Y."""

    lower: Array
    """log E Y - E log Y."""

    upper: Array
    """log E 1/Y + E log Y."""

    noise: Array
    """Rounding error of the gaps."""


class GIGSolution(NamedTuple):
    """Parameters with E t(Y) = η, or on the boundary the nearest distribution in likelihood."""

    p: Array
    """Shape p."""

    a: Array
    """Rate a of Y, 0 in the inverse gamma limit."""

    b: Array
    """Rate b of 1/Y, 0 in the gamma limit."""

    status: Array
    """A `Status` as int32."""

    steps: Array
    """Evaluations of ψ and its derivatives."""


class _Point(NamedTuple):
    """A distribution with the exponent (k + α - β) u - α e^u - β e^-u about its own centre y0."""

    p: Array
    alpha: Array  # a y0 / 2 = (w + p) / 2
    beta: Array  # b / (2 y0) = (w - p) / 2
    log_y0: Array


def _recentre(p: Array, a: Array, b: Array) -> _Point:
    xp = namespace_of(p)
    w = xp.hypot(p, xp.sqrt(a) * xp.sqrt(b))
    upper = p > 0
    larger = xp.where(upper, w + p, w - p)
    # near 1 by its distance from 1, which a concentrated solution needs relative to its width
    top, bottom = xp.where(upper, larger, b), xp.where(upper, a, larger)
    near = xp.abs(top - bottom) < 0.5 * bottom
    log_y0 = xp.where(
        near,
        xp.log1p(xp.where(near, top - bottom, 0.0) / bottom),
        xp.log(top) - xp.log(bottom),
    )
    y0 = xp.exp(log_y0)
    return _Point(p, a * y0 / 2, b / y0 / 2, log_y0)


def _move(point: _Point, step: Array, length: Array) -> _Point:
    """The point a fraction of the step away."""
    y0 = namespace_of(point.log_y0).exp(point.log_y0)
    alpha, beta = point.alpha + length * step[1], point.beta + length * step[2]
    return _recentre(point.p + length * step[0], 2 * alpha / y0, 2 * beta * y0)


def _with_signs(cov: Array) -> Array:
    """The covariance of (u, f, g) as the Hessian of F in (k, α, β)."""
    sign = namespace_of(cov).asarray(_SIGN, cov.dtype)
    return cov * (sign[:, None] * sign[None, :])


class _Gaps(NamedTuple):
    """What is left of η in units of s."""

    lower: Array
    upper: Array
    noise: Array

    @property
    def log_mean(self) -> Array:
        """log M."""
        return (self.lower + self.upper) / 2

    @property
    def log_y(self) -> Array:
        """E log Y."""
        return (self.upper - self.lower) / 2


def _evaluate(point: _Point, gaps: _Gaps) -> Evaluation:
    """F, with Newton's step in (p, α, β)."""
    xp = namespace_of(point.p)
    z = 2 * xp.sqrt(point.alpha) * xp.sqrt(point.beta)
    kv = (log_kv_moments if xp is jnp else moments_at)(point.p, z)
    y0 = xp.exp(point.log_y0)
    # ψ - θ·η about y0, as sums of what is not negative
    target_f = exp_gap(gaps.log_mean - point.log_y0, xp) + gaps.lower
    target_g = exp_gap(gaps.log_mean + point.log_y0, xp) + gaps.upper
    objective = kv.log_mass + point.alpha * target_f + point.beta * target_g
    target = xp.stack([gaps.log_y - point.log_y0, target_f, target_g])
    terms = 1 + xp.abs(kv.log_kve) + xp.abs(point.p * kv.saddle) + xp.abs(objective)
    noise = xp.finfo(terms.dtype).eps * terms
    # Newton in the natural parameters (k, -α, -β) of (u, f, g), that is in (k, α, β) after a
    # change of sign
    hessian = _with_signs(xp.asarray(kv.cov))
    gradient = xp.asarray(_SIGN, hessian.dtype) * (kv.mean - target)
    step = _newton_step(gradient, hessian, xp.zeros(3, bool), xp.zeros_like(gradient))
    decrement = -gradient @ step
    # α and β stay positive: where the step leaves less than 5 % of one, that one is set to 5 %
    # and the quadratic model minimised over the others (cutting the whole step would jam)
    least = xp.stack([xp.full_like(y0, -xp.inf), -0.95 * point.alpha, -0.95 * point.beta])
    fixed = step < least
    for _ in range(2):
        step = _newton_step(gradient, hessian, fixed, least)
        fixed = fixed | (step < least)
    step = xp.maximum(step, least)
    k, da, db = step[0], step[1], step[2]
    step_in_p = xp.stack([k + da - db, da, db])
    # E (sinh u - u) has standard deviation ~ w^-3/2 and is known as the gaps are
    eps, w = xp.finfo(terms.dtype).eps, point.alpha + point.beta
    floor = (1e3 * eps + 10 * gaps.noise * w**1.5) ** 2
    return Evaluation(objective, noise, step_in_p, decrement, -gradient @ step, floor)


def _newton_step(gradient: Array, hessian: Array, fixed: Array, values: Array) -> Array:
    """Minimise g·x + ½ xᵀHx over the components that are not fixed at their values."""
    xp = namespace_of(gradient)
    held = xp.where(fixed, values, 0.0)
    scale = 1 / xp.sqrt(xp.diagonal(hessian))
    free = xp.where(fixed, 0.0, scale)
    matrix = hessian * free[:, None] * free[None, :] + xp.diag(xp.where(fixed, 1.0, 0.0))
    return xp.where(fixed, values, -free * _solve3(matrix, free * (gradient + hessian @ held)))


def _solve3(matrix: Array, rhs: Array) -> Array:
    """Solve a 3x3 positive definite system by Cholesky, written out."""
    xp = namespace_of(matrix)
    floor = xp.finfo(matrix.dtype).eps
    l00 = xp.sqrt(matrix[0, 0])
    l10, l20 = matrix[1, 0] / l00, matrix[2, 0] / l00
    l11 = xp.sqrt(xp.maximum(matrix[1, 1] - l10**2, floor))
    l21 = (matrix[2, 1] - l20 * l10) / l11
    l22 = xp.sqrt(xp.maximum(matrix[2, 2] - l20**2 - l21**2, floor))
    y0 = rhs[0] / l00
    y1 = (rhs[1] - l10 * y0) / l11
    y2 = (rhs[2] - l20 * y0 - l21 * y1) / l22
    x2 = y2 / l22
    x1 = (y1 - l21 * x2) / l11
    x0 = (y0 - l10 * x1 - l20 * x2) / l00
    return xp.stack([x0, x1, x2])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _interior(max_steps: int, gaps: _Gaps, start: tuple[Array, ...]) -> tuple[Array, ...]:
    return _newton(max_steps, gaps, start)


def _newton(max_steps: int, gaps: _Gaps, start: tuple[Array, ...]) -> tuple[Array, ...]:
    """p, a, b with these gaps and E Y = E 1/Y, whether they were reached, and evaluations."""
    xp = namespace_of(gaps.lower)

    def evaluate(point: _Point) -> Evaluation:
        return _evaluate(point, gaps)

    point, good, count = minimise(_recentre(*start), evaluate, _move, max_steps, xp)
    y0 = xp.exp(point.log_y0)
    return point.p, 2 * point.alpha / y0, 2 * point.beta * y0, good, count


@_interior.defjvp
def _(max_steps: int, primals: Any, tangents: Any) -> tuple[Any, Any]:
    # dθ = H⁻¹ dη in the statistics (u, f, g) about the mode of the solution
    (gaps, start), (moving, _) = primals, tangents
    p, a, b, good, count = _interior(max_steps, gaps, start)
    point = _recentre(p, a, b)
    y0 = jnp.exp(point.log_y0)
    kv = log_kv_moments(p, 2 * jnp.sqrt(point.alpha) * jnp.sqrt(point.beta))
    up, down = (jnp.expm1(gaps.log_mean + sign * point.log_y0) for sign in (-1, 1))
    d_target = jnp.stack([moving.log_y, up * moving.log_mean + moving.lower,
                          down * moving.log_mean + moving.upper])  # fmt: skip
    free, nothing = jnp.zeros(3, bool), jnp.zeros(3, p.dtype)
    gradient, hessian = jnp.asarray(_SIGN, p.dtype) * d_target, _with_signs(jnp.asarray(kv.cov))
    k, alpha, beta = _newton_step(-gradient, hessian, free, nothing)
    moved = k + alpha - beta, 2 * alpha / y0, 2 * beta * y0
    discrete = [np.zeros(jnp.shape(x), jax.dtypes.float0) for x in (good, count)]
    return (p, a, b, good, count), (*moved, *discrete)


@partial(jax.jit, static_argnames="max_steps")
def solve_gig(
    eta: Array,
    start: tuple[Array, Array, Array] | None = None,
    *,
    max_steps: int = 100,
) -> GIGSolution:
    """GIG(p, a, b) with (E log Y, E 1/Y, E Y) = η, or its maximum on the boundary.

    Traceable and vmappable: one `lax.while_loop` without host callbacks. Differentiable in η in
    forward and reverse mode, by dθ = (∇²ψ)⁻¹ dη inside and by the closed form on the boundary.

    Args:
        eta: (E log Y, E 1/Y, E Y), shape (3,), float32 or float64; E Y may be inf, which puts the
            maximum on a = 0.
        start: (p, a, b) to start Newton from, for a sequence of similar problems; a start on the
            boundary is replaced by the default.
        max_steps: most evaluations of ψ with its derivatives.

    Returns:
        `GIGSolution`; on INFEASIBLE the parameters are nan.

    Examples:
        >>> import jax.numpy as jnp
        >>> from normix_expfam import Status, gig_moments, solve_gig
        >>> moments = gig_moments(1.0, 2.0, 3.0, backend="cpu")
        >>> eta = jnp.array([moments.log_y, moments.inverse_y, moments.y])
        >>> found = solve_gig(eta)
        >>> [round(float(x), 6) for x in found[:3]], Status(int(found.status)).name
        ([1.0, 2.0, 3.0], 'CONVERGED')
    """
    return _solve(eta, start, max_steps)


def solve_gig_on_host(
    eta: Any, start: tuple[Any, Any, Any] | None = None, *, max_steps: int = 100
) -> GIGSolution:
    """`solve_gig` in NumPy, float64: the same steps, with nothing compiled."""
    with np.errstate(all="ignore"):
        return _solve(eta, start, max_steps)


def _solve(eta: Any, start: Any, max_steps: int) -> GIGSolution:
    xp = namespace_of(eta)
    log_y, inverse_y, y = eta[0], eta[1], eta[2]
    lower, upper = xp.log(y) - log_y, xp.log(inverse_y) + log_y
    noise = xp.full_like(y, xp.finfo(eta.dtype).eps)
    return solve_target(GIGTarget(y, inverse_y, lower, upper, noise), start, max_steps=max_steps)


def solve_target(
    target: GIGTarget,
    start: tuple[Array, Array, Array] | None = None,
    *,
    max_steps: int = 100,
) -> GIGSolution:
    """`solve_gig` of statistics that are given by their gaps."""
    y, inverse_y, lower, upper, noise = target
    xp = namespace_of(y)
    # with a > 0 the likelihood is 0, and E Y plays no part in that of a = 0
    heavy = y == xp.inf
    y = xp.where(heavy, xp.exp(upper + 1) / inverse_y, y)
    lower = xp.where(heavy, 1.0, lower)
    log_mean = (lower + upper) / 2
    finite = xp.isfinite(lower) & xp.isfinite(upper)
    feasible = finite & (y > 0) & (inverse_y > 0) & (lower > 0) & (upper > 0)
    degenerate = feasible & (log_mean < noise ** (2 / 3))

    shape = gamma_shape if xp is jnp else _gamma_on_host.shape
    alpha = shape(xp.where(feasible, lower, 1.0))
    mirror = shape(xp.where(feasible, upper, 1.0))
    # E Y · E 1/Y >= α/(α-1)
    excess = xp.expm1(2 * log_mean)
    gamma = feasible & ~degenerate & ~heavy & (alpha > 1) & (excess * (alpha - 1) >= 1)
    beyond = (mirror > 1) & (excess * (mirror - 1) >= 1)
    inverse_gamma = feasible & ~degenerate & (heavy | beyond)

    interior = feasible & ~degenerate & ~gamma & ~inverse_gamma
    gaps = _Gaps(xp.where(interior, lower, 0.5), xp.where(interior, upper, 0.5), noise)
    concentration = 0.5 / gaps.log_mean
    p0, a0, b0 = xp.zeros_like(concentration), concentration, concentration
    s = xp.sqrt(y) / xp.sqrt(inverse_y)
    if start is not None:
        usable = interior & (start[1] > 0) & (start[2] > 0)
        p0 = xp.where(usable, start[0], p0)
        a0 = xp.where(usable, start[1] * s, a0)
        b0 = xp.where(usable, start[2] / s, b0)
    if xp is jnp:
        p, a, b, good, count = _interior(max_steps, gaps, (p0, a0, b0))
    elif interior:
        p, a, b, good, count = _newton(max_steps, gaps, (p0, a0, b0))
    else:
        p, a, b, good, count = p0, a0, b0, xp.asarray(True), xp.asarray(0)
    a, b = a / s, b * s
    w = xp.where(degenerate, 0.5 / xp.maximum(log_mean, noise), 1.0)
    cases = (
        (degenerate, (xp.zeros_like(p), w / s, w * s), Status.DEGENERATE),
        (inverse_gamma, (-mirror, xp.zeros_like(a), 2 * mirror / inverse_y),
         Status.INVERSE_GAMMA_LIMIT),
        (gamma, (alpha, 2 * alpha / y, xp.zeros_like(b)), Status.GAMMA_LIMIT),
        (~feasible, (xp.full_like(p, xp.nan),) * 3, Status.INFEASIBLE),
    )  # fmt: skip
    status = xp.where(good, int(Status.CONVERGED), int(Status.MAX_ITER))
    for where, values, name in cases:
        p, a, b = (xp.where(where, x, y_) for x, y_ in zip(values, (p, a, b), strict=True))
        status = xp.where(where, int(name), status)
    return GIGSolution(p, a, b, status.astype(xp.int32), count)
