"""The Matérn correlation at one smoothness, from a table of K_ν (`_fixed_order`).

With s = √(2ν) r/ℓ, V = max(ν, 1), W = hypot(V, s) and the functions of the table,

    log k = mass(s) - mass(0) - ½ log(W/V) - (W - V) + ν log((V + W) / 2V),
    ∂ log k / ∂s = -K_{ν-1}(s) / K_ν(s) = -s / (V + W) e^log_down      (DLMF 10.29.4),
    ∂ log k / ∂ν = shift(s) - shift(0) + log((V + W) / 2V) at fixed s,

in which nothing large cancels: neither log s nor log Γ(ν) is left. At ν >= 2, mass(0) and
shift(0) are the table's own at its left end; below they are log Γ(ν) - ν log V + V + ½ log V and
ψ(ν) - log V.
Values and first slopes come from the table; slopes of slopes from `log_kv`.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import digamma, gammaln
from jax.typing import ArrayLike

from ._api import _numbers, log_kv
from ._fixed_order import LOG_DOWN, MASS, SHIFT, look_up, tabulate

_CONSTANT_ORDER = 2.0  # from here on the table is constant at its left end


def log_matern(r: ArrayLike, nu: ArrayLike, *, lengthscale: ArrayLike = 1.0) -> jax.Array:
    r"""The logarithm of `matern`, finite where the correlation itself underflows.

    It is 0 at r = 0 and -inf at r = inf. Arguments, slopes and errors are those of `matern`.

    Examples:
        >>> from normix_bessel import log_matern
        >>> round(float(log_matern(1e4, 0.5)), 6)  # -r
        -10000.0
    """
    return _log_matern(*_inputs("log_matern", r, nu, lengthscale))


def matern(r: ArrayLike, nu: ArrayLike, *, lengthscale: ArrayLike = 1.0) -> jax.Array:
    r"""The Matérn correlation 2^(1-ν) / Γ(ν) s^ν K_ν(s), s = √(2ν) r/ℓ, with learnable ν.

    Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, eq. 4.14. It is
    exactly 1 at r = 0, and exp(-½ r²/ℓ²) at ν = inf.

    The function is traceable and differentiable in r, ν and ℓ to every order, forward and reverse.
    First slopes are right at r = 0 too: 0 in ν and ℓ, and in r, from the right, 0 for ν > ½, -1/ℓ
    for ν = ½ and -inf below. The second slope in r at 0 is right for ν > 1; for smaller ν it is
    infinite, and 0 comes out.

    One table of K_ν serves all r: `jax.vmap` over r keeps one, over ν it makes one each. float32
    and float64 follow the inputs; lower floats are computed in float32.

    Args:
        r: distances, r >= 0, any shape.
        nu: smoothness ν > 0 or inf, a scalar; a process has m mean-square derivatives for m < ν.
        lengthscale: ℓ > 0, a scalar, in units of r.

    Returns:
        The correlation, of r's shape; nan where r < 0, ν <= 0, ℓ <= 0, or one of them is nan.

    Raises:
        ValueError: if nu or lengthscale is no scalar, or an argument is complex.
        TypeError: if an argument is not made of numbers of at most 64 bits.

    Examples:
        At ν = 3/2 it is (1 + s) e^-s.

        >>> import jax
        >>> from normix_bessel import matern
        >>> s = 3**0.5 * 0.8
        >>> abs(float(matern(0.8, 1.5)) - (1 + s) * 2.718281828459045**-s) < 1e-6
        True
        >>> round(float(jax.grad(matern, argnums=1)(0.8, 1.5)), 4)
        0.0725
    """
    return jnp.exp(_log_matern(*_inputs("matern", r, nu, lengthscale)))


def _inputs(
    function: str, r: ArrayLike, nu: ArrayLike, lengthscale: ArrayLike
) -> tuple[jax.Array, jax.Array, jax.Array]:
    r, nu, lengthscale = (
        _numbers(function, name, value)
        for name, value in (("r", r), ("nu", nu), ("lengthscale", lengthscale))
    )
    for name, value in (("nu", nu), ("lengthscale", lengthscale)):
        if np.shape(value) != ():
            raise ValueError(
                f"{function}: {name} must be a scalar, got shape {np.shape(value)}; use jax.vmap "
                f"over {name} for several"
            )
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(r, nu, lengthscale, float)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{function}: r, nu and lengthscale must be real, got dtype {dtype}")
    return jnp.asarray(r, dtype), jnp.asarray(nu, dtype), jnp.asarray(lengthscale, dtype)


@jax.jit
def _log_matern(r: jax.Array, nu: jax.Array, lengthscale: jax.Array) -> jax.Array:
    if r.dtype in (jnp.float32, jnp.float64):
        return _of_distance(r, nu, lengthscale)
    single = (x.astype(jnp.float32) for x in (r, nu, lengthscale))
    return _of_distance(*single).astype(r.dtype)


@jax.custom_jvp
def _of_distance(r: jax.Array, nu: jax.Array, lengthscale: jax.Array) -> jax.Array:
    outside = (lengthscale <= 0) | jnp.isnan(lengthscale)
    return jnp.where(outside, jnp.nan, _with_slopes(r / lengthscale, nu)[0])


def _slope_of_distance(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """A tangent that is no more than 0 has no term: at r = 0 the slope in r may be infinite."""
    r, nu, lengthscale = primals
    scaled = r / lengthscale
    value, along, in_nu = _with_slopes(scaled, nu)
    stretch = jnp.where(scaled > 0, scaled * jnp.where(scaled > 0, along, 0.0), 0.0)
    slopes = (along / lengthscale, in_nu, -stretch / lengthscale)
    total = jnp.zeros_like(value)
    for slope, tangent in zip(slopes, tangents, strict=True):
        if not isinstance(tangent, SymbolicZero):
            total = total + slope * tangent
    return _of_distance(r, nu, lengthscale), total


_of_distance.defjvp(_slope_of_distance, symbolic_zeros=True)


@jax.custom_jvp
def _with_slopes(scaled: jax.Array, nu: jax.Array) -> tuple[jax.Array, ...]:
    """log k and its slopes in r/ℓ and in ν, by the table; their own slopes are `_direct`'s."""
    s, v = _inside(scaled, nu)
    table = tabulate(v, jnp)
    mass, down, shift = look_up(table, s, jnp, (MASS, LOG_DOWN, SHIFT))
    reference = table.reference
    left_end = [table.coefficients[function, :, 0] for function in (MASS, SHIFT)]
    signs = jnp.asarray([(-1.0) ** k for k in range(left_end[0].size)], v.dtype)
    low = jnp.minimum(v, _CONSTANT_ORDER)
    log_reference = jnp.log(jnp.maximum(low, 1.0))
    formulas = (
        gammaln(low) + jnp.maximum(low, 1.0) + (0.5 - low) * log_reference,
        digamma(low) - log_reference,
    )
    mass_0, shift_0 = (
        jnp.where(v < _CONSTANT_ORDER, formula, jnp.sum(signs * end))
        for formula, end in zip(formulas, left_end, strict=True)
    )
    far = jnp.hypot(reference, s)
    excess = s * (s / (reference + far))  # W - V
    turn = jnp.log1p(excess / (2 * reference))
    value = (mass - mass_0) - jnp.log1p(excess / reference) / 2 + (v * turn - excess)
    falling = -s / (reference + far) * jnp.exp(down)
    return _at_edges(scaled, nu, value, falling, shift - shift_0 + turn)


