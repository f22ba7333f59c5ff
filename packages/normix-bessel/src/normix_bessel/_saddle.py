"""The trapezoidal rule at the saddle: log(e^z K_v(z)) and its moments from one pass.

With t0 = asinh(v/z), w = hypot(v, z), A = w - v = z² / (w + v) and u = t - t0 (v >= 0),

    K_v(z) = ½ e^(-w + v t0) ∫ e^-φ(u) du,   φ(u) = ½ (w + v) f(u) + ½ A g(u),
    f(u) = e^u - 1 - u,   g(u) = e^-u - 1 + u.

φ is convex, φ(0) = φ'(0) = 0, and the integrand is analytic and falls double-exponentially,
so the trapezoidal rule on [-u_L, u_R] with φ = depth at both ends converges geometrically
(Trefethen & Weideman 2014, SIAM Review 56, 385; Takekawa 2022, SoftwareX 17, 100923).

From node to node f and g are carried by

    f(u + h) = e^h f(u) + (e^h - 1) u + f(h),   g(u + h) = e^-h g(u) + (1 - e^-h) u + g(h),

which costs no exponential and, unlike e^u - 1 - u, loses nothing near u = 0: each block of
nodes starts from f and g at full relative accuracy, and an error made inside a block stays
a rounding of φ at its start. So all moments are as good for w = 10^6 as for w = 1.

The nodes are constants to differentiation: they are frozen in t, where moving them changes
the sum by less than rounding, so derivatives of every order are those of the integrand.
"""

import math
from collections.abc import Callable
from itertools import combinations_with_replacement as pairs_of
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._subnormal import in_least_units, is_subnormal, least_exponent

_BLOCK = 6  # nodes per loop step; f and g are taken afresh at each block


class _Rule(NamedTuple):
    """How far and how finely the rule sums, per precision."""

    depth: float | jax.Array  # φ at both ends: e^-depth is below rounding
    blocks: int | jax.Array


# What each rule leaves outside the small-argument corner is measured in docs/bessel.md.
_VALUE_RULES = {"float64": _Rule(38.0, 8), "float32": _Rule(18.0, 5)}
_CURVATURE_RULES = {"float64": _Rule(38.0, 9), "float32": _Rule(18.0, 5)}
# The covariance of (u, f, g) weighs the tails with e^(2|u|), so it needs them deeper.
_COVARIANCE_RULES = {"float64": _Rule(41.0, 8), "float32": _Rule(22.0, 6)}
# Where every w >= _WIDE the integrand is close to a Gaussian, and all moments need no more than:
_WIDE = 64.0
_WIDE_RULES = {"float64": _Rule(38.0, 5), "float32": _Rule(18.0, 3)}

_SERIES_TERMS = 9  # of cosh u - 1 and sinh u - u at |u| <= 1: the next is 8e-19 of the sum


class _Frame(NamedTuple):
    """The saddle and the nodes of each element, every field of shape (...)."""

    t0: jax.Array
    w: jax.Array
    half_sum: jax.Array  # (w + v) / 2
    half_gap: jax.Array  # (w - v) / 2
    first: jax.Array  # u of the first node
    step: jax.Array


def _rule(rules: dict[str, _Rule], v: jax.Array, z: jax.Array, adaptive: bool) -> _Rule:
    """The rule of this precision; `adaptive` takes the shorter one for a batch that allows it.

    The number of blocks is then known at run time only, which reverse differentiation forbids.
    """
    if not adaptive:
        return rules[v.dtype.name]
    wide = jnp.all(jnp.hypot(v, z) >= _WIDE)
    pairs = zip(_WIDE_RULES[v.dtype.name], rules[v.dtype.name], strict=True)
    return _Rule(*(jnp.where(wide, short, full) for short, full in pairs))


