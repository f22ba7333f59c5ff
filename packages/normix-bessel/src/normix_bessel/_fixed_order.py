"""Functions of z at one order v, as a table of short polynomials on panels of log z.

At a fixed order log K_v(z), the ratios of neighbouring orders and ∂ log K_v / ∂v are functions of
s = log z alone, analytic for |Im s| < π/2, since K_v has no zero with |arg z| <= π/2 (DLMF 10.42).
With the reference V = max(|v|, 1), W = hypot(V, z), T = asinh(V/z), for v >= 0 the table holds

    mass = log(2 K_v(z)) + W - v T + ½ log W,     log_up = log(K_{v+1} / K_v) - T,
    shift = ∂ log K_v / ∂v - T,                    log_down = log(K_{v-1} / K_v) + T,

which tend to ½ log 2π, 0, 0, 0 as z -> ∞, and to constants as z -> 0 for v > 1. For v <= 1 their
growth there is that of log(1/z) or its logarithm. For |v| >= 1, T is the saddle of the integrand
of K_v. Below, the saddle itself would bend at z = v, where K_v does not. For v < 0, T and shift
change sign, and K_{v+1} and K_{v-1} change places.

In x = log(z/V) all of them bend near x = 0 and straighten outwards. So the panels are equal in
ξ = ±2 log1p(|x|/2), of x's sign. Values at Chebyshev nodes of wide panels of high degree come from
- the trapezoidal rule about the saddle (`_trapezoid`), where x >= -25.6;
- below, K_v = ½ [Γ(v) (2/z)^v + Γ(-v) (z/2)^v] (DLMF 10.27.4, 10.25.2) for v < 2, and the values at
  x = -25.6 for v >= 2.
The wide polynomials are then cut into narrow ones of low degree, which cost little to look up.
"""

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from ._trapezoid import ends

Array = Any  # of the namespace: numpy.ndarray or jax.Array

MASS, LOG_UP, LOG_DOWN, SHIFT = range(4)
ALL = (MASS, LOG_UP, LOG_DOWN, SHIFT)

_WIDE = 4  # wide panels per unit of ξ
_NODES = 14  # per wide panel
_NARROW = {8: (16, 5), 4: (8, 3)}  # by bytes: narrow panels per wide one, their degree
# Wide panels: the first below the least normal z, the last up to where all is constant, and those
# between the two-term formula, the long rule and the short one.
_FIRST = {8: -48, 4: -31}
_LAST = {8: 25, 4: 20}
_LONG = -21
_SHORT = -7
FLAT = -25.6  # x at the left border of panel _LONG
LONG_COUNT, _SHORT_COUNT = 272, 64
TWO_TERMS = 2.0
_BLOCK = 8192
_GAMMA_TERMS = 32
# ζ(k)/k, k = 3, 5, ...: (log Γ(1-u) - log Γ(1+u)) / 2u = γ + Σ ζ(k)/k u^(k-1)
_ZETAS = (
    0.40068563438653143,
    0.207385551028674,
    0.14404989676884614,
    0.11133426586956469,
    0.0909540171458291,
    0.0769325164113522,
    0.06666870588242046,
    0.05882397865868458,
    0.05263167937961666,
)


class FixedOrder(NamedTuple):
    """The table of one order: see `tabulate` and `look_up`."""

    order: Array
    """v, shape ()."""

    reference: Array
    """V = max(|v|, 1), shape ()."""

    first: Array
    """The first narrow panel, counted from x = 0, shape ()."""

    coefficients: Array
    """By function, power of the local variable in [-1, 1], and panel: (4, degree + 1, panels)."""


def tabulate(
    order: Any, xp: ModuleType, lowest: float | None = None, highest: float | None = None
) -> FixedOrder:
    """The table of K_v at one order, for `look_up`.

    Args:
        order: v, a scalar; with jax.numpy it may be traced, and sets the precision.
        xp: numpy (float64) or jax.numpy.
        lowest: with numpy, the least z > 0 that will be looked up; every normal z without.
        highest: with numpy, the largest such z.

    Errors of the four functions are below 3e-15 for |v| <= 1e4 in float64.
    """
    v = xp.asarray(order, dtype=np.float64 if xp is np else None)
    if xp is not np and not xp.issubdtype(v.dtype, xp.floating):
        v = v.astype(xp.result_type(float))
    magnitude = xp.abs(v)
    reference = xp.maximum(magnitude, 1.0)
    size = v.dtype.itemsize
    first, last = _FIRST[size], _LAST[size]
    if xp is np:
        if lowest is not None:
            first = min(max(first, _wide_panel(lowest / reference)), last - 1)
        if highest is not None:
            last = max(min(last, _wide_panel(highest / reference) + 1), first + 1)
    values = _values(magnitude, reference, first, last, xp)
    values = values.reshape(4, last - first, _NODES)
    narrow, degree = _NARROW[size]
    cut = xp.asarray(_cut(narrow, degree), v.dtype)
    coefficients = xp.einsum("fpn,dkn->fdpk", values, cut).reshape(4, degree + 1, -1)
    mass, up, down, shift = coefficients
    negative = v < 0
    swapped = (
        *(mass, xp.where(negative, down, up), xp.where(negative, up, down)),
        xp.where(negative, -shift, shift),
    )
    first_narrow = xp.asarray(first * narrow, v.dtype)
    return FixedOrder(v, reference, first_narrow, xp.stack(swapped))


