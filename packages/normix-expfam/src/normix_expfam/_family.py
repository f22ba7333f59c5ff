"""`ExponentialFamily`: the log-partition triad, the parametrizations, densities and the MLE.

A family has the density h(x) exp(θ·t(x) - ψ(θ)). Its mean statistics are η = ∇ψ(θ) = E t(X),
its Fisher information in θ is ∇²ψ(θ) = Cov t(X) (Barndorff-Nielsen 1978; Brown 1986).
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from ._checks import (
    Backend,
    as_floats,
    at_once,
    is_concrete,
    positive_scalars,
    require,
    resolve_backend,
)
from ._describe import describe
from ._divergence import bregman, curvature, difference, negative_conjugate, renyi
from ._generic_inversion import natural_from_expectation
from ._manual_axes import error_if
from ._mle import MLEResult, deviations_from_information, standard_errors
from ._status import with_status
from ._triad import grad_log_partition, log_partition
from ._unbatched import Unbatched

F = TypeVar("F", bound=Callable[..., Any])
Family = TypeVar("Family", bound="ExponentialFamily")


def hook(method: F) -> F:
    """Mark a default that subclasses may replace; every other concrete method is final."""
    method.__overridable__ = True  # type: ignore[attr-defined]
    return method


class ExponentialFamily(Unbatched):
    """A law with density h(x) exp(θ·t(x) - ψ(θ)); classical parameters are its fields.

    The log-partition triad has six hooks, ψ, ∇ψ, ∇²ψ on JAX and on the CPU, in three tiers:

    1. a family must write `_log_partition_from_theta`, which is not finite outside its domain;
    2. `_grad_log_partition` and `_hessian_log_partition` default to automatic
       differentiation of it, and are replaced where an analytic form gains;
    3. `_log_partition_cpu`, `_grad_log_partition_cpu` and `_hessian_log_partition_cpu` default
       to calling the JAX ones, and are replaced by NumPy/SciPy where that is independent.

    Automatic differentiation of ψ, at any order, goes through the same hooks, so that Newton
    steps, Fisher information and user gradients share one truth.

    All methods are for one distribution, and raise ValueError for a batch of them; batches go
    through `equinox.filter_vmap`. A family that annotates its fields by jaxtyping shapes, such as
    ``Float[Array, " d"]``, has that check in its own methods too.

    Examples:
        The Poisson law has t(x) = x, h(x) = 1/x! and ψ(θ) = e^θ. Everything else follows: its
        MLE is the mean, its Fisher information about θ the variance.

        >>> import jax, jax.numpy as jnp
        >>> from normix_expfam import ExponentialFamily
        >>> class Poisson(ExponentialFamily):
        ...     rate: jax.Array
        ...     interior_theta = (0.0,)
        ...     def natural_params(self):
        ...         return jnp.log(self.rate)[None]
        ...     @classmethod
        ...     def from_natural(cls, theta):
        ...         return cls(jnp.exp(theta[0]))
        ...     @staticmethod
        ...     def _statistics_of(x):
        ...         return x[None]
        ...     @staticmethod
        ...     def _log_base_of(x):
        ...         inside = (x >= 0) & (x == jnp.round(x))
        ...         return jnp.where(inside, -jax.scipy.special.gammaln(x + 1), -jnp.inf)
        ...     @staticmethod
        ...     def _interior_point(x):
        ...         return jnp.where(x >= 0, x, 0.0)
        ...     @classmethod
        ...     def _log_partition_from_theta(cls, theta):
        ...         return jnp.exp(theta[0])
        >>> law = Poisson.fit_mle([0.0, 1.0, 5.0])
        >>> round(float(law.rate), 6), round(float(law.fisher_information()[0, 0]), 6)
        (2.0, 2.0)
        >>> round(float(law.prob(1.0)), 6)  # 2 e^-2
        0.270671
    """

    event_ndim: ClassVar[int] = 0
    """Number of trailing axes of x that make one observation."""

    eta_rule: ClassVar[str] = "be attainable as E t(X)"
    """What makes η attainable, for error messages."""

    fits_constant_data: ClassVar[bool] = False
    """Whether the MLE exists when all observations are equal."""

    interior_theta: ClassVar[tuple[float, ...] | None] = None
    """A θ inside the domain, where the search for η -> θ starts; needed only by families that
    leave that search to the base class."""

    def __repr__(self) -> str:
        return describe(self)

    @abstractmethod
    def natural_params(self) -> Float[Array, " k"]:
        """θ, shape (k,)."""

    @classmethod
    def from_classical(cls, *args: Any, **kwargs: Any) -> Self:
        """The law with the given classical parameters: the constructor, beside the other two."""
        return cls(*args, **kwargs)

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
    def _bregman_by_difference(cls, x: Array, y: Array) -> Float[Array, ""]:
        """ψ(x) - ψ(y) - (x - y)·∇ψ(y), which divergences are made of."""
        return difference(cls, x, y)

    @classmethod
    @hook
    def _variance_along(cls, theta: Array, delta: Array) -> Float[Array, ""]:
        """Var δ·t(X), which they integrate between what is close."""
        return curvature(cls, theta, delta)

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
    @hook
    def _from_expectation(cls, eta: Float[Array, " k"]) -> Self:
        """The law with E t(X) = η; traceable, non-finite parameters when there is none.

        The default is Newton's method on ψ(θ) - θ·η from `interior_theta`.
        """
        if cls.interior_theta is None:
            raise NotImplementedError(
                f"{cls.__name__}.from_expectation: the family must give interior_theta, a natural "
                "parameter to start the search from, or its own _from_expectation"
            )
        start = jnp.asarray(cls.interior_theta, eta.dtype)
        return cls.from_natural(natural_from_expectation(cls, eta, start))

    @classmethod
    @hook
    def _from_expectation_cpu(cls, eta: np.ndarray) -> Self:
        """The same on the CPU backend."""
        return _inverted(cls, jnp.asarray(eta))[0]

    @classmethod
    @hook
    def _solve_expectation(cls, eta: Float[Array, " k"]) -> tuple[Self, Int[Array, ""]]:
        """`_from_expectation` with its `Status`."""
        return with_status(cls._from_expectation(eta))

    @classmethod
    @hook
    def _fit(cls, x: Array, weights: Array | None, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        """The MLE with its status; the default has the mean statistics of the data."""
        eta = cls._mean_statistics(x, weights)
        if backend == "cpu":
            return with_status(cls._from_expectation_cpu(np.asarray(eta, np.float64)))
        return _inverted(cls, eta)

    @hook
    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        """θ·t(x) - ψ(θ) at one x of the support, for families that have a form without loss."""
        return self._statistics_of(x) @ self.natural_params() - self.log_partition()

    @hook
    def _mean_log_base(self) -> Float[Array, ""]:
        """E log h(X), which entropies contain and divergences do not."""
        name = type(self).__name__
        raise NotImplementedError(
            f"{name}.entropy: the family must give _mean_log_base, E log h(X); it is 0 where h = 1"
        )

    @hook
    def _mean(self) -> Float[Array, " k"]:
        """E t(X), for families whose parameters have digits that θ loses."""
        return grad_log_partition(type(self), self.natural_params())

    @hook
    def _information(self) -> Float[Array, "k k"]:
        """Cov t(X), for the same families."""
        return self._hessian_log_partition(self.natural_params())

    @hook
    def _entropy(self) -> Float[Array, ""]:
        """-E log f(X), for families that have a form without loss."""
        return negative_conjugate(type(self), self.natural_params()) - self._mean_log_base()

    @hook
    def _kl(self, other: Self) -> Float[Array, ""]:
        """The Kullback-Leibler divergence, for families that have a form without loss."""
        return bregman(type(self), other.natural_params(), self.natural_params())

    @hook
    def _renyi(self, other: Self, order: Array) -> Float[Array, ""]:
        """The Rényi divergence, for families that have a form without loss."""
        return renyi(type(self), self.natural_params(), other.natural_params(), order)

    @hook
    def _free_parameters(self) -> Self:
        """Like the law, True for the entries of classical parameters that a fit estimates."""
        return jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), self)

    @hook
    def _asymptotic_deviations(self) -> Self:
        """Like the law, √n times the standard errors of the MLE of n observations.

        The default inverts a (k, k) matrix.
        """
        return deviations_from_information(self)

    def _theta(self) -> Float[Array, " k"]:
        """θ, after an error for a batch whose fields do not show it."""
        theta = self.natural_params()
        name = type(self).__name__
        require(theta.ndim == 1, f"{name}.natural_params", "theta", "have shape (k,)", theta.shape,
                "call methods of a batch within equinox.filter_vmap")  # fmt: skip
        return theta

    def log_partition(self) -> Float[Array, ""]:
        """ψ(θ) of this law; differentiable in the parameters to every order."""
        return log_partition(type(self), self._theta())

    def expectation_params(self, *, backend: Backend = "jax") -> Float[Array | np.ndarray, " k"]:
        """η = E t(X), shape (k,)."""
        theta = self._theta()
        if resolve_backend(f"{type(self).__name__}.expectation_params", backend, theta) == "cpu":
            return self._grad_log_partition_cpu(np.asarray(theta, np.float64))
        return self._mean()

    def fisher_information(self, *, backend: Backend = "jax") -> Float[Array | np.ndarray, "k k"]:
        """∇²ψ(θ) = Cov t(X), the Fisher information about θ in one observation, shape (k, k)."""
        theta = self._theta()
        if resolve_backend(f"{type(self).__name__}.fisher_information", backend, theta) == "cpu":
            return self._hessian_log_partition_cpu(np.asarray(theta, np.float64))
        return self._information()

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
        x = as_floats(f"{type(self).__name__}.log_prob", x=x, theta=self._theta())[0]

        def one(point: Array) -> Array:
            return self._log_base_of(point) + self._log_kernel(self._interior_point(point))

        return self._batched(one, x)

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density at x for any leading batch shape."""
        return jnp.exp(self.log_prob(x))

    @classmethod
    def from_expectation(
        cls, eta: ArrayLike, *, backend: Backend = "jax", throw: bool = True
    ) -> Self:
        """The law with expectation parameters η = E t(X), which is also the MLE for mean t = η.

        Args:
            eta: η, shape (k,).
            backend: "jax" (traceable; differentiable by dθ = (∇²ψ)⁻¹ dη) or "cpu".
            throw: False to get nan parameters where there is no such law, without an error and
                under tracing without a check.

        Raises:
            ValueError: if η is concrete and no member of the family attains it.
                When traced it raises at run time, by `equinox.error_if`.
        """
        owner = f"{cls.__name__}.from_expectation"
        given, (eta,) = eta, as_floats(owner, eta=eta)
        require(eta.ndim == 1, owner, "eta", "have shape (k,)", eta.shape,
                "pass one vector; batches go through equinox.filter_vmap")  # fmt: skip
        if resolve_backend(owner, backend, eta) == "cpu":
            with at_once(eta):
                law = cls._from_expectation_cpu(np.asarray(given, np.float64))
        else:
            law = _inverted(cls, eta)[0]
        length = law.natural_params().shape
        require(eta.shape == length, owner, "eta", f"have shape {length}", eta.shape,
                "pass the mean of sufficient_statistics(x)")  # fmt: skip
        return cls._found(law, owner, lambda: eta) if throw else law

    @classmethod
    def _found(cls, law: Self, owner: str, eta: Callable[[], Array]) -> Self:
        """The law, after an error that shows η if its parameters are not finite."""
        leaves = jax.tree.leaves(law)
        remedy = "pass the mean of sufficient_statistics(x) over data that vary"
        if is_concrete(*leaves):
            if not all(np.all(np.isfinite(leaf)) for leaf in leaves):
                require(False, owner, "eta", cls.eta_rule, np.asarray(eta()), remedy)
            return law
        bad = jnp.any(jnp.stack([~jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
        return error_if(law, bad, f"{owner}: eta must {cls.eta_rule}; {remedy}")

    @classmethod
    def fit_mle(
        cls,
        x: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        backend: Backend = "jax",
        throw: bool = True,
    ) -> Self:
        """Maximum likelihood from observations.

        `mle` also gives the likelihood and standard errors.

        Args:
            x: observations, shape `(n, *event)`.
            weights: one per row, >= 0, shape (n,); a weight counts repetitions of its row.
            backend: "jax" or "cpu".
            throw: False to get nan parameters where the fit does not exist.

        Raises:
            ValueError: for no data, nan, points outside the support, weights that are
                negative, of another length or all zero, and constant data.
        """
        return cls._fitted(f"{cls.__name__}.fit_mle", x, weights, backend, throw)[0]

    @classmethod
    def mle(
        cls,
        x: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        backend: Backend = "jax",
        throw: bool = True,
    ) -> MLEResult[Self]:
        """Like `fit_mle`, with status, total log-likelihood and standard errors.

        Standard errors are those of the Fisher information at the maximum; sums of weights count
        as numbers of observations.

        Raises:
            ValueError: as `fit_mle`.

        Examples:
            The rate of an exponential law is estimated by 1 / mean(x), with standard error
            rate / √n.

            >>> from normix_expfam import Exponential
            >>> found = Exponential.mle([1.0, 2.0, 3.0])
            >>> round(float(found.model.rate), 6), bool(found.converged)
            (0.5, True)
            >>> round(float(found.standard_errors["rate"]), 6)
            0.288675
        """
        law, status, x, weights = cls._fitted(f"{cls.__name__}.mle", x, weights, backend, throw)
        values = law.log_prob(x)
        n = jnp.asarray(x.shape[0], values.dtype) if weights is None else jnp.sum(weights)
        total = jnp.sum(values) if weights is None else weights @ values
        errors, count = standard_errors(law, n)
        return MLEResult(law, status, total, errors, n, count)

    @classmethod
    def _fitted(
        cls, owner: str, x: ArrayLike, weights: ArrayLike | None, backend: Backend, throw: bool
    ) -> tuple[Self, Int[Array, ""], Array, Array | None]:
        """The MLE with its status, and the data as arrays."""
        x, weights = cls._data(owner, x, weights, varied=throw)
        with at_once(x, weights):
            law, status = cls._fit(x, weights, resolve_backend(owner, backend, x, weights))
            if throw:
                law = cls._found(law, owner, lambda: cls._mean_statistics(x, weights))
        return law, status, x, weights

    @classmethod
    def _mean_statistics(cls, x: Array, weights: Array | None) -> Array:
        t = cls.sufficient_statistics(x)
        return jnp.mean(t, axis=0) if weights is None else weights @ t / jnp.sum(weights)

    @classmethod
    def _data(
        cls, owner: str, x: ArrayLike, weights: ArrayLike | None, *, varied: bool
    ) -> tuple[Array, Array | None]:
        """Data and weights as arrays of one dtype, checked where they are concrete."""
        (x,) = as_floats(owner, x=x)
        require(x.ndim == 1 + cls.event_ndim and x.shape[0] > 0, owner, "x",
                f"have shape (n, ...) with n > 0 and {cls.event_ndim} event axes", x.shape,
                "pass one observation per row")  # fmt: skip
        if is_concrete(x):
            with at_once(x):
                outside = np.flatnonzero(~np.isfinite(cls.log_base_measure(x)))
            require(outside.size == 0, owner, "x", "lie in the support",
                    f"{np.asarray(x)[outside[:1]]} in row {outside[:1]}",
                    "drop or repair such rows")  # fmt: skip
        if weights is not None:
            x, weights = as_floats(owner, x=x, weights=weights)
            require(weights.shape == x.shape[:1], owner, "weights", f"have shape {x.shape[:1]}",
                    weights.shape, "pass one weight per row")  # fmt: skip
            if is_concrete(weights):
                require(np.isfinite(weights) & (np.asarray(weights) >= 0), owner, "weights",
                        "be finite and non-negative", weights, "check their signs")  # fmt: skip
                require(np.any(np.asarray(weights) > 0), owner, "weights", "not all be zero",
                        weights, "leave them out for equal weights")  # fmt: skip
        if varied and is_concrete(x, weights) and not cls.fits_constant_data:
            rows = np.asarray(x) if weights is None else np.asarray(x)[np.asarray(weights) > 0]
            require(np.any(rows != rows[0]), owner, "x", "vary", f"only the value {rows[0]}",
                    "the maximum is a point mass, which does not belong to the family")  # fmt: skip
        return x, weights

    def entropy(self) -> Float[Array, ""]:
        """Differential entropy -E log f(X) = ψ(θ) - θ·η - E log h(X), in nats.

        Raises:
            NotImplementedError: if the family does not give E log h(X).
        """
        self._theta()
        return _entropy(self)

    def cross_entropy(self, other: Self) -> Float[Array, ""]:
        """-E log f_other(X) for X of this law, in nats; entropy plus KL divergence.

        Raises:
            TypeError: if other is of another family.
            NotImplementedError: if the family does not give E log h(X).
        """
        law, other = self._with(other, "cross_entropy")
        return _entropy(law) + _kl(law, other)

    def kl_divergence(self, other: Self) -> Float[Array, ""]:
        """Kullback-Leibler divergence E log f(X)/f_other(X) >= 0 for X of this law, in nats.

        With θ' that of the other law it is `ψ(θ') - ψ(θ) - (θ' - θ)·η`, evaluated in a form that
        keeps its digits where the terms are large or the two are close.

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
        """Both laws, in one dtype."""
        name = type(self).__name__
        if type(other) is not type(self):
            raise TypeError(
                f"{name}.{method}: other must be a {name}, got {type(other).__name__}; convert "
                "one of them"
            )
        mine, theirs = self._theta(), other._theta()
        require(mine.shape == theirs.shape, f"{name}.{method}", "other",
                f"have natural parameters of shape {mine.shape}", theirs.shape,
                "compare laws of one dimension")  # fmt: skip
        dtype = as_floats(f"{name}.{method}", theta=mine, other=theirs)[0].dtype
        pair: tuple[Self, Self] = jax.tree.map(lambda leaf: leaf.astype(dtype), (self, other))
        return pair

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


@jax.jit
def _entropy(law: Any) -> Array:
    found: Array = law._entropy()
    return found


@jax.jit
def _kl(law: Any, other: Any) -> Array:
    found: Array = law._kl(other)
    return found


@jax.jit
def _renyi(law: Any, other: Any, order: Array) -> Array:
    found: Array = law._renyi(other, order)
    return found


@partial(jax.jit, static_argnums=0)
def _inverted(family: type[Family], eta: Array) -> tuple[Family, Array]:
    """η -> law, compiled once per family; traced, so that parameters pass unchecked."""
    return family._solve_expectation(eta)