@_with_slopes.defjvp
def _(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    return _with_slopes(*primals), jax.jvp(_direct, primals, tangents)[1]


def _direct(scaled: jax.Array, nu: jax.Array) -> tuple[jax.Array, ...]:
    """`_with_slopes` from `log_kv`, differentiable to every order."""
    s, v = _inside(scaled, nu)
    orders = jnp.broadcast_to(v, s.shape)
    log_k, in_order = jax.jvp(lambda x: log_kv(x, s), (orders,), (jnp.ones_like(orders),))
    log_s = jnp.log(s)
    value = (1 - v) * math.log(2) - gammaln(v) + v * log_s + log_k
    falling = -jnp.exp(log_kv(orders - 1, s) - log_k)
    return _at_edges(scaled, nu, value, falling, log_s - math.log(2) - digamma(v) + in_order)


def _inside(scaled: jax.Array, nu: jax.Array) -> tuple[jax.Array, jax.Array]:
    """s and ν, with 1 in place of what is on the boundary of their domain or outside."""
    v = jnp.where((nu > 0) & jnp.isfinite(nu), nu, 1.0)
    inner = jnp.where((scaled > 0) & jnp.isfinite(scaled), scaled, 1.0)
    return jnp.sqrt(2 * v) * inner, v


def _at_edges(
    scaled: jax.Array, nu: jax.Array, value: jax.Array, falling: jax.Array, in_order: jax.Array
) -> tuple[jax.Array, ...]:
    """log k and its slopes in r/ℓ and ν, from those in s and, at fixed s, in ν."""
    s, v = _inside(scaled, nu)
    along = jnp.sqrt(2 * v) * falling
    in_nu = in_order + s * falling / (2 * v)
    origin, end, gaussian = scaled == 0, jnp.isposinf(scaled), jnp.isposinf(nu)
    # next to 0, log k is -s² / 4(ν-1) = -ν (r/ℓ)² / 2(ν-1) for ν > 1
    smooth = -scaled * jnp.where(v > 1, v / jnp.where(v > 1, v - 1, 1.0), 0.0)
    cusp = jnp.where(v == 0.5, -1.0, -jnp.inf).astype(along.dtype)
    at_origin = jnp.where(v > 0.5, smooth, cusp)
    value = jnp.where(origin, 0.0, jnp.where(end, -jnp.inf, value))
    along = jnp.where(origin, at_origin, along)
    in_nu = jnp.where(origin, 0.0, in_nu)
    value = jnp.where(gaussian, -0.5 * scaled * scaled, value)
    along = jnp.where(gaussian, -scaled, along)
    in_nu = jnp.where(gaussian, 0.0, in_nu)
    inside = (nu > 0) & (scaled >= 0)
    return tuple(jnp.where(inside, x, jnp.nan) for x in (value, along, in_nu))
