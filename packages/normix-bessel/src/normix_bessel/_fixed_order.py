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
import importlib
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
_LONG_COUNT, _SHORT_COUNT = 240, 64
TWO_TERMS = 2.0
_BLOCK = 8192
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
    first_narrow = xp.asarray(first * narrow, np.int32)
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
    x = xp.log(z.astype(coefficients.dtype) / table.reference)
    warped = xp.copysign(2 * narrow * xp.log1p(xp.abs(x) / 2), x) - table.first
    warped = xp.clip(warped, 0, np.nextafter(coefficients.dtype.type(panels), 0))
    index = warped.astype(np.int32)
    local = 2 * (warped - index) - 1
    found = []
    for function in functions:
        columns = coefficients[function]
        total = columns[-1].at[index].get(mode="promise_in_bounds")
        for k in range(columns.shape[0] - 2, -1, -1):
            total = total * local + columns[k].at[index].get(mode="promise_in_bounds")
        found.append(total)
    return tuple(found)


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
        for function, total in zip(functions, found[:, rows], strict=True):
            columns = table.coefficients[function]
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
    parts = []
    if first < middle:
        x = xp.asarray(_nodes_of(first, middle), v.dtype)
        low = xp.minimum(v, TWO_TERMS)
        flat = xp.full((1,), FLAT, v.dtype)
        if xp is np:
            near = v < TWO_TERMS
            part = near_zero(low, x, np) if near else by_rule(v, reference, flat, None, np)
            parts.append(np.broadcast_to(part, (4, x.size)))
        else:
            # the long rule below takes the one flat point along
            parts.append(near_zero(low, x, xp))
    if xp is np:
        if middle < last:
            x = _nodes_of(middle, last)
            parts.append(by_rule(v, reference, x, None, np))
        return np.concatenate(parts, axis=1)
    flat = np.concatenate([[FLAT], _nodes_of(middle, right)])
    long = by_rule(v, reference, xp.asarray(flat, v.dtype), _LONG_COUNT, xp)
    parts[0] = xp.where(v < TWO_TERMS, parts[0], long[:, :1])
    short = xp.asarray(_nodes_of(right, last), v.dtype)
    parts += [long[:, 1:], by_rule(v, reference, short, _SHORT_COUNT, xp)]
    return xp.concatenate(parts, axis=1)


def by_rule(v: Array, reference: Array, x: Array, count: int | None, xp: ModuleType) -> Array:
    """The four functions by the trapezoidal rule at z = V e^x: (4, nodes)."""
    z = reference * xp.exp(x)
    w = xp.hypot(v, z)
    gap = z * (z / (w + v))
    left, right = ends(v, w, gap, xp, power=1)
    if count is None:
        counts = np.ceil((left + right) / np.minimum(0.17, 0.5 / np.sqrt(w))).astype(int) + 1
        sums = np.empty((4, x.size))
        for group in np.array_split(np.argsort(counts), -(-x.size // 128)):
            taken = (a[group] for a in (gap, left, right))
            sums[:, group] = _sums(v, *taken, int(counts[group].max()), np)
    else:
        sums = _sums(v, gap, left, right, count, xp)
    log_mass, up, down, shift = sums
    # from the saddle t0 of order v to T, and from w to W; both differences vanish for v >= 1
    far = xp.hypot(reference, z)
    bend = xp.log((v + w) / (reference + far))
    mass = log_mass + 0.5 * xp.log(far) + v * bend + (reference - v) * (reference + v) / (far + w)
    return xp.stack([mass, up + bend, down - bend, shift + bend])


def _sums(v: Array, gap: Array, left: Array, right: Array, count: int, xp: ModuleType) -> Array:
    """log ∫ e^-φ, log E e^u, log E e^-u, E u by the rule on [-left, right]: (4, nodes)."""
    step = (left + right) / (count - 1)
    k = xp.arange(count, dtype=gap.dtype)
    u = k * step[:, None] - left[:, None]
    size = xp.abs(u)
    grown = xp.expm1(size)
    shrunk = -grown / (1 + grown)
    e, d = xp.where(u > 0, grown, shrunk), xp.where(u > 0, shrunk, grown)
    cosh_less_1 = -e * d / 2
    # f = e^u - 1 - u = (cosh u - 1) + (sinh u - u), the latter by its series where f cancels
    square = xp.minimum(u * u, 1.0)
    series = xp.zeros_like(u)
    for n in range(19, 1, -2):
        series = series * square + 1 / math.factorial(n)
    f = xp.where(size < 1, cosh_less_1 + u * square * series, e - u)
    weight = xp.exp(-gap[:, None] * cosh_less_1 - v * f)
    mass = xp.sum(weight, axis=1)
    mean_up, mean_down, mean = (xp.sum(weight * y, axis=1) / mass for y in (e, d, u))
    return xp.stack([xp.log(mass * step), xp.log1p(mean_up), xp.log1p(mean_down), mean])


def near_zero(v: Array, x: Array, xp: ModuleType) -> Array:
    """The four functions for 0 <= v <= 2 and x <= -25.6, where z² is 0 next to 1."""
    special = _special(xp)
    # what multiplies log(2/z) is collected first: it is large
    log_reference = xp.log(xp.maximum(v, 1.0))
    length = math.log(2) - x - log_reference  # log(2/z)
    orders = xp.stack([v, xp.abs(1 - v)])
    (log_k, log_below), (slope, _) = _two_terms(orders[:, None], length, xp)
    log_above = special.gammaln(1 + v)
    return xp.stack(
        [
            log_k + xp.maximum(v, 1.0) + (0.5 - v) * log_reference,
            log_above - log_k - log_reference,
            (orders[1] + 1 - v) * length + log_below - log_k + log_reference,
            slope - log_reference,
        ]
    )


def _two_terms(v: Array, length: Array, xp: ModuleType) -> tuple[Array, Array]:
    """log(Γ(v) e^vL + Γ(-v) e^-vL) - v L, its slope in v, for 0 <= v <= 2, L = log(2/z) >= 25.

    The sum is Γ(1+v) e^vL (1 - e^-y) / v, y = 2 v t, t = L - γ - Σ ζ(k)/k v^(k-1) over odd k >= 3.
    Where the series is not right, at v near 1 and above, e^-y is below rounding.
    """
    special = _special(xp)
    low = xp.minimum(v, 1.0)
    even = 2 * np.arange(1, len(_ZETAS) + 1, dtype=v.dtype)
    zetas = np.asarray(_ZETAS, v.dtype)
    t = length - np.euler_gamma - (low[..., None] ** even) @ zetas
    t_slope = -((low[..., None] ** (even - 1)) @ (even * zetas))
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
    value = special.gammaln(1 + v) + xp.log(total)
    slope = special.digamma(1 + v) + t_slope / t + (t + v * t_slope) * langevin_less_1
    return value, slope


def _special(xp: ModuleType) -> ModuleType:
    """Its gammaln and digamma."""
    return importlib.import_module("scipy.special" if xp is np else "jax.scipy.special")
