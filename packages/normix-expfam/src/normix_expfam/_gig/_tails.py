"""Distribution function and quantiles of GIG distributions, from the log-odds of Y <= x.

With s = log x, A = a x / 2, B = b / (2 x), the two tails are, up to one common factor,

    R = ∫_0^∞ exp(-D(v)) dv,   L = ∫_0^∞ exp(-D(-v)) dv,   D(v) = A expm1(v) + B expm1(-v) - p v,

so the log-odds log L - log R give cdf, sf and their logarithms without a subtraction, without a
Bessel function and with full relative accuracy in both tails. L is R of 1/Y: p -> -p, A <-> B.

D is convex. R is integrated from its centre c, the mode of log Y or s where the mode lies on
the other side, to where exp(-D) has fallen by e^-`_DEPTH`, by Gauss-Legendre panels. On a scale
of 1 in v the integrand changes only near the two ends, where A e^v or B e^-v is about 1;
between them it is an exponential. So five panels are enough for a range of any length.

Derivatives: E (Y | Y > x) = x R_{p+1} / R_p and E (1/Y | Y > x) = R_{p-1} / (x R_p).
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam._gig._exponent_of_log_y import largest, reach
from normix_expfam._manual_axes import varying_like
from normix_expfam._tangents import along

from ._jax import mode_and_rates, mode_of_log

_DEPTH = 34.0  # e^-34 is 2e-15; each unit more costs 40 nodes accuracy
_NODES = 40  # of a panel
_BLOCK = 4  # pairs of nodes in a step of the loop
_SHORT, _LONG = 8.0, 48.0  # from an end to the ends of its first two panels
_WHOLE = 10.0  # one panel covers a range of this length
_PANELS = 5
_END_STEPS = 3  # of Newton; a range that is too long costs accuracy only slowly
_QUANTILE_STEPS = 100  # 3 to 8 are usual


@cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    """The positive nodes and their weights on [-1, 1], in blocks."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = _NODES // 2
    return nodes[half:].reshape(-1, _BLOCK), weights[half:].reshape(-1, _BLOCK)


class _Tails(NamedTuple):
    """log L, log R and the means of |log(Y/x)| in the two tails."""

    lower: jax.Array
    upper: jax.Array
    lower_distance: jax.Array
    upper_distance: jax.Array


def _edges(low: jax.Array, high: jax.Array) -> jax.Array:
    """Ends of the panels, shape (panels + 1, ...); a short range is the first panel alone."""
    middle = (low + high) / 2
    inner = [
        jnp.minimum(low + _SHORT, middle),
        jnp.minimum(low + _LONG, middle),
        jnp.maximum(high - _LONG, middle),
        jnp.maximum(high - _SHORT, middle),
    ]
    whole = high - low <= _WHOLE
    return jnp.stack([low, *(jnp.where(whole, high, edge) for edge in inner), high])


