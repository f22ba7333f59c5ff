"""Where the trapezoidal rule for K_v ends, over an array namespace (numpy or jax.numpy).

About the saddle the integrand of K_v is e^-φ(u), φ(u) = w (cosh u - 1) + v (sinh u - u), convex
with its minimum 0 at u = 0 (`KvMoments`).
"""

from typing import Any

DEPTH = 42.0  # the rule ends where the integrand is e^-42 of its peak
_STEPS = 3
_LONGEST = 3000.0  # no end lies further out, in units of u


def acosh1p(x: Any, xp: Any) -> Any:
    """acosh(1 + x), x >= 0, for small x as well, and without x², which may overflow."""
    return xp.log1p(x + xp.sqrt(x) * xp.sqrt(2 + x))


def ends(v: Any, w: Any, gap: Any, xp: Any, *, power: int) -> tuple[Any, Any]:
    """u_L, u_R > 0 beyond which e^-φ(u) e^(power |u|) is below e^-DEPTH, v >= 0, gap = w - v.

    Newton on the convex φ(u) - power |u| - DEPTH from bounds above its roots, so that it stays
    above them. For a > 0 the bounds come from φ(a) >= w (cosh a - 1), φ(-a) >= gap (cosh a - 1) and
    φ(-a) >= w a² / (2 + a).
    """
    rates = xp.stack([gap, w])
    reach = acosh1p((DEPTH + power * _LONGEST) / rates, xp)
    end = acosh1p((DEPTH + power * reach) / rates, xp)
    above = w > 1.25 * power
    excess = xp.where(above, w - power, 1.0)
    middle = DEPTH + 2 * power
    root = (middle + xp.sqrt(middle * middle + 8 * DEPTH * excess)) / (2 * excess)
    end = xp.stack([xp.where(above, xp.minimum(end[0], root), end[0]), end[1]])
    # φ = shrinking (e^-a - 1 + a) + growing (e^a - 1 - a) at the distance a, to either side
    growing = xp.stack([gap, w + v]) / 2
    shrinking = growing[::-1]
    for _ in range(_STEPS):
        e, d = xp.expm1(end), xp.expm1(-end)
        over = growing * (e - end) + shrinking * (d + end) - power * end - DEPTH
        end = end - over / (growing * e - shrinking * d - power)
    return end[0], end[1]
