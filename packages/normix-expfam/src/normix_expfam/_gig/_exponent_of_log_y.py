"""The exponent of a GIG distribution about a point of log y: α (e^u - 1 - u) + β (e^-u - 1 + u)."""

import jax
import jax.numpy as jnp
import numpy as np


def largest(x: jax.Array) -> float:
    """u for which e^u is finite."""
    return 0.99 * float(np.log(jnp.finfo(x.dtype).max))


def powers(u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """e^u - 1 and e^-u - 1, finite, so that 0 times them is 0."""
    u = jnp.clip(u, -largest(u), largest(u))
    return jnp.expm1(u), jnp.expm1(-u)


def reach(
    slope: jax.Array, up: jax.Array, down: jax.Array, depth: jax.Array | float, *, steps: int
) -> jax.Array:
    """u > 0 with slope u + up (e^u - 1 - u) + down (e^-u - 1 + u) = depth, from above.

    Each term alone bounds u: e^u - 1 - u >= cosh u - 1 and e^-u - 1 + u >= u² / (2 + u). Newton's
    method on the convex function descends from the least of the bounds.
    """
    tiny = jnp.finfo(up.dtype).tiny
    x, y = depth / jnp.maximum(up, tiny), depth / jnp.maximum(down, tiny)
    u = jnp.minimum(
        jnp.log1p(x + jnp.sqrt(x) * jnp.sqrt(2 + x)), y / 2 + jnp.hypot(y / 2, jnp.sqrt(2 * y))
    )
    u = jnp.minimum(u, depth / jnp.maximum(slope, tiny))
    for _ in range(steps):
        e = jnp.expm1(jnp.minimum(u, largest(u)))
        d = -e / (1 + e)
        excess = slope * u + up * (e - u) + down * (d + u) - depth
        step = excess / (slope + up * e - down * d)
        u = jnp.where(jnp.isfinite(step), u - jnp.maximum(step, 0.0), u)
    return u
