"""The public functions of the GIG integral: arguments of any kind, and the choice of a backend."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from normix_expfam._checks import Backend, as_floats, resolve_backend

from . import _jax
from ._moments import GIGMoments


def gig_log_partition(p: ArrayLike, a: ArrayLike, b: ArrayLike) -> jax.Array:
    """ψ(p, a, b), broadcast; +inf where the integral diverges.

    Its derivatives are ∂p = E log Y, ∂a = -E Y / 2, ∂b = -E 1/Y / 2.

    Examples:
        >>> from normix_expfam import gig_log_partition
        >>> round(float(gig_log_partition(-0.5, 1.0, 1.0)), 6)  # log(2π)/2 - 1
        -0.081061
        >>> round(float(gig_log_partition(3.0, 2.0, 0.0)), 6)  # log Γ(3)
        0.693147
    """
    return _jax.log_partition(*_broadcast("gig_log_partition", p, a, b))


def gig_moments(
    p: ArrayLike, a: ArrayLike, b: ArrayLike, *, backend: Backend = "jax"
) -> GIGMoments:
    """ψ, E log Y, E 1/Y, E Y from one pass, broadcast over p, a, b.

    Moments that do not exist are +inf; parameters outside the domain give nan.
    ``backend="cpu"`` evaluates at once with NumPy and SciPy in float64.

    Raises:
        ValueError: for an unknown backend.

    Examples:
        GIG(-1/2, 4, 1) is inverse Gaussian, with mean 1/2 and E 1/Y = 2 + 1.

        >>> from normix_expfam import gig_moments
        >>> moments = gig_moments(-0.5, 4.0, 1.0, backend="cpu")
        >>> round(float(moments.y), 6), round(float(moments.inverse_y), 6)
        (0.5, 3.0)
    """
    if resolve_backend("gig_moments", backend, p, a, b) == "cpu":
        from . import _cpu

        return _cpu.moments(p, a, b)
    return _jax.moments(*_broadcast("gig_moments", p, a, b))


def _broadcast(owner: str, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> list[jax.Array]:
    return list(jnp.broadcast_arrays(*as_floats(owner, p=p, a=a, b=b)))
