"""Exponential families on JAX and Equinox, the generalized inverse Gaussian included.

A family is an `equinox.Module` with its classical parameters as fields; `natural_params()` and
`expectation_params()` give the other two parametrizations, `from_natural` and
`from_expectation` come back. Everything is traceable; ``backend="cpu"`` evaluates the same
quantities at once with NumPy and SciPy, as an independent check.
"""

from importlib.metadata import version as _version

from ._convert import project as project
from ._convert import to_gig as to_gig
from ._divergence import Divergences as Divergences
from ._family import ExponentialFamily as ExponentialFamily
from ._gig._api import gig_log_partition as gig_log_partition
from ._gig._api import gig_moments as gig_moments
from ._gig._inversion import GIGSolution as GIGSolution
from ._gig._inversion import solve_gig as solve_gig
from ._gig._inversion_of_order import solve_gig_of_order as solve_gig_of_order
from ._gig._jax import mode_of_log as mode_of_log
from ._gig._member import GIGMember as GIGMember
from ._gig._moments import GIGMoments as GIGMoments
from ._gig._sampling import sample_gig as sample_gig
from ._information import Information as Information
from ._result import FitResult as FitResult
from ._result import MLEResult as MLEResult
from ._status import Status as Status
from ._univariate_distribution import UnivariateDistribution as UnivariateDistribution
from ._univariate_family import UnivariateFamily as UnivariateFamily
from .families.exponential import Exponential as Exponential
from .families.gamma import Gamma as Gamma
from .families.gig import GIG as GIG
from .families.gig import GeneralizedInverseGaussian as GeneralizedInverseGaussian
from .families.inverse_gamma import InverseGamma as InverseGamma
from .families.inverse_gaussian import InverseGaussian as InverseGaussian
from .families.multivariate_normal import MultivariateNormal as MultivariateNormal

__version__ = _version("normix-expfam")
__all__ = [
    "GIG",
    "Divergences",
    "Exponential",
    "ExponentialFamily",
    "FitResult",
    "GIGMember",
    "GIGMoments",
    "GIGSolution",
    "Gamma",
    "GeneralizedInverseGaussian",
    "Information",
    "InverseGamma",
    "InverseGaussian",
    "MLEResult",
    "MultivariateNormal",
    "Status",
    "UnivariateDistribution",
    "UnivariateFamily",
    "gig_log_partition",
    "gig_moments",
    "mode_of_log",
    "project",
    "sample_gig",
    "solve_gig",
    "solve_gig_of_order",
    "to_gig",
]
