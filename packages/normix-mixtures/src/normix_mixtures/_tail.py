"""Odds, quantiles and tail means of X = g Y + √Y Z, Y ~ GIG(p, a, b), Z standard normal.

All come from `_tail_integral.tails`; derivatives in closed form, in terms of tails again.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from normix_expfam import gig_moments, mode_of_log
from normix_expfam.toolbox import along, varying_like

from ._tail_integral import Tails, tails

_QUANTILE_STEPS = 100  # 4 to 9 are usual


@jax.custom_jvp
def log_odds(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> jax.Array:
    """log P(X <= x) - log P(X > x) of one law at any shape of x; ±inf at ±inf, nan at nan."""
    finite = jnp.isfinite(x)
    both = tails(p, a, b, g, jnp.where(finite, x, 0.0))
    return jnp.where(finite, both.log_lower - both.log_upper, x)


def _slopes(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array, moved: Sequence[Any]
) -> tuple[jax.Array, jax.Array]:
    """Of the log-odds: the derivative in x, and the change along tangents of p, a, b and g."""
    if all(isinstance(tangent, SymbolicZero) for tangent in moved):
        return _by_x(tails(p, a, b, g, x)), jnp.zeros_like(x)
    three = _tilted([p, p - 1, p + 1], a, b, g, x)
    both = jax.tree.map(lambda part: part[0], three)
    mean = gig_moments(p, a, b)
    y_at_x = gig_moments(p - 0.5 + 0 * x, a + g * g + 0 * x, b + x * x).y
    # E (Y; tail) = E Y times the probability of the tail for p + 1, and 1/Y goes with p - 1
    one = jnp.where(both.upper[None], three.log_upper, three.log_lower)
    lean_inverse, lean = jnp.expm1(one[1] - one[0]), jnp.expm1(one[2] - one[0])
    # dΔ = dF / (F S): by the score of Y in the tail, and by f dx - f E(Y | x) dg
    by_score = jnp.where(both.upper, -jnp.exp(-both.log_lower), jnp.exp(-both.log_upper))
    by_x = _by_x(both)
    slopes = (
        by_score * (both.log_y - mean.log_y),
        -by_score * mean.y * lean / 2,
        -by_score * mean.inverse_y * lean_inverse / 2,
        -by_x * y_at_x,
    )
    return by_x, along(slopes, moved, x)


def _by_x(both: Tails) -> jax.Array:
    return jnp.exp(both.log_density - both.log_lower - both.log_upper)


@partial(log_odds.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, g, x = primals
    *moved, step = tangents
    finite = jnp.isfinite(x)
    by_x, change = _slopes(p, a, b, g, jnp.where(finite, x, 0.0), moved)
    change = along([by_x], [step], x) + change
    return log_odds(*primals), jnp.where(finite, change, 0.0)


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
    t, *_, beyond, _, _ = jax.lax.while_loop(proceed, body, varying_like(first, centre, unit))
    return jnp.where(solvable, (centre + unit * jnp.sinh(t)) * jnp.exp(beyond), odds)


@partial(quantile.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, g, _ = primals
    *moved, step = tangents
    x = quantile(*primals)
    finite = jnp.isfinite(x)
    by_x, change = _slopes(p, a, b, g, jnp.where(finite, x, 0.0), moved)
    moved_x = along([1 / by_x], [step], x) - change / by_x
    return x, jnp.where(finite, moved_x, 0.0)


@jax.custom_jvp
def mean_above(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> jax.Array:
    """E (X | X > x) = g E(Y | X > x) + f(x) E(Y | X = x) / P(X > x), finite x of any shape.

    E (Y; X > x) = E Y times the probability of X > x under the law of Y tilted by y, p + 1 for p.
    """
    return _mean_and_hazard(p, a, b, g, x)[0]


def _mean_and_hazard(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """E (X | X > x) and f(x)/P(X > x)."""
    mean_y = gig_moments(p, a, b).y
    two = _tilted([p, _order(p + 1, p, mean_y)], a, b, g, x)
    hazard = jnp.exp(two.log_density[0] - two.log_upper[0])
    y_at_x = gig_moments(p - 0.5 + 0 * x, a + g * g + 0 * x, b + x * x).y
    return _drift(g, _y_above(mean_y, g, two, 0)) + hazard * y_at_x, hazard


@partial(mean_above.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """In x, hazard times E (X | X > x) - x; in the law, the covariance with its score.

    E (X s(Y) | X > x) = g E (Y s(Y) | X > x) + hazard E (Y s(Y) | X = x).
    """
    p, a, b, g, x = primals
    *moved, step = tangents
    if all(isinstance(tangent, SymbolicZero) for tangent in moved):
        mean, hazard = _mean_and_hazard(*primals)
        return mean, along([hazard * (mean - x)], [step], x)
    before, lifted = gig_moments(p, a, b), gig_moments(p + 1, a, b)
    orders = [
        p,
        _order(p + 1, p, before.y),
        _order(p + 2, p, lifted.y),
        _order(p - 1, p, before.inverse_y),
    ]
    some = _tilted(orders, a, b, g, x)
    hazard = jnp.exp(some.log_density[0] - some.log_upper[0])
    half = jnp.stack([p - 0.5, p + 0.5]).reshape(2, *(1,) * x.ndim)
    at_x = gig_moments(half + 0 * x[None], a + g * g + 0 * x[None], b + x[None] ** 2)
    edge = hazard * at_x.y[0]
    y = _y_above(before.y, g, some, 0)
    # the moments with a factor Y are those of the tilted law, if there is one
    y_again = jnp.where(before.y < jnp.inf, _y_above(lifted.y, g, some, 1), jnp.nan)
    log_y_again = jnp.where(before.y < jnp.inf, _log_y_above(lifted.log_y, some, 1), jnp.nan)
    inverse_y = before.inverse_y * jnp.exp(some.log_upper[3] - some.log_upper[0])
    mean = _drift(g, y) + edge
    slopes = (
        _drift(g, y * log_y_again) + edge * at_x.log_y[1]
        - mean * _log_y_above(before.log_y, some, 0),
        -(_drift(g, y * y_again) + edge * at_x.y[1] - mean * y) / 2,
        -(g + hazard - mean * inverse_y) / 2,
        y - edge * (mean - x),
        hazard * (mean - x),
    )  # fmt: skip
    return mean, along(slopes, tangents, x)


def _order(order: jax.Array, p: jax.Array, mean: jax.Array) -> jax.Array:
    """An order whose law exists only if a mean is finite, else p."""
    return jnp.where(mean < jnp.inf, order, p)


def _tilted(
    orders: Sequence[jax.Array], a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array
) -> Tails:
    """Tails under laws of several orders; not by vmap, for which every branch is taken."""
    along_first = jnp.stack(orders).reshape(-1, *(1,) * x.ndim)
    return tails(along_first, a, b, g, x[None])


def _drift(g: jax.Array, y: jax.Array) -> jax.Array:
    """g y, 0 for g = 0 if y is infinite too."""
    return jnp.where((g == 0) & jnp.isinf(y), 0.0, g * y)


def _y_above(mean_y: jax.Array, g: jax.Array, some: Tails, k: int) -> jax.Array:
    """E (Y | X > x) for the k-th order, the next being tilted by y."""
    tilted = mean_y * jnp.exp(some.log_upper[k + 1] - some.log_upper[k])
    # the light tail of a law without a mean has one
    light = jnp.where(some.upper[k], some.y[k], jnp.nan)
    return jnp.where(mean_y < jnp.inf, tilted, jnp.where(g < 0, light, jnp.inf))


def _log_y_above(mean_log_y: jax.Array, some: Tails, k: int) -> jax.Array:
    """E (log Y | X > x) for the k-th order, the complement of what was integrated if need be."""
    lower, upper = jnp.exp(some.log_lower[k]), jnp.exp(some.log_upper[k])
    complement = (mean_log_y - lower * some.log_y[k]) / upper
    return jnp.where(some.upper[k], some.log_y[k], complement)
