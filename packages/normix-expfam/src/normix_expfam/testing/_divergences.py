"""Divergences between a law and others of its family."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily

from ._facts import facts_of, require_close, require_holds

_EPS = float(np.finfo(np.float64).eps)


def check_divergences(dist: ExponentialFamily, x: Array, *, rtol: float = 1e-8) -> None:
    """Divergences from the law fitted to the few observations x, near the law but not equal.

    KL >= 0, and 0 only at equality; it is the excess of the cross entropy; about
    ½ δᵀ ∇²ψ δ for the law a thousandth as far; its gradient in the other law is the difference
    of η; Rényi's divergence tends to it at order 1 and is -2 log(1 - H²) at order 1/2.
    """
    other = type(dist).fit_mle(x)
    see = "divergences, _log_partition_from_theta, _grad_log_partition, _hessian_log_partition"
    mine, theirs = facts_of(dist), facts_of(other)
    magnitude = mine.magnitude + theirs.magnitude
    family = type(dist)
    delta = theirs.theta - mine.theta
    kl, half = float(dist.kl_divergence(other)), float(dist.renyi_divergence(other, 0.5))
    hellinger = float(dist.squared_hellinger(other))
    near = float(dist.kl_divergence(family.from_natural(jnp.asarray(mine.theta + 1e-3 * delta))))
    for name, same in (
        ("KL", dist.kl_divergence(dist)),
        ("Rényi", dist.renyi_divergence(dist, 0.5)),
        ("Hellinger", dist.squared_hellinger(dist)),
    ):
        require_close(dist, f"{name} divergence from itself", same, 0.0, 0.0, see)
    require_holds(dist, "divergences from another law are positive",
                  min(kl, half, hellinger, near) > 0, (kl, half, hellinger, near), see)  # fmt: skip
    allowed = rtol * kl + 64 * _EPS * magnitude
    expected = theirs.psi - mine.psi - delta @ mine.eta
    require_close(dist, "KL = psi' - psi - (theta' - theta) . eta", kl, expected, allowed,
                  see)  # fmt: skip
    require_close(dist, "Rényi divergence of order 1 = KL",
                  dist.renyi_divergence(other, 1.0), kl, allowed, see)  # fmt: skip
    require_close(dist, "Rényi divergence of order 1/2 = -2 log(1 - H²)", half,
                  -2 * np.log1p(-hellinger), allowed, see)  # fmt: skip
    scale = theirs.rms + mine.rms
    gradient = _gradient(dist, jnp.asarray(theirs.theta))
    require_close(dist, "gradient of KL = eta' - eta", gradient, theirs.eta - mine.eta,
                  64 * _EPS * scale, see)  # fmt: skip
    quadratic = 0.5e-6 * delta @ mine.fisher @ delta
    require_close(dist, "KL of a near law = ½ δᵀ∇²ψ δ", near, quadratic, 0.02 * quadratic,
                  see)  # fmt: skip


@eqx.filter_jit
def _gradient(dist: ExponentialFamily, theta: Array) -> Array:
    def kl_to(at: Array) -> Array:
        return dist.kl_divergence(type(dist).from_natural(at))

    return jax.grad(kl_to)(theta)
