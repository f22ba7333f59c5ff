"""The public functions: inputs checked and broadcast, edge values, choice of backend."""

from collections.abc import Callable
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from . import _jax
from ._kv_moments import KvMoments

Backend = Literal["jax", "cpu"]


@overload
def log_kv(v: ArrayLike, z: ArrayLike, *, backend: Literal["jax"] = "jax") -> jax.Array: ...
@overload
def log_kv(v: ArrayLike, z: ArrayLike, *, backend: Literal["cpu"]) -> np.ndarray: ...
def log_kv(v: ArrayLike, z: ArrayLike, *, backend: Backend = "jax") -> jax.Array | np.ndarray:
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
        log K_v(z), natural logarithm, in the broadcast shape, as a jax.Array, or as a numpy array
        from the CPU backend. z = 0 gives +inf; z < 0 or nan gives nan; z = +inf gives -inf;
        v = ±inf gives +inf (nan when z is infinite too).

    Raises:
        ValueError: for an unknown backend, shapes that do not broadcast, or complex input.
        TypeError: if an argument is not an array of numbers of at most 64 bits, or is traced with
            the CPU backend.

    Examples:
        K_{1/2}(z) = √(π/2z) e^-z, so that ∂ log K_{1/2}(z) / ∂z = -1 - 1/(2z).

        >>> import jax
        >>> from normix_bessel import log_kv
        >>> round(float(log_kv(0.5, 2.0)), 6)  # log(π/4)/2 - 2
        -2.120782
        >>> round(float(jax.grad(log_kv, argnums=1)(0.5, 2.0)), 6)
        -1.25
        >>> round(float(log_kv(1000.0, 1.0)), 4)  # K itself overflows
        6597.6742
    """
    return _evaluate("log_kv", v, z, backend)


@overload
def log_kve(v: ArrayLike, z: ArrayLike, *, backend: Literal["jax"] = "jax") -> jax.Array: ...
@overload
def log_kve(v: ArrayLike, z: ArrayLike, *, backend: Literal["cpu"]) -> np.ndarray: ...
def log_kve(v: ArrayLike, z: ArrayLike, *, backend: Backend = "jax") -> jax.Array | np.ndarray:
    r"""log(e^z K_v(z)) = log K_v(z) + z, without the cancellation of that sum.

    For large z it tends to ½ log(π / 2z) (DLMF 10.40.2), a few units where log K_v(z) and z
    are both large, and its derivatives keep their relative accuracy there too. Arguments,
    edge values, dtypes and errors are those of `log_kv`.

    Examples:
        >>> from normix_bessel import log_kve
        >>> round(float(log_kve(0.5, 1e12)), 6)  # log(π / 2e12) / 2
        -13.589719
    """
    return _evaluate("log_kve", v, z, backend)


@overload
def kv(v: ArrayLike, z: ArrayLike, *, backend: Literal["jax"] = "jax") -> jax.Array: ...
@overload
def kv(v: ArrayLike, z: ArrayLike, *, backend: Literal["cpu"]) -> np.ndarray: ...
def kv(v: ArrayLike, z: ArrayLike, *, backend: Backend = "jax") -> jax.Array | np.ndarray:
    r"""K_v(z) = ½ ∫ exp(-z cosh t + v t) dt (DLMF 10.32.9).

    The exponential of `log_kv`: inf where K_v(z) exceeds the largest number of the dtype, 0
    where it is below the smallest. Its relative error is the absolute one of `log_kve`, a
    few roundings of max(1, log(e^z K_v(z))). z = 0 gives inf, z = inf gives 0; arguments,
    dtypes, other edges and errors are those of `log_kv`.

    Examples:
        >>> from normix_bessel import kv
        >>> round(float(kv(0.5, 1.0, backend="cpu")), 6)  # √(π/2) / e
        0.461069
    """
    return _evaluate("kv", v, z, backend)


@overload
def kve(v: ArrayLike, z: ArrayLike, *, backend: Literal["jax"] = "jax") -> jax.Array: ...
@overload
def kve(v: ArrayLike, z: ArrayLike, *, backend: Literal["cpu"]) -> np.ndarray: ...
def kve(v: ArrayLike, z: ArrayLike, *, backend: Backend = "jax") -> jax.Array | np.ndarray:
    r"""e^z K_v(z), the exponential of `log_kve`, with the conventions of `kv`.

    Examples:
        >>> from normix_bessel import kve
        >>> round(float(kve(0.5, 1.0, backend="cpu")), 6)  # √(π/2)
        1.253314
    """
    return _evaluate("kve", v, z, backend)


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

    Examples:
        K_{3/2}(z) = (1 + 1/z) K_{1/2}(z).

        >>> from normix_bessel import log_kv_moments
        >>> moments = log_kv_moments(0.5, 2.0)
        >>> round(float(moments.ratio_up), 6), round(float(moments.dz), 6)
        (1.5, -1.25)
        >>> moments.cov.shape
        (3, 3)
    """
    if _resolve("log_kv_moments", backend) == "cpu":
        from . import _cpu

        return _cpu.log_kv_moments(*_numpy_inputs("log_kv_moments", v, z), covariance=covariance)
    return _moments_jax(*_jax_inputs("log_kv_moments", v, z), covariance=covariance)


