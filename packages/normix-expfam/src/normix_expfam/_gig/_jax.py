"""The generalized inverse Gaussian integral: log-partition and mean statistics, with limits.

For density ∝ y^(p-1) exp(-(a y + b/y)/2), t(y) = (log y, 1/y, y),

    ψ = log ∫ y^(p-1) exp(-(a y + b/y)/2) dy = log 2 + log K_p(√(ab)) + (p/2) log(b/a)

(Jørgensen 1982, Lecture Notes in Statistics 9). With Y = y0 e^u, y0 the mode of log Y and
w = hypot(p, √(ab)), a y0 = w + p and b / y0 = w - p, and the moments of u are those of
`normix_bessel.KvMoments`. For a = 0 or b = 0 the distribution is inverse gamma or gamma.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln, polygamma

from normix_bessel import KvMoments, log_kv, log_kv_moments
from normix_expfam._arrays import Array, namespace_of
from normix_expfam._tangents import along

from ._moments import GIGMoments


def mode_of_log(p: Array, a: Array, b: Array) -> Array:
    """y0, the mode of log Y: a y0 - b / y0 = 2 p, by the root that does not cancel.

    p, a and b are arrays of one shape, as is y0; limits a = 0 and b = 0 are included.
    """
    xp = namespace_of(p)
    w = xp.hypot(p, xp.sqrt(a) * xp.sqrt(b))
    upper = p > 0
    y0: Array = xp.where(upper, w + p, b) / xp.where(upper, a, w - p)
    return y0


def mode_and_rates(
    p: jax.Array, a: jax.Array, b: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """y0, α = a y0/2 and β = b/(2 y0) = α - p, numbers wherever √(ab) is one.

    A compiler makes b (w - p)/b of b/(b/(w - p)), which overflows.
    """
    root = jnp.sqrt(a) * jnp.sqrt(b)
    larger = (jnp.hypot(p, root) + jnp.abs(p)) / 2
    smaller = root * (root / larger) / 4
    upper = p > 0
    alpha, beta = jnp.where(upper, larger, smaller), jnp.where(upper, smaller, larger)
    return mode_of_log(p, a, b), alpha, beta


def _limits(p: jax.Array, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where it is its gamma limit (b = 0), and where its inverse gamma limit (a = 0)."""
    return (b == 0) & (p > 0) & (a > 0), (a == 0) & (p < 0) & (b > 0)


