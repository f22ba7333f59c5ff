"""Odds, quantiles and tail means of X = g Y + σ √Y Z, Y ~ GIG(p, a, b), Z standard normal.

All come from `_tail_integral.tails` and the density of `_density`; derivatives in closed form, in
terms of both again.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from normix_expfam import gig_moments
from normix_expfam.internal import along, varying_like

from ._density import AtPoint, at_point
from ._mass import Prior, means_of_concentrated, of_parameters, prior_of
from ._shift import Means, from_mode, shift
from ._tail_integral import Tails, tails

_QUANTILE_STEPS = 100  # 4 to 9 are usual


@jax.custom_jvp
def log_odds(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, x: jax.Array
) -> jax.Array:
    """log P(X <= x) - log P(X > x) of one distribution, any shape; ±inf at ±inf, nan at nan."""
    finite = jnp.isfinite(x)
    both = tails(p, a, b, g / scale, jnp.where(finite, x, 0.0) / scale)
    return jnp.where(finite, both.log_lower - both.log_upper, x)


class _Edge(NamedTuple):
    """The point x and what is known there, in units of the scale."""

    x: jax.Array
    g: jax.Array
    at: AtPoint

    def over(self, log_weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """f, x f and f E(Y | X = x) over a weight; x f is 0 at the pole x = 0."""
        density = jnp.exp(self.at.log_density - log_weight)
        times_x = self.x * jnp.where(self.x == 0, 0.0, density)
        return density, times_x, jnp.exp(self.at.log_mean - log_weight)


def _edge(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, x: jax.Array
) -> _Edge:
    skew, z = g / scale, x / scale
    return _Edge(z, skew, at_point(p, a, b, skew, z))


def _slopes(
    p: jax.Array, a: jax.Array, b: jax.Array, edge: _Edge, scale: jax.Array, moved: Sequence[Any]
) -> tuple[jax.Array, jax.Array]:
    """Of the log-odds: the derivative in x, and the change along tangents of all but x."""
    x, g = edge.x, edge.g
    fixed = all(isinstance(tangent, SymbolicZero) for tangent in moved)
    some = _tilted([p] if fixed else [p, p - 1, p + 1], a, b, g, x)
    both = jax.tree.map(lambda part: part[0], some)
    density, times_x, by_g = edge.over(both.log_lower + both.log_upper)
    by_x = density / scale
    if fixed:
        return by_x, jnp.zeros_like(x)
    by_g, times_g = -by_g, -_drift(g, by_g)
    # dΔ = dF / (F S), by the score of Y in the tail
    by_score = jnp.where(both.upper, -jnp.exp(-both.log_lower), jnp.exp(-both.log_upper))
    prior = prior_of(p, a, b)
    mean = gig_moments(p, a, b)
    # E (Y; tail) = E Y times the probability of the tail for p + 1, and 1/Y goes with p - 1
    one = jnp.where(both.upper[None], some.log_upper, some.log_lower)
    lean_inverse, lean = jnp.expm1(one[1] - one[0]), jnp.expm1(one[2] - one[0])
    by_law = (
        by_score * (both.means.s - (mean.log_y - jnp.log(prior.y0))),
        -by_score * mean.y * lean / 2,
        -by_score * mean.inverse_y * lean_inverse / 2,
    )
    _, f, h = means_of_concentrated(prior.alpha, prior.beta)
    by_rates = by_score * (f - both.means.f), by_score * (h - both.means.h)
    concentrated = of_parameters(prior, *by_rates, (times_g - times_x) / 2)
    slopes = (
        *(jnp.where(prior.concentrated, one, other)
          for one, other in zip(concentrated, by_law, strict=True)),
        by_g / scale,
        -(times_x + times_g) / scale,
    )  # fmt: skip
    return by_x, along(slopes, moved, x)


@partial(log_odds.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, g, scale, x = primals
    *moved, step = tangents
    finite = jnp.isfinite(x)
    edge = _edge(p, a, b, g, scale, jnp.where(finite, x, 0.0))
    by_x, change = _slopes(p, a, b, edge, scale, moved)
    change = along([by_x], [step], x) + change
    return log_odds(*primals), jnp.where(finite, change, 0.0)


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
    edge = _edge(p, a, b, g, scale, jnp.where(finite, x, 0.0))
    by_x, change = _slopes(p, a, b, edge, scale, moved)
    moved_x = along([1 / by_x], [step], x) - change / by_x
    return x, jnp.where(finite, moved_x, 0.0)


@jax.custom_jvp
def mean_above(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, x: jax.Array
) -> jax.Array:
    """E (X | X > x) = g E(Y | X > x) + σ² f(x) E(Y | X = x) / P(X > x), finite x of any shape.

    E (Y; X > x) = E Y times the probability of X > x under the law of Y tilted by y, p + 1 for p.
    """
    mean_y = gig_moments(p, a, b).y
    two = _tilted([p, _order(p + 1, p, mean_y)], a, b, g / scale, x / scale)
    edge = _edge(p, a, b, g, scale, x)
    _, _, at_edge = edge.over(two.log_upper[0])
    return scale * (_drift(edge.g, _y_above(mean_y, edge.g, two, 0)) + at_edge)


@partial(mean_above.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, g, scale, x = primals
    *moved, step = tangents
    mean, change, by_x = _mean_slopes(p, a, b, g, scale, x, moved)
    return mean, change + along([by_x], [step], mean)


@jax.custom_jvp
def mean_beyond(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, odds: jax.Array
) -> jax.Array:
    """`mean_above` the `quantile` of finite log-odds, whose derivatives have no pole."""
    return mean_above(p, a, b, g, scale, quantile(p, a, b, g, scale, odds))


@partial(mean_beyond.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """The hazard times the movement of x is P(X <= x) times that of the log-odds."""
    p, a, b, g, scale, odds = primals
    *moved, step = tangents
    x = quantile(*primals)
    mean, change, _ = _mean_slopes(p, a, b, g, scale, x, moved)
    odds_change = _slopes(p, a, b, _edge(p, a, b, g, scale, x), scale, moved)[1]
    leverage = jax.nn.sigmoid(odds) * (mean - x)
    return mean, change + along([leverage], [step], x) - leverage * odds_change


def _mean_slopes(
    p: jax.Array,
    a: jax.Array,
    b: jax.Array,
    g: jax.Array,
    scale: jax.Array,
    x: jax.Array,
    moved: Sequence[Any],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """E (X | X > x), its change along tangents of all but x, and its derivative in x.

    That is the hazard times E (X | X > x) - x; in the law it is the covariance with the score,
    with E (X s(Y) | X > x) = g E (Y s(Y) | X > x) + hazard E (Y s(Y) | X = x).
    """
    edge = _edge(p, a, b, g, scale, x)
    if all(isinstance(tangent, SymbolicZero) for tangent in moved):
        mean = mean_above(p, a, b, g, scale, x)
        both = tails(p, a, b, edge.g, edge.x)
        hazard = edge.over(both.log_upper)[0]
        return mean, jnp.zeros_like(x), hazard * (mean - x) / scale
    before, lifted = gig_moments(p, a, b), gig_moments(p + 1, a, b)
    orders = [
        p,
        _order(p + 1, p, before.y),
        _order(p + 2, p, lifted.y),
        _order(p - 1, p, before.inverse_y),
    ]
    g, x, at_x = edge.g, edge.x, edge.at.moments
    some = _tilted(orders, a, b, g, x)
    hazard, times_x, at_edge = edge.over(some.log_upper[0])
    y = _y_above(before.y, g, some, 0)
    # the moments with a factor Y are those of the tilted law, if there is one
    y_again = jnp.where(before.y < jnp.inf, _y_above(lifted.y, g, some, 1), jnp.nan)
    log_y_again = jnp.where(before.y < jnp.inf, _log_y_above(lifted.log_y, some, 1), jnp.nan)
    inverse_y = before.inverse_y * jnp.exp(some.log_upper[3] - some.log_upper[0])
    mean = _drift(g, y) + at_edge
    beyond, by_g = times_x * (mean - x), y - at_edge * (mean - x)
    prior = prior_of(p, a, b)
    by_rates = _covariance_of_concentrated(prior, edge, some, _drift(g, y), at_edge)
    of_concentrated = of_parameters(prior, *by_rates, (mean + _drift(g, by_g) - beyond) / 2)
    by_law = (
        _drift(g, y * log_y_again) + at_edge * at_x.log_y
        - mean * _log_y_above(before.log_y, some, 0),
        -(_drift(g, y * y_again) + at_edge * at_x.y - mean * y) / 2,
        -(g + hazard - mean * inverse_y) / 2,
    )  # fmt: skip
    slopes = (
        *(scale * jnp.where(prior.concentrated, one, other)
          for one, other in zip(of_concentrated, by_law, strict=True)),
        by_g,
        mean - _drift(g, by_g) - beyond,
    )  # fmt: skip
    return scale * mean, along(slopes, moved, x), hazard * (mean - x)


def _covariance_of_concentrated(
    prior: Prior, edge: _Edge, some: Tails, drift: jax.Array, at_edge: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """-Cov (X, f(s)) and -Cov (X, h(s)) given X > x, s = log(Y/y0), from the orders p, p + 1."""
    _, alpha, beta = prior
    tail = _means_above(some, 0, prior.alpha, prior.beta)
    lifted = shift(alpha - beta + 1, alpha, beta, 1.0, jnp.zeros(1), jnp.zeros(1))
    again = from_mode(lifted, *_means_above(some, 1, lifted.up, lifted.down))
    at = edge.at.mode
    at_x = from_mode(at, *means_of_concentrated(at.up, at.down))
    return (
        -(drift * (again.f - tail.f) + at_edge * (at_x.f - tail.f)),
        -(drift * (again.h - tail.h) + at_edge * (at_x.h - tail.h)),
    )


def _means_above(some: Tails, k: int, alpha: jax.Array, beta: jax.Array) -> Means:
    """Means given X > x for the k-th order, as `_log_y_above`."""
    whole = means_of_concentrated(alpha, beta)
    pairs = zip(whole, some.means, strict=True)
    return Means(*(_complemented(mean, part[k], some, k) for mean, part in pairs))


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
    light = some.y0[k] * (1 + some.means.s[k] + some.means.f[k])
    light = jnp.where(some.upper[k], light, jnp.nan)
    return jnp.where(mean_y < jnp.inf, tilted, jnp.where(g < 0, light, jnp.inf))


def _log_y_above(mean_log_y: jax.Array, some: Tails, k: int) -> jax.Array:
    """E (log Y | X > x) for the k-th order, the complement of what was integrated if need be."""
    return _complemented(mean_log_y, some.means.s[k] + jnp.log(some.y0[k]), some, k)


def _complemented(mean: jax.Array, of_tail: jax.Array, some: Tails, k: int) -> jax.Array:
    """A mean given X > x, from that of the tail that was integrated and the mean of all."""
    lower, upper = jnp.exp(some.log_lower[k]), jnp.exp(some.log_upper[k])
    return jnp.where(some.upper[k], of_tail, (mean - lower * of_tail) / upper)
