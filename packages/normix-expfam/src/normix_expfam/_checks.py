"""Errors for static mistakes: they name class, argument, rule, value received and remedy."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._manual_axes import error_if

Backend = Literal["jax", "cpu"]


def is_concrete(*values: Any) -> bool:
    """Whether every value, or every entry of lists, can be looked at now, outside tracing."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def at_once(*values: Any) -> AbstractContextManager[None]:
    """Where all values are concrete, what is computed from them is too, also within `jax.jit`."""
    return jax.ensure_compile_time_eval() if is_concrete(*values) else nullcontext()


def require(condition: Any, owner: str, argument: str, rule: str, value: Any, remedy: str) -> None:
    """Raise ValueError unless the concrete condition holds for every element."""
    if not bool(np.all(condition)):
        raise ValueError(f"{owner}: {argument} must {rule}, got {value}; {remedy}")


def as_floats(owner: str, **values: Any) -> list[jax.Array]:
    """The named values as floating JAX arrays of one dtype; integers become the default float."""
    arrays = []
    for name, value in values.items():
        with at_once(value):
            array = _numbers(owner, name, value)
        if jnp.iscomplexobj(array):
            raise TypeError(f"{owner}: {name} must be real, got {value!r}; take its real part")
        arrays.append(array)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*arrays, float)
    converted = []
    for array in arrays:
        with at_once(array):
            converted.append(array.astype(dtype))
    return converted


def _refuse_mask(owner: str, name: str, value: Any) -> None:
    """What NumPy makes of a masked array has the values under the mask."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{owner}: {name} must be an array without a mask, got a masked array of shape "
            f"{value.shape}; drop the masked rows, or fill the cells by .filled(value)"
        )


def _numbers(owner: str, name: str, value: Any) -> jax.Array:
    _refuse_mask(owner, name, value)
    if type(value) is np.ndarray and value.dtype in (np.float32, np.float64):
        # what `asarray` gives, by a program for each shape; a copy, as this may share memory
        return jax.device_put(value.copy())
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(_no_numbers(owner, name, value)) from error


def as_host_floats(owner: str, **values: Any) -> list[np.ndarray]:
    """The named values as floating arrays of NumPy; integers become float64.

    An array that is one is not copied, and keeps its precision.
    """
    arrays = []
    for name, value in values.items():
        _refuse_mask(owner, name, value)
        try:
            array = np.asarray(value)
            # numbers of other kinds, as decimal.Decimal
            array = array.astype(np.float64) if array.dtype == object else array
        except (TypeError, ValueError) as error:
            raise TypeError(_no_numbers(owner, name, value)) from error
        if np.iscomplexobj(array):
            raise TypeError(f"{owner}: {name} must be real, got {value!r}; take its real part")
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise TypeError(_no_numbers(owner, name, value))
        single = array.dtype in (np.float32, np.float64)
        arrays.append(array if single else array.astype(np.float64))
    return arrays


def _no_numbers(owner: str, name: str, value: Any) -> str:
    given = getattr(value, "dtype", None)
    text = repr(value) if given is None else f"dtype {given}"
    return (
        f"{owner}: {name} must be numbers of at most 64 bits in a rectangular array, got "
        f"{text}; convert it by numpy.asarray({name}, float)"
    )


def as_float(value: Any) -> jax.Array:
    """A floating JAX array; integers become the default float."""
    return as_floats("as_float", value=value)[0]


def scalars(owner: str, **values: Any) -> list[jax.Array]:
    """The named parameters as floating scalars of one dtype."""
    arrays = as_floats(owner, **values)
    for name, array in zip(values, arrays, strict=True):
        require(array.ndim == 0, owner, name, "be a scalar", f"shape {array.shape}",
                "make a batch with equinox.filter_vmap")  # fmt: skip
    return arrays


def positive_scalars(owner: str, *, check: bool = True, **values: Any) -> list[jax.Array]:
    """The named parameters as floating scalars, which must be positive.

    A concrete value raises ValueError; a traced one raises at run time, by `equinox.error_if`,
    and with ``check=False`` nothing does.
    """
    found = []
    for (name, value), array in zip(values.items(), scalars(owner, **values), strict=True):
        rule = Rule(name, "be finite and > 0", "check its sign and the parametrization")
        found.append(checked(owner, rule, is_positive, (value,), (array,), check=check))
    return found


def is_positive(x: jax.Array) -> jax.Array:
    """0 < x < inf."""
    return (x > 0) & (x < jnp.inf)


class Rule(NamedTuple):
    """What an argument must satisfy, and what to do if it does not."""

    argument: str
    rule: str
    remedy: str


def checked(
    owner: str,
    rule: Rule,
    holds: Callable[..., jax.Array],
    given: tuple[Any, ...],
    arrays: tuple[jax.Array, ...],
    *,
    check: bool,
) -> jax.Array:
    """The first array, after an error unless ``holds`` for all of them.

    Args:
        owner: class for the message.
        rule: what is demanded of the first.
        holds: the condition, of as many arrays.
        given: what the arrays were made of; where all is concrete, ValueError is raised at once.
        arrays: the same as arrays, which may be traced; they raise at run time.
        check: False leaves everything out.
    """
    if not check:
        return arrays[0]
    if is_concrete(*given):
        with at_once(*given):
            good = np.asarray(holds(*(as_float(value) for value in given)))
        require(good, owner, rule.argument, rule.rule, given[0], rule.remedy)
        return arrays[0]
    message = f"{owner}: {rule.argument} must {rule.rule}; {rule.remedy}"
    return error_if(arrays[0], ~jnp.all(holds(*arrays)), message)


def array_namespace(backend: Backend) -> Any:
    """jax.numpy or numpy, for what is written once for both."""
    return jnp if backend == "jax" else np


def resolve_backend(owner: str, backend: str, *values: Any) -> Backend:
    """The backend, if there is one of that name.

    Args:
        owner: what stands before the message of an error.
        backend: "jax" or "cpu".
        *values: what it is to work on.

    Raises:
        ValueError: for another name.
        TypeError: for the CPU backend on traced values.
    """
    if backend not in ("jax", "cpu"):
        raise ValueError(f"{owner}: backend must be 'jax' or 'cpu', got {backend!r}")
    if backend == "jax":
        return "jax"
    if not is_concrete(*values):
        raise TypeError(
            f"{owner}: backend 'cpu' needs concrete values, got traced ones; pass backend='jax' "
            "within jax.jit, jax.vmap and jax.grad"
        )
    return "cpu"
