"""What the packages above this one share with it; families of one's own may use it too.

It is not part of the public interface, and changes without notice. Checks of arguments with the
messages of this project, and the numerical pieces that the
families here share. The everyday names are those of `normix_expfam` itself.
"""

from ._arrays import Array as Array
from ._arrays import is_for_host as is_for_host
from ._arrays import is_on_host as is_on_host
from ._arrays import namespace_of as namespace_of
from ._arrays import to_host as to_host
from ._arrays import to_jax as to_jax
from ._checks import Backend as Backend
from ._checks import Rule as Rule
from ._checks import array_namespace as array_namespace
from ._checks import as_float as as_float
from ._checks import as_floats as as_floats
from ._checks import as_host_floats as as_host_floats
from ._checks import checked as checked
from ._checks import is_concrete as is_concrete
from ._checks import is_positive as is_positive
from ._checks import positive_scalars as positive_scalars
from ._checks import require as require
from ._checks import resolve_backend as resolve_backend
from ._checks import scalars as scalars
from ._describe import describe as describe
from ._gamma_on_host import digamma_and_trigamma as digamma_and_trigamma
from ._gig._density import log_density as gig_log_density
from ._gig._density import moments_and_log_density as gig_moments_and_log_density
from ._gig._exponent_of_log_y import reach as reach
from ._gig._inversion import solve_gig_on_host as solve_gig_on_host
from ._gig._jax import mode_and_rates as gig_mode_and_rates
from ._gig._tails import tails as gig_tails
from ._log_partition import hook as hook
from ._manual_axes import varying_like as varying_like
from ._normal import cholesky as cholesky
from ._sample_spread import binary_unit as binary_unit
from ._scipy import frozen_parameters as frozen_parameters
from ._status import has_converged as has_converged
from ._status import is_one_of as is_one_of
from ._tangents import along as along
from ._unbatched import Unbatched as Unbatched
from ._unbatched import require_unbatched as require_unbatched

__all__ = [
    "Array",
    "Backend",
    "Rule",
    "Unbatched",
    "along",
    "array_namespace",
    "as_float",
    "as_floats",
    "as_host_floats",
    "binary_unit",
    "checked",
    "cholesky",
    "describe",
    "digamma_and_trigamma",
    "frozen_parameters",
    "gig_log_density",
    "gig_mode_and_rates",
    "gig_moments_and_log_density",
    "gig_tails",
    "has_converged",
    "hook",
    "is_concrete",
    "is_for_host",
    "is_on_host",
    "is_one_of",
    "is_positive",
    "namespace_of",
    "positive_scalars",
    "reach",
    "require",
    "require_unbatched",
    "resolve_backend",
    "scalars",
    "solve_gig_on_host",
    "to_host",
    "to_jax",
    "varying_like",
]
