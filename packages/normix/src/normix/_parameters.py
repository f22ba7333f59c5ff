"""Which parameters a family's subordinator has, read off the family itself."""

import inspect
from typing import Any

from normix_mixtures import NormalMixture


def subordinator_parameters(family: type[NormalMixture]) -> tuple[str, ...]:
    """The names that `family.from_classical` takes beside μ, γ and Σ, and its models carry."""
    constructor: Any = family
    names = inspect.signature(constructor.from_classical).parameters
    return tuple(name for name in names if name not in ("mu", "gamma", "sigma", "L_Sigma"))
