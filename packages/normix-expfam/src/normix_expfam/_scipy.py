"""What a frozen distribution of scipy.stats was frozen with."""

from typing import Any

import numpy as np


def frozen_parameters(owner: str, frozen: Any, *names: str) -> tuple[str, dict[str, float]]:
    """The name of a frozen scipy distribution, one of those given, and its shapes, loc and scale.

    Raises:
        TypeError: if it is no frozen distribution.
        ValueError: for another distribution, or arrays of parameters.
    """
    try:
        found = frozen.dist.name
        order = [*filter(None, (frozen.dist.shapes or "").split(", ")), "loc", "scale"]
        given = dict(zip(order, frozen.args, strict=False)) | frozen.kwds
    except AttributeError:
        raise TypeError(
            f"{owner}: frozen must be a frozen distribution of scipy.stats, got "
            f"{type(frozen).__name__}; pass for example scipy.stats.{names[0]}(...)"
        ) from None
    if found not in names:
        expected = " or ".join(names)
        raise ValueError(f"{owner}: frozen must be scipy.stats.{expected}, got {found}")
    for name, value in given.items():
        if np.ndim(value) > 0:
            raise ValueError(
                f"{owner}: frozen must have scalar parameters, got {name} = {value}; convert its "
                "members one by one"
            )
    return found, {
        name: float(value) for name, value in ({"loc": 0.0, "scale": 1.0} | given).items()
    }


def parameters_without_location(
    owner: str, frozen: Any, *names: str
) -> tuple[str, dict[str, float]]:
    """`frozen_parameters` without loc, which must be 0.

    Raises:
        TypeError, ValueError: as `frozen_parameters`, and for loc other than 0.
    """
    found, values = frozen_parameters(owner, frozen, *names)
    loc = values.pop("loc")
    if loc != 0:
        raise ValueError(
            f"{owner}: frozen must have loc = 0, got {loc}; shift the data instead, the family "
            "has no location parameter"
        )
    return found, values
