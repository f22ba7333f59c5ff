"""What ends a fit: no likelihood left to gain, and the limit of its family a model lies on."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from normix_expfam import Status
from normix_mixtures import GeneralizedHyperbolic

_NORMAL_LIMIT = 1e6  # w: excess kurtosis below 3e-6
_NOTHING = 1e-12


def remaining_gain(history: Float[Array, " m"], taken: Array, value: Array) -> Float[Array, ""]:
    """Aitken's estimate of the log-likelihood still to be gained after `value`.

    With gains falling geometrically by r the rest is the last gain times r / (1 - r) (Böhning et
    al. 1994, Annals of the Institute of Statistical Mathematics 46, 373). Of the last two ratios
    r is the larger: one small gain of an extrapolation does not stop a fit. It is infinite while
    gains are not falling, unless the last gain is 0.

    Args:
        history: log-likelihoods of the models taken before, the first `taken` entries.
        taken: their number.
        value: log-likelihood of the next.
    """
    places = taken - jnp.arange(3, 0, -1, dtype=jnp.int32)
    gains = jnp.diff(jnp.append(history[jnp.maximum(places, 0)], value))
    falling = (gains[1:] < gains[:-1]) & (gains[:-1] > 0)
    ratios = jnp.where(falling, gains[1:] / jnp.where(falling, gains[:-1], 1.0), 1.0)
    # the first gain of the three may not exist yet, and then the second must
    r = jnp.max(jnp.where(places[:2] >= 0, ratios, 0.0))
    r = jnp.where(taken >= 2, r, 1.0)
    estimate = gains[-1] * r / jnp.where(r < 1, 1 - r, 1.0)
    nothing = (taken > 0) & (gains[-1] <= 0)
    return jnp.where(nothing, 0.0, jnp.where(r < 1, estimate, jnp.inf))


def limit_of(model: Any) -> Status:
    """The status of a converged fit; `model` is in the gauge of `normalize`."""
    p, a, b = (float(part) for part in model.joint.subordinator_as_gig())
    if (a + b) / 2 > _NORMAL_LIMIT:
        return Status.NORMAL_LIMIT
    if isinstance(model, GeneralizedHyperbolic):
        # of order (ab/4)^|p| is what tells the law from its limit
        on_it = a * b == 0 or (a * b / 4) ** abs(p) < _NOTHING
        if on_it and p < 0:
            return Status.INVERSE_GAMMA_LIMIT
        if on_it and p > 0:
            return Status.GAMMA_LIMIT
    return Status.CONVERGED
