"""Errors for static mistakes: they name class, argument, rule, value received and remedy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_concrete(*values: Any) -> bool:
    """Whether every value can be looked at now, outside tracing."""
    return not any(isinstance(v, jax.core.Tracer) for v in values)


def require(condition: Any, owner: str, argument: str, rule: str, value: Any, remedy: str) -> None:
    """Raise ValueError unless the concrete condition holds for every element."""
    if not bool(np.all(condition)):
        raise ValueError(f"{owner}: {argument} must {rule}, got {value}; {remedy}")


def as_float(value: Any) -> jax.Array:
    """A floating JAX array; integers become the default float."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.asarray(value, jnp.result_type(value, float))


def resolve_backend(owner: str, backend: str) -> str:
    if backend not in ("jax", "cpu"):
        raise ValueError(f"{owner}: backend must be 'jax' or 'cpu', got {backend!r}")
    return backend
