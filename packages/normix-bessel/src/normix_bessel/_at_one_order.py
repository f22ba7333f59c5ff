"""The functions of `_fixed_order` at a few points, without a table, and moments at one."""

import math
from types import ModuleType
from typing import Any

import numpy as np

from ._fixed_order import FLAT, LONG_COUNT, TWO_TERMS, by_rule, exponentials, near_zero
from ._kv_moments import KvMoments
from ._trapezoid import ends

Array = Any

_STEP = 0.2  # of the rule, where the integrand is not narrower


def evaluate(order: Any, z: Array, xp: ModuleType) -> Array:
    """mass, log_up, log_down and shift at z > 0, shape (n,): (4, n).

    Args:
        order: v, a scalar, with jax.numpy one that may be traced.
        z: shape (n,).
        xp: numpy or jax.numpy.
    """
    v = xp.abs(xp.asarray(order, z.dtype))
    reference = xp.maximum(v, 1.0)
    x = xp.log(z / reference)
    counts = None if xp is np else ((z.shape[0], LONG_COUNT),)
    found = by_rule(v, reference, xp.maximum(x, FLAT), counts, xp)
    low = (x < FLAT) & (v < TWO_TERMS)
    if xp is not np or low.any():
        found = xp.where(low, near_zero(xp.minimum(v, TWO_TERMS), xp.minimum(x, FLAT), xp), found)
    mass, up, down, shift = found
    above = order >= 0
    up, down = xp.where(above, up, down), xp.where(above, down, up)
    return xp.stack([mass, up, down, xp.where(above, shift, -shift)])


def moments_at(order: Any, z: Any) -> KvMoments:
    """`log_kv_moments` with the covariance at one point, in NumPy and without SciPy.

    Args:
        order: v, a number.
        z: z > 0, a number.
    """
    v, z = np.abs(np.float64(order)), np.float64(z)
    w = np.hypot(v, z)
    gap = z * (z / (w + v))
    left, right = (float(end) for end in ends(v, w, gap, np, power=2))
    count = math.ceil((left + right) / min(_STEP, 0.3 / math.sqrt(w))) + 1
    u = np.linspace(-left, right, count)
    e, d, cosh_less_1, odd = exponentials(u, np)
    near = np.abs(u) < 1
    f = np.where(near, cosh_less_1 + odd, e - u)
    g = np.where(near, cosh_less_1 - odd, d + u)
    weight = np.exp(-gap * cosh_less_1 - v * f)
    total = weight.sum()
    weight /= total
    statistics = np.stack([u, f, g])
    mean = statistics @ weight
    centred = statistics - mean[:, None]
    cov = (centred * weight) @ centred.T
    saddle = np.log((v + w) / z) if v > z else np.arcsinh(v / z)
    fall = v * (saddle - v / (w + z))
    log_kve = math.log(total * (left + right) / (count - 1)) + fall - math.log(2)
    if order < 0:
        swap, sign = [0, 2, 1], np.array([-1.0, 1.0, 1.0])
        mean, cov = mean[swap] * sign, cov[swap][:, swap] * np.outer(sign, sign)
        saddle = -saddle
    return KvMoments(np.float64(log_kve), np.float64(order), z, saddle, w, mean, cov)
