"""The trapezoidal rule at the saddle: log K_v(z) and its moments from one pass.

With t0 = asinh(v/z), w = hypot(v, z), A = w - v = z² / (w + v) and u = t - t0 (v >= 0),

    K_v(z) = ½ e^(-w + v t0) ∫ e^-φ(u) du,   φ(u) = ½ (w + v) f(u) + ½ A g(u),
    f(u) = e^u - 1 - u,   g(u) = e^-u - 1 + u.

φ is convex, φ(0) = φ'(0) = 0, and the integrand is analytic and falls double-exponentially,
so the trapezoidal rule on [-u_L, u_R] with φ = `_DEPTH` at both ends converges geometrically
(Trefethen & Weideman 2014, SIAM Review 56, 385; Takekawa 2022, SoftwareX 17, 100923).

The nodes are constants to differentiation: they are frozen in t, where moving them changes
the sum by less than rounding, so derivatives of every order are those of the integrand.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_BLOCK = 8  # nodes per loop step; expm1 is taken afresh at each block


class _Rule(NamedTuple):
    """How far and how finely the rule sums, per precision."""

    depth: float  # φ at both ends: e^-depth is below rounding
    blocks: int


# 56 nodes leave less than rounding for z >= 0.1 at any v, and for v >= 10 at any z;
# 32 leave 2e-10 at the float32 depth on the same domain (docs/bessel.md has the measurement).
_RULES = {np.dtype(np.float64): _Rule(38.0, 7), np.dtype(np.float32): _Rule(18.0, 4)}
# The covariance weighs the tails with e^(2|u|), so it needs them deeper.
_DEEP_RULES = {np.dtype(np.float64): _Rule(56.0, 8), np.dtype(np.float32): _Rule(30.0, 5)}


class _Frame(NamedTuple):
    """The saddle and the nodes of each element, every field of shape (...)."""

    t0: jax.Array
    w: jax.Array
    half_sum: jax.Array  # (w + v) / 2
    half_gap: jax.Array  # (w - v) / 2
    first: jax.Array  # u of the first node
    step: jax.Array


def _acosh1p(x: jax.Array) -> jax.Array:
    """acosh(1 + x), x >= 0."""
    return jnp.log1p(x + jnp.sqrt(x * (2 + x)))


def _ends(v: jax.Array, w: jax.Array, gap: jax.Array, depth: float) -> tuple[jax.Array, jax.Array]:
    """u_L, u_R >= 0 with φ(-u_L) and φ(u_R) at or just above depth.

    Each start bounds the root from above, and Newton on a convex function keeps it so.
    """
    scale = jnp.sqrt(2 * depth / w)
    gauss = jnp.where(w > 4 * depth, scale * (1 + scale), jnp.inf)
    tiny = jnp.finfo(v.dtype).tiny
    right = jnp.minimum(_acosh1p(depth / w), gauss)
    left = jnp.minimum(
        jnp.minimum(_acosh1p(depth / jnp.maximum(gap, tiny)), depth / jnp.maximum(v, tiny) + 1),
        gauss,
    )
    half_sum, half_gap = (w + v) / 2, gap / 2

    def newton(u: jax.Array) -> jax.Array:
        e = jnp.expm1(u)
        d = -e / (1 + e)  # expm1(-u)
        phi = half_sum * (e - u) + half_gap * (d + u)
        return u - (phi - depth) / (half_sum * e - half_gap * d)

    for _ in range(2):
        right = newton(right)
    left = -left
    for _ in range(3):
        left = newton(left)
    return -left, right


def saddle_point(v: jax.Array, z: jax.Array) -> jax.Array:
    """t0 = asinh(v/z) for v >= 0, also where v/z overflows."""
    large = v > z
    return jnp.where(
        large,
        jnp.log(v + jnp.hypot(v, z)) - jnp.log(z),
        jnp.arcsinh(jnp.where(large, 0.0, v) / jnp.where(large, 1.0, z)),
    )


def _frame(v: jax.Array, z: jax.Array, rule: _Rule) -> _Frame:
    w = jnp.hypot(v, z)
    gap = z * (z / (w + v))
    t0 = saddle_point(v, z)
    frozen_v, frozen_w, frozen_gap, frozen_t0 = jax.lax.stop_gradient((v, w, gap, t0))
    left, right = _ends(frozen_v, frozen_w, frozen_gap, rule.depth)
    step = (left + right) / (_BLOCK * rule.blocks - 1)
    # nodes are fixed in t = t0 + u: the value subtracted is 0, its derivative is not
    first = -left - (t0 - frozen_t0)
    return _Frame(t0, w, (w + v) / 2, gap / 2, first, step)


def _sums(frame: _Frame, rule: _Rule, order: int) -> tuple[jax.Array, ...]:
    """Σ e^-φ times 1 (order 0), and u, f, g (order 1), and their six products (order 2)."""
    growth = jnp.expm1(frame.step)

    def block(i: jax.Array, totals: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        u = frame.first + (_BLOCK * i.astype(frame.step.dtype)) * frame.step
        e, power = jnp.expm1(u), jnp.exp(u)
        for k in range(_BLOCK):
            if k > 0:
                # one exponential per node: e^(u+h) - 1 from e^u - 1
                u, e, power = u + frame.step, e + growth * (1 + e), power + growth * power
            # 1 + e cancels at u << 0; near 0 it makes the errors of f and g those of one shift of u
            f, g = e - u, u - e / jnp.where(e > -0.5, 1 + e, power)
            weight = jnp.exp(-(frame.half_sum * f + frame.half_gap * g))
            terms = [weight]
            if order > 0:
                wu, wf, wg = weight * u, weight * f, weight * g
                terms += [wu, wf, wg]
            if order > 1:
                terms += [wu * u, wu * f, wu * g, wf * f, wf * g, wg * g]
            totals = tuple(total + term for total, term in zip(totals, terms, strict=True))
        return totals

    zeros = tuple(jnp.zeros_like(frame.step) for _ in range((1, 4, 10)[order]))
    return jax.lax.fori_loop(0, rule.blocks, block, zeros)


def _log_kv(v: jax.Array, frame: _Frame, total: jax.Array) -> jax.Array:
    return (v * frame.t0 - frame.w) + jnp.log(frame.step * total / 2)


def value(v: jax.Array, z: jax.Array) -> jax.Array:
    """log K_v(z), v >= 0, z > 0 outside the small-argument corner."""
    rule = _RULES[v.dtype]
    frame = _frame(v, z, rule)
    return _log_kv(v, frame, *_sums(frame, rule, 0))


def moments(v: jax.Array, z: jax.Array, *, covariance: bool) -> tuple[jax.Array, ...]:
    """log K, the means of u, f, g (`KvMoments`), and with `covariance` uu, uf, ug, ff, fg, gg."""
    rule = (_DEEP_RULES if covariance else _RULES)[v.dtype]
    frame = _frame(v, z, rule)
    total, *sums = _sums(frame, rule, 2 if covariance else 1)
    value = _log_kv(v, frame, total)
    u, f, g, *seconds = (s / total for s in sums)
    if not covariance:
        return value, u, f, g
    uu, uf, ug, ff, fg, gg = seconds
    centred = (uu - u * u, uf - u * f, ug - u * g, ff - f * f, fg - f * g, gg - g * g)
    return value, u, f, g, *centred


def gradient(v: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(log K, ∂v, ∂z) with ∂v = E t, ∂z = -E cosh t."""
    rule = _RULES[v.dtype]
    frame = _frame(v, z, rule)
    total, *firsts = _sums(frame, rule, 1)
    u, f, g = (first / total for first in firsts)
    dz = -(frame.half_sum * (1 + u + f) + frame.half_gap * (1 - u + g)) / z
    return _log_kv(v, frame, total), frame.t0 + u, dz


