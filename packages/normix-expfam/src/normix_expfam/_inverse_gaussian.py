"""The inverse Gaussian distribution: density, moments of (1/x, x), entropy and divergences.

All are functions of a distribution with the fields mu and lam.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._divergence import Divergences, mix
from ._gig._api import gig_moments
from ._information import Information
from ._kl_term import kl_term
from ._stirling import LOG_2PI


def inverse_gaussian_log_kernel(law: Any, x: jax.Array) -> jax.Array:
    """log f(x) + 3/2 log x at x > 0."""
    # roots first: λ/x and μ² need not be numbers where their quotient is one
    depth = jnp.sqrt(law.lam) / jnp.sqrt(x) * (x - law.mu) / law.mu
    return (jnp.log(law.lam) - LOG_2PI - depth * depth) / 2


def inverse_gaussian_covariance(mu: jax.Array, lam: jax.Array) -> jax.Array:
    """Cov (1/X, X), shape (2, 2)."""
    cross = -mu / lam
    rows = ([1 / lam / mu + 2 / lam / lam, cross], [cross, mu / lam * mu * mu])
    return jnp.stack([jnp.stack(row) for row in rows])


def _mean(law: Any) -> jax.Array:
    return jnp.stack([1 / law.mu + 1 / law.lam, law.mu])


def _covariance(law: Any) -> jax.Array:
    return inverse_gaussian_covariance(law.mu, law.lam)


def _deviations(law: Any) -> Any:
    # the information in (μ, λ) is diagonal, λ/μ³ and 1/(2 λ²)
    return type(law)(jnp.sqrt(law.var()), jnp.sqrt(2.0) * law.lam, check=False)


def _mean_log(law: Any) -> jax.Array:
    """E log X, with that of X/μ ~ GIG(-1/2, φ, φ), φ = λ/μ."""
    phi = law.lam / law.mu
    # E log(X/λ) differs from its limit at φ = 0, X = λ/χ², by O(φ log φ)
    small = phi < jnp.finfo(phi.dtype).tiny ** 0.5
    safe = jnp.where(small, 1.0, phi)
    scaled = gig_moments(jnp.full_like(phi, -0.5), safe, safe).log_y
    limit = jnp.log(law.lam) + (float(np.euler_gamma) + math.log(2))
    return jnp.where(small, limit, jnp.log(law.mu) + scaled)


def _entropy(law: Any) -> jax.Array:
    # E λ (X-μ)² / (μ² X) = 1
    return (1 + LOG_2PI - jnp.log(law.lam)) / 2 + 1.5 * _mean_log(law)


def _kl(law: Any, other: Any) -> jax.Array:
    return _renyi(law, other, jnp.ones_like(law.mu))


def _renyi(law: Any, other: Any, order: jax.Array) -> jax.Array:
    # in λ the divergence is that of -½ log λ; in the means it is the Jensen gap of λ/μ, the
    # root of λ · λ/μ², as a quotient with its difference of squares
    rest = 1 - order
    apart = law.lam - other.lam
    lam = other.lam + order * apart
    phi, phi_other = law.lam / law.mu, other.lam / other.mu
    slope = order * law.lam * (other.mu / law.mu) + rest * other.lam * (law.mu / other.mu)
    inside = (lam > 0) & (slope > 0)
    known = jnp.isfinite(lam) & jnp.isfinite(slope)
    lam, slope = jnp.where(inside, lam, 1.0), jnp.where(inside, slope, 1.0)
    half = jnp.full_like(lam, 0.5)

    def term(end: jax.Array, step: jax.Array) -> jax.Array:
        return kl_term(half, end / lam / 2, step, lam, jnp.log(end) - jnp.log(lam))

    spread = mix(order, term(law.lam, rest * apart), term(other.lam, -order * apart))
    gap = (other.mu - law.mu) / law.mu * ((other.mu - law.mu) / other.mu)
    middle = jnp.sqrt(lam / law.mu) * jnp.sqrt(slope / other.mu)
    shift = order * (phi / (middle + order * phi + rest * phi_other)) * phi_other * gap
    return jnp.where(inside, spread + shift, jnp.where(known, jnp.inf, jnp.nan))


INVERSE_GAUSSIAN_DIVERGENCES = Divergences(entropy=_entropy, kl=_kl, renyi=_renyi)
INVERSE_GAUSSIAN_INFORMATION = Information(
    mean=_mean, covariance=_covariance, deviations=_deviations
)
