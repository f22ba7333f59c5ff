"""The multivariate normal distribution."""

from typing import Any, ClassVar, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from normix_expfam._arrays import Array
from normix_expfam._checks import Backend, Rule, array_namespace, as_floats, checked, require
from normix_expfam._divergence import Divergences
from normix_expfam._family import ExponentialFamily
from normix_expfam._information import Information
from normix_expfam._normal import (
    NORMAL_DIVERGENCES,
    NORMAL_INFORMATION,
    cholesky,
    fit_normal,
    normal_log_base,
    solve_lower,
)
from normix_expfam._status import Status, with_status


@final
class MultivariateNormal(ExponentialFamily):
    """N(μ, Σ) with Σ = L Lᵀ on R^d.

    t(x) = (x, x_i x_j for i >= j), θ = (Σ⁻¹μ, -Σ⁻¹_ij for i > j and -½ Σ⁻¹_ii), h = (2π)^(-d/2),
    ψ = ½ μᵀΣ⁻¹μ + log det L. The products are in the order of `numpy.tril_indices`; the form is
    minimal, k = d + d (d + 1) / 2, so that the Fisher information is positive definite.
    scipy.stats.multivariate_normal has ``mean = μ, cov = L Lᵀ``.

    Args:
        mu: μ, shape (d,).
        L_Sigma: lower triangular Cholesky factor of Σ, shape (d, d), positive on the diagonal.
        check: False leaves out the check, for models built in a loop.

    Raises:
        ValueError: if shapes do not match, or if concrete parameters are not finite, L is not
            lower triangular or its diagonal not positive; traced ones raise
            at run time, by `equinox.error_if`.

    Examples:
        >>> from normix_expfam import MultivariateNormal
        >>> law = MultivariateNormal([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
        >>> round(float(law.log_prob([0.0, 0.0])), 6)  # -log 2π
        -1.837877
        >>> round(float(law.entropy()), 6)  # 1 + log 2π
        2.837877
    """

    event_ndim: ClassVar[int] = 1
    eta_rule: ClassVar[str] = "have E x xᵀ - E x E xᵀ positive definite, all finite"
    divergences: ClassVar[Divergences] = NORMAL_DIVERGENCES
    information: ClassVar[Information] = NORMAL_INFORMATION

    mu: Float[Array, " d"]
    L_Sigma: Float[Array, "d d"]

    def __init__(self, mu: ArrayLike, L_Sigma: ArrayLike, *, check: bool = True):
        name, given = "MultivariateNormal", {"mu": mu, "L_Sigma": L_Sigma}
        location, factor = as_floats(name, **given)
        d = location.shape
        require(len(d) == 1 and d[0] > 0, name, "mu", "have shape (d,) with d > 0", d,
                "pass one mean per component")  # fmt: skip
        require(factor.shape == d + d, name, "L_Sigma", f"have shape {d + d}", factor.shape,
                "pass the Cholesky factor of the covariance matrix")  # fmt: skip
        rule = Rule("mu", "be finite", "check the data")
        self.mu = checked(name, rule, jnp.isfinite, (mu,), (location,), check=check)
        remedy = "pass numpy.linalg.cholesky(cov)"
        for text, holds in (
            ("be finite", jnp.isfinite),
            ("be lower triangular", lambda x: jnp.triu(x, 1) == 0),
            ("have a positive diagonal", lambda x: jnp.diagonal(x) > 0),
        ):
            rule = Rule("L_Sigma", text, remedy)
            factor = checked(name, rule, holds, (L_Sigma,), (factor,), check=check)
        self.L_Sigma = factor

    @classmethod
    def from_covariance(cls, mu: ArrayLike, cov: ArrayLike) -> Self:
        """N(μ, Σ) from the covariance matrix Σ, shape (d, d).

        Raises:
            ValueError: if a concrete Σ is not symmetric and positive definite.
        """
        given = cov
        mu, cov = as_floats("MultivariateNormal.from_covariance", mu=mu, cov=cov)
        owner = "MultivariateNormal.from_covariance"
        require(mu.ndim == 1 and mu.size > 0, owner, "mu", "have shape (d,) with d > 0", mu.shape,
                "pass one mean per component")  # fmt: skip
        require(cov.shape == mu.shape * 2, owner, "cov", f"have shape {mu.shape * 2}", cov.shape,
                "pass the covariance matrix of the components")  # fmt: skip
        rule = Rule("cov", "be symmetric and positive definite", "check its eigenvalues")
        symmetric = checked(owner, rule, _is_covariance, (given,), (cov,), check=True)
        return cls(mu, jnp.linalg.cholesky(symmetric), check=False)

    def natural_params(self) -> Float[Array, " k"]:
        precision = _inverse_from_factor(self.L_Sigma)
        linear = solve_lower(self.L_Sigma, solve_lower(self.L_Sigma, self.mu), transpose=True)
        return jnp.concatenate([linear, -_pack(precision)])

    @classmethod
    def from_natural(cls, theta: Float[Array, " k"]) -> Self:
        linear, precision = _parts(theta)
        # Σ⁻¹ = R Rᵀ with R upper triangular gives L = R⁻ᵀ, lower triangular
        upper = jnp.linalg.cholesky(precision[::-1, ::-1])[::-1, ::-1]
        factor = solve_lower(upper.T, jnp.eye(linear.shape[0], dtype=theta.dtype))
        return cls(factor @ (factor.T @ linear), factor)

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, " k"]:
        rows, columns = np.tril_indices(x.shape[0])
        return jnp.concatenate([x, x[rows] * x[columns]])

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        base = jnp.where(jnp.all(jnp.isfinite(x)), normal_log_base(x.shape[0]), -jnp.inf)
        return jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, base).astype(x.dtype)

    @staticmethod
    def _interior_point(x: Array) -> Array:
        return jnp.where(jnp.isfinite(x), x, 0.0)

    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        whitened = solve_lower(self.L_Sigma, x - self.mu)
        return -(whitened @ whitened) / 2 - jnp.sum(jnp.log(jnp.diagonal(self.L_Sigma)))

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, " k"]) -> Float[Array, ""]:
        linear, precision = _parts(theta)
        factor = jnp.linalg.cholesky(precision)
        half = solve_lower(factor, linear)
        return half @ half / 2 - jnp.sum(jnp.log(jnp.diagonal(factor)))

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, " k"]) -> Float[Array, " k"]:
        linear, precision = _parts(theta)
        cov = _inverse_from_factor(jnp.linalg.cholesky(precision))
        mu = cov @ linear
        rows, columns = np.tril_indices(mu.shape[0])
        return jnp.concatenate([mu, (cov + jnp.outer(mu, mu))[rows, columns]])

    @classmethod
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        xp = array_namespace(backend)
        d = _dimension(eta.shape[0])
        mu = eta[:d]
        cov = _symmetric(eta[d:], d) - xp.outer(mu, mu)
        return with_status(cls(mu, cholesky(cov, xp), check=False))

    @classmethod
    def _fit(cls, x: Array, weights: Array | None, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        mu, factor, regular = fit_normal(x, weights, backend)
        status = jnp.where(regular, int(Status.CONVERGED), int(Status.INFEASIBLE))
        return cls(mu, factor, check=False), status.astype(jnp.int32)

    def mean(self) -> Float[Array, " d"]:
        """μ, shape (d,)."""
        return self.mu

    def cov(self) -> Float[Array, "d d"]:
        """Σ, shape (d, d)."""
        return self.L_Sigma @ self.L_Sigma.T

    def mode(self) -> Float[Array, " d"]:
        """μ, shape (d,)."""
        return self.mu

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape d"]:
        """Draws, shape `(*shape, d)`; either kind of JAX key."""
        noise = jax.random.normal(key, (*shape, self.mu.shape[0]), self.mu.dtype)
        return jnp.broadcast_to(self.mu, noise.shape) + noise @ self.L_Sigma.T

    def to_scipy(self) -> Any:
        """The same distribution as scipy.stats.multivariate_normal."""
        from scipy import stats

        return stats.multivariate_normal(np.asarray(self.mu), np.asarray(self.cov()))

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        """From a frozen scipy.stats.multivariate_normal with a positive definite covariance.

        Raises:
            TypeError: for anything else.
            ValueError: if its covariance matrix is singular.
        """
        if not (hasattr(frozen, "mean") and hasattr(frozen, "cov_object")):
            raise TypeError(
                "MultivariateNormal.from_scipy: frozen must be a frozen "
                f"scipy.stats.multivariate_normal, got {type(frozen).__name__}"
            )
        return cls.from_covariance(frozen.mean, frozen.cov_object.covariance)


def _is_covariance(matrix: Array) -> Array:
    asymmetry = jnp.abs(matrix - matrix.T)
    symmetric = jnp.all(asymmetry <= 1e-8 * jnp.max(jnp.abs(matrix)))
    return symmetric & jnp.all(jnp.isfinite(jnp.linalg.cholesky(matrix)))


def _dimension(length: int) -> int:
    """d from the length d + d (d + 1) / 2 of θ."""
    return round(((9 + 8 * length) ** 0.5 - 3) / 2)


def _symmetric(packed: Any, d: int) -> Any:
    """The symmetric matrix with the given entries on and below the diagonal."""
    index = np.zeros((d, d), int)
    rows, columns = np.tril_indices(d)
    index[rows, columns] = index[columns, rows] = np.arange(rows.size)
    return packed[index]


def _pack(matrix: Array) -> Array:
    """The lower entries of a matrix, the diagonal halved."""
    rows, columns = np.tril_indices(matrix.shape[0])
    return matrix[rows, columns] * jnp.asarray(np.where(rows == columns, 0.5, 1.0), matrix.dtype)


def _parts(theta: Array) -> tuple[Array, Array]:
    """Σ⁻¹μ and Σ⁻¹ from θ."""
    d = _dimension(theta.shape[0])
    half = _symmetric(theta[d:], d)
    return theta[:d], -half - jnp.diag(jnp.diagonal(half))


def _inverse_from_factor(factor: Array) -> Array:
    """(L Lᵀ)⁻¹."""
    root = solve_lower(factor, jnp.eye(factor.shape[0], dtype=factor.dtype))
    return root.T @ root
