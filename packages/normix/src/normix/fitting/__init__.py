"""The names of `normix_fit`: fitters, their results, and the families that they know."""

from normix_fit import *  # noqa: F403
from normix_fit import __all__ as __all__
