"""Conversion to scipy.stats and back."""

import contextlib
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam._family import ExponentialFamily

from ._facts import facts_of, log_prob_magnitude, require_close, require_holds


def check_scipy(dist: ExponentialFamily, x: ArrayLike, *, rtol: float = 1e-6) -> None:
    """`to_scipy` has the same density, `from_scipy` comes back and refuses other distributions.

    Where scipy.stats has no such distribution, `to_scipy` may raise NotImplementedError.

    Args:
        dist: a family with both methods.
        x: points of the support.
        rtol: tolerance of scipy's density.
    """
    both: Any = dist
    try:
        frozen = both.to_scipy()
    except NotImplementedError:
        return
    density: Any = getattr(frozen, "logpdf", getattr(frozen, "logpmf", None))
    require_holds(dist, "to_scipy gives a frozen distribution", density is not None, frozen,
                  "to_scipy")  # fmt: skip
    x = jnp.asarray(x)
    expected = np.asarray(dist.log_prob(x))
    noise = 64 * np.finfo(np.float64).eps * log_prob_magnitude(dist, facts_of(dist), x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where scipy.stats overflows it says so and gives nan
        got = np.asarray(density(np.asarray(x)))
    known = np.isfinite(got) & np.isfinite(expected)
    require_close(dist, "density of to_scipy = density", got[known], expected[known],
                  (rtol * (1 + np.abs(expected)) + noise)[known], "to_scipy")  # fmt: skip
    back = type(both).from_scipy(frozen)
    for found, leaf in zip(jax.tree.leaves(back), jax.tree.leaves(dist), strict=True):
        scale = np.max(np.abs(leaf), initial=0.0)
        require_close(dist, "from_scipy(to_scipy()) returns the parameters", found, leaf,
                      1e-9 * scale, "from_scipy")  # fmt: skip
    for other in _others():
        found = None
        with contextlib.suppress(Exception):
            found = type(both).from_scipy(other)
        require_holds(dist, "from_scipy refuses what is not the family", found is None, found,
                      "from_scipy")  # fmt: skip


def _others() -> tuple[Any, ...]:
    from scipy import stats

    return 1.0, stats.cauchy(3.0, 2.0)
