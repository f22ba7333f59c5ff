"""When EM has converged: parameters at rest, and no likelihood left to gain."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from normix_mixtures import NormalMixture


def relative_change(old: NormalMixture, new: NormalMixture) -> Float[Array, ""]:
    """Largest change of μ, γ and L_Σ, each component in units of √Σ_jj of its row.

    Both models are in the gauge of `normalize`. The measure does not change when columns are
    scaled or shifted; the subordinator's parameters are excluded, because p, a and b can run
    along a nearly flat valley after the law has settled.
    """
    scale = jnp.sqrt(old.joint.dispersion.diagonal())
    return jnp.maximum(
        jnp.maximum(
            jnp.max(jnp.abs(new.mu - old.mu) / scale),
            jnp.max(jnp.abs(new.gamma - old.gamma) / scale),
        ),
        jnp.max(jnp.abs(new.L_Sigma - old.L_Sigma) / scale[:, None]),
    )


def remaining_gain(previous: Float[Array, ""], last: Float[Array, ""]) -> Float[Array, ""]:
    """Aitken's estimate of the log-likelihood still to be gained, from the last two gains.

    With gains falling geometrically by r = last / previous the rest is last · r / (1 - r)
    (Böhning et al. 1994, Annals of the Institute of Statistical Mathematics 46, 373). It is
    infinite while gains are not falling, unless the last gain is 0.
    """
    ratio = last / jnp.where(previous > 0, previous, 1.0)
    falling = (previous > 0) & (ratio < 1)
    estimate = last * ratio / jnp.where(falling, 1 - ratio, 1.0)
    return jnp.where(last <= 0, 0.0, jnp.where(falling, estimate, jnp.inf))
