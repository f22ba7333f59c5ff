"""Odds, quantiles and tail means of X = g Y + √Y Z, Y ~ GIG(p, a, b), Z standard normal.

All come from `_tail_integral.tails`; derivatives in closed form, in terms of tails again.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from normix_expfam import gig_moments, mode_of_log
from normix_expfam.toolbox import along

from ._density import log_density
from ._tail_integral import tails

_QUANTILE_STEPS = 100  # 4 to 9 are usual


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
    power tails, exponential and normal ones are then all nearly straight. Past the last x with a
    square there are power tails only, log x linear in the logarithm of the tail.
    """
    solvable = jnp.isfinite(odds)
    target = jnp.where(solvable, odds, 0.0)
    y0 = mode_of_log(p, a, b)
    centre, width = g * y0, 1 + a * y0 / 2 + b / y0 / 2
    unit = jnp.sqrt(y0) * jnp.sqrt(1 + g * g * y0 / width)
    eps = jnp.finfo(odds.dtype).eps
    most = 0.45 * math.log(float(jnp.finfo(odds.dtype).max)) - jnp.abs(jnp.log(unit))
    goal = jnp.arcsinh(target)

    def body(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        t, low, high, last, beyond, done, count = state
        x = centre + unit * jnp.sinh(t)
        both = tails(p, a, b, g, x)
        value = both.log_lower - both.log_upper
        miss = jnp.arcsinh(value) - goal
        low, high = jnp.where(miss < 0, t, low), jnp.where(miss < 0, high, t)
        slope = jnp.exp(both.log_density - both.log_lower - both.log_upper)
        step = miss * jnp.hypot(1.0, value) / (slope * unit * jnp.cosh(t))
        # next to a pole of the density rounding of the odds is all that is left
        near = jnp.abs(value - target) <= 512 * eps
        reached = near | (jnp.abs(miss) <= 16 * eps * (1 + jnp.abs(goal)))
        # a step over both sides that is not half the last one may be part of a cycle
        stalls = jnp.isfinite(high - low) & (jnp.abs(step) > jnp.abs(last) / 2)
        newton = (t - step > low) & (t - step < high) & ~stalls
        middle = (jnp.maximum(low, -most) + jnp.minimum(high, most)) / 2
        new = jnp.clip(jnp.where(newton, t - step, jnp.where(reached, t, middle)), -most, most)
        rested = jnp.abs(new - t) <= 4 * eps * jnp.abs(t)
        at_end = rested & ~reached & (jnp.abs(t) >= most)
        log_tail = jnp.where(x > 0, both.log_upper, both.log_lower)
        fall = log_tail - jax.nn.log_sigmoid(jnp.where(x > 0, -target, target))
        power = jnp.exp(both.log_density - log_tail) * jnp.abs(x)
        beyond = jnp.where(done | ~at_end, beyond, fall / power)
        settled = done | rested | reached
        return jnp.where(done, t, new), low, high, new - t, beyond, settled, count + 1

    def proceed(state: tuple[jax.Array, ...]) -> jax.Array:
        return ~jnp.all(state[5]) & (state[6] < _QUANTILE_STEPS)

    infinite = jnp.full_like(target, jnp.inf)
    first: tuple[jax.Array, ...] = (
        jnp.clip(goal, -most, most), -infinite, infinite, infinite,
        jnp.zeros_like(target), ~solvable, jnp.array(0),
    )  # fmt: skip
    t, *_, beyond, _, _ = jax.lax.while_loop(proceed, body, first)
    return jnp.where(solvable, (centre + unit * jnp.sinh(t)) * jnp.exp(beyond), odds)


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
    hazard = two.log_density[0] - log_tail
    value = _assembled(g, mean_y, tilted - log_tail, hazard, y_at_x)
    # the light tail of a law without a mean has one: E (Y | X > x) is finite for g < 0
    y = jnp.where(two.upper[0], two.y[0], jnp.nan)
    light = g * y + jnp.exp(hazard) * y_at_x
    return jnp.where(~exists & (g < 0), light, value)


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
