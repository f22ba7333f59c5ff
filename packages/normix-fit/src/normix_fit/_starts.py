"""Several starts of one family: the default one, and others with lighter and heavier tails."""

import numpy as np
from jaxtyping import ArrayLike

from normix_expfam.toolbox import require
from normix_mixtures import NormalMixture

_SPREADS = (0.05, 4.0)  # Var Y / (E Y)², from nearly normal to excess kurtosis 12
_ORDERS = (-0.5, 1.0, -2.0)  # p of the generalized hyperbolic family: nig, hyperbolic, like a t law


def default_starts(
    family: type[NormalMixture], X: ArrayLike, weights: ArrayLike | None, n_starts: int
) -> list[NormalMixture]:
    """`default_init`, and beside it n_starts - 1 with spreads in geometric progression.

    Raises:
        ValueError: for n_starts < 1, and where `default_init` does.
    """
    whole = isinstance(n_starts, int) and n_starts >= 1
    require(whole, "fit", "n_starts", "be an integer >= 1", n_starts, "1 is usual")
    starts = [family.default_init(X, weights)]
    for number, spread in enumerate(np.geomspace(*_SPREADS, n_starts - 1)):
        start = family.default_init(X, weights, spread=float(spread))
        if family.shape_parameter == "p":
            start = start.with_fixed(p=_ORDERS[number % len(_ORDERS)])
        starts.append(start)
    return starts
