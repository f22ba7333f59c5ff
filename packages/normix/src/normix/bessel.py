"""The names of `normix_bessel`: K, the modified Bessel function, its logarithm and derivatives."""

from normix_bessel import *  # noqa: F403
from normix_bessel import __all__ as __all__