def look_up(
    table: FixedOrder, z: Array, xp: ModuleType, functions: tuple[int, ...] = ALL
) -> tuple[Array, ...]:
    """`functions` of the table (mass, log_up, log_down, shift), each of z's shape, z > 0."""
    if xp is np:
        return _look_up_in_blocks(table, np.asarray(z, np.float64), functions)
    coefficients = table.coefficients
    narrow = _NARROW[coefficients.dtype.itemsize][0] * _WIDE
    panels = coefficients.shape[-1]
    least = np.finfo(coefficients.dtype).tiny  # XLA flushes what is below
    x = xp.log(xp.maximum(z.astype(coefficients.dtype) / table.reference, least))
    warped = xp.copysign(2 * narrow * xp.log1p(xp.abs(x) / 2), x) - table.first
    warped = xp.clip(warped, 0, np.nextafter(coefficients.dtype.type(panels), 0))
    panel = xp.floor(warped)
    local = 2 * (warped - panel) - 1
    index = panel.astype(np.int32)[..., None]
    found = []
    for function in functions:
        # one gather each: they fuse with the sums, unlike one of all columns
        highest, *lower = (_taken(column, index) for column in coefficients[function][::-1])
        total = highest
        for column in lower:
            total = total * local + column
        found.append(total)
    return tuple(found)


def _taken(column: Array, index: Array) -> Array:
    """column[index[..., 0]] in JAX, where the index is in bounds."""
    from jax import lax

    along = lax.GatherDimensionNumbers((), (0,), (0,))
    mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS
    return lax.gather(column, index, along, (1,), mode=mode)


def frame(table: FixedOrder, z: Array, xp: ModuleType) -> tuple[Array, Array]:
    """W and T, with the sign of v: what the functions are relative to, each of z's shape."""
    far = xp.hypot(table.reference, z)
    rest = table.reference * (table.reference / (far + z))  # W - z
    height = xp.log1p((table.reference + rest) / z)
    return far, xp.where(table.order < 0, -height, height)


def log_kve(table: FixedOrder, z: Array, mass: Array, xp: ModuleType) -> Array:
    """log(e^z K_v(z)) from the first function of the table, of z's shape."""
    far, height = frame(table, z, xp)
    rest = table.reference * (table.reference / (far + z))  # W - z
    return mass - xp.log(far) / 2 - math.log(2) + (table.order * height - rest)


