"""The gamma distribution: density, entropy, divergence, moments of (log x, x), and its fit.

With the remainder δ of Stirling's formula and m = α/β, the density of X ~ Gamma(α, β) is

    log f(x) = -(βx - α - α log(x/m)) - log x + ½ log(α/2π) - δ(α),

whose terms are as small as the distance of x from m is. θ·t(x) - ψ(θ) has terms of the size of
α log α, and the same differences stand in entropies and divergences. None of them is formed here.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, polygamma

from . import _gamma_shape
from ._checks import Backend, array_namespace
from ._divergence import Divergences, mix
from ._information import Information
from ._kl_term import kl_term
from ._stirling import LOG_2PI, stirling

_NEAR = 0.3  # relative distance of shapes below which their divergence is integrated
_NODES = 8  # of Gauss-Legendre there: the error is 11^-16


class ShapeRate(NamedTuple):
    """The parameters of a gamma distribution, or a difference of two of them."""

    shape: jax.Array
    rate: jax.Array


def gamma_log_partition(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """log Γ(α) - α log β, scalars; +inf outside the domain, where the integral diverges."""
    inside = (alpha > 0) & (beta > 0)
    alpha, beta = jnp.where(inside, alpha, 1.0), jnp.where(inside, beta, 1.0)
    return jnp.where(inside, gammaln(alpha) - alpha * jnp.log(beta), jnp.inf)


def gamma_mean(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """E (log X, X), shape (2,)."""
    return jnp.stack([digamma(alpha) - jnp.log(beta), alpha / beta])


def gamma_covariance(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """Cov (log X, X), shape (2, 2)."""
    rows = ([polygamma(1, alpha), 1 / beta], [1 / beta, alpha / beta / beta])
    return jnp.stack([jnp.stack(row) for row in rows])


def gamma_mean_log(alpha: jax.Array) -> jax.Array:
    """E log(X/m)."""
    return stirling(1, alpha) - 0.5 / alpha


def gamma_log_mass(alpha: jax.Array) -> jax.Array:
    """log ∫ exp(-(βx - α - α log(x/m))) dx/x = log Γ(α) + α - α log α."""
    return LOG_2PI / 2 - jnp.log(alpha) / 2 + stirling(0, alpha)


def gamma_log_density(alpha: jax.Array, beta: jax.Array, x: jax.Array) -> jax.Array:
    """log f(x) at x > 0."""
    mean = alpha / beta
    log_ratio = jnp.log(x) + jnp.log(beta) - jnp.log(alpha)
    depth = kl_term(alpha, beta * x, x - mean, mean, log_ratio)
    return -depth - jnp.log(x) - gamma_log_mass(alpha)


def inverse_gamma_log_density(alpha: jax.Array, beta: jax.Array, y: jax.Array) -> jax.Array:
    """log-density of 1/X at y > 0."""
    centre = beta / alpha
    log_ratio = jnp.log(beta) - jnp.log(alpha) - jnp.log(y)
    depth = kl_term(alpha, beta / y, centre - y, y, log_ratio)
    return -depth - jnp.log(y) - gamma_log_mass(alpha)


def gamma_entropy(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """-E log f(X)."""
    constant = (jnp.log(alpha) + 1 + LOG_2PI) / 2 - jnp.log(beta)
    return constant + stirling(0, alpha) - 0.5 / alpha + (1 - alpha) * stirling(1, alpha)


def gamma_divergence(p: ShapeRate, q: ShapeRate, step: ShapeRate) -> jax.Array:
    """KL(p ‖ q) with step = q - p, in which differences of close parameters are exact.

    With κ the ratio of the means of p and q and s that of the shapes of q and p it is
    α_q (κ - 1 - log κ) + ½ (s - 1 - log s) + D, D the divergence of the convex δ.
    """
    shapes, rates = q.shape / p.shape, q.rate / p.rate
    log_shapes = jnp.log(shapes)
    rise, lean = step.shape / p.shape, step.rate / p.rate
    means = kl_term(q.shape, p.shape * rates, lean - rise, shapes, jnp.log(rates) - log_shapes)
    half = jnp.full_like(shapes, 0.5)
    spreads = kl_term(half, shapes / 2, step.shape, p.shape, log_shapes)
    return means + spreads + _remainder_divergence(p.shape, q.shape, step.shape)


def _remainder_divergence(start: jax.Array, end: jax.Array, step: jax.Array) -> jax.Array:
    """δ(end) - δ(start) - δ'(start) step, integrated where the ends are close."""
    near = jnp.abs(step) < _NEAR * start
    far_end, far_step = jnp.where(near, start, end), jnp.where(near, 0.0, step)
    far = stirling(0, far_end) - stirling(0, start) - stirling(1, start) * far_step
    step = jnp.where(near, step, 0.0)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    at = jnp.asarray((1 + nodes) / 2, start.dtype)
    share = jnp.asarray(weights * (1 - nodes) / 4, start.dtype)
    curvature = stirling(2, start + at * step)
    return jnp.where(near, step * step * jnp.sum(share * curvature), far)