def hessian(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log K, ∂v, ∂z, ∂²v, ∂v∂z, ∂²z) = (.., Var t, -Cov(t, cosh t), Var cosh t)."""
    rule = _RULES[v.dtype]
    frame = _frame(v, z, rule)
    total, *sums = _sums(frame, rule, 2)
    u, f, g, uu, uf, ug, ff, fg, gg = (s / total for s in sums)
    # z cosh t = half_sum e^u + half_gap e^-u; its centred part is v u + half_sum f + half_gap g
    hs, hg = frame.half_sum, frame.half_gap
    var_u, cov_uf, cov_ug = uu - u * u, uf - u * f, ug - u * g
    var_f, cov_fg, var_g = ff - f * f, fg - f * g, gg - g * g
    dz = -(hs * (1 + u + f) + hg * (1 - u + g)) / z
    dvz = -(v * var_u + hs * cov_uf + hg * cov_ug) / z
    scaled = (
        v * v * var_u
        + hs * hs * var_f
        + hg * hg * var_g
        + 2 * (v * hs * cov_uf + v * hg * cov_ug + hs * hg * cov_fg)
    )
    # not / z / z, which XLA folds into / (z z), and that underflows
    dzz = scaled / z * (1 / z)
    return _log_kv(v, frame, total), frame.t0 + u, dz, var_u, dvz, dzz
