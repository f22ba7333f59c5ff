"""The parameters of Y under the names that a mixture gives them.

They are the fields of the subordinator's class, in its order. A mixture renames a field whose name
it has itself: the mean `mu` of an inverse Gaussian distribution is `mu_ig` beside its location.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GIGMember


def parameter_names(family: type[GIGMember], renamed: Mapping[str, str]) -> tuple[str, ...]:
    """The names, in order."""
    return tuple(renamed.get(field.name, field.name) for field in fields(family))


def named_parameters(law: GIGMember, renamed: Mapping[str, str]) -> dict[str, Float[Array, ""]]:
    """The values by name."""
    values = (getattr(law, field.name) for field in fields(law))
    return dict(zip(parameter_names(type(law), renamed), values, strict=True))


def from_named_parameters(
    owner: str, family: type[GIGMember], renamed: Mapping[str, str], given: Mapping[str, ArrayLike]
) -> GIGMember:
    """The distribution of Y with parameters by name.

    Raises:
        TypeError: for a name that is missing or is none.
        ValueError: outside the domain of the family.
    """
    names = parameter_names(family, renamed)
    if set(given) != set(names):
        raise TypeError(
            f"{owner}: the parameters of the subordinator must be {', '.join(names)}, got "
            f"{', '.join(given) or 'none'}; pass each of them by name"
        )
    build: Any = family
    pairs = zip(fields(family), names, strict=True)
    law: GIGMember = build(**{field.name: given[name] for field, name in pairs})
    return law
