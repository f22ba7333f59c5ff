"""Log-odds log P(X <= x) - log P(X > x) of X = g Y + σ √Y Z, Y ~ GIG(p, a, b), Z standard normal.

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
from normix_mixtures._mode_mass import means_of_concentrated, of_parameters, prior_of

from ._edge import Edge, drift, edge_at, tails_of_orders
from ._integral import tails


@jax.custom_jvp
def log_odds(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, x: jax.Array
) -> jax.Array:
    """log P(X <= x) - log P(X > x) of one distribution, any shape; ±inf at ±inf, nan at nan."""
    finite = jnp.isfinite(x)
    both = tails(p, a, b, g / scale, jnp.where(finite, x, 0.0) / scale)
    return jnp.where(finite, both.log_lower - both.log_upper, x)


@partial(log_odds.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, a, b, g, scale, x = primals
    *moved, step = tangents
    finite = jnp.isfinite(x)
    edge = edge_at(p, a, b, g, scale, jnp.where(finite, x, 0.0))
    by_x, change = slopes_of_odds(p, a, b, edge, scale, moved)
    change = along([by_x], [step], x) + change
    return log_odds(*primals), jnp.where(finite, change, 0.0)


def slopes_of_odds(
    p: jax.Array, a: jax.Array, b: jax.Array, edge: Edge, scale: jax.Array, moved: Sequence[Any]
) -> tuple[jax.Array, jax.Array]:
    """Of the log-odds: the derivative in x, and the change along tangents of all but x."""
    x, g = edge.x, edge.g
    fixed = all(isinstance(tangent, SymbolicZero) for tangent in moved)
    some = tails_of_orders([p] if fixed else [p, p - 1, p + 1], a, b, g, x)
    both = jax.tree.map(lambda part: part[0], some)
    density, times_x, by_g = edge.over(both.log_lower + both.log_upper)
    by_x = density / scale
    if fixed:
        return by_x, jnp.zeros_like(x)
    by_g, times_g = -by_g, -drift(g, by_g)
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
