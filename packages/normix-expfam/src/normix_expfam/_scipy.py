"""What a frozen distribution of scipy.stats was frozen with."""

from typing import Any


def parameters(owner: str, frozen: Any, *names: str) -> tuple[str, dict[str, float]]:
    """The name of a frozen scipy distribution, one of those given, and its shapes and scale.

    Raises:
        TypeError: if it is no frozen distribution.
        ValueError: for another distribution, arrays of parameters, or loc other than 0.
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
        if getattr(value, "ndim", 0) > 0:
            raise ValueError(
                f"{owner}: frozen must have scalar parameters, got {name} = {value}; convert its "
                "members one by one"
            )
    values = {name: float(value) for name, value in ({"loc": 0.0, "scale": 1.0} | given).items()}
    loc = values.pop("loc")
    if loc != 0:
        raise ValueError(
            f"{owner}: frozen must have loc = 0, got {loc}; shift the data instead, the family "
            "has no location parameter"
        )
    return found, values
