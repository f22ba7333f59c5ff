"""The inverse of the log-odds of X = g Y + σ √Y Z, Y ~ GIG(p, a, b), Z standard normal."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from normix_expfam.internal import along, varying_like
from normix_mixtures._mode_mass import prior_of

from ._edge import edge_at
from ._integral import tails
from ._odds import slopes_of_odds

_QUANTILE_STEPS = 100  # 4 to 9 are usual


@jax.custom_jvp
def quantile(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, odds: jax.Array
) -> jax.Array:
    """x with `log_odds` as given, any shape, of one distribution; ±inf at ±inf, nan at nan.

    Newton's method inside a bracket, in τ with x = g y0 + s sinh τ and for asinh of the log-odds:
    power tails, exponential and normal ones are then all nearly straight. Past `most` there are
    power tails only, log x linear in the logarithm of the tail.
    """
    solvable = jnp.isfinite(odds)
    target = jnp.where(solvable, odds, 0.0)
    g = g / scale
    y0, alpha, beta = prior_of(p, a, b)
    centre, width = g * y0, 1 + alpha + beta
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
        slope = jnp.exp(both.log_slope - both.log_lower - both.log_upper)
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
        power = jnp.exp(both.log_slope - log_tail) * jnp.abs(x)
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
    x = scale * (centre + unit * jnp.sinh(t)) * jnp.exp(beyond)
    return jnp.where(solvable, x, odds)


@partial(quantile.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, g, scale, _ = primals
    *moved, step = tangents
    x = quantile(*primals)
    finite = jnp.isfinite(x)
    edge = edge_at(p, a, b, g, scale, jnp.where(finite, x, 0.0))
    by_x, change = slopes_of_odds(p, a, b, edge, scale, moved)
    moved_x = along([1 / by_x], [step], x) - change / by_x
    return x, jnp.where(finite, moved_x, 0.0)
