"""The law of one component or projection: a finite normal mixture on nodes in log y.

With Y = y0 e^u and u of density ∝ exp(-φ(u)) (`normix_bessel.KvMoments`), the trapezoidal rule
turns X = μ + γ Y + σ √Y Z into the mixture Σ w_k N(μ + γ y_k, σ² y_k) with geometric
convergence. All terms of the cdf are positive, and the nodes reach to where Y has probability
e^-`_DEPTH`, so that both tails keep relative accuracy.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, logsumexp
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import (
    as_float,
    gig_log_partition,
    gig_moments,
    is_concrete,
    mode_of_log,
    require,
)

_CHUNK = 128  # nodes summed at once; their number follows the width of the law
_STEP = 0.2  # in log y; features of the integrand are about 1 wide
_STEP_IN_WIDTHS = 0.3  # of 1/√w, for concentrated subordinators
# The nodes end where φ has the depth. Large y makes the tails. Small y matters for x near μ and,
# with skewness, for the thin tail; for p < 2 it is cut where its probability is rounding.
_DEPTH = 700.0
_LEAST_DEPTH = 40.0
_LARGEST_W = 1e6  # of the posterior at x: bounds the number of nodes for absurd x
_NEWTON_STEPS = 100
_TAIL_TERMS = 10  # of log_ndtr's asymptotic series; its default of 3 leaves 4e-9 at -20


@final
class UnivariateNormalMixture(eqx.Module):
    """X = μ + γ Y + σ √Y Z with Y ~ GIG(p, a, b), Z standard normal.

    Args:
        mu: location.
        gamma: skewness.
        sigma: σ > 0, which multiplies √Y; not the standard deviation, see `std`.
        p, a, b: the subordinator, limits a = 0 and b = 0 included.
    """

    mu: Float[Array, ""]
    gamma: Float[Array, ""]
    sigma: Float[Array, ""]
    p: Float[Array, ""]
    a: Float[Array, ""]
    b: Float[Array, ""]

    def log_prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Log-density at x, any shape; -inf at ±inf, nan at nan."""
        x = as_float(x).astype(self.mu.dtype)
        infinite = jnp.isinf(x)
        x = jnp.where(infinite, self.mu, x)
        z = (x - self.mu) / self.sigma
        skew = self.gamma / self.sigma
        posterior = gig_log_partition(
            jnp.broadcast_to(self.p - 0.5, x.shape),
            jnp.broadcast_to(self.a + skew**2, x.shape),
            self.b + z**2,
        )
        prior = gig_log_partition(self.p, self.a, self.b)
        normal = z * skew - jnp.log(self.sigma) - 0.5 * math.log(2 * math.pi)
        return jnp.where(infinite, -jnp.inf, posterior - prior + normal)

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density at x, any shape."""
        return jnp.exp(self.log_prob(x))

    def mean(self) -> Float[Array, ""]:
        """E X = μ + γ E Y; inf or nan where it does not exist."""
        mean_y = gig_moments(self.p, self.a, self.b).y
        return self.mu + jnp.where(self.gamma == 0, 0.0, self.gamma * mean_y)

    def var(self) -> Float[Array, ""]:
        """Var X = σ² E Y + γ² Var Y; inf where it does not exist."""
        mean_y = gig_moments(self.p, self.a, self.b).y
        variance = mean_y * (gig_moments(self.p + 1, self.a, self.b).y - mean_y)
        return self.sigma**2 * mean_y + jnp.where(self.gamma == 0, 0.0, self.gamma**2 * variance)

    def std(self) -> Float[Array, ""]:
        """Standard deviation of X."""
        return jnp.sqrt(self.var())

    def log_cdf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """log P(X <= x), any shape."""
        return _log_tail(self, as_float(x).astype(self.mu.dtype), lower=True)

    def log_sf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """log P(X > x), any shape."""
        return _log_tail(self, as_float(x).astype(self.mu.dtype), lower=False)

    def cdf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """P(X <= x), any shape."""
        return jnp.exp(self.log_cdf(x))

    def sf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """P(X > x), any shape."""
        return jnp.exp(self.log_sf(x))

    def ppf(self, q: ArrayLike) -> Float[Array, "*batch"]:
        """Quantiles at probabilities 0 <= q <= 1, any shape; nan outside when traced.

        Raises:
            ValueError: if a concrete q is not in [0, 1].
        """
        q = as_float(q).astype(self.mu.dtype)
        if is_concrete(q):
            require((q >= 0) & (q <= 1), "UnivariateNormalMixture.ppf", "q", "be in [0, 1]", q,
                    "pass probabilities")  # fmt: skip
        return _quantiles(self, q)


class _Rule(NamedTuple):
    """Where u = log(Y / y0), of density exp(-φ(u)), is summed."""

    alpha: Array
    beta: Array
    y0: Array
    left: Array  # nodes from -left
    right: Array  # to right


def _rule(law: UnivariateNormalMixture) -> _Rule:
    y0 = mode_of_log(law.p, law.a, law.b)
    alpha, beta = law.a * y0 / 2, law.b / y0 / 2
    tiny = jnp.finfo(alpha.dtype).tiny
    furthest = 0.9 * math.log(float(jnp.finfo(alpha.dtype).max))  # e^u stays finite

    def end(main: Array, other: Array, depth: ArrayLike) -> Array:
        """u > 0 with main f(u) + other g(u) = depth; f >= cosh - 1, g >= u²/(2 + 2u/3)."""
        x, y = depth / jnp.maximum(main, tiny), depth / jnp.maximum(other, tiny)
        u = jnp.minimum(
            jnp.log1p(x + jnp.sqrt(x) * jnp.sqrt(2 + x)), y / 3 + jnp.hypot(y / 3, jnp.sqrt(2 * y))
        )
        u = jnp.minimum(u, furthest)
        for _ in range(8):
            e, d = jnp.expm1(u), jnp.expm1(-u)
            u = u - (main * (e - u) + other * (d + u) - depth) / (main * e - other * d)
            u = jnp.minimum(u, furthest)
        return u

    left_depth = jnp.clip(_DEPTH / 2 * law.p, _LEAST_DEPTH, _DEPTH)
    right, left = end(alpha, beta, _DEPTH), end(beta, alpha, left_depth)
    return _Rule(alpha, beta, y0, *jax.lax.stop_gradient((left, right)))


def _log_mean(
    law: UnivariateNormalMixture, rule: _Rule, x: Array, log_terms: Callable[[Array], Array]
) -> Array:
    """log E exp(log_terms(Y)); log_terms maps nodes y, shape (m,), to shape (m, k).

    The terms are those of the tail at x: given X = x, log Y has width 1/√w with
    w² = (p - ½)² + (a + γ²/σ²)(b + (x-μ)²/σ²), which is narrow far out.
    """
    skew, z = law.gamma / law.sigma, (x - law.mu) / law.sigma
    z = jnp.where(jnp.isinf(z), 0.0, z)
    posterior = jnp.hypot(law.p - 0.5, jnp.sqrt(law.a + skew**2) * jnp.hypot(jnp.sqrt(law.b), z))
    w = jnp.maximum(rule.alpha + rule.beta, jnp.minimum(posterior, _LARGEST_W))
    step = jax.lax.stop_gradient(jnp.minimum(_STEP, _STEP_IN_WIDTHS / jnp.sqrt(w)))
    count = jnp.ceil((rule.left + rule.right) / step) + 1

    def weights(i: Array) -> tuple[Array, Array]:
        k = i * _CHUNK + jnp.arange(_CHUNK, dtype=step.dtype)
        u = jnp.minimum(k * step - rule.left, rule.right + step)
        e, d = jnp.expm1(u), jnp.expm1(-u)
        phi = rule.alpha * (e - u) + rule.beta * (d + u)
        return jnp.where(k < count, -phi, -jnp.inf), rule.y0 * jnp.exp(u)

    def body(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        i, log_total, log_sum = state
        log_weight, y = weights(i)
        log_total = jnp.logaddexp(log_total, logsumexp(log_weight))
        chunk = logsumexp(log_weight[:, None] + log_terms(y), axis=0)
        return i + 1, log_total, jnp.logaddexp(log_sum, chunk)

    k = jax.eval_shape(log_terms, jnp.ones(_CHUNK, step.dtype)).shape[1]
    nothing = jnp.full(k, -jnp.inf, step.dtype)
    state = (jnp.zeros_like(count), nothing[0], nothing)
    _, log_total, log_sum = jax.lax.while_loop(lambda state: state[0] * _CHUNK < count, body, state)
    return log_sum - log_total


@eqx.filter_jit
def _log_tail(law: UnivariateNormalMixture, x: Array, *, lower: bool) -> Array:
    rule = _rule(law)

    def one(point: Array) -> Array:
        def log_terms(y: Array) -> Array:
            z = (point - law.mu - law.gamma * y) / (law.sigma * jnp.sqrt(y))
            return log_ndtr(z if lower else -z, _TAIL_TERMS)[:, None]

        return _log_mean(law, rule, point, log_terms)[0]

    return jax.vmap(one)(x.reshape(-1)).reshape(x.shape)


@eqx.filter_jit
def _quantiles(law: UnivariateNormalMixture, q: Array) -> Array:
    """Newton on the log of the smaller tail, kept inside a bracket that it shrinks."""
    rule = _rule(law)
    unit = jnp.sqrt(rule.y0) * law.sigma + jnp.abs(law.gamma) * rule.y0

    def one(probability: Array) -> Array:
        solvable = (probability > 0) & (probability < 1)
        tail = jnp.where(solvable, probability, 0.5)
        lower = tail <= 0.5
        target = jnp.log(jnp.where(lower, tail, 1 - tail))
        sign = jnp.where(lower, 1.0, -1.0).astype(unit.dtype)

        def excess(x: Array) -> tuple[Array, Array]:
            """log tail - target, which grows with sign · x, and the slope of its modulus."""

            def log_terms(y: Array) -> Array:
                root = law.sigma * jnp.sqrt(y)
                z = (x - law.mu - law.gamma * y) / root
                normal = -0.5 * z * z - jnp.log(root) - 0.5 * jnp.log(2 * jnp.pi)
                return jnp.stack([log_ndtr(sign * z, _TAIL_TERMS), normal], axis=1)

            log_tail, log_density = _log_mean(law, rule, x, log_terms)
            return log_tail - target, jnp.exp(log_density - log_tail)

        def widen(side: Array) -> Array:
            def outside(reach: Array) -> Array:
                return (side * sign * excess(law.mu + side * reach)[0] < 0) & (reach < 1e300)

            return jax.lax.while_loop(outside, lambda reach: 2 * reach, unit)

        def body(
            state: tuple[Array, Array, Array, Array, Array],
        ) -> tuple[Array, Array, Array, Array, Array]:
            low, high, x, _, count = state
            value, slope = excess(x)
            below = sign * value < 0
            low, high = jnp.where(below, x, low), jnp.where(below, high, x)
            newton = x - sign * value / slope
            inside = (newton > low) & (newton < high)
            new = jnp.where(inside, newton, (low + high) / 2)
            return low, high, new, jnp.abs(new - x), count + 1

        def proceed(state: tuple[Array, ...]) -> Array:
            _, _, x, change, count = state
            scale = jnp.abs(x - law.mu) + unit
            return (change > 4 * jnp.finfo(unit.dtype).eps * scale) & (count < _NEWTON_STEPS)

        one_ = jnp.ones_like(unit)
        low, high = law.mu - widen(-one_), law.mu + widen(one_)
        start = (low, high, (low + high) / 2, jnp.full_like(unit, jnp.inf), jnp.array(0))
        x = jax.lax.while_loop(proceed, body, start)[2]
        x = jnp.where(probability == 0, -jnp.inf, jnp.where(probability == 1, jnp.inf, x))
        return jnp.where((probability >= 0) & (probability <= 1), x, jnp.nan)

    return jax.vmap(one)(q.reshape(-1)).reshape(q.shape)
