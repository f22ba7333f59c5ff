"""A class is abstract or final: none but abstract classes are subclassed, no concrete method is
overridden, except where the base class offers it with the decorator `hook`.
"""

import dataclasses
import enum
import importlib
import inspect
import pkgutil
import sys
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [path.parent.name.replace("-", "_") for path in ROOT.glob("packages/*/pyproject.toml")]


def import_everything() -> None:
    for name in PACKAGES:
        package = importlib.import_module(name)
        for info in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not info.name.endswith("__main__"):
                importlib.import_module(info.name)


def defined_classes() -> list[type]:
    """Every class at the top level of a module of the workspace."""
    import_everything()
    modules = [m for name, m in sys.modules.items() if name.partition(".")[0] in PACKAGES]
    members = [member for module in modules for member in vars(module).values()]
    return list(dict.fromkeys(m for m in members if inspect.isclass(m) and is_bound(m)))


def is_bound(cls: type) -> bool:
    """Ours, and not of a kind whose subclasses are made by machinery or form a tree by nature."""
    exempt = (BaseException, enum.Enum, tuple)
    return cls.__module__.partition(".")[0] in PACKAGES and not issubclass(cls, exempt)


def ancestors(cls: type) -> list[type]:
    return [base for base in cls.__mro__[1:] if is_bound(base)]


def is_abstract(cls: type) -> bool:
    """Marked as such, or a mixin: a module without fields, which no object is made of."""
    marks = ("__abstractmethods__", "__abstractvars__", "__abstractclassvars__")
    mixin = issubclass(cls, eqx.Module) and not dataclasses.fields(cls)  # type: ignore[arg-type]
    marked = any(getattr(cls, mark, None) for mark in marks)
    return getattr(cls, "_is_protocol", False) or marked or mixin


def concrete_bases(cls: type) -> list[str]:
    return [
        f"{cls.__qualname__} subclasses {base.__qualname__}, which is not abstract"
        for base in ancestors(cls)
        if not is_abstract(base)
    ]


def overrides(cls: type) -> list[str]:
    """Concrete methods of an ancestor that `cls` replaces although `hook` does not invite it."""
    own = {*vars(cls), *getattr(cls, "__dataclass_fields__", ())}
    return [
        f"{cls.__qualname__}.{name} overrides the concrete {base.__qualname__}.{name}"
        for name in sorted(own)
        if not (name.startswith("__") and name.endswith("__"))
        if not any(_is_hook(base, name) for base in ancestors(cls))
        for base in ancestors(cls)
        if _is_concrete_method(base, name)
    ]


def _is_concrete_method(cls: type, name: str) -> bool:
    member = vars(cls).get(name)
    return (
        (callable(member) or hasattr(member, "__get__"))
        and name not in getattr(cls, "__dataclass_fields__", ())
        and name not in getattr(cls, "__abstractmethods__", ())
    )


def _is_hook(cls: type, name: str) -> bool:
    """Whether the member, or the function that a property or a transformation wraps, is marked."""
    member = vars(cls).get(name)
    while member is not None:
        if getattr(member, "__overridable__", False):
            return True
        inner = (getattr(member, via, None) for via in ("fget", "__func__", "func", "__wrapped__"))
        member = next(filter(None, inner), None)
    return False


@pytest.fixture(scope="module")
def subclasses() -> list[type]:
    found = [cls for cls in defined_classes() if is_bound(cls) and ancestors(cls)]
    assert found, "no class of ours subclasses another: has something moved?"
    return found


def test_only_abstract_classes_are_subclassed(subclasses):
    assert [v for cls in subclasses for v in concrete_bases(cls)] == []


def test_no_concrete_method_is_overridden(subclasses):
    assert [v for cls in subclasses for v in overrides(cls)] == []


TRIAD = {
    "_log_partition_from_theta",
    "_grad_log_partition",
    "_hessian_log_partition",
    "_log_partition_cpu",
    "_grad_log_partition_cpu",
    "_hessian_log_partition_cpu",
}


def test_an_exponential_family_has_the_triad_and_at_most_four_hooks_more():
    """What varies beside them is a field: a record of functions, in a class variable."""
    family = importlib.import_module("normix_expfam").ExponentialFamily
    hooks = {name for base in ancestors(family) for name in vars(base) if _is_hook(base, name)}
    hooks |= {name for name in vars(family) if _is_hook(family, name)}
    assert TRIAD - hooks == {"_log_partition_from_theta"}, "a hook of the triad is gone"
    assert "_log_partition_from_theta" in family.__abstractmethods__
    assert len(hooks - TRIAD) <= 4, sorted(hooks - TRIAD)


def hook(function: Callable) -> Callable:
    function.__overridable__ = True
    return function


class Base(eqx.Module):
    __module__ = "normix"
    x: eqx.AbstractVar[int]

    @abstractmethod
    def needed(self): ...

    def settled(self): ...

    @property
    def fixed(self): ...

    @hook
    def offered(self): ...

    @property
    @hook
    def offered_property(self): ...

    @classmethod
    @hook
    def offered_constructor(cls): ...


class Good(Base):
    __module__ = "normix"
    x: int

    def needed(self): ...

    def offered(self): ...

    @property
    def offered_property(self): ...

    @classmethod
    def offered_constructor(cls): ...

    def __repr__(self):
        return "Good"


def test_an_implementation_of_abstract_members_and_hooks_passes():
    assert concrete_bases(Good) == overrides(Good) == []


def test_a_subclass_of_a_concrete_class_is_found():
    class Bad(Good):
        __module__ = "normix"

    assert len(concrete_bases(Bad)) == 1


@pytest.mark.parametrize("name", ["settled", "fixed", "needed"])
@pytest.mark.parametrize("member", [property(id), id, 3])
def test_an_overridden_concrete_member_is_found(name, member):
    bad = type("Bad", (Good,), {"__module__": "normix", name: member})
    assert len(overrides(bad)) == 1


def test_a_method_overridden_by_a_field_is_found():
    class Bad(Base):
        __module__ = "normix"
        x: int
        settled: int

        def needed(self): ...

    assert len(overrides(Bad)) == 1


def test_a_base_with_only_an_abstract_variable_is_abstract():
    class OnlyVariable(eqx.Module):
        x: eqx.AbstractVar[int]

    class OnlyClassVariable(eqx.Module):
        x: eqx.AbstractClassVar[int]

    assert is_abstract(OnlyVariable)
    assert is_abstract(OnlyClassVariable)
    assert not is_abstract(Good)


def test_enumerations_named_tuples_and_errors_are_exempt():
    class Kind(enum.Enum):
        __module__ = "normix"

    class Colour(Kind):
        __module__ = "normix"
        RED = 1

    class Error(Exception):
        __module__ = "normix"

    class Pair(NamedTuple):
        x: int

    assert not any(map(is_bound, (Kind, Colour, Error, Pair)))
