"""EM fitters for normal variance-mean mixtures: models know mathematics, fitters iteration.

`fit(X, "gh")` is the short way; `BatchEMFitter(...).fit(model, X)` the one with settings. Both
return an `EMResult`, whose `status` says how the fit ended.
"""

from importlib.metadata import version as _version

from ._api import FAMILIES as FAMILIES
from ._api import fit as fit
from ._api import fit_all as fit_all
from ._batch import BatchEMFitter as BatchEMFitter
from ._result import EMResult as EMResult
from ._result import Status as Status

__version__ = _version("normix-fit")
__all__ = ["FAMILIES", "BatchEMFitter", "EMResult", "Status", "fit", "fit_all"]
