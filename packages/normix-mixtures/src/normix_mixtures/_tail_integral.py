"""Tails of X = g Y + √Y Z, Y ~ GIG(p, a, b), Z standard normal, with relative accuracy.

With z(y) = (x - g y)/√y the upper tail is

    P(X > x) = E Q(z(Y)),   Q(z) = 1 - Φ(z) = φ(z) R(z),   R Mills' ratio,

an integral over log y of positive terms. The lower tail is the upper one of (-x, -g), and the one
that is integrated is the one on the far side of x from g y0, y0 the mode of log Y, so that its
complement loses nothing. For it z(y0) >= 0, and the exponent

    G(y) = log-density of log Y at its mode minus that at y + max(z(y), 0)²/2

is convex in log y with its minimum at y1, the mode of log Y for GIG(p, a + g², b + x²). About y1,
with u = log(y/y1), it is D(u) = A f(u) + B h(u) plus a constant where z >= 0 (f = e^u - 1 - u,
h = e^-u - 1 + u, A = (a + g²) y1/2, B = (b + x²)/(2 y1)), so that the ends of the range are known;
where z < 0 it is the exponent of Y alone. The trapezoidal rule on that range converges
geometrically, as for the Bessel function itself.

If the law is nearly one-sided at x, g √y >> 1 where z = 0, the integrand has an edge there in a
wide range. Then, with yc = x/g and sgn z = -1 where g y > x,

    P(X > x) = P(Y beyond yc) + E sgn(z) φ(z) R(|z|),

the first a tail of Y and the second as narrow as the edge, integrated from it to both sides.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam import mode_of_log
from normix_expfam.toolbox import gig_log_density, gig_tails, reach, varying_like

from ._mills import mills

_DEPTH = 40.0  # of the exponent at the ends of the range
_LEAST = 56  # nodes
_MANY = 1024  # nodes beyond which an edge is integrated by itself, if there is one:
_NARROW = 64.0  # A + B from where D is narrow, whatever the range is
_MOST = 2**14  # nodes; a range of 4000 in log y, for p = 0.01 at the limits
_STEP = 0.25  # in log y, and
_STEP_IN_WIDTHS = 0.6  # of 1/√(A + B), the width of the integrand about y1
_BLOCK = 4  # nodes for two exponentials
_EDGE_NODES = 48  # Gauss-Legendre, on each side of the edge
_END_STEPS = 3  # of Newton
_FAR = 0.7  # in log(y1/y0), from where z(y1) is better known from the slope at y1
_SERIES = 0.02  # |u| up to which e^u - 1 - u is summed: the next term is 2e-15 of it
_DENSITY = 1 / math.sqrt(2 * math.pi)


class Tails(NamedTuple):
    """What one pass over the nodes gives; arrays of the shape of x."""

    log_lower: jax.Array  # log P(X <= x)
    log_upper: jax.Array  # log P(X > x)
    log_density: jax.Array  # log f(x)
    upper: jax.Array  # whether the upper tail was integrated
    log_y: jax.Array  # E (log Y | the tail that was integrated)
    y: jax.Array  # E (Y | that tail), if it falls like a normal law in √Y, else without meaning


class _Range(NamedTuple):
    """y1 and what the exponent is about it."""

    y1: jax.Array
    z1: jax.Array  # z(y1) >= 0
    skew: jax.Array  # g √y1
    distance: jax.Array  # x / √y1
    A: jax.Array
    B: jax.Array
    least: jax.Array  # the minimum of G
    near: tuple[jax.Array, jax.Array]  # the ends of D, |u| to the left and to the right
    ends: tuple[jax.Array, jax.Array]  # those of G


class _Sums(NamedTuple):
    """Integrals in u, times e^least and the mass of log Y about its mode."""

    total: jax.Array
    density: jax.Array
    first: jax.Array  # of u
    growth: jax.Array  # of e^u - 1


def _range(
    p: jax.Array, a: jax.Array, b: jax.Array, y0: jax.Array, g: jax.Array, x: jax.Array
) -> _Range:
    """For the upper tail at x >= g y0."""
    alpha, beta = a * y0 / 2, b / y0 / 2
    rate = a + g * g
    far = jnp.hypot(jnp.sqrt(b), x)  # its square may overflow
    w = jnp.hypot(p, jnp.sqrt(rate) * far)
    y1 = jnp.where(p > 0, w + p, far) / jnp.where(p > 0, rate, (w - p) / far)
    root = jnp.sqrt(y1)
    A, B = (jnp.sqrt(rate) * root) ** 2 / 2, (far / root) ** 2 / 2
    v = jnp.log(y1 / y0)
    e, d = jnp.expm1(v), jnp.expm1(-v)
    skew = g * root
    distance = x / root
    # (x²/y - g² y)/2 is the slope k of the exponent of Y at y1, so z is known from k as well
    k = a * y1 / 2 - b / y1 / 2 - p
    size = jnp.abs(distance) + jnp.abs(skew)
    apart = jnp.sign(distance) * jnp.sign(skew) <= 0
    by_slope = jnp.where(apart, size, 2 * jnp.abs(k) / jnp.where(apart, 1.0, size))
    z1 = jnp.where(jnp.abs(v) > _FAR, by_slope, ((x - g * y0) - g * y0 * e) / root)
    least = alpha * (e - v) + beta * (d + v) + z1 * z1 / 2
    none = jnp.zeros_like(v)
    left, right = (
        reach(none, *pair, _DEPTH, steps=_END_STEPS) for pair in ((B, A), (A, B))
    )  # fmt: skip
    # an end with z < 0 lies where the exponent of Y alone has the depth
    depth = _DEPTH + least
    alone_left, alone_right = (
        reach(none, none + one, none + other, depth, steps=_END_STEPS)
        for one, other in ((beta, alpha), (alpha, beta))
    )
    z_left, z_right = (
        jnp.where(u < -_FAR, distance - skew * jnp.exp(u), z1 - skew * jnp.expm1(u))
        for u in (-left, right)
    )
    ends = (
        jnp.where(z_left < 0, alone_left + v, left),
        jnp.where(z_right < 0, alone_right - v, right),
    )
    return _Range(y1, z1, skew, distance, A, B, least, (left, right), ends)


def _terms(
    found: _Range, u: jax.Array, e: jax.Array, grow: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """e^-u - 1, z, e^-D φ(z)-normalised, and the contribution to f(x), at u with e = e^u - 1."""
    shrink = 1 / grow
    d = -e * shrink
    root = jnp.sqrt(shrink)
    # the second form for x and g √y of one size, the first where e^u is below rounding
    z = root * jnp.where(e < -0.5, found.distance - found.skew * grow, found.z1 - found.skew * e)
    # for tiny u the differences e^u - 1 - u and e^-u - 1 + u are below rounding
    tiny = jnp.abs(u) < _SERIES
    f = jnp.where(tiny, _excess(u), e - u)
    h = jnp.where(tiny, _excess(-u), d + u)
    near = jnp.exp(-found.A * f - found.B * h) * _DENSITY
    return d, z, near, near * root


def _excess(u: jax.Array) -> jax.Array:
    """e^u - 1 - u for |u| < `_SERIES`."""
    total = jnp.ones_like(u)
    for k in (7, 6, 5, 4, 3):
        total = 1 + total * u / k
    return total * u * u / 2


def _by_trapezoid(p: jax.Array, a: jax.Array, b: jax.Array, found: _Range) -> _Sums:
    """Equal steps over the whole range, as many as the point of the batch that needs most."""
    left, right = found.ends
    wanted, sharp = _wanted(found)
    wanted = jnp.max(jnp.where(sharp, _LEAST, wanted), initial=_LEAST)
    blocks = jnp.ceil(jnp.minimum(wanted, _MOST) / _BLOCK)
    step = (left + right) / (blocks * _BLOCK)
    rise, fall = a * found.y1 / 2, b / found.y1 / 2
    factor = jnp.expm1(step)
    limits = jnp.finfo(step.dtype)
    tiny, huge = 1e3 * float(limits.tiny), 1e-3 * float(limits.max)

    def block(i: jax.Array, sums: _Sums) -> _Sums:
        total, density, first, growth = sums
        u = ((i * _BLOCK).astype(step.dtype) + 0.5) * step - left
        e, grow = (jnp.minimum(f(u), huge) for f in (jnp.expm1, jnp.exp))
        grow = jnp.maximum(grow, tiny)
        for _ in range(_BLOCK):
            d, z, near, to_density = _terms(found, u, e, grow)
            below = near * mills(jnp.abs(z))
            whole = jnp.exp(found.z1 * found.z1 / 2 - rise * e - fall * d + p * u)
            term = jnp.where(z >= 0, below, whole - below)
            total, density = total + term, density + to_density
            first, growth = first + term * u, growth + term * e
            u, e = u + step, jnp.minimum(e + factor * grow, huge)
            grow = jnp.minimum(grow + factor * grow, huge)
        return _Sums(total, density, first, growth)

    none = varying_like(jnp.zeros_like(step), p, a, b, found)
    first = _Sums(none, none, none, none)
    sums = jax.lax.fori_loop(0, blocks.astype(jnp.int32), block, first)
    return _Sums(*(step * part for part in sums))


def _wanted(found: _Range) -> tuple[jax.Array, jax.Array]:
    """Nodes of the trapezoidal rule, none for what is no number, and where there is an edge."""
    size = found.A + found.B
    step = jnp.minimum(_STEP, _STEP_IN_WIDTHS / jnp.sqrt(size))
    wanted = jnp.ceil((found.ends[0] + found.ends[1]) / step)
    wanted = jnp.where(jnp.isfinite(wanted), wanted, _LEAST)
    return wanted, (wanted > _MANY) & (size > _NARROW)


def _by_edge(p: jax.Array, a: jax.Array, b: jax.Array, log_mass: jax.Array, found: _Range) -> _Sums:
    """The tail of Y from yc on, and both sides of the edge by Gauss-Legendre."""
    left, right = found.near
    edged = found.skew != 0
    ratio = jnp.where(edged, found.z1 / jnp.where(edged, found.skew, 1.0), jnp.inf)
    uc = jnp.log1p(jnp.maximum(ratio, -1.0))
    crossed = edged & (uc > -left) & (uc < right)
    inside = jnp.clip(uc, -left, right)
    nodes, weights = (
        jnp.asarray(table, left.dtype) for table in np.polynomial.legendre.leggauss(_EDGE_NODES)
    )

    def node(i: jax.Array, sums: _Sums) -> _Sums:
        total, density, first, growth = sums
        for low, high in ((-left, inside), (inside, right)):
            half = (high - low) / 2
            u = low + half * (1 + nodes[i])
            e = jnp.expm1(u)
            _, z, near, to_density = _terms(found, u, e, jnp.exp(u))
            weight = weights[i] * half
            term = weight * jnp.sign(z) * near * mills(jnp.abs(z))
            total, density = total + term, density + weight * to_density
            first, growth = first + term * u, growth + term * e
        return _Sums(total, density, first, growth)

    none = varying_like(jnp.zeros_like(left), found)
    sums = jax.lax.fori_loop(0, _EDGE_NODES, node, _Sums(none, none, none, none))
    uc = jnp.where(crossed, uc, 0.0)
    both = gig_tails(*(none + value for value in (p, a, b)), found.y1 * jnp.exp(uc))
    mass = jnp.logaddexp(both.lower, both.upper)
    beyond = found.skew > 0
    log_tail = jnp.where(beyond, both.upper, both.lower) - mass
    tail = jnp.where(crossed, jnp.exp(log_tail + log_mass + found.least), 0.0)
    mean = uc + jnp.where(beyond, both.upper_distance, -both.lower_distance)
    return _Sums(sums.total + tail, sums.density, sums.first + tail * mean, none + jnp.nan)


def _inside_power_tail(a: jax.Array, g: jax.Array, x: jax.Array) -> jax.Array:
    """x, but where a = g = 0 the last x with a square; beyond it the tail is the power x^2p."""
    most = float(jnp.finfo(x.dtype).max) ** 0.45
    return jnp.where((a == 0) & (g == 0), jnp.clip(x, -most, most), x)


def tails(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> Tails:
    """At finite x of one law, any shape, or of laws with which x broadcasts."""
    y0 = mode_of_log(p, a, b)
    log_mass = -gig_log_density(p, a, b, y0) - jnp.log(y0)
    upper = x >= g * y0
    sign = jnp.where(upper, 1.0, -1.0).astype(x.dtype)
    inside = _inside_power_tail(a, g, x)
    found = _range(p, a, b, y0, sign * g, sign * inside)
    sums, sharp = _by_trapezoid(p, a, b, found), _wanted(found)[1]
    edge = jax.lax.cond(jnp.any(sharp), lambda: _by_edge(p, a, b, log_mass, found), lambda: sums)
    sums = _Sums(*(jnp.where(sharp, one, other) for one, other in zip(edge, sums, strict=True)))
    log_scale = -found.least - log_mass
    beyond = jnp.log(jnp.where(x == inside, 1.0, x / inside))
    log_tail = jnp.log(sums.total) + log_scale + 2 * p * beyond
    # rounding must not make it a certainty: the complement would have no logarithm
    log_tail = jnp.minimum(log_tail, -jnp.finfo(x.dtype).eps)
    other = jnp.log(-jnp.expm1(log_tail))
    log_density = jnp.log(sums.density / jnp.sqrt(found.y1)) + log_scale + (2 * p - 1) * beyond
    return Tails(
        jnp.where(upper, other, log_tail), jnp.where(upper, log_tail, other), log_density, upper,
        jnp.log(found.y1) + sums.first / sums.total,
        found.y1 * (1 + sums.growth / sums.total),
    )  # fmt: skip
