"""`Unbatched`: modules whose methods are for one object, and refuse a batch of them.

`equinox.filter_vmap(Gamma)(alpha, beta)` is a `Gamma` whose fields have one more axis. A formula
for one distribution would broadcast over it, against x or against another field, without an error.
The shapes are static, also under `jax.vmap`, where fields are those of one object.
"""

import dataclasses
import types
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import equinox as eqx
import jax

from ._checks import require


class Unbatched(eqx.Module):
    """A module whose public methods raise ValueError where a field has more axes than declared.

    The axes of a field are those of its jaxtyping annotation; fields that are such modules
    themselves are looked into.
    """

    _axes: ClassVar[int | None] = None
    """Axes of fields that are annotated by no shape; None if they are unknown."""

    def __getattribute__(self, name: str) -> Any:
        # before equinox, whose bound methods check nothing and cannot be hashed
        found = object.__getattribute__(self, name)
        if name.startswith("__") or getattr(found, "__self__", None) is not self:
            return found
        return Method(found.__func__, self)


@jax.tree_util.register_pytree_node_class
class Method:
    """A bound method of an `Unbatched`, as a pytree.

    It is hashed by identity, as bound methods in Python are, so that `jax.jit` takes it: the
    parameters are then constants. `equinox.filter_jit` traces them.
    """

    __slots__ = ("__func__", "__self__", "__weakref__")

    def __init__(self, function: Callable[..., Any], instance: Any):
        self.__func__ = function
        self.__self__ = instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.__func__.__name__
        if not name.startswith("_"):
            require_unbatched(self.__self__, name)
        return self.__func__(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:  # __name__, __qualname__ and the like
        return getattr(self.__func__, name)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.__func__.__doc__

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return types.MethodType(self.__func__, self.__self__)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and self.__wrapped__ == other.__wrapped__

    def __repr__(self) -> str:
        return f"<bound method {self.__qualname__} of {self.__self__!r}>"

    def __reduce__(self) -> Any:
        return Method, (self.__func__, self.__self__)

    def tree_flatten(self) -> tuple[tuple[Any], Any]:
        return (self.__self__,), self.__func__

    @classmethod
    def tree_unflatten(cls, function: Any, children: tuple[Any]) -> "Method":
        return cls(function, *children)


def require_unbatched(module: Unbatched, method: str) -> None:
    """Raise ValueError if a field has more axes than one object has."""
    found = _batched_field(module)
    if found is not None:
        name, axes, shape = found
        rule = {0: "be a scalar", 1: "have 1 axis"}.get(axes, f"have {axes} axes")
        require(False, f"{type(module).__name__}.{method}", name, rule, f"shape {shape}",
                "call methods of a batch within equinox.filter_vmap")  # fmt: skip


def _batched_field(module: Any) -> tuple[str, int, tuple[int, ...]] | None:
    cls: Any = type(module)
    for name, axes in _axes_of_fields(cls):
        value = module.__dict__.get(name)
        if isinstance(value, Unbatched):
            found = _batched_field(value)
            if found is not None:
                return f"{name}.{found[0]}", *found[1:]
        elif axes is not None and getattr(value, "ndim", 0) > axes:
            return name, axes, value.shape
    return None


@cache
def _axes_of_fields(cls: type[Unbatched]) -> tuple[tuple[str, int | None], ...]:
    fields: Any = dataclasses.fields(cls)
    return tuple((field.name, _axes_of(field.type, cls._axes)) for field in fields)


def _axes_of(annotation: Any, otherwise: int | None) -> int | None:
    """The number of axes in a jaxtyping annotation."""
    text = getattr(annotation, "dim_str", None)
    if text is None:
        return otherwise
    names = text.split()
    return None if any(name.startswith(("*", "...")) for name in names) else len(names)
