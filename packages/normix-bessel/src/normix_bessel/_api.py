"""The public functions: inputs checked and broadcast, edge values, choice of backend."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from . import _jax
from ._moments import KvMoments

Backend = Literal["jax", "cpu"]


def log_kv(v: ArrayLike, z: ArrayLike, *, backend: Backend = "jax") -> Any:
    r"""log K_v(z), the logarithm of the modified Bessel function of the second kind.

    K_v(z) = ½ ∫ exp(-z cosh t + v t) dt (DLMF 10.32.9) for real order v and z > 0. The value
    is finite wherever log K_v(z) is, also where K_v(z) itself overflows or underflows.

    With ``backend="jax"`` the function is traceable and differentiable in both arguments to
    every order, forward and reverse; ∂v and ∂z are moments of the same integral, not finite
    differences. It works in the dtype of its inputs (float32 or float64; lower floats are
    computed in float32 and cast back, integers become the default float).
    With ``backend="cpu"`` it is evaluated at once by scipy.special, in float64, with the
    overflow, underflow and z > 2^30 gaps of ``scipy.special.kve`` repaired.

    Args:
        v: order, any real, shape broadcastable with z. K is even in v.
        z: argument, z > 0, shape broadcastable with v.
        backend: "jax" or "cpu".

    Returns:
        log K_v(z), natural logarithm, in the broadcast shape: a jax.Array, or a numpy array
        from the CPU backend. z = 0 gives +inf; z < 0 or nan gives nan; z = +inf gives -inf;
        v = ±inf gives +inf (nan when z is infinite too).

    Raises:
        ValueError: for an unknown backend, shapes that do not broadcast, or complex input.
    """
    if _resolve("log_kv", backend) == "cpu":
        from . import _cpu

        return _cpu.log_kv(*_numpy_inputs("log_kv", v, z))
    return _log_kv_jax(*_jax_inputs("log_kv", v, z))


def log_kv_moments(
    v: ArrayLike, z: ArrayLike, *, covariance: bool = True, backend: Backend = "jax"
) -> KvMoments:
    """log K_v(z) together with the moments of its integrand, from one pass.

    What a generalized inverse Gaussian law needs for value, gradient and Fisher information:
    see `KvMoments` for the fields and the formula. Arguments, dtypes and errors are those of
    `log_kv`; where z is not positive and finite or v not finite every moment is nan.

    Args:
        v: order, any real, shape broadcastable with z.
        z: argument, z > 0, shape broadcastable with v.
        covariance: also give the 3x3 covariance; without it the pass costs about half.
        backend: "jax" or "cpu".
    """
    if _resolve("log_kv_moments", backend) == "cpu":
        from . import _cpu

        return _cpu.log_kv_moments(*_numpy_inputs("log_kv_moments", v, z), covariance=covariance)
    return _moments_jax(*_jax_inputs("log_kv_moments", v, z), covariance=covariance)


def _resolve(function: str, backend: str) -> str:
    if backend not in ("jax", "cpu"):
        raise ValueError(f"{function}: backend must be 'jax' or 'cpu', got {backend!r}")
    return backend


def _broadcast_error(function: str, v: Any, z: Any) -> ValueError:
    return ValueError(
        f"{function}: v and z must broadcast against each other, got shapes "
        f"{np.shape(v)} and {np.shape(z)}; add axes of length 1 to align them"
    )


def _numpy_inputs(function: str, v: Any, z: Any) -> tuple[np.ndarray, np.ndarray]:
    if np.iscomplexobj(v) or np.iscomplexobj(z):
        raise ValueError(f"{function}: v and z must be real, got a complex array")
    v, z = np.asarray(v, np.float64), np.asarray(z, np.float64)
    try:
        v, z = np.broadcast_arrays(v, z)
    except ValueError:
        raise _broadcast_error(function, v, z) from None
    return v, z


def _jax_inputs(function: str, v: ArrayLike, z: ArrayLike) -> tuple[jax.Array, jax.Array]:
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(v, z, float)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{function}: v and z must be real, got dtype {dtype}")
    v, z = jnp.asarray(v, dtype), jnp.asarray(z, dtype)
    try:
        shape = jnp.broadcast_shapes(v.shape, z.shape)
    except ValueError:
        raise _broadcast_error(function, v, z) from None
    return jnp.broadcast_to(v, shape), jnp.broadcast_to(z, shape)


def _working(v: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Working precision, and 1 in place of inputs outside the open domain, marked."""
    dtype = v.dtype if v.dtype in (jnp.float32, jnp.float64) else jnp.dtype(jnp.float32)
    v, z = v.astype(dtype), z.astype(dtype)
    regular = jnp.isfinite(v) & jnp.isfinite(z) & (z > 0)
    return jnp.where(regular, v, 1.0), jnp.where(regular, z, 1.0), regular


def _with_edges(v: jax.Array, z: jax.Array, value: jax.Array) -> jax.Array:
    """The value inside the domain, its limits on the boundary, nan outside."""
    infinite_order = jnp.isinf(v) & (z < jnp.inf)
    edge = jnp.where((z == 0) | infinite_order, jnp.inf, -jnp.inf)
    invalid = (z < 0) | jnp.isnan(z) | jnp.isnan(v) | (jnp.isinf(v) & jnp.isinf(z))
    # nan that depends on v and z, so that derivatives there are nan too and not a silent 0
    nothing = jnp.where(invalid, v + z, 0.0) * jnp.nan
    regular = jnp.isfinite(v) & jnp.isfinite(z) & (z > 0)
    outside = jnp.where(invalid, nothing, edge.astype(v.dtype))
    return jnp.where(regular, value.astype(v.dtype), outside)


@jax.jit
def _log_kv_jax(v: jax.Array, z: jax.Array) -> jax.Array:
    safe_v, safe_z, _ = _working(v, z)
    return _with_edges(v, z, _jax.log_kv(safe_v, safe_z))


@partial(jax.jit, static_argnames="covariance")
def _moments_jax(v: jax.Array, z: jax.Array, *, covariance: bool) -> KvMoments:
    safe_v, safe_z, regular = _working(v, z)
    moments = _jax.log_kv_moments(safe_v, safe_z, covariance=covariance)

    def masked(a: jax.Array) -> jax.Array:
        where = regular.reshape(regular.shape + (1,) * (a.ndim - regular.ndim))
        return jnp.where(where, a, jnp.nan).astype(v.dtype)

    return jax.tree.map(masked, moments)._replace(log_kv=_with_edges(v, z, moments.log_kv))
