"""`ExponentialFamily`: densities, parametrizations and maximum likelihood, beside what ψ gives.

A family has the density h(x) exp(θ·t(x) - ψ(θ)). Its mean statistics are η = ∇ψ(θ) = E t(X),
its Fisher information in θ is ∇²ψ(θ) = Cov t(X) (Barndorff-Nielsen 1978; Brown 1986).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from ._arrays import Array
from ._checks import Backend, as_floats, require, resolve_backend
from ._describe import describe
from ._generic_inversion import natural_from_expectation
from ._inversion import require_member, solve_expectation
from ._log_partition import LogPartition, hook
from ._mle import give_account, maximise_likelihood
from ._observations import mean_statistics
from ._result import MLEResult
from ._status import Status, with_status


class ExponentialFamily(LogPartition):
    """A distribution with density h(x) exp(θ·t(x) - ψ(θ)); classical parameters are its fields.

    The log-partition triad has six hooks, ψ, ∇ψ, ∇²ψ on JAX and on the CPU, in three tiers:

    1. a family must write `_log_partition_from_theta`, which is not finite outside its domain;
    2. `_grad_log_partition` and `_hessian_log_partition` default to automatic
       differentiation of it, and are replaced where an analytic form gains;
    3. `_log_partition_cpu`, `_grad_log_partition_cpu` and `_hessian_log_partition_cpu` default
       to calling the JAX ones, and are replaced by NumPy/SciPy where that is independent.

    Automatic differentiation of ψ, at any order, goes through the same hooks, so that Newton
    steps, Fisher information and user gradients share one truth. Four more hooks are
    `_mean_log_base`, for entropies; `_log_kernel`, `_solve_expectation` and `_fit`, for families
    that have a better form than what follows from ψ. Closed forms of divergences and of moments
    stand in the class variables `divergences` and `information`.

    All methods are for one distribution, and raise ValueError for a batch of them; batches go
    through `equinox.filter_vmap`. A family that annotates its fields by jaxtyping shapes, such as
    ``Float[Array, " d"]``, has that check in its own methods too.

    Examples:
        The Poisson distribution has t(x) = x, h(x) = 1/x! and ψ(θ) = e^θ. Everything else follows:
        its MLE is the mean, its Fisher information about θ the variance.

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

    boundaries: ClassVar[Mapping[Status, str]] = MappingProxyType({})
    """For each `Status` of a maximum on the boundary where that is, for messages."""

    interior_theta: ClassVar[tuple[float, ...] | None] = None
    """A θ inside the domain, where the search for η -> θ starts; needed only by families that
    leave that search to the base class."""

    def __repr__(self) -> str:
        return describe(self)

    @classmethod
    def from_classical(cls, *args: Any, **kwargs: Any) -> Self:
        """The member with the given classical parameters: the constructor, beside the other two."""
        return cls(*args, **kwargs)

    @classmethod
    @abstractmethod
    def from_natural(cls, theta: Float[Array, " k"]) -> Self:
        """The member with natural parameters θ, shape (k,)."""

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

    @hook
    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        """θ·t(x) - ψ(θ) at one x of the support, for families that have a form without loss."""
        return self._statistics_of(x) @ self.natural_params() - self.log_partition()

    @classmethod
    @hook
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        """The member with E t(X) = η and its `Status`; parameters are not finite if there is none.

        The default is Newton's method on ψ(θ) - θ·η from `interior_theta`.

        Args:
            eta: for "jax" a traced array; for "cpu" NumPy's, of float64, and what is done with it
                by jax.numpy is not compiled.
            backend: "jax" or "cpu".
        """
        if backend == "cpu":
            return solve_expectation(cls, jnp.asarray(eta), "jax")
        if cls.interior_theta is None:
            raise NotImplementedError(
                f"{cls.__name__}.from_expectation: the family must give interior_theta, a natural "
                "parameter to start the search from, or its own _solve_expectation"
            )
        start = jnp.asarray(cls.interior_theta, eta.dtype)
        return with_status(cls.from_natural(natural_from_expectation(cls, eta, start)))

    @classmethod
    @hook
    def _fit(cls, x: Array, weights: Array | None, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        """The MLE with its `Status`; the default has the mean statistics of the data."""
        return solve_expectation(cls, mean_statistics(cls, x, weights), backend)

    @classmethod
    def sufficient_statistics(cls, x: ArrayLike) -> Float[Array, "*batch k"]:
        """t(x) for any leading batch shape."""
        (x,) = as_floats(f"{cls.__name__}.sufficient_statistics", x=x)
        return cls._map_batch(cls._statistics_of, x)

    @classmethod
    def log_base_measure(cls, x: ArrayLike) -> Float[Array, "*batch"]:
        """log h(x) for any leading batch shape; -inf outside the support."""
        (x,) = as_floats(f"{cls.__name__}.log_base_measure", x=x)
        return cls._map_batch(cls._log_base_of, x)

    def log_prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Log-density at x for any leading batch shape; -inf outside the support, nan at nan."""
        x = as_floats(f"{type(self).__name__}.log_prob", x=x, theta=self._theta())[0]

        def one(point: Array) -> Array:
            return self._log_base_of(point) + self._log_kernel(self._interior_point(point))

        return self._map_batch(one, x)

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density at x for any leading batch shape."""
        return jnp.exp(self.log_prob(x))

    @classmethod
    def from_expectation(
        cls, eta: ArrayLike, *, backend: Backend = "jax", throw: bool = True
    ) -> Self:
        """The member with expectation parameters η = E t(X), which is also the MLE for mean t = η.

        Args:
            eta: η, shape (k,).
            backend: "jax" (traceable; differentiable by dθ = (∇²ψ)⁻¹ dη) or "cpu".
            throw: False to get parameters that are not finite where there is no such member,
                without an error and under tracing without a check.

        Raises:
            ValueError: if η is concrete and no member of the family attains it.
                When traced it raises at run time, by `equinox.error_if`.
            RuntimeError: if η is concrete and the search does not converge.
        """
        owner = f"{cls.__name__}.from_expectation"
        given, (eta,) = eta, as_floats(owner, eta=eta)
        require(eta.ndim == 1, owner, "eta", "have shape (k,)", eta.shape,
                "pass one vector; batches go through equinox.filter_vmap")  # fmt: skip
        backend = resolve_backend(owner, backend, eta)
        means = eta if backend == "jax" else np.asarray(given, np.float64)
        law, status = solve_expectation(cls, means, backend)
        length = law.natural_params().shape
        require(eta.shape == length, owner, "eta", f"have shape {length}", eta.shape,
                "pass the mean of sufficient_statistics(x)")  # fmt: skip
        return require_member(law, status, owner, cls.eta_rule, lambda: eta) if throw else law

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
            throw: False to get parameters that are not finite where there is no maximum.

        Raises:
            ValueError: for no data, nan, points outside the support, weights that are
                negative, of another length or all zero, and constant data.
            RuntimeError: if the search does not converge.
        """
        owner = f"{cls.__name__}.fit_mle"
        found: Self = maximise_likelihood(cls, owner, x, weights, backend, throw=throw).model
        return found

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
            ValueError, RuntimeError: as `fit_mle`.

        Examples:
            The rate of an exponential distribution is estimated by 1 / mean(x), with standard error
            rate / √n.

            >>> from normix_expfam import Exponential
            >>> found = Exponential.mle([1.0, 2.0, 3.0])
            >>> round(float(found.model.rate), 6), bool(found.converged)
            (0.5, True)
            >>> round(float(found.standard_errors()["rate"]), 6)
            0.288675
        """
        owner = f"{cls.__name__}.mle"
        return give_account(maximise_likelihood(cls, owner, x, weights, backend, throw=throw))

    @classmethod
    def _map_batch(cls, function: Callable[[Array], Array], x: Array) -> Array:
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
