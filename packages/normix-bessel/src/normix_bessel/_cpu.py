"""The CPU backend: scipy.special.kve, repaired where it fails, and moments by quadrature.

It shares no node and no code with the JAX backend but the coefficients of `_debye`, so that each
checks the other.
`scipy.special.kve` overflows for small z or large v, is nan for z > 2^30, and loses up to three
digits as z approaches 2 from below at orders near 0.1 (1.6e-13). For 0.5 < z <= 2, v < 20,
e^z K_v(z) = ∫_0^∞ e^(-z (cosh t - 1)) cosh(v t) dt (DLMF 10.32.9) is summed with a step of 0.1
instead. Where the result of `kve` is not a positive finite number,

- w = hypot(v, z) >= 40: Debye's uniform expansion, DLMF 10.41.4;
- else the recurrence ρ_v = (z/2) K_{v+1} / K_v = v + (z²/4) / ρ_{v-1} (DLMF 10.29.1), upward
  from orders in [0, 1], where kve does not overflow.
"""

import numpy as np
from numpy.polynomial import polynomial
from scipy import special

from ._debye import polynomials
from ._kv_moments import KvMoments
from ._trapezoid import ends

_DEBYE_LIMIT = 40.0
_DEBYE_TERMS = 14
_SAFE_ARGUMENT = 2.0**29
_WEAK_ARGUMENTS, _WEAK_ORDERS = (0.5, 2.0), 20.0
_STEP = 0.2  # the larger step of the quadrature; 0.3 standard deviations is the other
_CHUNK = 1 << 21  # elements x nodes held at once
# Below it w - v underflows, and with it the left end of the integrand at orders below 2.5,
# where e^-2u does not decay before: the moments are nan.
_SMALLEST_GAP = 1e-300


_LEAST_OF_KVE = 1e-300  # below, SciPy's K_0 is inf
_BOTH_TERMS = 20.0  # u log(2/z) from which e^-ux is 1e-17 of e^ux