def _evaluate(name: str, v: ArrayLike, z: ArrayLike, backend: Backend) -> Any:
    if _resolve(name, backend) == "cpu":
        from . import _cpu

        return getattr(_cpu, name)(*_numpy_inputs(name, v, z))
    return _COMPILED[name](*_jax_inputs(name, v, z))


def _resolve(function: str, backend: str) -> str:
    if backend not in ("jax", "cpu"):
        raise ValueError(f"{function}: backend must be 'jax' or 'cpu', got {backend!r}")
    return backend


def _broadcast_error(function: str, v: Any, z: Any) -> ValueError:
    return ValueError(
        f"{function}: v and z must broadcast against each other, got shapes "
        f"{np.shape(v)} and {np.shape(z)}; add axes of length 1 to align them"
    )


def _numbers(function: str, name: str, value: Any) -> Any:
    """The value, with lists as arrays, after an error unless its dtype is one of JAX's."""
    if isinstance(value, jax.Array | float | int):
        return value
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value))
    try:
        array = jnp.asarray(value) if traced else np.asarray(value)
        jnp.result_type(array)
    except (TypeError, ValueError) as error:
        given = getattr(value, "dtype", None)
        text = repr(value) if given is None else f"dtype {given}"
        raise TypeError(
            f"{function}: {name} must be numbers of at most 64 bits in a rectangular array, got "
            f"{text}; convert it by numpy.asarray({name}, float)"
        ) from error
    return array


def _numpy_inputs(function: str, v: Any, z: Any) -> tuple[np.ndarray, np.ndarray]:
    v, z = _numbers(function, "v", v), _numbers(function, "z", z)
    for name, value in (("v", v), ("z", z)):
        if isinstance(value, jax.core.Tracer):
            raise TypeError(
                f"{function}: {name} must be concrete for backend 'cpu', got a traced value; "
                "pass backend='jax' within jax.jit, jax.vmap and jax.grad"
            )
    if np.iscomplexobj(v) or np.iscomplexobj(z):
        raise ValueError(f"{function}: v and z must be real, got a complex array")
    v, z = np.asarray(v, np.float64), np.asarray(z, np.float64)
    try:
        v, z = np.broadcast_arrays(v, z)
    except ValueError:
        raise _broadcast_error(function, v, z) from None
    return v, z


def _jax_inputs(function: str, v: ArrayLike, z: ArrayLike) -> tuple[Any, Any]:
    v, z = _numbers(function, "v", v), _numbers(function, "z", z)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(v, z, float)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{function}: v and z must be real, got dtype {dtype}")
    arrays = all(isinstance(x, np.ndarray | jax.Array) and x.dtype == dtype for x in (v, z))
    if arrays and np.shape(v) == np.shape(z):
        return v, z  # eager conversions would cost as much as a thousand points
    v, z = jnp.asarray(v, dtype), jnp.asarray(z, dtype)
    try:
        shape = jnp.broadcast_shapes(v.shape, z.shape)
    except ValueError:
        raise _broadcast_error(function, v, z) from None
    return jnp.broadcast_to(v, shape), jnp.broadcast_to(z, shape)


def _in_working_precision(function: Callable[..., Any]) -> Callable[..., Any]:
    """float16 and bfloat16 are computed in float32 and cast back."""

    def evaluate(v: jax.Array, z: jax.Array, **options: Any) -> Any:
        if v.dtype in (jnp.float32, jnp.float64):
            return function(v, z, **options)
        found = function(v.astype(jnp.float32), z.astype(jnp.float32), **options)
        return jax.tree.map(lambda x: x.astype(v.dtype), found)

    return evaluate


_COMPILED = {
    name: jax.jit(_in_working_precision(getattr(_jax, name)))
    for name in ("log_kv", "log_kve", "kv", "kve")
}
_moments_jax = jax.jit(_in_working_precision(_jax.log_kv_moments), static_argnames="covariance")