def gamma_renyi(p: ShapeRate, q: ShapeRate, order: jax.Array) -> jax.Array:
    """Rényi's divergence D_order(p ‖ q), at order 1 that of Kullback and Leibler."""
    apart = ShapeRate(p.shape - q.shape, p.rate - q.rate)
    middle = ShapeRate(*(y + order * d for y, d in zip(q, apart, strict=True)))
    inside = (middle.shape > 0) & (middle.rate > 0)
    known = jnp.isfinite(middle.shape) & jnp.isfinite(middle.rate)
    middle = ShapeRate(*(jnp.where(inside, m, y) for m, y in zip(middle, p, strict=True)))
    from_q = gamma_divergence(middle, q, ShapeRate(*(-order * d for d in apart)))
    from_p = gamma_divergence(middle, p, ShapeRate(*((1 - order) * d for d in apart)))
    value = mix(order, from_p, from_q)
    return jnp.where(inside, value, jnp.where(known, jnp.inf, jnp.nan))


def gamma_deviations(alpha: jax.Array, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """√n times the standard errors of α and β.

    The information has the determinant (α ψ'(α) - 1) / β², and α ψ'(α) - 1 = ½/α + α δ''(α).
    """
    excess = -_scaled_slope(alpha)
    return jnp.sqrt(alpha / excess), beta * jnp.sqrt(polygamma(1, alpha) / excess)


def fit_gamma(mean: Any, mean_log: Any, backend: Backend) -> tuple[Any, Any]:
    """(α, β) of the gamma distribution with these E X and E log X."""
    xp = array_namespace(backend)
    log_mean = xp.log(mean)
    gap = log_mean - mean_log
    # 0 where it is the rounding of its terms, as for constant data
    rounding = 4 * xp.finfo(gap.dtype).eps * (1 + xp.abs(log_mean))
    return fit_gamma_to_gap(mean, xp.where(xp.abs(gap) > rounding, gap, 0.0), backend)


def fit_gamma_to_gap(mean: Any, gap: Any, backend: Backend) -> tuple[Any, Any]:
    """(α, β) of the gamma distribution with these E X and log E X - E log X."""
    if backend == "cpu":
        from . import _gamma_on_host

        alpha: Any = _gamma_on_host.shape(float(gap))
    else:
        alpha = gamma_shape(gap)
    return alpha, alpha / mean


@jax.custom_jvp
def gamma_shape(c: jax.Array) -> jax.Array:
    """α > 0 with log α - digamma(α) = c for c > 0; inf at c = 0, nan below.

    See `_gamma_shape`.
    """
    positive = c > 0
    c_safe = jnp.where(positive, c, 1.0)

    def again(_: Any, alpha: jax.Array) -> jax.Array:
        return _gamma_shape.step(alpha, c_safe, stirling(1, alpha), stirling(2, alpha))

    first = _gamma_shape.start(c_safe, jnp)
    alpha = jax.lax.fori_loop(0, _gamma_shape.STEPS, again, first)
    return jnp.where(positive, alpha, jnp.where(c == 0, jnp.inf, jnp.nan))


def _scaled_slope(alpha: jax.Array) -> jax.Array:
    """α (1/α - ψ'(α))."""
    return _gamma_shape.scaled_slope(alpha, stirling(2, alpha))


@gamma_shape.defjvp
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (c,), (tangent,) = primals, tangents
    alpha = gamma_shape(c)
    return alpha, tangent * alpha / _scaled_slope(alpha)


def _pair(law: Any) -> ShapeRate:
    return ShapeRate(law.alpha, law.beta)


def _entropy(law: Any) -> jax.Array:
    return gamma_entropy(law.alpha, law.beta)


def _kl(law: Any, other: Any) -> jax.Array:
    step = ShapeRate(other.alpha - law.alpha, other.beta - law.beta)
    return gamma_divergence(_pair(law), _pair(other), step)


def _renyi(law: Any, other: Any, order: jax.Array) -> jax.Array:
    return gamma_renyi(_pair(law), _pair(other), order)


def _mean(law: Any) -> jax.Array:
    return gamma_mean(law.alpha, law.beta)


def _covariance(law: Any) -> jax.Array:
    return gamma_covariance(law.alpha, law.beta)


def _deviations(law: Any) -> Any:
    return type(law)(*gamma_deviations(law.alpha, law.beta), check=False)


GAMMA_DIVERGENCES = Divergences(entropy=_entropy, kl=_kl, renyi=_renyi)
"""Of a distribution with the fields alpha and beta."""

GAMMA_INFORMATION = Information(mean=_mean, covariance=_covariance, deviations=_deviations)
"""The same, with t = (log X, X)."""
