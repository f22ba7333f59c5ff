"""Value at risk and expected shortfall (McNeil, Frey & Embrechts 2005, section 2.2)."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from normix_expfam import UnivariateDistribution
from normix_expfam.internal import is_concrete, require

from . import _scalar_functions as functions
from ._scalar_parameters import ScalarParameters

Side = Literal["return", "loss"]


def value_at_risk(owner: str, law: UnivariateDistribution, level: Array, of: str) -> Array:
    """The quantile of the loss, which is -X for a return X."""
    _check(owner, level, of)
    return -law.isf(level) if of == "return" else law.ppf(level)


def expected_shortfall(owner: str, law: ScalarParameters, level: Array, of: str) -> Array:
    """The mean of the loss beyond that quantile."""
    _check(owner, level, of)
    loss = law.reflect() if of == "return" else law
    return functions.mean_beyond(loss, jnp.log(level) - jnp.log1p(-level))


def _check(owner: str, level: Array, of: str) -> None:
    require(of in ("return", "loss"), owner, "of", "be 'return' or 'loss'", repr(of),
            "say what X is")  # fmt: skip
    if is_concrete(level):
        values = np.asarray(level)
        require((values > 0) & (values < 1), owner, "level", "be in (0, 1)", level,
                "pass a confidence level such as 0.99")  # fmt: skip
