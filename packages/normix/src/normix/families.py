"""The names of `normix_expfam`: exponential families, GIG included."""

from normix_expfam import *  # noqa: F403
from normix_expfam import __all__ as __all__
