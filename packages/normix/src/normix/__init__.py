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

from importlib.metadata import version as _version

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
from .io import load, save

__version__ = _version("normix")

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
]
