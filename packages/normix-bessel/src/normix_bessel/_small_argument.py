"""log K_v(z) near z = 0 at small order: Temme's series and the upward recurrence.

For z -> 0 at fixed v the integrand of K_v has a plateau of length 2 log(2/z) and the
trapezoidal rule needs too many nodes. With x = log(2/z), q = z²/4 and v = n + u,
|u| <= 1/2, Temme (1975, J. Comput. Phys. 19, 324) sums

    K_u = Σ c_k f_k,   (z/2) K_{u+1} = Σ c_k (p_k - k f_k),   c_k = q^k / k!,
    f_k = (k f_{k-1} + p_{k-1} + r_{k-1}) / (k² - u²),   p_k = p_{k-1} / (k - u),
    r_k = r_{k-1} / (k + u),   p_0 = ½ e^{ux} Γ(1+u),   r_0 = ½ e^{-ux} Γ(1-u),
    f_0 = Γ(1+u) Γ(1-u) [Γ1(u) cosh ux + Γ2(u) x sinh(ux)/(ux)],

and u -> -u turns the second into (z/2) K_{u-1} = Σ c_k (r_k - k f_k). Where |u| x is large
a factor e^{|u|x} is taken out of every term, so nothing overflows. From there up to order v
by DLMF 10.29.1,

    ρ_v := (z/2) K_{v+1} / K_v = v + q / ρ_{v-1},   log K_v = log K_u + Σ [x + log ρ].

Within a piece of fixed n and fixed sign of u all of it is smooth in v and x, so order
derivatives come by differentiating it.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ._subnormal import in_least_units, is_subnormal, least_exponent

ORDER_LIMIT = 7.0
"""The series serves |v| < ORDER_LIMIT and z < ARGUMENT_LIMIT, as docs/bessel.md measures."""
ARGUMENT_LIMIT = 0.3

_TERMS = 8  # q^8 / 8! < 2e-18 at z = ARGUMENT_LIMIT

# Made by tools/gamma_coefficients.py.
_GAMMA1 = (
    -0.5772156649015329,
    0.04200263503409524,
    0.04219773455554433,
    -0.0072189432466631,
    0.00021524167411495098,
    2.013485478078824e-05,
    -1.133027231981696e-06,
    -6.116095104481416e-09,
    1.18127457048702e-09,
    -7.782263439905071e-12,
    -5.100370287454476e-13,
)
_GAMMA2 = (
    1.0,
    -0.6558780715202539,
    0.16653861138229148,
    -0.009621971527876973,
    -0.0011651675918590652,
    0.0001280502823881162,
    -1.2504934821426706e-06,
    -2.056338416977607e-07,
    5.002007644469223e-09,
    1.0434267116911005e-10,
    -3.696805618642206e-12,
)


class _Ladder(NamedTuple):
    """log K_v and its neighbours' ratios at order v >= 0, each of shape (...)."""

    log_kv: jax.Array
    up: jax.Array  # (z/2) K_{v+1} / K_v
    down: jax.Array  # (z/2) K_{v-1} / K_v
    lower: jax.Array  # K_{v-1} / K_v
    down_before: jax.Array  # (z/2) K_{v-2} / K_{v-1}
    cross: jax.Array  # q (1 - K_{v+1} K_{v-1} / K_v²)
    both: jax.Array  # up + down, even in v also in its rounding near v = 0


