"""`LogPartition`: ψ of a family with its derivatives, and what follows from it alone.

E t(X) = ∇ψ(θ) and Cov t(X) = ∇²ψ(θ), the Fisher information about θ, are its derivatives; entropies
and divergences are made of them (Barndorff-Nielsen 1978; Brown 1986).
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ._checks import Backend, as_floats, positive_scalars, require, resolve_backend
from ._divergence import Divergences
from ._information import Information
from ._triad import log_partition
from ._unbatched import Unbatched

F = TypeVar("F", bound=Callable[..., Any])


def hook(method: F) -> F:
    """Mark a default that subclasses may replace; every other concrete method is final."""
    method.__overridable__ = True  # type: ignore[attr-defined]
    return method


class LogPartition(Unbatched):
    """What an `ExponentialFamily` has by its ψ(θ), whatever its statistics are."""

    divergences: ClassVar[Divergences] = Divergences()
    """How entropy and divergences are computed."""

    information: ClassVar[Information] = Information()
    """How E t(X), Cov t(X) and standard errors are computed."""

    @abstractmethod
    def natural_params(self) -> Float[Array, " k"]:
        """θ, shape (k,)."""

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

    @hook
    def _mean_log_base(self) -> Float[Array, ""]:
        """E log h(X), which the entropy contains where it follows from ψ."""
        name = type(self).__name__
        raise NotImplementedError(
            f"{name}.entropy: the family must give _mean_log_base, E log h(X); it is 0 where h = 1"
        )

    def _theta(self) -> Float[Array, " k"]:
        """θ, after an error for a batch whose fields do not show it."""
        theta = self.natural_params()
        name = type(self).__name__
        require(theta.ndim == 1, f"{name}.natural_params", "theta", "have shape (k,)", theta.shape,
                "call methods of a batch within equinox.filter_vmap")  # fmt: skip
        return theta

    def log_partition(self) -> Float[Array, ""]:
        """ψ(θ) of this distribution; differentiable in the parameters to every order."""
        return log_partition(type(self), self._theta())

    def expectation_params(self, *, backend: Backend = "jax") -> Float[Array | np.ndarray, " k"]:
        """η = E t(X), shape (k,)."""
        theta = self._theta()
        if resolve_backend(f"{type(self).__name__}.expectation_params", backend, theta) == "cpu":
            return self._grad_log_partition_cpu(np.asarray(theta, np.float64))
        return self.information.mean(self)

    def fisher_information(self, *, backend: Backend = "jax") -> Float[Array | np.ndarray, "k k"]:
        """∇²ψ(θ) = Cov t(X), the Fisher information about θ in one observation, shape (k, k)."""
        theta = self._theta()
        if resolve_backend(f"{type(self).__name__}.fisher_information", backend, theta) == "cpu":
            return self._hessian_log_partition_cpu(np.asarray(theta, np.float64))
        return self.information.covariance(self)

    def entropy(self) -> Float[Array, ""]:
        """Differential entropy -E log f(X) = ψ(θ) - θ·η - E log h(X), in nats.

        Raises:
            NotImplementedError: if the family does not give E log h(X).
        """
        self._theta()
        return _entropy(self)

    def cross_entropy(self, other: Self) -> Float[Array, ""]:
        """-E log f_other(X) for X of this distribution, in nats; entropy plus KL divergence.

        Raises:
            TypeError: if other is of another family.
            NotImplementedError: if the family does not give E log h(X).
        """
        law, other = self._with(other, "cross_entropy")
        return _entropy(law) + _kl(law, other)

    def kl_divergence(self, other: Self) -> Float[Array, ""]:
        """Kullback-Leibler divergence E log f(X)/f_other(X) >= 0 for X of this distribution.

        In nats. With θ' that of the other it is `ψ(θ') - ψ(θ) - (θ' - θ)·η`, evaluated in a form
        that keeps its digits where the terms are large or the two are close.

        Raises:
            TypeError: if other is of another family.

        Examples:
            >>> from normix_expfam import Exponential
            >>> law = Exponential(1.0)
            >>> round(float(law.kl_divergence(Exponential(2.0))), 6)  # 1 - log 2
            0.306853
            >>> float(law.kl_divergence(law))
            0.0
        """
        return _kl(*self._with(other, "kl_divergence"))

    def renyi_divergence(self, other: Self, order: ArrayLike) -> Float[Array, ""]:
        """Rényi divergence log ∫ f^α f_other^(1-α) dx / (α-1) of order α > 0, in nats.

        At α = 1 it is the Kullback-Leibler divergence; for α > 1 it may be +inf (Rényi 1961;
        van Erven & Harremoës 2014).

        Raises:
            TypeError: if other is of another family.
            ValueError: if order is concrete and not positive and finite.
        """
        law, other = self._with(other, "renyi_divergence")
        name = f"{type(self).__name__}.renyi_divergence"
        order = positive_scalars(name, order=order)[0]
        return _renyi(law, other, order.astype(jax.tree.leaves(law)[0].dtype))

    def squared_hellinger(self, other: Self) -> Float[Array, ""]:
        """Squared Hellinger distance ½ ∫ (√f - √f_other)² dx = 1 - ∫ √(f f_other) dx, in [0, 1].

        Raises:
            TypeError: if other is of another family.
        """
        law, other = self._with(other, "squared_hellinger")
        half = jnp.asarray(0.5, jax.tree.leaves(law)[0].dtype)
        # -2 log ∫ √(f f_other) is the divergence of order 1/2
        return -jnp.expm1(-_renyi(law, other, half) / 2)

    def _with(self, other: Self, method: str) -> tuple[Self, Self]:
        """Both distributions, in one dtype."""
        name = type(self).__name__
        if type(other) is not type(self):
            raise TypeError(
                f"{name}.{method}: other must be a {name}, got {type(other).__name__}; convert "
                "one of them"
            )
        mine, theirs = self._theta(), other._theta()
        require(mine.shape == theirs.shape, f"{name}.{method}", "other",
                f"have natural parameters of shape {mine.shape}", theirs.shape,
                "compare distributions of one dimension")  # fmt: skip
        dtype = as_floats(f"{name}.{method}", theta=mine, other=theirs)[0].dtype
        pair: tuple[Self, Self] = jax.tree.map(lambda leaf: leaf.astype(dtype), (self, other))
        return pair


@jax.jit
def _entropy(law: Any) -> Array:
    found: Array = law.divergences.entropy(law)
    return found


@jax.jit
def _kl(law: Any, other: Any) -> Array:
    found: Array = law.divergences.kl(law, other)
    return found


@jax.jit
def _renyi(law: Any, other: Any, order: Array) -> Array:
    found: Array = law.divergences.renyi(law, other, order)
    return found
