"""log K_v(z), the modified Bessel function of the second kind, with exact derivatives.

`log_kv` gives the logarithm, `log_kve` that of e^z K_v(z), `kv` and `kve` the functions
themselves, and `log_kv_moments` the value together with the moments that its gradient, its
Hessian and the ratios of neighbouring orders are made of. `matern` and `log_matern` are the
Matérn correlation, with derivatives in its smoothness too.

How to choose a backend: ``backend="jax"`` (the default) is traceable, runs on any device, in
float32 or float64, and differentiates in order and argument; take it unless you have a
reason. ``backend="cpu"`` evaluates at once with NumPy and SciPy in float64: an independent
check, and the answer where nothing is to be compiled.
"""

from importlib.metadata import version as _version

from ._api import kv as kv
from ._api import kve as kve
from ._api import log_kv as log_kv
from ._api import log_kv_moments as log_kv_moments
from ._api import log_kve as log_kve
from ._kv_moments import KvMoments as KvMoments
from ._matern import log_matern as log_matern
from ._matern import matern as matern

__version__ = _version("normix-bessel")
__all__ = [
    "KvMoments",
    "kv",
    "kve",
    "log_kv",
    "log_kv_moments",
    "log_kve",
    "log_matern",
    "matern",
]
