"""ψ, η and Cov t of a law as numbers, the scales of their errors, and comparison by them."""

import inspect
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from normix_expfam._family import ExponentialFamily
from normix_expfam._triad import grad_log_partition, log_partition


class Facts:
    """ψ, η and Cov t of a law and their derivatives, in NumPy, and the scales of their errors."""

    def __init__(self, family: type[ExponentialFamily], theta: np.ndarray):
        self.theta = theta
        found = jax.tree.map(np.asarray, evaluate(family, theta))
        self.psi, self.eta, self.fisher, self.derivatives = found
        hooks = {
            "_log_partition_from_theta": self.psi,
            "_grad_log_partition": self.eta,
            "_hessian_log_partition": self.fisher,
        }
        lost = [name for name, value in hooks.items() if np.isnan(value).any()]
        if lost:
            raise AssertionError(
                f"{family.__name__}: hooks are not nan: got psi {self.psi}, grad {self.eta} and "
                f"hessian {self.fisher} at theta {theta}; see {', '.join(lost)}"
            )
        if not np.all(np.diagonal(self.fisher) > 0):
            raise AssertionError(
                f"{family.__name__}: hessian hook has a positive diagonal: got {self.fisher} at "
                f"theta {theta}; see _hessian_log_partition, _log_partition_from_theta"
            )
        self.sd = np.sqrt(np.diagonal(self.fisher)).astype(np.float64)
        self.sd_sd = np.outer(self.sd, self.sd)
        self.rms = np.where(np.isfinite(self.sd), np.hypot(self.eta, self.sd), np.abs(self.eta))
        with np.errstate(invalid="ignore"):
            terms = np.where(theta == 0, 0.0, theta * self.eta)
        self.magnitude = float(1 + np.abs(self.psi) + np.abs(terms).sum())


def facts_of(dist: ExponentialFamily) -> Facts:
    return Facts(type(dist), np.asarray(dist.natural_params()))


class _Derivatives(NamedTuple):
    gradient: np.ndarray  # of the undecorated ψ
    jacobian: np.ndarray  # of the gradient hook
    decorated_gradient: np.ndarray
    decorated_hessian: np.ndarray
    decorated_jacobian: np.ndarray  # of the decorated gradient
    directional: np.ndarray  # of the decorated ψ, along θ


@partial(jax.jit, static_argnums=0)
def evaluate(family: type[ExponentialFamily], theta: Array) -> tuple[Any, ...]:
    """The hooks and what automatic differentiation makes of them: one compilation per family."""

    def psi(at: Array) -> Array:
        return log_partition(family, at)

    def slope(at: Array) -> Array:
        return grad_log_partition(family, at)

    derivatives = _Derivatives(
        gradient=jax.grad(family._log_partition_from_theta)(theta),
        jacobian=jax.jacfwd(family._grad_log_partition)(theta),
        decorated_gradient=jax.grad(psi)(theta),
        decorated_hessian=jax.hessian(psi)(theta),
        decorated_jacobian=jax.jacfwd(slope)(theta),
        directional=jax.jvp(psi, (theta,), (theta,))[1],
    )
    return (
        family._log_partition_from_theta(theta),
        family._grad_log_partition(theta),
        family._hessian_log_partition(theta),
        derivatives,
    )


@eqx.filter_jit
def log_prob(dist: ExponentialFamily, x: ArrayLike) -> Array:
    return dist.log_prob(x)


def points(dist: Any, key: Array, n: int, *, sampler: bool = True) -> Array:
    """n draws, or where there is no sampler n times the same point of the support."""
    if sampler:
        return draw(dist, key, n)
    if dist.event_ndim > 0:
        raise ValueError(
            f"check_family: sampler must be True for {type(dist).__name__}, whose observations "
            "have axes; apply the laws one by one with points of your own"
        )
    return jnp.full(n, dist._interior_point(jnp.ones((), dist.natural_params().dtype)))


@eqx.filter_jit
def draw(dist: Any, key: Array, n: int) -> Array:
    return jnp.asarray(dist.sample(key, (n,)))


def log_prob_magnitude(dist: ExponentialFamily, facts: Facts, x: Array) -> np.ndarray:
    """The size of the terms that log_prob adds up."""
    t = np.asarray(dist.sufficient_statistics(x))
    base = np.abs(np.asarray(dist.log_base_measure(x)))
    return 1 + base + abs(facts.psi) + np.abs(t) @ np.abs(facts.theta)


def floating_leaves(dist: ExponentialFamily) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(dist) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def cast(dist: Any, dtype: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, dist
    )


def describe(dist: ExponentialFamily) -> str:
    values = ", ".join(str(np.asarray(leaf)) for leaf in jax.tree.leaves(dist))
    return f"{type(dist).__name__}({values})"


def require_holds(dist: ExponentialFamily, law: str, condition: Any, got: Any, see: str) -> None:
    """Raise AssertionError unless the condition holds; `see` names the members to look at."""
    if not bool(np.all(condition)):
        raise AssertionError(f"{describe(dist)}: {law}: got {got}; see {see}")


@contextmanager
def name_errors(dist: ExponentialFamily, law: str) -> Iterator[None]:
    """What a member of the family raises becomes an AssertionError that names it."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        members = own_members(type(dist))
        called = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
        names = [members[code] for code in called if code in members]
        raise AssertionError(
            f"{describe(dist)}: {law} raises no error: got {type(error).__name__}: {error}; "
            f"see {names[-1] if names else law}"
        ) from error


def own_members(family: type[ExponentialFamily]) -> dict[types.CodeType, str]:
    """Code -> name of the functions that a family has beyond the base classes of this package."""
    found = {}
    for cls in family.__mro__[:-1]:
        if inspect.isabstract(cls) or not issubclass(cls, ExponentialFamily):
            continue
        for name, member in vars(cls).items():
            function = inspect.unwrap(getattr(member, "__func__", member))
            if inspect.isfunction(function):
                found[function.__code__] = name
    return found


def require_close(
    dist: ExponentialFamily, law: str, got: Any, expected: Any, allowed: Any, see: str
) -> None:
    """Raise AssertionError where two arrays differ by more than allowed; equal infinities agree.

    Args:
        dist: the distribution.
        law: what is compared.
        got: array, as are `expected` and `allowed`.
        expected: of the shape of `got`.
        allowed: how far they may differ.
        see: the members to look at.
    """
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        raise AssertionError(
            f"{describe(dist)}: {law}: shapes {got.shape} and {expected.shape} differ; see {see}"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(got - expected)
        wrong = ~((got == expected) | (difference <= allowed))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        limit = np.broadcast_to(allowed, got.shape)[where]
        raise AssertionError(
            f"{describe(dist)}: {law}: got {float(got[where])!r}, expected "
            f"{float(expected[where])!r} at index {where}, difference {difference[where]:.3g}, "
            f"allowed {limit:.3g}; see {see}"
        )