def _asinh_ratio(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """asinh(v/z), also where v/z overflows."""
    return np.where(v > z, np.log(v + np.hypot(v, z)) - np.log(z), np.arcsinh(np.minimum(v, z) / z))


def _debye(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    w = np.hypot(v, z)
    squared = (v / w) ** 2
    total = np.zeros_like(w)
    for coefficients in reversed(polynomials(_DEBYE_TERMS)):
        total = polynomial.polyval(squared, coefficients) - total / w
    exponent = v * (_asinh_ratio(v, z) - v / (w + z))  # z - w + v t0
    return exponent + 0.5 * np.log(np.pi / (2 * w)) + np.log(total)


def _recurrence(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    steps = np.floor(v)
    low = v - steps
    # NumPy may take a subnormal 2/z for inf, but not its logarithm in parts
    x = np.log(2.0) - np.log(z)
    with np.errstate(over="ignore", invalid="ignore"):
        start = special.kve(low, z)
        ratio = (z / 2) * (special.kve(1 - low, z) / start)
        log_value = np.log(start)
    tiny = z < _LEAST_OF_KVE
    log_value[tiny] = _log_kv_near_zero(low[tiny], x[tiny])
    ratio[tiny] = special.gamma(1 + low[tiny]) / 2 * np.exp(low * x - log_value)[tiny] - low[tiny]
    rho = low + ratio
    for j in range(int(np.max(steps, initial=0))):
        active = j < steps
        log_value = np.where(active, log_value + x + np.log(rho), log_value)
        rho = (low + j + 1) + (z / 2) ** 2 / rho
    return log_value


def _log_kv_near_zero(u: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log K_u(z) for 0 <= u < 1 and z so small that z² is 0, from x = log(2/z).

    K_u = (Γ(u) e^ux + Γ(-u) e^-ux) / 2, by DLMF 10.27.4 and 10.25.2. Where the second term counts u
    is small, and the sum is the root of πu / sin πu times sinh(u t)/u, u t = u x + log Γ(1+u) - ...
    """
    first = special.gammaln(1 + u) + u * x - np.log(2 * np.where(u > 0, u, 1.0))
    near = np.where(u * x < _BOTH_TERMS, u, 0.0)
    t = x - np.euler_gamma
    for k in range(3, 15, 2):
        t = t - special.zeta(k) / k * near ** (k - 1)
    y = near * t
    log_sinhc = np.log(np.where(y > 0, np.sinh(y) / np.where(y > 0, y, 1.0), 1.0))
    both = np.log(t) + log_sinhc - np.log(np.sinc(near)) / 2
    return np.where(u * x < _BOTH_TERMS, both, first)


def _by_quadrature(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """e^z K_v(z) at the weak arguments of `kve`: at t = 6 the integrand is e^-45 of its peak."""
    t = 0.1 * np.arange(61)
    scaled = np.empty_like(z)
    for rows in np.array_split(np.arange(z.size), z.size * t.size // _CHUNK + 1):
        fall = np.exp(-2 * z[rows, None] * np.sinh(t / 2) ** 2)
        terms = fall * np.cosh(v[rows, None] * t)
        scaled[rows] = 0.1 * (terms[:, 1:].sum(axis=1) + 0.5)
    return scaled


def _inside(v: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """e^z K and its logarithm for flat arrays, v >= 0 and z > 0 finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = special.kve(v, np.minimum(z, _SAFE_ARGUMENT))
    low, high = _WEAK_ARGUMENTS
    weak = (z > low) & (z <= high) & (v < _WEAK_ORDERS)
    scaled[weak] = _by_quadrature(v[weak], z[weak])
    trusted = np.isfinite(scaled) & (scaled > 0) & (z < _SAFE_ARGUMENT)
    logarithm = np.log(np.where(trusted, scaled, 1.0))
    wide = ~trusted & (np.hypot(v, z) >= _DEBYE_LIMIT)
    logarithm[wide] = _debye(v[wide], z[wide])
    corner = ~trusted & ~wide
    logarithm[corner] = _recurrence(v[corner], z[corner])
    with np.errstate(over="ignore", under="ignore"):
        scaled[~trusted] = np.exp(logarithm[~trusted])
    return scaled, logarithm


def _kve_and_log(v: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """e^z K_v(z) and its logarithm, with the limits on the boundary of the domain."""
    order = np.abs(v)
    order = np.where(order < np.finfo(float).tiny, 0.0, order)  # kve gives inf
    regular = np.isfinite(order) & np.isfinite(z) & (z > 0)
    scaled, logarithm = np.full(order.shape, np.nan), np.full(order.shape, np.nan)
    scaled[regular], logarithm[regular] = _inside(order[regular], z[regular])
    infinite = ((z == 0) & ~np.isnan(order)) | (np.isinf(order) & (z > 0) & np.isfinite(z))
    vanishing = np.isposinf(z) & np.isfinite(order)
    scaled[infinite] = logarithm[infinite] = np.inf
    scaled[vanishing], logarithm[vanishing] = 0.0, -np.inf
    return scaled, logarithm


def log_kve(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    return _kve_and_log(v, z)[1]


def log_kv(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    logarithm = log_kve(v, z)
    # z = -inf and v = ±inf at z = inf are nan already
    return np.subtract(logarithm, z, out=logarithm, where=~np.isnan(logarithm))


def kve(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    return _kve_and_log(v, z)[0]


def kv(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """e^-z times e^z K, which rounds less than the exponential of their sum, if in range."""
    scaled, logarithm = _kve_and_log(v, z)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        split = np.isfinite(scaled) & (scaled > 0) & (z < 700)
        return np.where(split, scaled * np.exp(-z), np.exp(logarithm - z))


def _quadrature(v: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of (u, f, g) by a dense trapezoidal rule, v >= 0, flat arrays."""
    w = np.hypot(v, z)
    gap = z * (z / (w + v))
    # second moments of e^|u| included
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        left, right = ends(v, w, gap, np, power=2)
    count = int(np.max((left + right) / np.minimum(_STEP, 0.3 / np.sqrt(w)))) + 2
    u = -left[:, None] + np.linspace(0, 1, count) * (left + right)[:, None]
    e, d = np.expm1(u), np.expm1(-u)
    f, g = e - u, d + u
    weight = np.exp(-((w + v)[:, None] * f + gap[:, None] * g) / 2)
    weight /= weight.sum(axis=1, keepdims=True)
    statistics = np.stack([u, f, g], axis=1)
    mean = np.einsum("ik,ijk->ij", weight, statistics)
    centred = statistics - mean[:, :, None]
    return mean, (centred * weight[:, None, :]) @ np.swapaxes(centred, 1, 2)


def log_kv_moments(v: np.ndarray, z: np.ndarray, *, covariance: bool) -> KvMoments:
    regular = np.asarray(np.isfinite(v) & np.isfinite(z) & (z > 0))
    mean, cov = np.full((*v.shape, 3), np.nan), np.full((*v.shape, 3, 3), np.nan)
    saddle, w = np.full(v.shape, np.nan), np.full(v.shape, np.nan)
    order, argument = np.abs(v[regular]), z[regular]
    saddle[regular] = np.sign(v[regular]) * _asinh_ratio(order, argument)
    w[regular] = np.hypot(order, argument)
    gap = argument * (argument / (w[regular] + order))
    held = (gap >= _SMALLEST_GAP) | (order >= 2.5)
    regular[regular] = held
    order, argument = order[held], argument[held]
    if order.size:
        # neighbours in node count share a chunk
        ranked = np.argsort(argument)
        parts_mean, parts_cov = np.empty((order.size, 3)), np.empty((order.size, 3, 3))
        for rows in np.array_split(ranked, order.size * 256 // _CHUNK + 1):
            # at the smallest arguments moments of e^-u exceed the largest double
            with np.errstate(over="ignore", invalid="ignore"):
                parts_mean[rows], parts_cov[rows] = _quadrature(order[rows], argument[rows])
        # v -> -v reflects u: its mean changes sign, f and g change places
        negative = v[regular] < 0
        flip = np.array([-1.0, 1.0, 1.0])
        parts_mean[negative] = parts_mean[negative][:, [0, 2, 1]] * flip
        mirrored = parts_cov[negative][:, [0, 2, 1]][:, :, [0, 2, 1]]
        parts_cov[negative] = mirrored * np.outer(flip, flip)
        mean[regular], cov[regular] = parts_mean, parts_cov
    return KvMoments(log_kve(v, z), v, z, saddle, w, mean, cov if covariance else None)
