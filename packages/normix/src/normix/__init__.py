"""Heavy-tailed multivariate statistics: generalized hyperbolic laws on JAX.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> import normix
    >>> X = normix.datasets.load("ecb_fx").values[:, :3]
    >>> result = normix.fit(X, "nig")
    >>> result.model.log_prob(X).shape
    (2552,)

Here are the everyday names. All the others, one roof over the packages they come from:

- `normix.bessel`: log K and its derivatives (`normix_bessel`)
- `normix.families`: exponential families on the half-line (`normix_expfam`)
- `normix.mixtures`: normal variance-mean mixtures (`normix_mixtures`)
- `normix.fitting`: fitters and their results (`normix_fit`)
- `normix.datasets`, `normix.io`, `normix.plotting`, and the command line in `normix.cli`

Models are computed in the precision of their inputs; turn 64-bit floats on, as above, for fits.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from normix_bessel import log_kv
    from normix_expfam import (
        Gamma,
        GeneralizedInverseGaussian,
        InverseGamma,
        InverseGaussian,
    )
    from normix_fit import (
        BatchEMFitter,
        EMResult,
        Status,
        fit,
    )
    from normix_mixtures import (
        GeneralizedHyperbolic,
        NormalInverseGamma,
        NormalInverseGaussian,
        VarianceGamma,
    )

    from . import datasets
    from ._compilation_cache import use_compilation_cache
    from .io import load, save

    __version__: str

__all__ = [
    "BatchEMFitter",
    "EMResult",
    "Gamma",
    "GeneralizedHyperbolic",
    "GeneralizedInverseGaussian",
    "InverseGamma",
    "InverseGaussian",
    "NormalInverseGamma",
    "NormalInverseGaussian",
    "Status",
    "VarianceGamma",
    "__version__",
    "datasets",
    "fit",
    "load",
    "log_kv",
    "save",
    "use_compilation_cache",
]

_MODULES = ("datasets", "bessel", "families", "mixtures", "fitting", "io", "plotting")
_HOMES = (
    "normix._compilation_cache",
    *("normix_bessel", "normix_expfam", "normix_mixtures", "normix_fit", "normix.io"),
)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: the command has to answer before JAX is loaded."""
    if name == "__version__":
        from importlib.metadata import version

        return version("normix")
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in __all__:
        for home in map(importlib.import_module, _HOMES):
            if name in home.__all__:
                return globals().setdefault(name, getattr(home, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
