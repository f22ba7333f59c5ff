"""Tails of X = g Y + √Y Z, Y ~ GIG(p, a, b), Z standard normal: odds, quantiles, means.

With z(y) = (x - g y)/√y the upper tail is

    P(X > x) = E Q(z(Y)),   Q(z) = 1 - Φ(z) = φ(z) R(z),   R Mills' ratio,

an integral over log y of positive terms. The lower tail is the upper one of (-x, -g), and the one
that is integrated is the one on the far side of x from g y0, y0 the mode of log Y, so that its
complement loses nothing. For it z(y0) >= 0, and the exponent

    G(y) = log-density of log Y at its mode minus that at y + max(z(y), 0)²/2

is convex in log y with its minimum at y1, the mode of log Y for GIG(p, a + g², b + x²). About y1,
with u = log(y/y1), it is A f(u) + B h(u) + const where z >= 0 (f = e^u - 1 - u, h = e^-u - 1 + u,
A = (a + g²) y1/2, B = (b + x²)/(2 y1)), so that the ends of the range are known; where z < 0 it is
the exponent of Y alone. The trapezoidal rule on that range converges geometrically, as for the
Bessel function itself.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from normix_expfam import gig_moments, mode_of_log
from normix_expfam.toolbox import along, gig_log_density, reach

from ._density import log_density
from ._mills import mills

_DEPTH = 40.0  # of the exponent at the ends of the range
_LEAST = 56  # nodes
_MOST = 2**17  # nodes; reached for |g| √y0 beyond 1e4, see `_nodes`
_STEP = 0.25  # in log y, and
_STEP_IN_WIDTHS = 0.6  # of 1/√(A + B), the width of the integrand about y1
_BLOCK = 8  # nodes for one exponential
_END_STEPS = 3  # of Newton
_QUANTILE_STEPS = 100  # 4 to 9 are usual


class Tails(NamedTuple):
    """What one pass over the nodes gives; arrays of the shape of x."""

    log_lower: jax.Array  # log P(X <= x)
    log_upper: jax.Array  # log P(X > x)
    log_density: jax.Array  # log f(x)
    upper: jax.Array  # whether the upper tail was integrated
    log_y: jax.Array  # E (log Y | the tail that was integrated)


class _Range(NamedTuple):
    """y1 and what the exponent is about it."""

    y1: jax.Array
    z1: jax.Array  # z(y1) >= 0
    skew: jax.Array  # g √y1
    A: jax.Array
    B: jax.Array
    least: jax.Array  # the minimum of G
    left: jax.Array
    right: jax.Array


def _range(
    p: jax.Array, a: jax.Array, b: jax.Array, y0: jax.Array, g: jax.Array, x: jax.Array
) -> _Range:
    """For the upper tail at x >= g y0."""
    alpha, beta = a * y0 / 2, b / y0 / 2
    rate = a + g * g
    far = jnp.hypot(jnp.sqrt(b), x)  # its square may overflow
    w = jnp.hypot(p, jnp.sqrt(rate) * far)
    y1 = jnp.where(p > 0, w + p, far) / jnp.where(p > 0, rate, (w - p) / far)
    A, B = rate * y1 / 2, far / y1 * far / 2
    v = jnp.log(y1 / y0)
    e, d = jnp.expm1(v), jnp.expm1(-v)
    root = jnp.sqrt(y1)
    z1 = ((x - g * y0) - g * y0 * e) / root
    least = alpha * (e - v) + beta * (d + v) + z1 * z1 / 2
    none = jnp.zeros_like(v)
    right = reach(none, A, B, _DEPTH, steps=_END_STEPS)
    left = reach(none, B, A, _DEPTH, steps=_END_STEPS)
    skew = g * root
    # an end with z < 0 lies where the exponent of Y alone has the depth
    depth = _DEPTH + least
    alone = (
        reach(none, beta + none, alpha + none, depth, steps=_END_STEPS) + v,
        reach(none, alpha + none, beta + none, depth, steps=_END_STEPS) - v,
    )
    left = jnp.where(z1 - skew * jnp.expm1(-left) < 0, alone[0], left)
    right = jnp.where(z1 - skew * jnp.expm1(right) < 0, alone[1], right)
    return _Range(y1, z1, skew, A, B, least, left, right)


def _nodes(found: _Range) -> tuple[jax.Array, jax.Array]:
    """Blocks of nodes, one number for all of x, and the step.

    The integrand is as wide as 1/√(A + B) about y1. It has an edge of that width in a range as wide
    as log Y when the law is nearly one-sided, |g| √y0 >> 1; then there are many nodes.
    """
    step = jnp.minimum(_STEP, _STEP_IN_WIDTHS / jnp.sqrt(found.A + found.B))
    wanted = jnp.max(jnp.ceil((found.left + found.right) / step), initial=_LEAST)
    blocks = jnp.ceil(jnp.minimum(wanted, _MOST) / _BLOCK)
    step = (found.left + found.right) / (blocks * _BLOCK)
    return blocks.astype(jnp.int32), step


def _inside_power_tail(a: jax.Array, g: jax.Array, x: jax.Array) -> jax.Array:
    """x, but where a = g = 0 the last x with a square; beyond it the tail is the power x^2p."""
    most = float(jnp.finfo(x.dtype).max) ** 0.45
    return jnp.where((a == 0) & (g == 0), jnp.clip(x, -most, most), x)


def tails(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> Tails:
    """At finite x, any shape, of one law."""
    y0 = mode_of_log(p, a, b)
    log_mass = -gig_log_density(p, a, b, y0) - jnp.log(y0)
    upper = x >= g * y0
    sign = jnp.where(upper, 1.0, -1.0).astype(x.dtype)
    inside = _inside_power_tail(a, g, x)
    found = _range(p, a, b, y0, sign * g, sign * inside)
    blocks, step = _nodes(found)
    y1, z1, skew, A, B, least, left, _ = found
    rise, fall = a * y1 / 2, b / y1 / 2
    factor, tiny = jnp.expm1(step), 1e3 * float(jnp.finfo(x.dtype).tiny)
    distance = sign * inside / jnp.sqrt(y1)

    def block(i: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        total, density, first = sums
        u = ((i * _BLOCK).astype(x.dtype) + 0.5) * step - left
        e, grow = jnp.expm1(u), jnp.maximum(jnp.exp(u), tiny)
        for _ in range(_BLOCK):
            shrink = 1 / grow
            d = -e * shrink
            root = jnp.sqrt(shrink)
            z = root * jnp.where(e < -0.5, distance - skew * grow, z1 - skew * e)
            near = jnp.exp(-A * (e - u) - B * (d + u)) / math.sqrt(2 * math.pi)
            below = near * mills(jnp.abs(z))
            whole = jnp.exp(z1 * z1 / 2 - rise * e - fall * d + p * u)
            term = jnp.where(z >= 0, below, whole - below)
            total, density, first = total + term, density + near * root, first + term * u
            e, u, grow = e + factor * grow, u + step, grow + factor * grow
        return total, density, first

    none = jnp.zeros_like(x)
    total, density, first = jax.lax.fori_loop(0, blocks, block, (none, none, none))
    log_scale = jnp.log(step) - least - log_mass
    beyond = jnp.log(jnp.where(x == inside, 1.0, x / inside))
    log_tail = jnp.log(total) + log_scale + 2 * p * beyond
    # rounding must not make it a certainty: the complement would have no logarithm
    log_tail = jnp.minimum(log_tail, -jnp.finfo(x.dtype).eps)
    other = jnp.log(-jnp.expm1(log_tail))
    log_density = jnp.log(density / jnp.sqrt(y1)) + log_scale + (2 * p - 1) * beyond
    return Tails(
        jnp.where(upper, other, log_tail), jnp.where(upper, log_tail, other), log_density, upper,
        jnp.log(y1) + first / total,
    )  # fmt: skip


@jax.custom_jvp
def log_odds(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> jax.Array:
    """log P(X <= x) - log P(X > x) of one law at any shape of x; ±inf at ±inf, nan at nan."""
    finite = jnp.isfinite(x)
    both = tails(p, a, b, g, jnp.where(finite, x, 0.0))
    return jnp.where(finite, both.log_lower - both.log_upper, x)


def _slopes(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array
) -> tuple[jax.Array, ...]:
    """The derivatives of the log-odds in p, a, b, g and x."""
    orders = jnp.stack([p, p - 1, p + 1])
    three = jax.vmap(tails, in_axes=(0, None, None, None, None))(orders, a, b, g, x)
    both = jax.tree.map(lambda part: part[0], three)
    mean = gig_moments(p, a, b)
    # E (Y; tail) = E Y times the probability of the tail for p + 1, and 1/Y goes with p - 1
    one = jnp.where(both.upper[None], three.log_upper, three.log_lower)
    lean_inverse, lean = jnp.expm1(one[1] - one[0]), jnp.expm1(one[2] - one[0])
    # dΔ = dF / (F S): by the score of Y in the tail, and by f dx - f E(Y | x) dg
    by_score = jnp.where(both.upper, -jnp.exp(-both.log_lower), jnp.exp(-both.log_upper))
    by_x = jnp.exp(both.log_density - both.log_lower - both.log_upper)
    like = jnp.zeros_like(x)
    y_at_x = gig_moments(p - 0.5 + like, a + g * g + like, b + x * x).y
    return (
        by_score * (both.log_y - mean.log_y),
        -by_score * mean.y * lean / 2,
        -by_score * mean.inverse_y * lean_inverse / 2,
        -by_x * y_at_x,
        by_x,
    )


@partial(log_odds.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, g, x = primals
    finite = jnp.isfinite(x)
    slopes = _slopes(p, a, b, g, jnp.where(finite, x, 0.0))
    slopes = tuple(jnp.where(finite, slope, 0.0) for slope in slopes)
    value = log_odds(*primals)
    return value, along(slopes, tangents, value)


@jax.custom_jvp
def quantile(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, odds: jax.Array) -> jax.Array:
    """x with `log_odds` as given, any shape, of one law; ±inf at ±inf, nan at nan.

    Newton's method inside a bracket, in τ with x = g y0 + s sinh τ and for asinh of the log-odds:
    power tails, exponential and normal ones are then all nearly straight.
    """
    solvable = jnp.isfinite(odds)
    target = jnp.where(solvable, odds, 0.0)
    y0 = mode_of_log(p, a, b)
    centre, width = g * y0, 1 + a * y0 / 2 + b / y0 / 2
    unit = jnp.sqrt(y0) * jnp.sqrt(1 + g * g * y0 / width)
    eps = jnp.finfo(odds.dtype).eps
    # x² is a number
    most = 0.45 * math.log(float(jnp.finfo(odds.dtype).max)) - jnp.abs(jnp.log(unit))
    goal = jnp.arcsinh(target)

    def body(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        t, low, high, done, count = state
        both = tails(p, a, b, g, centre + unit * jnp.sinh(t))
        value = both.log_lower - both.log_upper
        miss = jnp.arcsinh(value) - goal
        low, high = jnp.where(miss < 0, t, low), jnp.where(miss < 0, high, t)
        slope = jnp.exp(both.log_density - both.log_lower - both.log_upper)
        step = miss * jnp.hypot(1.0, value) / (slope * unit * jnp.cosh(t))
        new = t - step
        fits = (new >= low) & (new <= high)
        new = jnp.where(fits, new, (jnp.maximum(low, -most) + jnp.minimum(high, most)) / 2)
        new = jnp.clip(new, -most, most)
        settled = done | (jnp.abs(new - t) <= 4 * eps * (1 + jnp.abs(t))) | (miss == 0)
        return jnp.where(done, t, new), low, high, settled, count + 1

    def proceed(state: tuple[jax.Array, ...]) -> jax.Array:
        return ~jnp.all(state[3]) & (state[4] < _QUANTILE_STEPS)

    infinite = jnp.full_like(target, jnp.inf)
    first: tuple[jax.Array, ...] = (
        jnp.clip(goal, -most, most), -infinite, infinite, ~solvable, jnp.array(0)
    )  # fmt: skip
    x = centre + unit * jnp.sinh(jax.lax.while_loop(proceed, body, first)[0])
    return jnp.where(solvable, x, odds)


@partial(quantile.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    *law, odds = primals
    x = quantile(*law, odds)
    finite = jnp.isfinite(x)
    p, a, b, g = law
    *by_law, by_x = _slopes(p, a, b, g, jnp.where(finite, x, 0.0))
    slopes = [jnp.where(finite, -slope / by_x, 0.0) for slope in by_law]
    slopes.append(jnp.where(finite, 1 / by_x, 0.0))
    return x, along(slopes, tangents, x)


@jax.custom_jvp
def mean_above(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> jax.Array:
    """E (X | X > x) = g E(Y | X > x) + f(x) E(Y | X = x) / P(X > x), finite x of any shape.

    E (Y; X > x) = E Y times the probability of X > x under the law of Y tilted by y, p + 1 for p.
    """
    mean_y, y_at_x = _means(p, a, b, g, x)
    exists = mean_y < jnp.inf
    orders = jnp.stack([p, jnp.where(exists, p + 1, p)])
    two = jax.vmap(tails, in_axes=(0, None, None, None, None))(orders, a, b, g, x)
    tilted, log_tail = two.log_upper[1], two.log_upper[0]
    return _assembled(g, mean_y, tilted - log_tail, two.log_density[0] - log_tail, y_at_x)


def _means(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """E Y, and E (Y | X = x)."""
    like = jnp.zeros_like(x)
    given = gig_moments(p - 0.5 + like, a + g * g + like, b + x * x)
    return gig_moments(p, a, b).y, given.y


def _assembled(
    g: jax.Array, mean_y: jax.Array, lean: jax.Array, hazard: jax.Array, y_at_x: jax.Array
) -> jax.Array:
    drift = g * mean_y * jnp.exp(lean)
    drift = jnp.where((g == 0) & (mean_y == jnp.inf), 0.0, drift)
    return drift + jnp.exp(hazard) * y_at_x


@mean_above.defjvp
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    def by_parts(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> jax.Array:
        mean_y, y_at_x = _means(p, a, b, g, x)
        log_tail = jax.nn.log_sigmoid(-log_odds(p, a, b, g, x))
        tilted = jax.nn.log_sigmoid(-log_odds(jnp.where(mean_y < jnp.inf, p + 1, p), a, b, g, x))
        log_f = log_density(p, a, b, x.reshape(-1, 1), g[None]).reshape(x.shape)
        return _assembled(g, mean_y, tilted - log_tail, log_f - log_tail, y_at_x)

    return mean_above(*primals), jax.jvp(by_parts, primals, tangents)[1]
