"""What the derivatives at a point x are made of: the density there, and tails of several orders.

X = g Y + σ √Y Z, Y ~ GIG(p, a, b); a moment of Y in a tail is a tail of a distribution of Y with
another order p.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from normix_mixtures._density import AtPoint, at_point

from ._integral import Tails, tails


class Edge(NamedTuple):
    """The point x and what is known there, in units of the scale."""

    x: jax.Array
    g: jax.Array
    at: AtPoint

    def over(self, log_weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """f, x f and f E(Y | X = x) over a weight; x f is 0 at the pole x = 0."""
        density = jnp.exp(self.at.log_density - log_weight)
        times_x = self.x * jnp.where(self.x == 0, 0.0, density)
        return density, times_x, jnp.exp(self.at.log_mean - log_weight)


def edge_at(
    p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, scale: jax.Array, x: jax.Array
) -> Edge:
    skew, z = g / scale, x / scale
    return Edge(z, skew, at_point(p, a, b, skew, z))


def tails_of_orders(
    orders: Sequence[jax.Array], a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array
) -> Tails:
    """Tails under laws of several orders; not by vmap, for which every branch is taken."""
    along_first = jnp.stack(orders).reshape(-1, *(1,) * x.ndim)
    return tails(along_first, a, b, g, x[None])


def drift(g: jax.Array, y: jax.Array) -> jax.Array:
    """g y, 0 for g = 0 if y is infinite too."""
    return jnp.where((g == 0) & jnp.isinf(y), 0.0, g * y)
