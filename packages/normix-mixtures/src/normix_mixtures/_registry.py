"""The families by their short names, from which `fit`, saved models and the command line choose."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from ._marginal import NormalMixture

Family = TypeVar("Family", bound=NormalMixture)

_RESERVED = "all"  # of the command line
_families: dict[str, type[NormalMixture]] = {}

FAMILIES: Final[Mapping[str, type[NormalMixture]]] = MappingProxyType(_families)
"""The families by their short names; `register_family` adds one."""


def register_family(short_name: str) -> Callable[[type[Family]], type[Family]]:
    """Decorate a family with a short name, by which `fit`, saved models and the command take it.

    Args:
        short_name: letters, digits and underscores, as "vg"; it is the name of a file too.

    Raises:
        TypeError: if the decorated class is not a `NormalMixture`.
        ValueError: for another name, or one that another family has.

    Examples:
        >>> from normix_mixtures import FAMILIES
        >>> {name: family.__name__ for name, family in FAMILIES.items()}["vg"]
        'VarianceGamma'
    """
    if not short_name.isidentifier() or short_name == _RESERVED:
        raise ValueError(
            f"register_family: short_name must be an identifier other than {_RESERVED!r}, got "
            f"{short_name!r}; use letters, as in 'vg'"
        )

    def register(family: type[Family]) -> type[Family]:
        if not (isinstance(family, type) and issubclass(family, NormalMixture)):
            raise TypeError(
                f"register_family: the class must be a NormalMixture, got {family!r}; decorate "
                "the marginal distribution, not the joint one"
            )
        known = _families.get(short_name, family)
        # a class that is defined again, as in a notebook, takes its own place
        if (known.__module__, known.__qualname__) != (family.__module__, family.__qualname__):
            raise ValueError(
                f"register_family: short_name must be one of its own, got {short_name!r}, that of "
                f"{known.__qualname__}; choose another"
            )
        _families[short_name] = family
        return family

    return register