def _polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    total = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def _scaled_hyperbolics(u: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(m, e^-mx cosh ux, e^-mx sinh(ux)/(ux)) with m = |u| for large |u| x, else 0.

    The factor e^-mx prevents overflow; where there is none to prevent it is 1, and both are
    series in u², so that their derivatives keep relative accuracy as u -> 0.
    """
    frozen = jax.lax.stop_gradient(u)
    near = jnp.abs(frozen) * x < 1
    m = jnp.where(near, 0.0, jnp.where(frozen < 0, -u, u))
    square = jnp.where(near, u * x, 0.0) ** 2
    near_cosh, near_sinhc = jnp.ones_like(u), jnp.ones_like(u)
    for k in range(18, 0, -2):
        near_cosh = 1 + near_cosh * square * (1 / (k * (k - 1)))
        near_sinhc = 1 + near_sinhc * square * (1 / (k * (k + 1)))
    far = jnp.where(near, 1.0, m * x)
    cosh = jnp.where(near, near_cosh, (1 + jnp.exp(-2 * far)) / 2)
    return m, cosh, jnp.where(near, near_sinhc, -jnp.expm1(-2 * far) / (2 * far))


def _ladder(v: jax.Array, x: jax.Array) -> _Ladder:
    """Series at the fractional order, then the recurrence up to v < ORDER_LIMIT; x = log(2/z)."""
    n = jax.lax.stop_gradient(jnp.round(v))
    u = v - n
    q = jnp.exp(-2 * x)

    gamma1, gamma2 = _polynomial(_GAMMA1, u * u), _polynomial(_GAMMA2, u * u)
    rgamma_minus, rgamma_plus = gamma2 + u * gamma1, gamma2 - u * gamma1  # 1 / Γ(1 ∓ u)
    m, cosh, sinhc = _scaled_hyperbolics(u, x)
    rgammas = gamma2 * gamma2 - u * u * gamma1 * gamma1
    f = (gamma1 * cosh + gamma2 * x * sinhc) / rgammas
    tilt = jnp.exp((u - m) * x)
    q_untilted = jnp.exp((m - u - 2) * x)  # q / tilt, where both underflow
    p_tilted = 0.5 / rgamma_plus
    p = tilt * p_tilted
    r = 0.5 * jnp.exp(-(u + m) * x) / rgamma_minus

    # p + r, even in u in its code too, unlike p and r; (p - r) / u is f
    even = (gamma2 * cosh + u * u * gamma1 * x * sinhc) / rgammas

    def term(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        k = (i + 1).astype(v.dtype)
        f, p, r, even, c, total, tilted_up, total_down, total_both = carry
        scale = 1 / (k * k - u * u)
        f, even = (k * f + even) * scale, (k * even + u * u * f) * scale
        p, r, c_untilted, c = p / (k - u), r / (k + u), c * q_untilted / k, c * q / k
        return (
            *(f, p, r, even, c, total + c * f),
            *(tilted_up + c_untilted * (p - k * f), total_down + c * (r - k * f)),
            total_both + c * (even - 2 * k * f),
        )

    one = jnp.ones_like(v)
    *_, total, tilted_up, total_down, total_both = jax.lax.fori_loop(
        0, _TERMS, term, (f, p, r, even, one, f, p_tilted, r, even)
    )
    # K_{u+1} ~ e^{ux}: the power of z leaves the logarithm before it is differentiated
    log_kv = jnp.where(n == 0, m * x + jnp.log(total), v * x + jnp.log(tilted_up))
    up, down = tilt * tilted_up / total, total_down / total
    half = jnp.exp(-x)
    # q underflows long before z does, and where z does not K_{v-1} / K_v is a number
    lower = down * jnp.exp(x)
    # order u - 1, by evenness: ρ_{1-u} = (1 - u) + q / ρ_{-u} with ρ_{-u} = down
    down_before = (1 - u) + q / down
    cross = q - up * down
    both = total_both / total

    # 1 / up and q / up are carried: for u < 0 up² underflows, which a quotient's slope divides by
    up_inverse = total / tilted_up * jnp.exp((m - u) * x)
    up_inverse_q = total / tilted_up * q_untilted

    def climb(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        j = i.astype(v.dtype)
        inverse, down_next, product, up, down = carry[:5]
        up_next = (u + (j + 1)) + down_next
        product = jnp.where(j > 0, product * up, product)
        step = (
            *(1 / up_next, q / up_next, product, up_next),
            *(down_next, half * inverse, down, q - up_next * down_next, up_next + down_next),
        )
        return tuple(jnp.where(j < n, new, old) for new, old in zip(step, carry, strict=True))

    _, _, product, up, *rest = jax.lax.fori_loop(
        0,
        int(ORDER_LIMIT),
        climb,
        (up_inverse, up_inverse_q, one, up, down, lower, down_before, cross, both),
    )
    return _Ladder(log_kv + jnp.log(product), up, *rest)


def _slope(v: jax.Array, x: jax.Array) -> tuple[_Ladder, _Ladder]:
    """The ladder and its derivative in v."""
    return jax.jvp(lambda order: _ladder(order, x), (v,), (jnp.ones_like(v),))


def _curvature(v: jax.Array, x: jax.Array) -> tuple[_Ladder, _Ladder, jax.Array]:
    """The ladder, its derivative in v, and ∂² log K / ∂v²."""
    (ladder, slope), (_, bend) = jax.jvp(lambda order: _slope(order, x), (v,), (jnp.ones_like(v),))
    return ladder, slope, bend.log_kv


def _log_two_over(z: jax.Array) -> jax.Array:
    """log(2/z) for z > 0, subnormal or not."""
    subnormal = is_subnormal(z)
    of_subnormal = (1 - least_exponent(z.dtype)) * math.log(2) - jnp.log(in_least_units(z))
    return jnp.where(subnormal, of_subnormal, jnp.log(2 / jnp.where(subnormal, 1.0, z)))


def value(v: jax.Array, z: jax.Array) -> tuple[jax.Array]:
    """log(e^z K_v(z)), 0 <= v < ORDER_LIMIT, 0 < z < ARGUMENT_LIMIT."""
    return (_ladder(v, _log_two_over(z)).log_kv + z,)


def gradient(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z)."""
    ladder, slope = _slope(v, _log_two_over(z))
    return ladder.log_kv + z, slope.log_kv, 1 - ladder.both / z


def hessian(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z, ∂²v, ∂v∂z, ∂²z); the last is Var cosh t, in terms that do not cancel."""
    ladder, slope, dvv = _curvature(v, _log_two_over(z))
    up, down = ladder.up, ladder.down
    q = z * z / 4
    var_up = up * (1 + q / up - down)
    var_down = down * (ladder.down_before - down)
    dvz = -slope.both / z
    # not / z / z, which XLA folds into / (z z), and that underflows
    dzz = (var_up + 2 * ladder.cross + var_down) / z * (1 / z)
    return ladder.log_kv + z, slope.log_kv, 1 - ladder.both / z, dvv, dvz, dzz


def _means(v: jax.Array, z: jax.Array, ladder: _Ladder, slope: _Ladder) -> tuple[jax.Array, ...]:
    """log(e^z K), and the means of u, e^u, e^-u."""
    sum_vw = v + jnp.hypot(v, z)
    u = slope.log_kv - jnp.log(sum_vw / z)
    return (
        *(ladder.log_kv + z, u),
        *(2 * ladder.up / sum_vw, sum_vw / z * ladder.lower),
    )


def mean(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """log(e^z K) and the means of u, f, g (`KvMoments`)."""
    log_kve, u, exp_up, exp_down = _means(v, z, *_slope(v, _log_two_over(z)))
    return log_kve, u, exp_up - 1 - u, exp_down - 1 + u


def covariance(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """log(e^z K), the means of u, f, g, and their covariances uu, uf, ug, ff, fg, gg."""
    ladder, slope, uu = _curvature(v, _log_two_over(z))
    log_kve, u, exp_up, exp_down = _means(v, z, ladder, slope)
    # covariances with e^u and e^-u first, f and g by linearity
    q = z * z / 4
    sum_vw = v + jnp.hypot(v, z)
    up_u = 2 * slope.up / sum_vw
    down_u = sum_vw / z * slope.lower
    up_up = exp_up**2 * (1 + q / ladder.up - ladder.down) / ladder.up
    down_down = exp_down**2 * (ladder.down_before - ladder.down) / ladder.down
    up_down = ladder.cross / q
    uf, ug = up_u - uu, down_u + uu
    ff = up_up - 2 * up_u + uu
    gg = down_down + 2 * down_u + uu
    fg = up_down + up_u - down_u - uu
    return log_kve, u, exp_up - 1 - u, exp_down - 1 + u, uu, uf, ug, ff, fg, gg