def _excess(u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """f(u) = e^u - 1 - u and g(u) = f(-u), to full relative accuracy."""
    square = u * u
    even, odd = jnp.ones_like(u), jnp.ones_like(u)
    for k in range(2 * _SERIES_TERMS, 2, -2):
        even = 1 + even * square * (1 / (k * (k - 1)))
        odd = 1 + odd * square * (1 / (k * (k + 1)))
    even, odd = even * square / 2, odd * square * u / 6  # cosh u - 1, sinh u - u
    far = jnp.abs(u) > 1
    growth = jnp.exp(u)
    return (
        jnp.where(far, growth - 1 - u, even + odd),
        jnp.where(far, 1 / growth - 1 + u, even - odd),
    )


def _ends(
    v: jax.Array, w: jax.Array, gap: jax.Array, depth: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """u_L, u_R >= 0 with φ(-u_L) and φ(u_R) just above depth.

    Each start bounds the root from above, and Newton on a convex function keeps it so. A
    tenth of a percent is enough, so this is done in float32, in units of the Gaussian end
    √(2 depth / w), which is within 0.2 % of both where w > 10^6.
    """
    scale = jnp.minimum(1.0, 1e6 / w)
    w1, v1, gap1 = (jnp.maximum(x * scale, 1e-30).astype(jnp.float32) for x in (w, v, gap))
    gauss = jnp.sqrt(2 * depth / w1)

    def acosh1p(x: jax.Array) -> jax.Array:
        return jnp.log1p(x + jnp.sqrt(x * (2 + x)))

    # φ = w (cosh u - 1) + v (sinh u - u) = gap (cosh u - 1) + v (e^u - 1 - u)
    above = 2 * depth / (w1 + v1)
    right = jnp.minimum(acosh1p(depth / w1), jnp.log1p(above + jnp.sqrt(2 * above)))
    e = jnp.expm1(right)
    cosh1 = e * e / (2 * (1 + e))
    sinh = e - cosh1
    phi, slope = w1 * cosh1 + v1 * (sinh - right), w1 * sinh + v1 * cosh1
    right = right - (phi - depth) / slope

    left = jnp.minimum(jnp.minimum(acosh1p(depth / gap1), depth / v1 + 1), gauss * (1 + gauss))
    for _ in range(2):
        e = jnp.expm1(-left)
        cosh1 = e * e / (2 * (1 + e))
        phi, slope = gap1 * cosh1 + v1 * (e + left), gap1 * (e - cosh1) + v1 * e
        left = left + (phi - depth) / slope

    unit = jnp.sqrt(2 * depth.astype(w.dtype) / w)
    return (left / gauss).astype(w.dtype) * unit, (right / gauss).astype(w.dtype) * unit


@jax.custom_jvp
def saddle_point(v: jax.Array, z: jax.Array) -> jax.Array:
    """t0 = asinh(v/z) for v >= 0, also where v/z overflows."""
    # asinh x = log1p(x (1 + x / (1 + √(1 + x²)))). Where z is tiny and v is not, the 1 of
    # log1p is below rounding, so a power of 2 may move from the quotient into the sum.
    wide = v.dtype == jnp.float64
    tiny, shift = (2.0**-500, 440) if wide else (2.0**-62, 30)
    small = (z < tiny) & (v > 1)
    scaled = z * jnp.where(small, 2.0**shift, 1.0)
    of_subnormal = in_least_units(z) * 2.0 ** (shift + least_exponent(z.dtype))
    scaled = jnp.where(is_subnormal(z) & small, of_subnormal, scaled)
    quotient = v * (1 + v / (jnp.hypot(v, z) + z)) / scaled
    return jnp.log1p(quotient) + jnp.where(small, shift * math.log(2), 0.0).astype(v.dtype)


@saddle_point.defjvp
def _(primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> Any:
    (v, z), (tangent_v, tangent_z) = primals, tangents
    w = jnp.hypot(v, z)
    return saddle_point(v, z), tangent_v / w - tangent_z * ((v / w) / z)


def _frame(v: jax.Array, z: jax.Array, rule: _Rule) -> _Frame:
    w = jnp.hypot(v, z)
    gap = z * (z / (w + v))
    t0 = saddle_point(v, z)
    frozen_v, frozen_w, frozen_gap, frozen_t0 = jax.lax.stop_gradient((v, w, gap, t0))
    left, right = _ends(frozen_v, frozen_w, frozen_gap, jnp.float32(rule.depth))
    step = (left + right) / jnp.asarray(_BLOCK * rule.blocks - 1, v.dtype)
    # nodes are fixed in t = t0 + u: the value subtracted is 0, its derivative is not
    first = -left - (t0 - frozen_t0)
    return _Frame(t0, w, (w + v) / 2, gap / 2, first, step)


class _Node(NamedTuple):
    u: jax.Array
    f: jax.Array
    g: jax.Array
    phi: jax.Array


Statistics = Callable[[_Node], tuple[jax.Array, ...]]


def _sums(frame: _Frame, rule: _Rule, statistics: Statistics) -> tuple[jax.Array, ...]:
    """Σ e^-φ, then Σ e^-φ x for each x in the statistics of a node."""
    h = frame.step
    f_step, g_step = _excess(h)
    growth, decay = 1 + (h + f_step), 1 - (h - g_step)  # e^h, e^-h

    def block(i: jax.Array, totals: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        u = frame.first + (_BLOCK * i.astype(h.dtype)) * h
        f, g = _excess(u)
        for k in range(_BLOCK):
            if k > 0:
                f = growth * f + ((h + f_step) * u + f_step)
                g = decay * g + ((h - g_step) * u + g_step)
                u = u + h
            phi = frame.half_sum * f + frame.half_gap * g
            weight = jnp.exp(-phi)
            terms = (weight, *(weight * x for x in statistics(_Node(u, f, g, phi))))
            totals = tuple(total + term for total, term in zip(totals, terms, strict=True))
        return totals

    count = 1 + len(jax.eval_shape(lambda x: statistics(_Node(x, x, x, x)), h))
    return jax.lax.fori_loop(0, rule.blocks, block, (jnp.zeros_like(h),) * count)


def _log_kve(v: jax.Array, z: jax.Array, frame: _Frame, total: jax.Array) -> jax.Array:
    """z - w = -v² / (w + z) does not cancel."""
    return v * (frame.t0 - v / (frame.w + z)) + jnp.log(frame.step * total / 2)


def _slope_z(v: jax.Array, z: jax.Array, w: jax.Array, u: jax.Array, phi: jax.Array) -> jax.Array:
    """1 - E cosh t, from z cosh t = w + v u + φ."""
    return -(v * (v / (w + z)) + (v * u + phi)) / z


def value(v: jax.Array, z: jax.Array) -> tuple[jax.Array]:
    """log(e^z K_v(z)), v >= 0, z > 0 outside the small-argument corner."""
    rule = _VALUE_RULES[v.dtype.name]
    frame = _frame(v, z, rule)
    (total,) = _sums(frame, rule, lambda _: ())
    return (_log_kve(v, z, frame, total),)


def gradient(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z) with ∂v = E t, ∂z = 1 - E cosh t."""
    rule = _VALUE_RULES[v.dtype.name]
    frame = _frame(v, z, rule)
    total, *firsts = _sums(frame, rule, lambda at: (at.u, at.phi))
    u, phi = (first / total for first in firsts)
    return _log_kve(v, z, frame, total), frame.t0 + u, _slope_z(v, z, frame.w, u, phi)


def hessian(v: jax.Array, z: jax.Array, *, adaptive: bool = False) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z, ∂²v, ∂v∂z, ∂²z) = (.., Var t, -Cov(t, cosh t), Var cosh t)."""
    rule = _rule(_CURVATURE_RULES, v, z, adaptive)
    frame = _frame(v, z, rule)
    total, *sums = _sums(
        frame, rule, lambda at: (at.u, at.phi, at.u * at.u, at.u * at.phi, at.phi * at.phi)
    )
    u, phi, uu, up, pp = (s / total for s in sums)
    # the centred part of z cosh t is v u + φ
    var_u, cov, var_phi = uu - u * u, up - u * phi, pp - phi * phi
    dvz = -(v * var_u + cov) / z
    scaled = v * (v * var_u + 2 * cov) + var_phi
    # not / z / z, which XLA folds into / (z z), and that underflows
    dzz = scaled / z * (1 / z)
    slopes = frame.t0 + u, _slope_z(v, z, frame.w, u, phi)
    return _log_kve(v, z, frame, total), *slopes, var_u, dvz, dzz


def mean(v: jax.Array, z: jax.Array, *, adaptive: bool = False) -> tuple[jax.Array, ...]:
    """log(e^z K) and the means of u, f, g (`KvMoments`)."""
    rule = _rule(_CURVATURE_RULES, v, z, adaptive)
    frame = _frame(v, z, rule)
    total, *firsts = _sums(frame, rule, lambda at: at[:3])
    return _log_kve(v, z, frame, total), *(first / total for first in firsts)


def covariance(v: jax.Array, z: jax.Array, *, adaptive: bool = False) -> tuple[jax.Array, ...]:
    """log(e^z K), the means of u, f, g, and their covariances uu, uf, ug, ff, fg, gg."""
    rule = _rule(_COVARIANCE_RULES, v, z, adaptive)
    frame = _frame(v, z, rule)
    total, *sums = _sums(
        frame, rule, lambda at: (*at[:3], *(a * b for a, b in pairs_of(at[:3], 2)))
    )
    u, f, g, uu, uf, ug, ff, fg, gg = (s / total for s in sums)
    centred = (uu - u * u, uf - u * f, ug - u * g, ff - f * f, fg - f * g, gg - g * g)
    return _log_kve(v, z, frame, total), u, f, g, *centred
