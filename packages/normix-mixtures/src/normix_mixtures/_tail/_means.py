"""Means beyond a point or a quantile of X = g Y + σ √Y Z, Y ~ GIG(p, a, b), Z standard normal.

The derivatives are in closed form, in terms of tails and the density again.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from normix_expfam import gig_moments
from normix_expfam.internal import along
from normix_mixtures._mode_mass import Prior, means_of_concentrated, of_parameters, prior_of
from normix_mixtures._mode_shift import Means, from_mode, shift

from ._edge import Edge, drift, edge_at, tails_of_orders
from ._integral import Tails, tails
from ._odds import slopes_of_odds
from ._quantile import quantile


@jax.custom_jvp
def mean_above(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, x: jax.Array
) -> jax.Array:
    """E (X | X > x) = g E(Y | X > x) + σ² f(x) E(Y | X = x) / P(X > x), finite x of any shape.

    E (Y; X > x) = E Y times the probability of X > x under the law of Y tilted by y, p + 1 for p.
    """
    mean_y = gig_moments(p, a, b).y
    two = tails_of_orders([p, _order(p + 1, p, mean_y)], a, b, g / scale, x / scale)
    edge = edge_at(p, a, b, g, scale, x)
    _, _, at_edge = edge.over(two.log_upper[0])
    return scale * (drift(edge.g, _y_above(mean_y, edge.g, two, 0)) + at_edge)


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
    odds_change = slopes_of_odds(p, a, b, edge_at(p, a, b, g, scale, x), scale, moved)[1]
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
    edge = edge_at(p, a, b, g, scale, x)
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
    some = tails_of_orders(orders, a, b, g, x)
    hazard, times_x, at_edge = edge.over(some.log_upper[0])
    y = _y_above(before.y, g, some, 0)
    # the moments with a factor Y are those of the tilted law, if there is one
    y_again = jnp.where(before.y < jnp.inf, _y_above(lifted.y, g, some, 1), jnp.nan)
    log_y_again = jnp.where(before.y < jnp.inf, _log_y_above(lifted.log_y, some, 1), jnp.nan)
    inverse_y = before.inverse_y * jnp.exp(some.log_upper[3] - some.log_upper[0])
    mean = drift(g, y) + at_edge
    beyond, by_g = times_x * (mean - x), y - at_edge * (mean - x)
    prior = prior_of(p, a, b)
    by_rates = _covariance_of_concentrated(prior, edge, some, drift(g, y), at_edge)
    of_concentrated = of_parameters(prior, *by_rates, (mean + drift(g, by_g) - beyond) / 2)
    by_law = (
        drift(g, y * log_y_again) + at_edge * at_x.log_y
        - mean * _log_y_above(before.log_y, some, 0),
        -(drift(g, y * y_again) + at_edge * at_x.y - mean * y) / 2,
        -(g + hazard - mean * inverse_y) / 2,
    )  # fmt: skip
    slopes = (
        *(scale * jnp.where(prior.concentrated, one, other)
          for one, other in zip(of_concentrated, by_law, strict=True)),
        by_g,
        mean - drift(g, by_g) - beyond,
    )  # fmt: skip
    return scale * mean, along(slopes, moved, x), hazard * (mean - x)


def _covariance_of_concentrated(
    prior: Prior, edge: Edge, some: Tails, drift: jax.Array, at_edge: jax.Array
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
    return Means(*(_complement(mean, part[k], some, k) for mean, part in pairs))


def _order(order: jax.Array, p: jax.Array, mean: jax.Array) -> jax.Array:
    """An order whose law exists only if a mean is finite, else p."""
    return jnp.where(mean < jnp.inf, order, p)


def _y_above(mean_y: jax.Array, g: jax.Array, some: Tails, k: int) -> jax.Array:
    """E (Y | X > x) for the k-th order, the next being tilted by y."""
    tilted = mean_y * jnp.exp(some.log_upper[k + 1] - some.log_upper[k])
    # the light tail of a law without a mean has one
    light = some.y0[k] * (1 + some.means.s[k] + some.means.f[k])
    light = jnp.where(some.upper[k], light, jnp.nan)
    return jnp.where(mean_y < jnp.inf, tilted, jnp.where(g < 0, light, jnp.inf))


def _log_y_above(mean_log_y: jax.Array, some: Tails, k: int) -> jax.Array:
    """E (log Y | X > x) for the k-th order, the complement of what was integrated if need be."""
    return _complement(mean_log_y, some.means.s[k] + jnp.log(some.y0[k]), some, k)


def _complement(mean: jax.Array, of_tail: jax.Array, some: Tails, k: int) -> jax.Array:
    """A mean given X > x, from that of the tail that was integrated and the mean of all."""
    lower, upper = jnp.exp(some.log_lower[k]), jnp.exp(some.log_upper[k])
    return jnp.where(some.upper[k], of_tail, (mean - lower * of_tail) / upper)