def _look_up_in_blocks(
    table: FixedOrder, z: np.ndarray, functions: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    flat = z.ravel()
    found = np.empty((len(functions), flat.size))
    length = min(flat.size, _BLOCK)
    panels = table.coefficients.shape[-1]
    per_unit = 2 * _NARROW[8][0] * _WIDE
    first, last = float(table.first), np.nextafter(float(panels), 0)
    scale = 1 / float(table.reference)
    work, work_index = np.empty((3, length)), np.empty(length, np.intp)
    for start in range(0, flat.size, _BLOCK):
        rows = slice(start, min(start + _BLOCK, flat.size))
        size = rows.stop - start
        x, local, picked = work[:, :size]
        index = work_index[:size]
        with np.errstate(divide="ignore", invalid="ignore"):
            np.multiply(flat[rows], scale, out=x)
            np.log(x, out=x)
            np.abs(x, out=local)
            local *= 0.5
            np.log1p(local, out=local)
            local *= per_unit
            np.copysign(local, x, out=local)
            local -= first
            np.clip(local, 0, last, out=local)
            index[...] = local
        local -= index
        local *= 2
        local -= 1
        for function, row in zip(functions, found, strict=True):
            columns, total = table.coefficients[function], row[rows]
            np.take(columns[-1], index, out=total, mode="clip")
            for column in columns[-2::-1]:
                total *= local
                np.take(column, index, out=picked, mode="clip")
                total += picked
    return tuple(found.reshape(len(functions), *z.shape))


def _wide_panel(ratio: float) -> int:
    """The wide panel of z = ratio V."""
    x = math.log(ratio)
    return math.floor(math.copysign(2 * _WIDE * math.log1p(abs(x) / 2), x))


def _nodes_of(first: int, last: int) -> np.ndarray:
    """x at the nodes of wide panels first to last - 1, flat."""
    inner = chebyshev.chebpts1(_NODES)
    warped = ((np.arange(first, last) + 0.5)[:, None] + inner / 2) / _WIDE
    return np.copysign(2 * np.expm1(np.abs(warped) / 2), warped).ravel()


@functools.cache
def _cut(narrow: int, degree: int) -> np.ndarray:
    """From values at the nodes of a wide panel to coefficients: (degree + 1, narrow, _NODES).

    The wide interpolant at the Chebyshev nodes of each narrow panel, interpolated there.
    """
    nodes, inner = chebyshev.chebpts1(_NODES), chebyshev.chebpts1(degree + 1)
    fit_wide = np.linalg.inv(chebyshev.chebvander(nodes, _NODES - 1))
    centres = (2 * np.arange(narrow) + 1) / narrow - 1
    at_inner = chebyshev.chebvander(centres[:, None] + inner / narrow, _NODES - 1) @ fit_wide
    fit = np.linalg.inv(chebyshev.chebvander(inner, degree))
    powers = np.zeros((degree + 1, degree + 1))
    for k in range(degree + 1):
        powers[: k + 1, k] = chebyshev.cheb2poly(np.eye(degree + 1)[k, : k + 1])
    return np.einsum("dj,kjn->dkn", powers @ fit, at_inner)


def _values(v: Array, reference: Array, first: int, last: int, xp: ModuleType) -> Array:
    """The four functions at the nodes of the wide panels, order v >= 0: (4, nodes)."""
    middle, right = (min(max(first, border), last) for border in (_LONG, _SHORT))
    far = xp.asarray(_nodes_of(first, middle), v.dtype)
    if xp is np:
        ruled = by_rule(v, reference, np.append(FLAT, _nodes_of(middle, last)), None, np)
        beyond = near_zero(v, far, np) if v < TWO_TERMS else ruled[:, :1].repeat(far.size, 1)
    else:
        long, short = np.append(FLAT, _nodes_of(middle, right)), _nodes_of(right, last)
        counts = ((long.size, LONG_COUNT), (short.size, _SHORT_COUNT))
        nodes = xp.asarray(np.append(long, short), v.dtype)
        ruled = by_rule(v, reference, nodes, counts, xp)
        at_far = near_zero(xp.minimum(v, TWO_TERMS), far, xp)
        beyond = xp.where(v < TWO_TERMS, at_far, ruled[:, :1])
    return xp.concatenate([beyond, ruled[:, 1:]], axis=1)


def by_rule(
    v: Array, reference: Array, x: Array, counts: tuple[tuple[int, int], ...] | None, xp: ModuleType
) -> Array:
    """The four functions by the trapezoidal rule at z = V e^x: (4, nodes).

    counts: of the nodes in x and of those in u, part by part; what the step asks for without.
    """
    z = reference * xp.exp(x)
    w = xp.sqrt(v * v + z * z)
    gap = z * (z / (w + v))
    left, right = ends(v, w, gap, xp, power=1)
    if counts is None:
        asked = np.ceil((left + right) / np.minimum(0.17, 0.5 / np.sqrt(w))).astype(int) + 1
        sums = np.empty((4, x.size))
        for group in np.array_split(np.argsort(asked), -(-x.size // 128)):
            parts = (gap[group], left[group], right[group])
            sums[:, group] = _sums(v, *parts, int(asked[group].max()), np)
    else:
        borders = np.cumsum([0, *(nodes for nodes, _ in counts)])
        sums = xp.concatenate(
            [
                _sums(v, gap[start:end], left[start:end], right[start:end], count, xp)
                for start, end, (_, count) in zip(borders[:-1], borders[1:], counts, strict=True)
            ],
            axis=1,
        )
    # from the saddle t0 of order v to T, and from w to W; both differences vanish for v >= 1
    far = xp.sqrt(reference * reference + z * z)
    bend = xp.log((v + w) / (reference + far))
    up, down = xp.log1p(sums[1:3] / sums[:1])
    mass = xp.log(sums[0] * xp.sqrt(far)) + v * bend
    mass = mass + (reference - v) * (reference + v) / (far + w)
    return xp.stack([mass, up + bend, down - bend, sums[3] / sums[0] + bend])


def _sums(v: Array, gap: Array, left: Array, right: Array, count: int, xp: ModuleType) -> Array:
    """∫ (1, e^u - 1, e^-u - 1, u) e^-φ du by the rule on [-left, right]: (4, nodes)."""
    step = (left + right) / (count - 1)
    u = np.arange(count, dtype=gap.dtype)[None] * step[:, None] - left[:, None]
    e, d, cosh_less_1, odd = exponentials(u, xp)
    f = xp.where(xp.abs(u) < 1, cosh_less_1 + odd, e - u)
    weight = xp.exp(-gap[:, None] * cosh_less_1 - v * f)
    return xp.stack([(weight * y).sum(axis=1) for y in (xp.ones_like(u), e, d, u)]) * step[None]


def exponentials(u: Array, xp: ModuleType) -> tuple[Array, Array, Array, Array]:
    """e^u - 1, e^-u - 1, cosh u - 1, and sinh u - u for |u| < 1.

    There, where they cancel, f = e^u - 1 - u and g = e^-u - 1 + u are the third plus and minus the
    fourth.
    """
    size = xp.abs(u)
    grown = xp.expm1(size)
    shrunk = -grown / (1 + grown)
    e, d = xp.where(u > 0, grown, shrunk), xp.where(u > 0, shrunk, grown)
    square = xp.minimum(size * size, 1.0)
    series = 1 / math.factorial(19)
    for n in range(17, 1, -2):
        series = series * square + 1 / math.factorial(n)
    return e, d, -0.5 * (grown * shrunk), u * square * series


def near_zero(v: Array, x: Array, xp: ModuleType) -> Array:
    """The four functions for 0 <= v <= 2 and x <= -25.6, where z² is 0 next to 1."""
    # what multiplies log(2/z) is collected first: it is large
    log_reference = xp.log(xp.maximum(v, 1.0))
    length = math.log(2) - x - log_reference  # log(2/z)
    orders = xp.stack([v, xp.abs(1 - v)])
    log_gamma, log_rest, slope = _two_terms(orders[:, None], length[None], xp)
    log_k, log_below = log_gamma + log_rest
    return xp.stack(
        [
            log_k + xp.maximum(v, 1.0) + (0.5 - v) * log_reference,
            -log_rest[0] - log_reference,
            (orders[1] + 1 - v) * length + log_below - log_k + log_reference,
            slope[0] - log_reference,
        ]
    )


def _two_terms(v: Array, length: Array, xp: ModuleType) -> tuple[Array, Array, Array]:
    """log(Γ(v) e^vL + Γ(-v) e^-vL) - v L as log Γ(1+v) + rest, and its slope in v.

    For 0 <= v <= 2, shape (orders, 1), and L = log(2/z) >= 25. The sum is
    Γ(1+v) e^vL (1 - e^-y) / v, y = 2 v t, t = L - γ - Σ ζ(k)/k v^(k-1) over odd k >= 3. Where
    that series is not right, at v near 1 and above, e^-y is below rounding.
    """
    low = xp.minimum(v, 1.0)
    even = 2 * np.arange(1, len(_ZETAS) + 1, dtype=v.dtype)[None]
    zetas = np.asarray(_ZETAS, v.dtype)[:, None]
    t = length - np.euler_gamma - (low**even) @ zetas
    t_slope = -((low ** (even - 1)) @ (even.T * zetas))
    a = v * t
    # coth a - 1/a, by its continued fraction where that cancels
    square = xp.minimum(a, 2.0) ** 2
    fraction = xp.full_like(a, 23.0)
    for odd in range(21, 1, -2):
        fraction = odd + square / fraction
    far = xp.maximum(a, 2.0)
    beyond = -2 * xp.exp(-2 * far) / xp.expm1(-2 * far) - 1 / far
    langevin_less_1 = xp.where(a > 2, beyond, a / fraction - 1)
    # 2 t (1 - e^-2a) / 2a
    positive = xp.maximum(a, 1e-30)
    total = t * (-xp.expm1(-2 * positive) / positive)
    terms = np.asarray(_log_gamma_and_slope(), v.dtype)
    gamma = xp.cos(np.arange(_GAMMA_TERMS, dtype=v.dtype)[None] * xp.arccos(v - 1)) @ terms
    slope = gamma[:, 1:] + t_slope / t + (t + v * t_slope) * langevin_less_1
    return gamma[:, :1], xp.log(total), slope


@functools.cache
def _log_gamma_and_slope() -> np.ndarray:
    """log Γ(1+v) and its slope on [0, 2] in Chebyshev polynomials of v - 1, (terms, 2).

    The nearest pole, v = -1, is 2 from the centre: the terms fall like (2 + √3)^-k.
    """
    nodes = chebyshev.chebpts1(_GAMMA_TERMS)
    shifted = nodes + 2 + np.arange(20)[:, None]
    far = nodes + 22
    # DLMF 5.11.2, 20 steps up
    series = sum(1 / (c * far**k) for k, c in ((2, 12), (4, -120), (6, 252), (8, -240), (10, 132)))
    slope = np.log(far) - 0.5 / far - series - (1 / shifted).sum(axis=0)
    value = [math.lgamma(x) for x in nodes + 2]
    return np.linalg.inv(chebyshev.chebvander(nodes, _GAMMA_TERMS - 1)) @ np.array([value, slope]).T
