"""ψ and ∇ψ as functions whose derivatives are the family's own hooks."""

from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax


@runtime_checkable
class Triad(Protocol):
    """The JAX half of the log-partition triad, as class methods, and its `Divergences`."""

    def _log_partition_from_theta(self, theta: jax.Array) -> jax.Array: ...
    def _grad_log_partition(self, theta: jax.Array) -> jax.Array: ...
    def _hessian_log_partition(self, theta: jax.Array) -> jax.Array: ...

    @property
    def divergences(self) -> Any: ...


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_partition(family: Triad, theta: jax.Array) -> jax.Array:
    """ψ(θ), whose derivatives are the family's own ∇ψ and ∇²ψ."""
    return family._log_partition_from_theta(theta)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def grad_log_partition(family: Triad, theta: jax.Array) -> jax.Array:
    """∇ψ(θ), whose derivative is the family's own ∇²ψ."""
    return family._grad_log_partition(theta)


@log_partition.defjvp
def _(family: Triad, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (theta,), (tangent,) = primals, tangents
    return log_partition(family, theta), grad_log_partition(family, theta) @ tangent


@grad_log_partition.defjvp
def _(family: Triad, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (theta,), (tangent,) = primals, tangents
    return grad_log_partition(family, theta), family._hessian_log_partition(theta) @ tangent
