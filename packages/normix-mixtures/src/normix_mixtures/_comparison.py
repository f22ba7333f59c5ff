"""How far two models are apart, in the gauge and in units of their own scales."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from normix_expfam.internal import Array, namespace_of


def change(old: Any, new: Any) -> Float[Array, ""]:
    """Largest change of μ, γ and L from one joint distribution to another, both in the gauge.

    Each component is in units of √Σ_jj of its row, so that the measure does not change when columns
    are scaled or shifted; the subordinator's parameters are left out, because p, a and b can run
    along a nearly flat valley after the distribution of X has settled.
    """
    xp = namespace_of(old.mu)
    scale = xp.sqrt(old.dispersion.diagonal())
    largest: Array = xp.maximum(
        xp.maximum(
            xp.max(xp.abs(new.mu - old.mu) / scale),
            xp.max(xp.abs(new.gamma - old.gamma) / scale),
        ),
        old.dispersion.distance(new.dispersion),
    )
    return largest


def are_close(one: Any, two: Any, rtol: float) -> Array:
    """Whether two joint distributions in the gauge give one distribution of X, up to rtol.

    Differences of μ, γ and Σ are measured in units of the standard deviations √Σ_ii of both,
    those of the subordinators in (p, a, b) in units of √(p² + ab) + 1.
    """
    root = jnp.sqrt(jnp.maximum(one.dispersion.diagonal(), two.dispersion.diagonal()))
    laws = [jnp.stack(joint.subordinator_as_gig()) for joint in (one, two)]
    width = 1 + jnp.maximum(*(jnp.hypot(law[0], jnp.sqrt(law[1] * law[2])) for law in laws))
    sigmas = one.dispersion.matrix() - two.dispersion.matrix()
    differences = (
        (one.mu - two.mu) / (jnp.abs(one.mu) + root),
        (one.gamma - two.gamma) / (jnp.abs(one.gamma) + root),
        (sigmas / jnp.outer(root, root)).ravel(),
        (laws[0] - laws[1]) / width,
    )
    return jnp.all(jnp.abs(jnp.concatenate(differences)) <= rtol)
