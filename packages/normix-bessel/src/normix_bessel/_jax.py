"""The JAX backend: evenness in the order, edge values, and derivatives of every order.

Everything is built on log(e^z K_v(z)), whose derivatives do not cancel for large z; log K_v(z)
is that minus z. Value, gradient and Hessian are one chain: the derivative of each is read from
the next, and beyond the Hessian from automatic differentiation of the sums behind it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from . import _saddle, _small_argument, _small_order, _uniform
from ._kv_moments import KvMoments
from ._regimes import Elementwise, Results, chosen, gathered
from ._subnormal import is_subnormal


def _fold(v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """|v| and the sign of v; at v = 0 the modulus keeps the one-sided slope +1."""
    negative = v < 0
    return jnp.where(negative, -v, v), jnp.where(negative, -1.0, 1.0).astype(v.dtype)


def _odd(v: jax.Array, x: jax.Array) -> jax.Array:
    """x, odd in v because log K is even: exactly 0 at v = 0, where its own slope stays."""
    return x - jax.lax.stop_gradient(jnp.where(v == 0, x, 0.0))


def _regular(v: jax.Array, z: jax.Array) -> jax.Array:
    positive = (z > 0) | is_subnormal(z)
    return jnp.isfinite(v) & jnp.isfinite(z) & positive


def _inside(v: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """|v| and z with 1 in place of what is outside the open domain, and the sign of v."""
    modulus, sign = _fold(v)
    regular = _regular(v, z)
    return jnp.where(regular, modulus, 1.0), jnp.where(regular, z, 1.0), sign


def _invalid(v: jax.Array, z: jax.Array) -> jax.Array:
    return (z < 0) | jnp.isnan(z) | jnp.isnan(v) | (jnp.isinf(v) & jnp.isinf(z))


def _value_with_edges(v: jax.Array, z: jax.Array, value: jax.Array) -> jax.Array:
    """The limits of log(e^z K) on the boundary of the domain, nan outside."""
    edge = jnp.where((z == 0) | jnp.isinf(v), jnp.inf, -jnp.inf)
    outside = jnp.where(_invalid(v, z), jnp.nan, edge).astype(value.dtype)
    return jnp.where(_regular(v, z), value, outside)


def _slopes_with_edges(
    v: jax.Array, z: jax.Array, dv: jax.Array, dz: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """As z -> inf both slopes vanish; at z = 0 and v = ±inf they are infinite."""
    regular, invalid, end = _regular(v, z), _invalid(v, z), jnp.isposinf(z)
    steep = jnp.where(v == 0, 0.0, jnp.where(v > 0, jnp.inf, -jnp.inf))
    edge_v = jnp.where(invalid, jnp.nan, jnp.where(end, 0.0, steep)).astype(dv.dtype)
    edge_z = jnp.where(invalid, jnp.nan, jnp.where(end, 0.0, -jnp.inf)).astype(dz.dtype)
    return jnp.where(regular, dv, edge_v), jnp.where(regular, dz, edge_z)


def _value_at(evaluate: Elementwise, v: jax.Array, z: jax.Array) -> jax.Array:
    modulus, argument, _ = _inside(v, z)
    return _value_with_edges(v, z, *evaluate(modulus, argument))


def _gradient_at(evaluate: Elementwise, v: jax.Array, z: jax.Array) -> Results:
    modulus, argument, sign = _inside(v, z)
    value, dv, dz = evaluate(modulus, argument)
    return _value_with_edges(v, z, value), *_slopes_with_edges(v, z, _odd(v, sign * dv), dz)


def _hessian_at(evaluate: Elementwise, v: jax.Array, z: jax.Array) -> Results:
    modulus, argument, sign = _inside(v, z)
    value, dv, dz, *seconds = evaluate(modulus, argument)
    dvv, dvz, dzz = (jnp.where(_regular(v, z), x, jnp.nan) for x in seconds)
    slopes = _slopes_with_edges(v, z, _odd(v, sign * dv), dz)
    return _value_with_edges(v, z, value), *slopes, dvv, _odd(v, sign * dvz), dzz


def _moments_at(evaluate: Elementwise, v: jax.Array, z: jax.Array) -> Results:
    """log(e^z K), the means of u, f, g and, if evaluated, their covariances (`KvMoments`)."""
    modulus, argument, _ = _inside(v, z)
    value, *found = evaluate(modulus, argument)
    # v -> -v reflects u: odd moments of u change sign, f and g change places
    u, f, g = found[:3]
    reflected = [-u, g, f]
    if len(found) > 3:
        uu, uf, ug, ff, fg, gg = found[3:]
        reflected += [uu, -ug, -uf, gg, fg, ff]
    held = (jnp.where(v < 0, a, b) for a, b in zip(reflected, found, strict=True))
    regular = _regular(v, z)
    return _value_with_edges(v, z, value), *(jnp.where(regular, x, jnp.nan) for x in held)


_VALUE = gathered(_small_argument.value, _saddle.value, expansion=_uniform.value)
_GRADIENT = gathered(
    _small_argument.gradient,
    _saddle.gradient,
    expansion=_uniform.gradient,
    small_order=_small_order.gradient,
)


def _end_of_chain(
    at: Callable[..., Results],
    series: Elementwise,
    saddle: Callable[..., Results],
    small_order: Elementwise | None = None,
    expansion: Callable[..., Results] | None = None,
    far_batches: bool = True,
) -> Callable[[jax.Array, jax.Array], Results]:
    """The gathered form, whose derivatives are those of the plain one."""
    adaptive = partial(saddle, adaptive=True)
    fast = gathered(
        series,
        adaptive,
        small_order=small_order,
        expansion=expansion,
        far_batches=far_batches,
    )
    function = jax.custom_jvp(partial(at, fast))
    function.defjvp(partial(jax.jvp, partial(at, chosen(series, saddle))))
    return function


# (log(e^z K), ∂v, ∂z, ∂²v, ∂v∂z, ∂²z)
_hessian = _end_of_chain(
    _hessian_at, _small_argument.hessian, _saddle.hessian, _small_order.hessian
)
_mean = _end_of_chain(
    _moments_at, _small_argument.mean, _saddle.mean, expansion=_uniform.mean
)  # fmt: skip
_covariance = _end_of_chain(
    _moments_at,
    _small_argument.covariance,
    _saddle.covariance,
    expansion=_uniform.covariance,
    far_batches=False,
)


@jax.custom_jvp
def log_kve(v: jax.Array, z: jax.Array) -> jax.Array:
    return _value_at(_VALUE, v, z)


@jax.custom_jvp
def _gradient(v: jax.Array, z: jax.Array) -> Results:
    """(log(e^z K), ∂v, ∂z)."""
    return _gradient_at(_GRADIENT, v, z)


@log_kve.defjvp
def _(primals: Any, tangents: Any) -> Any:
    value, dv, dz = _gradient(*primals)
    return value, dv * tangents[0] + dz * tangents[1]


@_gradient.defjvp
def _(primals: Any, tangents: Any) -> Any:
    value, dv, dz, dvv, dvz, dzz = _hessian(*primals)
    tv, tz = tangents
    return (value, dv, dz), (dv * tv + dz * tz, dvv * tv + dvz * tz, dvz * tv + dzz * tz)


def log_kv(v: jax.Array, z: jax.Array) -> jax.Array:
    return log_kve(v, z) - z


def kve(v: jax.Array, z: jax.Array) -> jax.Array:
    return jnp.exp(log_kve(v, z))


def kv(v: jax.Array, z: jax.Array) -> jax.Array:
    """e^-z times e^z K, which rounds less than the exponential of their sum, if in range."""
    scaled = log_kve(v, z)
    largest = jnp.log(jnp.finfo(v.dtype).max).astype(v.dtype)
    split = (jnp.abs(scaled) < largest) & (z < largest)
    # the barrier keeps XLA from making e^a e^b into e^(a + b)
    fall = jax.lax.optimization_barrier(jnp.exp(jnp.where(split, -z, 0.0)))
    return jnp.exp(jnp.where(split, scaled, scaled - z)) * fall


def log_kv_moments(v: jax.Array, z: jax.Array, *, covariance: bool) -> KvMoments:
    log_kve, u, f, g, *seconds = (_covariance if covariance else _mean)(v, z)
    cov = None
    if covariance:
        uu, uf, ug, ff, fg, gg = seconds
        rows = (uu, uf, ug, uf, ff, fg, ug, fg, gg)
        cov = jnp.stack(rows, axis=-1).reshape(*uu.shape, 3, 3)
    modulus, argument, sign = _inside(v, z)
    regular = _regular(v, z)
    saddle = jnp.where(regular, sign * _saddle.saddle_point(modulus, argument), jnp.nan)
    w = jnp.where(regular, jnp.hypot(modulus, argument), jnp.nan)
    return KvMoments(log_kve, v, z, saddle, w, jnp.stack([u, f, g], axis=-1), cov)
