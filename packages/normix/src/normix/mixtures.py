"""The names of `normix_mixtures`: normal variance-mean mixtures, joint and marginal."""

from normix_mixtures import *  # noqa: F403
from normix_mixtures import __all__ as __all__