def interior_or_one(
    p: jax.Array, a: jax.Array, b: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Whether a, b > 0, and parameters that are safe where they are not."""
    inside = (a > 0) & (b > 0)
    return inside, jnp.where(inside, p, 1.0), jnp.where(inside, a, 1.0), jnp.where(inside, b, 1.0)


def _nan_unless(valid: jax.Array, like: jax.Array) -> jax.Array:
    """0 where valid, else nan: a constant nan would be an error under `jax_debug_nans`."""
    end = jnp.where(valid, 0.0, jnp.inf).astype(like.dtype)
    return end - end


@jax.custom_jvp
def log_partition(p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """ψ(p, a, b), arrays of one shape; +inf where the integral diverges."""
    inside, p1, a1, b1 = interior_or_one(p, a, b)
    value = jnp.log(2.0).astype(p.dtype) + log_kv(p1, jnp.sqrt(a1) * jnp.sqrt(b1))
    value = value + (p1 / 2) * (jnp.log(b1) - jnp.log(a1))
    gamma, inverse_gamma = _limits(p, a, b)
    limit = gamma | inverse_gamma
    shape, rate = _gamma_form(p, a, b, limit)
    edge = jnp.where(limit, gammaln(shape) - shape * jnp.log(rate), jnp.inf)
    return jnp.where(inside, value, edge)


def _gamma_form(
    p: jax.Array, a: jax.Array, b: jax.Array, limit: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Shape and rate of Y (b = 0) or of 1/Y (a = 0); 1, 1 elsewhere."""
    return jnp.where(limit, jnp.abs(p), 1.0), jnp.where(limit, (a + b) / 2, 1.0)


@partial(log_partition.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    psi, *means = moments(*primals)
    return psi, along(by_parameters(means), tangents, psi)


def by_parameters(row: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Derivatives in (p, a, b) from those in θ = (p - 1, -b/2, -a/2)."""
    return row[0], -row[2] / 2, -row[1] / 2


@jax.custom_jvp
def moments(p: jax.Array, a: jax.Array, b: jax.Array) -> GIGMoments:
    """ψ, E log Y, E 1/Y, E Y, arrays of one shape; +inf where one does not exist."""
    return moments_and_mass(p, a, b)[0]


def moments_and_mass(
    p: jax.Array, a: jax.Array, b: jax.Array
) -> tuple[GIGMoments, jax.Array, jax.Array]:
    """Moments, log ∫ exp(-φ(u)) du with φ the exponent of log Y about its mode, and its error.

    The integral is ψ + w - p log y0, here without subtracting w; the error is in units of eps.
    """
    inside, p1, a1, b1 = interior_or_one(p, a, b)
    kv = log_kv_moments(p1, jnp.sqrt(a1) * jnp.sqrt(b1), covariance=False)
    psi = jnp.log(2.0).astype(p.dtype) + kv.log_kv + (p1 / 2) * (jnp.log(b1) - jnp.log(a1))
    y0 = mode_of_log(p1, a1, b1)
    u, f, g = (kv.mean[..., i] for i in range(3))

    gamma, inverse_gamma = _limits(p, a, b)
    limit = gamma | inverse_gamma
    shape, rate = _gamma_form(p, a, b, limit)
    log_x = digamma(shape) - jnp.log(rate)
    heavy = shape <= 1
    inverse_x = jnp.where(heavy, jnp.inf, rate / jnp.where(heavy, 1.0, shape - 1))
    x = shape / rate

    lost = _nan_unless(inside | limit, p)

    def choose(interior: jax.Array, if_gamma: jax.Array, if_inverse: jax.Array) -> jax.Array:
        edge = jnp.where(gamma, if_gamma, jnp.where(inverse_gamma, if_inverse, lost))
        return jnp.where(inside, interior, edge)

    log_gamma = gammaln(shape) - shape * jnp.log(rate)
    found = GIGMoments(
        choose(psi, log_gamma, log_gamma),
        choose(jnp.log(y0) + u, log_x, -log_x),
        choose((1 - u + g) / y0, inverse_x, x),
        choose((1 + u + f) * y0, x, inverse_x),
    )
    # of the gamma law Γ(s) (e/s)^s
    edge = gammaln(shape) + shape - shape * jnp.log(shape)
    mass = choose(kv.log_mass, edge, edge)
    return found, mass, jnp.where(inside, jnp.abs(p1 * kv.saddle), shape * jnp.log(1 + shape))


@partial(moments.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[GIGMoments, GIGMoments]:
    # differentiating the sums instead would lose what is small beside log y0
    found, cov = moments(*primals), covariance(*primals)
    rows = [[cov[..., i, k] for k in range(3)] for i in range(3)]
    slopes = [along(by_parameters(row), tangents, found.log_y) for row in (found[1:], *rows)]
    return found, GIGMoments(*slopes)


def covariance(p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """Cov (log Y, 1/Y, Y), shape (..., 3, 3), for a, b > 0 and in the limits."""
    inside, p1, a1, b1 = interior_or_one(p, a, b)
    kv = log_kv_moments(p1, jnp.sqrt(a1) * jnp.sqrt(b1))
    interior = _to_statistics(kv, mode_of_log(p1, a1, b1), jnp)
    return jnp.where(inside[..., None, None], interior, limit_covariance(p, a, b))


def limit_covariance(p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """The same in the limits; outside the domain nan, and inside no value of meaning."""
    gamma, inverse_gamma = _limits(p, a, b)
    limit = gamma | inverse_gamma
    edge = _gamma_covariance(*_gamma_form(p, a, b, limit))
    swap = jnp.array([0, 2, 1])
    sign = jnp.array([-1.0, 1.0, 1.0], p.dtype)
    signs = (sign[:, None] * sign[None, :]).reshape((1,) * p.ndim + (3, 3))
    mirrored = edge[..., swap, :][..., swap] * signs
    edge = jnp.where(gamma[..., None, None], edge, mirrored)
    lost = _nan_unless(interior_or_one(p, a, b)[0] | limit, p)[..., None, None]
    return jnp.where(limit[..., None, None], edge, lost)


def _to_statistics(kv: KvMoments, y0: Any, xp: Any) -> Any:
    """Covariance of (log Y, 1/Y, Y) from that of (u, f, g): 1/Y = (1 - u + g) / y0, ..."""
    zero, one = xp.zeros_like(y0), xp.ones_like(y0)
    rows = (
        xp.stack([one, zero, zero], -1),
        xp.stack([-1 / y0, zero, 1 / y0], -1),
        xp.stack([y0, y0, zero], -1),
    )
    change = xp.stack(rows, -2)
    return change @ kv.cov @ xp.swapaxes(change, -1, -2)


def _gamma_covariance(shape: jax.Array, rate: jax.Array) -> jax.Array:
    """Cov (log X, 1/X, X) for X ~ Gamma(shape, rate); +inf where it does not exist."""
    one = shape > 1
    two = shape > 2
    s1 = jnp.where(one, shape - 1, 1.0)
    s2 = jnp.where(two, shape - 2, 1.0)
    log_inverse = jnp.where(one, -rate / s1**2, -jnp.inf)
    var_inverse = jnp.where(two, rate**2 / (s1**2 * s2), jnp.inf)
    inverse_x = jnp.where(one, -1 / s1, -jnp.inf)
    rows = (
        jnp.stack([polygamma(1, shape), log_inverse, 1 / rate], -1),
        jnp.stack([log_inverse, var_inverse, inverse_x], -1),
        jnp.stack([1 / rate, inverse_x, shape / rate**2], -1),
    )
    return jnp.stack(rows, -2)
