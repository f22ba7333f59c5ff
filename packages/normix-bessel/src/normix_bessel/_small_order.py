"""Derivatives of log(e^z K_v(z)) near v = 0, with relative accuracy in the odd ones.

K is even in v, so ∂v and ∂v∂z vanish at v = 0. About the saddle they are sums of both signs, with
an error of a rounding of those terms. About t = 0, with C = cosh t - 1,

    e^z K_v(z) = ∫_0^∞ e^(-z C) cosh(v t) dt,   sinh(v t) = v t q,   q = sinh(v t) / (v t),

and with S, R, M, X the integrals of cosh(v t), t² q, C cosh(v t), C t² q against e^(-z C),

    ∂v = v R / S,   ∂z = -M / S,   ∂v∂z = -v (X / S - M R / S²):

the factor v stands outside. The trapezoidal rule on t = k h is as in `_saddle`.
"""

import jax
import jax.numpy as jnp


def order_limit(z: jax.Array) -> jax.Array:
    """This serves |v| below it, z >= 0.3: v t stays below 0.4 at all nodes."""
    return jnp.maximum(1 / 16, jnp.sqrt(z) / 24)


_DEPTH = {"float64": 38.0, "float32": 18.0}  # z C at the last node
_BLOCK = 6
_BLOCKS = {"float64": 5, "float32": 3}
_SERIES_TERMS = 7  # of cosh(v t) and q at v t < 0.4: the next is below 1e-17


def _sums(v: jax.Array, z: jax.Array, second: bool) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """The step, and sums of e^-zC times statistics.

    These are cosh(v t), t² q, C cosh(v t), and if `second` t² cosh(v t), C t² q, C² cosh(v t).
    """
    count = _BLOCK * _BLOCKS[v.dtype.name]
    reach = jax.lax.stop_gradient(_DEPTH[v.dtype.name] / z)
    step = jnp.log1p(reach + jnp.sqrt(reach * (2 + reach))) / count
    sinh_half = jnp.sinh(step / 2)
    growth = 2 * sinh_half * sinh_half  # cosh h - 1
    tilt = 2 * sinh_half * jnp.sqrt(1 + sinh_half * sinh_half)  # sinh h

    def block(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        rise, sinh, *totals = carry
        for k in range(1, _BLOCK + 1):
            # all terms positive: C and sinh t keep their relative accuracy
            rise, sinh = (
                rise + (growth * rise + tilt * sinh + growth),
                sinh + (growth * sinh + tilt * rise + tilt),
            )
            t = (_BLOCK * i + k).astype(v.dtype) * step
            square = (v * t) ** 2
            cosh, quotient = jnp.ones_like(v), jnp.ones_like(v)
            for j in range(2 * _SERIES_TERMS - 2, 0, -2):
                cosh = 1 + cosh * square * (1 / (j * (j - 1)))
                quotient = 1 + quotient * square * (1 / (j * (j + 1)))
            weight = jnp.exp(-z * rise)
            even, odd = weight * cosh, weight * (t * t) * quotient
            terms = [even, odd, rise * even]
            if second:
                terms += [t * t * even, rise * odd, rise * rise * even]
            totals = [total + term for total, term in zip(totals, terms, strict=True)]
        return (rise, sinh, *totals)

    zero = jnp.zeros_like(v)
    start = (zero, zero, zero + 0.5, *(zero,) * (5 if second else 2))
    _, _, *totals = jax.lax.fori_loop(0, count // _BLOCK, block, start)
    return step, tuple(totals)


def gradient(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z), 0 <= v < order_limit(z)."""
    step, (total, odd, rise) = _sums(v, z, second=False)
    return jnp.log(step * total), v * (odd / total), -rise / total


def hessian(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z, ∂²v, ∂v∂z, ∂²z)."""
    step, (total, *sums) = _sums(v, z, second=True)
    odd, rise, square, cross, rise_square = (x / total for x in sums)
    slope = v * odd
    return (
        *(jnp.log(step * total), slope, -rise),
        *(square - slope * slope, -v * (cross - rise * odd), rise_square - rise * rise),
    )