def _one_tail(
    p: jax.Array, up: jax.Array, down: jax.Array, centre: jax.Array, alpha: jax.Array,
    beta: jax.Array,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """log R and the mean of v under exp(-D).

    Args:
        p, up, down: p, A, B.
        centre: v at the mode of log Y.
        alpha, beta: A and B at the mode.
    """
    inside = centre > 0
    c = jnp.where(inside, centre, 0.0)
    up_c, down_c = jnp.where(inside, alpha, up), jnp.where(inside, beta, down)
    slope = jnp.where(inside, 0.0, jnp.maximum(up - down - p, 0.0))
    near = jnp.minimum(c, 1.0)
    rise = jnp.where(c < 1, up * jnp.expm1(near), up_c - up)
    least = rise + down * jnp.expm1(-c) - p * c  # D at the centre
    high = reach(slope, up_c, down_c, _DEPTH, steps=_END_STEPS)
    low = jnp.where(
        inside,
        -jnp.minimum(c, reach(jnp.zeros_like(c), down_c, up_c, _DEPTH, steps=_END_STEPS)),
        0.0,
    )
    edges = _edges(low, high)
    nodes, weights = (jnp.asarray(table, p.dtype) for table in _legendre())

    def density(u: jax.Array, e: jax.Array, d: jax.Array) -> jax.Array:
        return jnp.exp(-slope * u - up_c * (e - u) - down_c * (d + u))

    def block(i: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        panel, part = i // nodes.shape[0], i % nodes.shape[0]
        half = (edges[panel + 1] - edges[panel]) / 2
        middle = edges[panel] + half
        centred = jnp.clip(middle, -0.95 * largest(middle), 0.95 * largest(middle))
        e, d = jnp.expm1(centred), jnp.expm1(-centred)
        up_m, down_m = jnp.exp(centred), jnp.exp(-centred)
        room = largest(middle) - jnp.abs(centred)  # h is larger only where e^u is immaterial
        total, distance = sums
        for k in range(_BLOCK):
            # e^u - 1 and e^-u - 1 from one more exponential, each to eps of the larger of it and 1
            h = half * nodes[part, k]
            e_h = jnp.expm1(jnp.minimum(h, room))
            shrink = 1 / (1 + e_h)
            above = density(middle + h, e + up_m * e_h, (d - e_h) * shrink)
            below = density(middle - h, (e - e_h) * shrink, d + down_m * e_h)
            scale = weights[part, k] * half
            total = total + scale * (above + below)
            distance = distance + scale * (above * (middle + h) + below * (middle - h))
        return total, distance

    panels = jnp.where(jnp.all(high - low <= _WHOLE), 1, _PANELS)
    zero = jnp.zeros_like(least)
    total, distance = jax.lax.fori_loop(0, panels * nodes.shape[0], block, (zero, zero))
    diverges = (alpha == 0) & (p >= 0)
    log_tail = jnp.where(diverges, jnp.inf, jnp.log(total) - least)
    return log_tail, c + distance / total


@jax.jit
def tails(p: jax.Array, a: jax.Array, b: jax.Array, x: jax.Array) -> _Tails:
    """Of equally shaped p, a, b, x with x > 0."""
    y0, alpha, beta = mode_and_rates(p, a, b)
    most = 0.01 * float(jnp.finfo(x.dtype).max)  # beyond it the odds are 0 or infinite anyway
    up, down = jnp.minimum(a * x / 2, most), jnp.minimum(b / x / 2, most)
    centre = jnp.log(y0) - jnp.log(x)
    small = jnp.abs(y0 - x) < 0.5 * x
    centre = jnp.where(small, jnp.log1p(jnp.where(small, (y0 - x) / x, 0.0)), centre)
    both = [
        jnp.stack(pair)
        for pair in ((p, -p), (up, down), (down, up), (centre, -centre), (alpha, beta),
                     (beta, alpha))
    ]  # fmt: skip
    log_tail, distance = _one_tail(*both)
    return _Tails(log_tail[1], log_tail[0], distance[1], distance[0])


def _inside_or_one(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    inside = (x > 0) & (x < jnp.inf)
    return inside, jnp.where(inside, x, 1.0)


@jax.custom_jvp
def log_odds(p: jax.Array, a: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    """log P(Y <= x) - log P(Y > x), equal shapes; -inf for x <= 0, inf at inf, nan at nan."""
    inside, x_safe = _inside_or_one(x)
    both = tails(p, a, b, x_safe)
    outside = jnp.where(x <= 0, -jnp.inf, jnp.where(x == jnp.inf, jnp.inf, jnp.nan))
    return jnp.where(inside, both.lower - both.upper, outside)


def _slopes(
    p: jax.Array, a: jax.Array, b: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The derivatives of `log_odds` in p, a, b and x."""
    shifted = [jnp.stack([p - 1, p, p + 1]), *(jnp.stack([y, y, y]) for y in (a, b, x))]
    both = tails(*shifted)
    lower, upper = both.lower, both.upper
    by_p = -both.lower_distance[1] - both.upper_distance[1]
    by_a = x * (jnp.exp(upper[2] - upper[1]) - jnp.exp(lower[2] - lower[1])) / 2
    by_b = (jnp.exp(upper[0] - upper[1]) - jnp.exp(lower[0] - lower[1])) / x / 2
    return by_p, by_a, by_b, (jnp.exp(-lower[1]) + jnp.exp(-upper[1])) / x


@partial(log_odds.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, x = primals
    inside, x_safe = _inside_or_one(x)
    slopes = tuple(jnp.where(inside, slope, 0.0) for slope in _slopes(p, a, b, x_safe))
    return log_odds(p, a, b, x), along(slopes, tangents, x)


@jax.custom_jvp
def quantile(p: jax.Array, a: jax.Array, b: jax.Array, odds: jax.Array) -> jax.Array:
    """x with `log_odds` as given, equal shapes; 0 at -inf, inf at inf, nan at nan.

    Halley's iteration in log x, inside a bracket. It starts where D has risen from its minimum
    by |log-odds|, which is the tail's leading term.
    """
    solvable = jnp.isfinite(odds)
    target = jnp.where(solvable, odds, 0.0)
    y0 = mode_of_log(p, a, b)
    alpha, beta = a * y0 / 2, b / y0 / 2
    right = target > 0
    depth = jnp.maximum(jnp.abs(target), 1e-3)
    sides = jnp.where(right, alpha, beta), jnp.where(right, beta, alpha)
    distance = reach(jnp.zeros_like(p), *sides, depth, steps=_END_STEPS)
    eps = jnp.finfo(p.dtype).eps
    least, most = (float(np.log(x)) for x in (jnp.finfo(p.dtype).tiny, jnp.finfo(p.dtype).max))
    least, most = least - 1, most + 1
    start = jnp.clip(jnp.log(y0) + jnp.where(right, distance, -distance), least, most)

    def body(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        s, low, high, done, count = state
        x = jnp.clip(jnp.exp(s), jnp.finfo(s.dtype).tiny, jnp.finfo(s.dtype).max)
        both = tails(p, a, b, x)
        miss = both.lower - both.upper - target
        low, high = jnp.where(miss < 0, s, low), jnp.where(miss < 0, high, s)
        left, right = jnp.exp(-both.lower), jnp.exp(-both.upper)  # 1/L, 1/R
        drift = (a * x - b / x) / 2 - p
        slope = left + right
        curvature = right * (right - drift) - left * (left + drift)
        newton = miss / slope
        step = newton / jnp.maximum(1 - 0.5 * newton * curvature / slope, 0.5)
        proposed = s - step
        fits = (proposed >= low) & (proposed <= high)
        halved = jnp.where(
            jnp.isfinite(low) & jnp.isfinite(high), (low + high) / 2, s - jnp.sign(miss)
        )
        proposed = jnp.clip(jnp.where(fits, proposed, halved), least, most)
        settled = done | (jnp.abs(proposed - s) <= 4 * eps * (1 + jnp.abs(s))) | (miss == 0)
        return jnp.where(done, s, proposed), low, high, settled, count + 1

    def proceed(state: tuple[jax.Array, ...]) -> jax.Array:
        return ~jnp.all(state[3]) & (state[4] < _QUANTILE_STEPS)

    infinite = jnp.full_like(p, jnp.inf)
    first: tuple[jax.Array, ...] = (start, -infinite, infinite, ~solvable, jnp.array(0))
    first = varying_like(first, start)
    x = jnp.exp(jax.lax.while_loop(proceed, body, first)[0])
    edge = jnp.where(odds == -jnp.inf, 0.0, jnp.where(odds == jnp.inf, jnp.inf, jnp.nan))
    return jnp.where(solvable, x, edge)


@partial(quantile.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    *law, odds = primals
    x = quantile(*law, odds)
    return x, drift_of_quantile(law, x, tangents[:3], tangents[3])


def drift_of_quantile(law: Any, x: jax.Array, tangents: Any, odds_tangent: Any = None) -> jax.Array:
    """The tangent of x that keeps the log-odds at x, or lets them move by their tangent.

    Args:
        law: p, a, b, shaped like x.
        x: quantiles; where they are an end of the support they do not move.
        tangents: of p, a, b, symbolic zeros allowed.
        odds_tangent: of the log-odds; None if they are held.
    """
    inside, x_safe = _inside_or_one(x)
    by_p, by_a, by_b, by_x = _slopes(law[0], law[1], law[2], x_safe)
    slopes = tuple(jnp.where(inside, -slope / by_x, 0.0) for slope in (by_p, by_a, by_b))
    moved = along(slopes, tangents, x)
    if odds_tangent is None:
        return moved
    return moved + along((jnp.where(inside, 1 / by_x, 0.0),), (odds_tangent,), x)
