"""Support y > 0: the indicator in logs, and a safe point for what is masked."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def log_indicator(x: Array) -> Float[Array, ""]:
    """0 on 0 < x < inf, -inf elsewhere, nan at nan."""
    return jnp.where(jnp.isnan(x), x, jnp.where((x > 0) & (x < jnp.inf), 0.0, -jnp.inf))


def interior_point(x: Array) -> Array:
    """x where 0 < x < inf, else 1."""
    return jnp.where((x > 0) & (x < jnp.inf), x, 1.0)
