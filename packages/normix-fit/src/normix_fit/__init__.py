"""EM fitters for normal variance-mean mixtures: models know mathematics, fitters iteration.

`fit(X, "gh")` is the short way; `BatchEMFitter(...).fit(model, X)` the one with settings. Both
return an `EMResult`, whose `status` says how the fit ended; `rank` puts those of several families
in order. `FAMILIES` maps the names that `fit` takes to their classes.
"""

from importlib.metadata import version as _version

from normix_expfam import Status as Status
from normix_mixtures import FAMILIES as FAMILIES

from ._api import FitOptions as FitOptions
from ._api import fit as fit
from ._api import fit_all as fit_all
from ._em._batch import BatchEMFitter as BatchEMFitter
from ._result._em_result import EMResult as EMResult
from ._result._ranking import rank as rank
from ._result._standard_errors import StandardErrors as StandardErrors
from ._stream._minibatch import MiniBatchEMFitter as MiniBatchEMFitter
from ._stream._online import OnlineEMFitter as OnlineEMFitter
from ._stream._state import OnlineState as OnlineState
from ._stream._state import UpdateStatus as UpdateStatus

__version__ = _version("normix-fit")
__all__ = [
    "FAMILIES",
    "BatchEMFitter",
    "EMResult",
    "FitOptions",
    "MiniBatchEMFitter",
    "OnlineEMFitter",
    "OnlineState",
    "StandardErrors",
    "Status",
    "UpdateStatus",
    "fit",
    "fit_all",
    "rank",
]
