"""Tails of X = g Y + √Y Z, Y ~ GIG(p, a, b), Z standard normal, with relative accuracy.

With z(y) = (x - g y)/√y the upper tail is

    P(X > x) = E Q(z(Y)),   Q(z) = 1 - Φ(z) = φ(z) R(z),   R Mills' ratio,

an integral over log y of positive terms. The lower tail is the upper one of (-x, -g), and the one
that is integrated is the one on the far side of x from g y0, y0 the mode of log Y, so that its
complement loses nothing. Y is measured in units of y0; α = a y0/2 and β = b/(2 y0). For the far
side z(y0) >= 0, and the exponent

    G(y) = log-density of log Y at its mode minus that at y + max(z(y), 0)²/2

is convex in log y with its minimum at y1 = e^v y0, the mode of log Y for GIG(p, a + g², b + x²) of
`_mode_shift`. About y1, with u = log(y/y1), it is D(u) = A f(u) + B h(u) plus a constant where
z >= 0 (f = e^u - 1 - u, h = e^-u - 1 + u), so that the ends of the range are known; where z < 0 it
is the exponent of Y alone. The trapezoidal rule on that range converges geometrically, as for the
Bessel function itself. No term is of the size of w = α + β, so that a nearly normal distribution is
no exception: as w grows the range narrows about y1 = y0.

If the distribution is nearly one-sided at x, g √y >> 1 where z = 0, the integrand has an edge
there in a wide range. Then, with yc = x/g and sgn z = -1 where g y > x,

    P(X > x) = P(Y beyond yc) + E sgn(z) φ(z) R(|z|),

the first a tail of Y and the second as narrow as the edge, integrated from it to both sides.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam.internal import gig_tails, reach, varying_like
from normix_mixtures._mode_mass import log_mass, prior_of
from normix_mixtures._mode_shift import Means, Shift, cost, exponents, from_mode, power, shift

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
_FAR = 0.7  # -u, from where e^u - 1 is not better than e^u
_DENSITY = 1 / math.sqrt(2 * math.pi)


class Tails(NamedTuple):
    """What one pass over the nodes gives; arrays of the shape of x."""

    log_lower: jax.Array  # log P(X <= x)
    log_upper: jax.Array  # log P(X > x)
    log_slope: jax.Array  # about log f(x), of Y within the range; see `_edge` for the density
    upper: jax.Array  # whether the upper tail was integrated
    means: Means  # of log(Y/y0) given that tail; f and h if it falls faster than Y and 1/Y grow
    y0: jax.Array


class _Range(NamedTuple):
    """y1 and what the exponent is about it, in units of y0."""

    to: Shift  # y1 is e^v, D is by A and B
    z1: jax.Array  # z(y1) >= 0
    skew: jax.Array  # g √y1
    distance: jax.Array  # x / √y1
    rise: jax.Array  # α y1,
    fall: jax.Array  # β / y1 and
    slope: jax.Array  # α y1 - β/y1 - p of the exponent of Y
    least: jax.Array  # the minimum of G
    near_ends: tuple[jax.Array, jax.Array]  # the ends of D, |u| to the left and to the right
    ends: tuple[jax.Array, jax.Array]  # those of G


class _Sums(NamedTuple):
    """Integrals in u, times e^least and the mass of log Y about its mode."""

    total: jax.Array
    density: jax.Array
    first: jax.Array  # of u
    f: jax.Array
    h: jax.Array


def _range(p: jax.Array, alpha: jax.Array, beta: jax.Array, g: jax.Array, x: jax.Array) -> _Range:
    """For the upper tail at x >= g."""
    to = shift(p + 0 * x, alpha, beta, 0.0, (g + 0 * x)[..., None], x[..., None])
    A, B, v, e, near = to
    root = jnp.exp(v / 2)
    skew, distance = g * root, x / root
    rise, fall = alpha * power(v), beta * power(-v)
    # (x²/y - g² y)/2 is the slope of the exponent of Y at y1, so z is known from it as well
    slope = jnp.where(near, alpha * e + beta * e / (1 + e), rise - fall - p)
    size = jnp.abs(distance) + jnp.abs(skew)
    apart = jnp.sign(distance) * jnp.sign(skew) <= 0
    by_slope = jnp.where(apart, size, 2 * jnp.abs(slope) / jnp.where(apart, 1.0, size))
    z1 = jnp.where(near, ((x - g) - g * e) / root, by_slope)
    least = cost(alpha, beta, to) + z1 * z1 / 2
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
    return _Range(to, z1, skew, distance, rise, fall, slope, least, (left, right), ends)


class _Node(NamedTuple):
    """The integrand at u."""

    z: jax.Array
    near: jax.Array  # e^-D φ(0)
    density: jax.Array  # what it gives to f(x)
    f: jax.Array
    h: jax.Array


def _node(found: _Range, u: jax.Array, e: jax.Array, grow: jax.Array) -> _Node:
    """At u with e = e^u - 1."""
    shrink = 1 / grow
    root = jnp.sqrt(shrink)
    # the second form for x and g √y of one size, the first where e^u is below rounding
    z = root * jnp.where(e < -0.5, found.distance - found.skew * grow, found.z1 - found.skew * e)
    f, h = exponents(u, e, -e * shrink)
    near = jnp.exp(-found.to.up * f - found.to.down * h) * _DENSITY
    return _Node(z, near, near * root, f, h)


def _add(sums: _Sums, term: jax.Array, density: jax.Array, u: jax.Array, node: _Node) -> _Sums:
    return _Sums(
        sums.total + term, sums.density + density, sums.first + term * u,
        sums.f + term * node.f, sums.h + term * node.h,
    )  # fmt: skip


def _by_trapezoid(found: _Range) -> _Sums:
    """Equal steps over the whole range, as many as the point of the batch that needs most."""
    left, right = found.ends
    wanted, sharp = _count_nodes(found)
    wanted = jnp.max(jnp.where(sharp, _LEAST, wanted), initial=_LEAST)
    blocks = jnp.ceil(jnp.minimum(wanted, _MOST) / _BLOCK)
    step = (left + right) / (blocks * _BLOCK)
    factor = jnp.expm1(step)
    limits = jnp.finfo(step.dtype)
    tiny, huge = 1e3 * float(limits.tiny), 1e-3 * float(limits.max)

    def block(i: jax.Array, sums: _Sums) -> _Sums:
        u = ((i * _BLOCK).astype(step.dtype) + 0.5) * step - left
        e, grow = (jnp.minimum(f(u), huge) for f in (jnp.expm1, jnp.exp))
        grow = jnp.maximum(grow, tiny)
        for _ in range(_BLOCK):
            node = _node(found, u, e, grow)
            below = node.near * mills(jnp.abs(node.z))
            # the exponent of Y alone
            alone = found.slope * u + found.rise * node.f + found.fall * node.h
            whole = jnp.exp(found.z1 * found.z1 / 2 - alone)
            term = jnp.where(node.z >= 0, below, whole - below)
            sums = _add(sums, term, node.density, u, node)
            u, e = u + step, jnp.minimum(e + factor * grow, huge)
            grow = jnp.minimum(grow + factor * grow, huge)
        return sums

    none = varying_like(jnp.zeros_like(step), found)
    sums = jax.lax.fori_loop(0, blocks.astype(jnp.int32), block, _Sums(*(none,) * 5))
    return _Sums(*(step * part for part in sums))


def _count_nodes(found: _Range) -> tuple[jax.Array, jax.Array]:
    """Nodes of the trapezoidal rule, none for what is no number, and where there is an edge."""
    size = found.to.up + found.to.down
    step = jnp.minimum(_STEP, _STEP_IN_WIDTHS / jnp.sqrt(size))
    wanted = jnp.ceil((found.ends[0] + found.ends[1]) / step)
    wanted = jnp.where(jnp.isfinite(wanted), wanted, _LEAST)
    return wanted, (wanted > _MANY) & (size > _NARROW)


def _by_edge(
    p: jax.Array, alpha: jax.Array, beta: jax.Array, log_mass: jax.Array, found: _Range
) -> _Sums:
    """The tail of Y from yc on, and both sides of the edge by Gauss-Legendre."""
    left, right = found.near_ends
    edged = found.skew != 0
    ratio = jnp.where(edged, found.z1 / jnp.where(edged, found.skew, 1.0), jnp.inf)
    uc = jnp.log1p(jnp.maximum(ratio, -1.0))
    crossed = edged & (uc > -left) & (uc < right)
    inside = jnp.clip(uc, -left, right)
    nodes, weights = (
        jnp.asarray(table, left.dtype) for table in np.polynomial.legendre.leggauss(_EDGE_NODES)
    )

    def both_sides(i: jax.Array, sums: _Sums) -> _Sums:
        for low, high in ((-left, inside), (inside, right)):
            half = (high - low) / 2
            u = low + half * (1 + nodes[i])
            node = _node(found, u, jnp.expm1(u), jnp.exp(u))
            weight = weights[i] * half
            term = weight * jnp.sign(node.z) * node.near * mills(jnp.abs(node.z))
            sums = _add(sums, term, weight * node.density, u, node)
        return sums

    none = varying_like(jnp.zeros_like(left), found)
    sums = jax.lax.fori_loop(0, _EDGE_NODES, both_sides, _Sums(*(none,) * 5))
    uc = jnp.where(crossed, uc, 0.0)
    both = gig_tails(*(none + value for value in (p, 2 * alpha, 2 * beta)), power(found.to.v + uc))
    mass = jnp.logaddexp(both.lower, both.upper)
    beyond = found.skew > 0
    log_tail = jnp.where(beyond, both.upper, both.lower) - mass
    tail = jnp.where(crossed, jnp.exp(log_tail + log_mass + found.least), 0.0)
    mean = uc + jnp.where(beyond, both.upper_distance, -both.lower_distance)
    return _Sums(
        sums.total + tail, sums.density, sums.first + tail * mean, none + jnp.nan, none + jnp.nan
    )


def tails(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> Tails:
    """At finite x of one distribution, any shape, or of several with which x broadcasts."""
    prior = prior_of(p, a, b)
    y0, alpha, beta = prior
    root = jnp.sqrt(y0)
    mass = log_mass(p, a, b, prior)
    g, x = g * root, x / root
    upper = x >= g
    sign = jnp.where(upper, 1.0, -1.0).astype(x.dtype)
    found = _range(p, alpha, beta, sign * g, sign * x)
    sums, sharp = _by_trapezoid(found), _count_nodes(found)[1]
    edge = jax.lax.cond(jnp.any(sharp), lambda: _by_edge(p, alpha, beta, mass, found), lambda: sums)
    sums = _Sums(*(jnp.where(sharp, one, other) for one, other in zip(edge, sums, strict=True)))
    log_scale = -found.least - mass
    # rounding must not make it a certainty: the complement would have no logarithm
    log_tail = jnp.minimum(jnp.log(sums.total) + log_scale, -jnp.finfo(x.dtype).eps)
    other = jnp.log(-jnp.expm1(log_tail))
    log_slope = jnp.log(sums.density / root) - found.to.v / 2 + log_scale
    means = from_mode(found.to, *(part / sums.total for part in (sums.first, sums.f, sums.h)))
    return Tails(
        jnp.where(upper, other, log_tail), jnp.where(upper, log_tail, other), log_slope, upper,
        means, y0,
    )  # fmt: skip
