"""`ExponentialFamily`: the log-partition triad, the parametrizations, densities and the MLE.

A family has the density h(x) exp(θ·t(x) - ψ(θ)). Its mean statistics are η = ∇ψ(θ) = E t(X),
its Fisher information in θ is ∇²ψ(θ) = Cov t(X) (Barndorff-Nielsen 1978; Brown 1986).
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ._checks import as_floats, is_concrete, require, resolve_backend

Backend = Literal["jax", "cpu"]
F = TypeVar("F", bound=Callable[..., Any])
Family = TypeVar("Family", bound="ExponentialFamily")


def hook(method: F) -> F:
    """Mark a default that subclasses may replace; every other concrete method is final."""
    method.__overridable__ = True  # type: ignore[attr-defined]
    return method


class ExponentialFamily(eqx.Module):
    """A law with density h(x) exp(θ·t(x) - ψ(θ)); classical parameters are its fields.

    The log-partition triad has six hooks, ψ, ∇ψ, ∇²ψ on JAX and on the CPU, in three tiers:

    1. a family must write `_log_partition_from_theta`;
    2. `_grad_log_partition` and `_hessian_log_partition` default to automatic
       differentiation of it, and are replaced where an analytic form gains;
    3. `_log_partition_cpu`, `_grad_log_partition_cpu` and `_hessian_log_partition_cpu` default
       to calling the JAX ones, and are replaced by NumPy/SciPy where that is independent.

    Automatic differentiation of ψ, at any order, goes through the same hooks, so that Newton
    steps, Fisher information and user gradients share one truth.

    All methods are for one law; batches of laws go through `equinox.filter_vmap`.
    """

    event_ndim: ClassVar[int] = 0
    """Number of trailing axes of x that make one observation."""

    eta_rule: ClassVar[str] = "be attainable as E t(X)"
    """What makes η attainable, for error messages."""

    fits_constant_data: ClassVar[bool] = False
    """Whether the MLE exists when all observations are equal."""

    @abstractmethod
    def natural_params(self) -> Float[Array, " k"]:
        """θ, shape (k,)."""

    @classmethod
    @abstractmethod
    def from_natural(cls, theta: Float[Array, " k"]) -> Self:
        """The law with natural parameters θ, shape (k,)."""

    @staticmethod
    @abstractmethod
    def _statistics_of(x: Array) -> Float[Array, " k"]:
        """t(x) of one observation."""

    @staticmethod
    @abstractmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        """log h(x) of one observation; -inf outside the support."""

    @staticmethod
    @abstractmethod
    def _interior_point(x: Array) -> Array:
        """x where it lies in the support, else any point that does."""

    @classmethod
    @abstractmethod
    def _log_partition_from_theta(cls, theta: Float[Array, " k"]) -> Float[Array, ""]:
        """ψ(θ)."""

    @classmethod
    @hook
    def _grad_log_partition(cls, theta: Float[Array, " k"]) -> Float[Array, " k"]:
        """∇ψ(θ) = E t(X)."""
        return jax.grad(cls._log_partition_from_theta)(theta)

    @classmethod
    @hook
    def _hessian_log_partition(cls, theta: Float[Array, " k"]) -> Float[Array, "k k"]:
        """∇²ψ(θ) = Cov t(X)."""
        return jax.jacfwd(cls._grad_log_partition)(theta)

    @classmethod
    @hook
    def _log_partition_cpu(cls, theta: np.ndarray) -> float:
        """ψ(θ) by NumPy/SciPy in float64."""
        return float(cls._log_partition_from_theta(jnp.asarray(theta)))

    @classmethod
    @hook
    def _grad_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        """∇ψ(θ) by NumPy/SciPy in float64."""
        return np.asarray(cls._grad_log_partition(jnp.asarray(theta)))

    @classmethod
    @hook
    def _hessian_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        """∇²ψ(θ) by NumPy/SciPy in float64."""
        return np.asarray(cls._hessian_log_partition(jnp.asarray(theta)))

    @classmethod
    @abstractmethod
    def _from_expectation(cls, eta: Float[Array, " k"]) -> Self:
        """The law with E t(X) = η; traceable, non-finite parameters when there is none."""

    @classmethod
    @hook
    def _from_expectation_cpu(cls, eta: np.ndarray) -> Self:
        """The same on the CPU backend."""
        return _inverted(cls, jnp.asarray(eta))

    def log_partition(self) -> Float[Array, ""]:
        """ψ(θ) of this law; differentiable in the parameters to every order."""
        return log_partition(type(self), self.natural_params())

    def expectation_params(self, *, backend: Backend = "jax") -> Float[Array | np.ndarray, " k"]:
        """η = E t(X), shape (k,)."""
        if resolve_backend(f"{type(self).__name__}.expectation_params", backend) == "cpu":
            return self._grad_log_partition_cpu(np.asarray(self.natural_params(), np.float64))
        return grad_log_partition(type(self), self.natural_params())

    def fisher_information(self, *, backend: Backend = "jax") -> Float[Array | np.ndarray, "k k"]:
        """∇²ψ(θ) = Cov t(X), the Fisher information about θ in one observation, shape (k, k)."""
        if resolve_backend(f"{type(self).__name__}.fisher_information", backend) == "cpu":
            return self._hessian_log_partition_cpu(np.asarray(self.natural_params(), np.float64))
        return self._hessian_log_partition(self.natural_params())

    @classmethod
    def sufficient_statistics(cls, x: ArrayLike) -> Float[Array, "*batch k"]:
        """t(x) for any leading batch shape."""
        (x,) = as_floats(f"{cls.__name__}.sufficient_statistics", x=x)
        return cls._batched(cls._statistics_of, x)

    @classmethod
    def log_base_measure(cls, x: ArrayLike) -> Float[Array, "*batch"]:
        """log h(x) for any leading batch shape; -inf outside the support."""
        (x,) = as_floats(f"{cls.__name__}.log_base_measure", x=x)
        return cls._batched(cls._log_base_of, x)

    def log_prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Log-density at x for any leading batch shape; -inf outside the support, nan at nan."""
        theta, psi = self.natural_params(), self.log_partition()
        x = as_floats(f"{type(self).__name__}.log_prob", x=x, theta=theta)[0]

        def one(point: Array) -> Array:
            base = self._log_base_of(point)
            return base + (self._statistics_of(self._interior_point(point)) @ theta - psi)

        return self._batched(one, x)

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density at x for any leading batch shape."""
        return jnp.exp(self.log_prob(x))

    @classmethod
    def from_expectation(cls, eta: ArrayLike, *, backend: Backend = "jax") -> Self:
        """The law with expectation parameters η = E t(X), which is also the MLE for mean t = η.

        Args:
            eta: η, shape (k,).
            backend: "jax" (traceable) or "cpu".

        Raises:
            ValueError: if η is concrete and no law of the family attains it.
        """
        owner = f"{cls.__name__}.from_expectation"
        given, (eta,) = eta, as_floats(owner, eta=eta)
        require(eta.ndim == 1, owner, "eta", "have shape (k,)", eta.shape,
                "pass one vector; batches go through equinox.filter_vmap")  # fmt: skip
        if resolve_backend(owner, backend) == "cpu":
            law = cls._from_expectation_cpu(np.asarray(given, np.float64))
        else:
            law = _inverted(cls, eta)
        length = law.natural_params().shape
        require(eta.shape == length, owner, "eta", f"have shape {length}", eta.shape,
                "pass the mean of sufficient_statistics(x)")  # fmt: skip
        leaves = jax.tree.leaves(law)
        if is_concrete(eta, *leaves):
            finite = all(np.all(np.isfinite(leaf)) for leaf in leaves)
            require(finite, owner, "eta", cls.eta_rule, np.asarray(eta),
                    "pass the mean of sufficient_statistics(x) over data that vary")  # fmt: skip
        return law

    @classmethod
    def fit_mle(
        cls, x: ArrayLike, weights: ArrayLike | None = None, *, backend: Backend = "jax"
    ) -> Self:
        """Maximum likelihood from observations x, shape (n, *event), weights (n,) or None.

        Raises:
            ValueError: for no data, nan, points outside the support, weights that are
                negative, of another length or all zero, and constant data.
        """
        owner = f"{cls.__name__}.fit_mle"
        (x,) = as_floats(owner, x=x)
        require(x.ndim == 1 + cls.event_ndim and x.shape[0] > 0, owner, "x",
                f"have shape (n, ...) with n > 0 and {cls.event_ndim} event axes", x.shape,
                "pass one observation per row")  # fmt: skip
        if is_concrete(x):
            outside = np.flatnonzero(~np.isfinite(cls.log_base_measure(x)))
            require(outside.size == 0, owner, "x", "lie in the support",
                    f"{np.asarray(x)[outside[:1]]} in row {outside[:1]}",
                    "drop or repair such rows")  # fmt: skip
        if weights is None:
            eta = jnp.mean(cls.sufficient_statistics(x), axis=0)
        else:
            x, weights = as_floats(owner, x=x, weights=weights)
            require(weights.shape == x.shape[:1], owner, "weights", f"have shape {x.shape[:1]}",
                    weights.shape, "pass one weight per row")  # fmt: skip
            if is_concrete(weights):
                require(np.isfinite(weights) & (np.asarray(weights) >= 0), owner, "weights",
                        "be finite and non-negative", weights, "check their signs")  # fmt: skip
                require(np.any(np.asarray(weights) > 0), owner, "weights", "not all be zero",
                        weights, "leave them out for equal weights")  # fmt: skip
            eta = weights @ cls.sufficient_statistics(x) / jnp.sum(weights)
        if is_concrete(x, weights) and not cls.fits_constant_data:
            rows = np.asarray(x) if weights is None else np.asarray(x)[np.asarray(weights) > 0]
            require(np.any(rows != rows[0]), owner, "x", "vary", f"only the value {rows[0]}",
                    "the maximum is a point mass, which is no law of the family")  # fmt: skip
        return cls.from_expectation(eta, backend=backend)

    @classmethod
    def _batched(cls, function: Callable[[Array], Array], x: Array) -> Array:
        """Apply a function of one observation over every leading axis."""
        if x.ndim < cls.event_ndim:
            raise ValueError(
                f"{cls.__name__}: x must have at least {cls.event_ndim} axes, got shape {x.shape}; "
                "one observation takes the trailing axes"
            )
        split = x.ndim - cls.event_ndim
        flat = x.reshape((-1, *x.shape[split:]))
        values = jax.vmap(function)(flat)
        return values.reshape(x.shape[:split] + values.shape[1:])


@partial(jax.jit, static_argnums=0)
def _inverted(family: type[Family], eta: Array) -> Family:
    """η -> law, compiled once per family; traced, so that parameters pass unchecked."""
    return family._from_expectation(eta)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_partition(family: type[ExponentialFamily], theta: Array) -> Array:
    """ψ(θ), whose derivatives are the family's own ∇ψ and ∇²ψ."""
    return family._log_partition_from_theta(theta)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def grad_log_partition(family: type[ExponentialFamily], theta: Array) -> Array:
    """∇ψ(θ), whose derivative is the family's own ∇²ψ."""
    return family._grad_log_partition(theta)


@log_partition.defjvp
def _(family: type[ExponentialFamily], primals: Any, tangents: Any) -> tuple[Array, Array]:
    (theta,), (tangent,) = primals, tangents
    return log_partition(family, theta), grad_log_partition(family, theta) @ tangent


@grad_log_partition.defjvp
def _(family: type[ExponentialFamily], primals: Any, tangents: Any) -> tuple[Array, Array]:
    (theta,), (tangent,) = primals, tangents
    return grad_log_partition(family, theta), family._hessian_log_partition(theta) @ tangent
