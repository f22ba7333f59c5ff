"""What laws are built with: for families of one's own, and for the packages above this one.

Checks of arguments with the messages of this project, and the numerical pieces that the families
here share. The everyday names are those of `normix_expfam` itself.
"""

from ._along import along as along
from ._checks import Rule as Rule
from ._checks import as_float as as_float
from ._checks import as_floats as as_floats
from ._checks import checked as checked
from ._checks import is_concrete as is_concrete
from ._checks import is_positive as is_positive
from ._checks import positive_scalars as positive_scalars
from ._checks import require as require
from ._checks import resolve_backend as resolve_backend
from ._checks import scalars as scalars
from ._exponent import reach as reach
from ._gig._density import log_density as gig_log_density
from ._gig._density import moments_and_log_density as gig_moments_and_log_density
from ._gig._jax import mode_and_rates as gig_mode_and_rates
from ._gig._tails import tails as gig_tails
from ._manual_axes import varying_like as varying_like
from ._scipy import frozen_parameters as frozen_parameters
from ._shown import shown as shown
from ._spread import binary_unit as binary_unit
from ._unbatched import Unbatched as Unbatched
from ._unbatched import require_unbatched as require_unbatched

__all__ = [
    "Rule",
    "Unbatched",
    "along",
    "as_float",
    "as_floats",
    "binary_unit",
    "checked",
    "frozen_parameters",
    "gig_log_density",
    "gig_mode_and_rates",
    "gig_moments_and_log_density",
    "gig_tails",
    "is_concrete",
    "is_positive",
    "positive_scalars",
    "reach",
    "require",
    "require_unbatched",
    "resolve_backend",
    "scalars",
    "shown",
    "varying_like",
]
