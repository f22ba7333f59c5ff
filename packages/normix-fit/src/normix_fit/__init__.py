"""EM fitters for normal variance-mean mixtures: models know mathematics, fitters iteration.

`fit(X, "gh")` is the short way; `BatchEMFitter(...).fit(model, X)` the one with settings. Both
return an `EMResult`, whose `status` says how the fit ended; `rank` puts those of several families
in order. `FAMILIES` maps the names that `fit` takes to their classes.
"""

from importlib.metadata import version as _version

from normix_expfam import Status as Status
from normix_mixtures import FAMILIES as FAMILIES

from ._api import fit as fit
from ._api import fit_all as fit_all
from ._batch import BatchEMFitter as BatchEMFitter
from ._minibatch import MiniBatchEMFitter as MiniBatchEMFitter
from ._online import OnlineEMFitter as OnlineEMFitter
from ._online import OnlineState as OnlineState
from ._online import UpdateStatus as UpdateStatus
from ._ranking import rank as rank
from ._result import EMResult as EMResult
from ._standard_errors import StandardErrors as StandardErrors

__version__ = _version("normix-fit")
__all__ = [
    "FAMILIES",
    "BatchEMFitter",
    "EMResult",
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
