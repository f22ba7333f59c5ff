"""Normal variance-mean mixtures X | Y ~ N(μ + γ Y, Σ Y) on JAX and Equinox.

Two hierarchies: the joint distributions f(x, y) are exponential families; the marginal ones f(x)
are not, own their joint distribution, and have the E- and the M-step of the EM algorithm, but no
fitter. `FAMILIES` maps their short names to the classes; `register_family` adds one.
"""

from importlib.metadata import version as _version

from ._conventions import Ghyp as Ghyp
from ._conventions import Prause as Prause
from ._convert import to_family as to_family
from ._convert import to_generalized_hyperbolic as to_generalized_hyperbolic
from ._dispersion import DenseDispersion as DenseDispersion
from ._dispersion import Dispersion as Dispersion
from ._e_step import Expected as Expected
from ._held import Held as Held
from ._joint import GIGParameters as GIGParameters
from ._joint import JointNormalMixture as JointNormalMixture
from ._marginal import NormalMixture as NormalMixture
from ._registry import FAMILIES as FAMILIES
from ._registry import register_family as register_family
from ._statistics import MixtureStatistics as MixtureStatistics
from ._statistics import PosteriorMoments as PosteriorMoments
from ._univariate import UnivariateNormalMixture as UnivariateNormalMixture
from .families.generalized_hyperbolic import GeneralizedHyperbolic as GeneralizedHyperbolic
from .families.generalized_hyperbolic import (
    JointGeneralizedHyperbolic as JointGeneralizedHyperbolic,
)
from .families.normal_inverse_gamma import JointNormalInverseGamma as JointNormalInverseGamma
from .families.normal_inverse_gamma import NormalInverseGamma as NormalInverseGamma
from .families.normal_inverse_gaussian import (
    JointNormalInverseGaussian as JointNormalInverseGaussian,
)
from .families.normal_inverse_gaussian import NormalInverseGaussian as NormalInverseGaussian
from .families.variance_gamma import JointVarianceGamma as JointVarianceGamma
from .families.variance_gamma import VarianceGamma as VarianceGamma

__version__ = _version("normix-mixtures")
__all__ = [
    "FAMILIES",
    "DenseDispersion",
    "Dispersion",
    "Expected",
    "GIGParameters",
    "GeneralizedHyperbolic",
    "Ghyp",
    "Held",
    "JointGeneralizedHyperbolic",
    "JointNormalInverseGamma",
    "JointNormalInverseGaussian",
    "JointNormalMixture",
    "JointVarianceGamma",
    "MixtureStatistics",
    "NormalInverseGamma",
    "NormalInverseGaussian",
    "NormalMixture",
    "PosteriorMoments",
    "Prause",
    "UnivariateNormalMixture",
    "VarianceGamma",
    "register_family",
    "to_family",
    "to_generalized_hyperbolic",
]
