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


def as_floats(owner: str, **values: Any) -> list[jax.Array]:
    """The named values as floating JAX arrays of one dtype; integers become the default float."""
    arrays = []
    for name, value in values.items():
        array = jnp.asarray(value)
        if jnp.iscomplexobj(array):
            raise TypeError(f"{owner}: {name} must be real, got {value!r}; take its real part")
        arrays.append(array)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*arrays, float)
        return [array.astype(dtype) for array in arrays]


def as_float(value: Any) -> jax.Array:
    """A floating JAX array; integers become the default float."""
    return as_floats("as_float", value=value)[0]


def scalars(owner: str, **values: Any) -> list[jax.Array]:
    """The named parameters as floating scalars of one dtype."""
    arrays = as_floats(owner, **values)
    for name, array in zip(values, arrays, strict=True):
        require(array.ndim == 0, owner, name, "be a scalar", f"shape {array.shape}",
                "make a batch of laws with equinox.filter_vmap")  # fmt: skip
    return arrays


def positive_scalars(owner: str, **values: Any) -> list[jax.Array]:
    """The named parameters as floating scalars; each that is concrete must be positive."""
    arrays = scalars(owner, **values)
    for name, value in values.items():
        if is_concrete(value):
            value = np.asarray(value)
            require(np.isfinite(value) & (value > 0), owner, name, "be finite and > 0", value,
                    "check its sign and the parametrization")  # fmt: skip
    return arrays


def resolve_backend(owner: str, backend: str) -> str:
    if backend not in ("jax", "cpu"):
        raise ValueError(f"{owner}: backend must be 'jax' or 'cpu', got {backend!r}")
    return backend
