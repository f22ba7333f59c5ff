"""`NormalMixture`: the law of X in X | Y ~ N(μ + γ Y, Σ Y), with the E- and the M-step.

Given X = x, Y is GIG(p - d/2, a + γᵀΣ⁻¹γ, b + Q(x)), Q(x) = (x-μ)ᵀΣ⁻¹(x-μ), so that

    log f(x) = ψ(p - d/2, a + γᵀΣ⁻¹γ, b + Q(x)) - ψ(p, a, b)
               + (x-μ)ᵀΣ⁻¹γ - ½ log det Σ - (d/2) log 2π

with ψ the GIG log-partition (McNeil, Frey & Embrechts 2005, section 3.2.3).
"""

import math
from abc import abstractmethod
from typing import Any, Literal, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import (
    GIGMember,
    InversionStatus,
    gig_log_partition,
    gig_moments,
    is_concrete,
    require,
)

from ._checks import matrix_factor, observations, vector
from ._dispersion import DenseDispersion
from ._joint import JointNormalMixture
from ._statistics import MixtureStatistics, PosteriorMoments
from ._univariate import UnivariateNormalMixture

Backend = Literal["jax", "cpu"]
M = TypeVar("M", bound="NormalMixture")


class NormalMixture(eqx.Module):
    """A normal variance-mean mixture f(x), which owns its joint law f(x, y).

    X = μ + γ Y + √Y L Z, Z standard normal in d dimensions, Σ = L Lᵀ, Y the subordinator.
    (Σ, γ, Y) is identified up to the scale of Y; `normalize` moves a model into the gauge in
    which log Y has its mode at 0, without changing its law.
    """

    joint: eqx.AbstractVar[JointNormalMixture]

    @classmethod
    @abstractmethod
    def _joint_class(cls) -> type[JointNormalMixture]:
        """The joint family that belongs to this marginal one."""

    @classmethod
    @abstractmethod
    def _wrap(cls, joint: Any) -> Self:
        """The marginal law of this joint law."""

    @classmethod
    @abstractmethod
    def _start_subordinator(cls, like: Array) -> GIGMember:
        """A moderately heavy-tailed subordinator in the dtype of `like`, to start EM from."""

    @property
    def mu(self) -> Float[Array, " d"]:
        """Location μ, shape (d,), in the units of X."""
        return self.joint.mu

    @property
    def gamma(self) -> Float[Array, " d"]:
        """Skewness γ, shape (d,), in the units of X per unit of Y."""
        return self.joint.gamma

    @property
    def L_Sigma(self) -> Float[Array, "d d"]:
        """Lower Cholesky factor of the dispersion, shape (d, d)."""
        return self.joint.dispersion.cholesky()

    @property
    def sigma(self) -> Float[Array, "d d"]:
        """Dispersion Σ, shape (d, d); not the covariance, see `cov`."""
        return self.joint.dispersion.matrix()

    @property
    def subordinator(self) -> GIGMember:
        """The law of Y."""
        return self.joint.subordinator

    @property
    def dimension(self) -> int:
        """d."""
        return self.joint.dimension

    @property
    def n_parameters(self) -> int:
        """Free parameters of the law of X: the gauge takes one from the subordinator."""
        d = self.dimension
        free = self.subordinator.natural_params().shape[0] - 1
        return 2 * d + d * (d + 1) // 2 + free

    @classmethod
    def default_init(cls, X: ArrayLike) -> Self:
        """A start for EM: sample mean and covariance, γ = 0, moderately heavy tails.

        Args:
            X: observations, shape (n, d), n > d, without nan.

        Raises:
            ValueError: for a wrong shape, nan or inf, n <= d, a constant column, or columns
                that are linearly dependent.
        """
        return _moment_start(cls, observations(f"{cls.__name__}.default_init", X))

    @classmethod
    def _from_parts(
        cls,
        mu: ArrayLike,
        gamma: ArrayLike,
        sigma: ArrayLike | None,
        L_Sigma: ArrayLike | None,
        subordinator: GIGMember,
    ) -> Self:
        """Checked construction shared by the families' `from_classical`."""
        owner = f"{cls.__name__}.from_classical"
        mu = vector(owner, "mu", mu)
        gamma = vector(owner, "gamma", gamma)
        require(gamma.shape == mu.shape, owner, "gamma", f"have the shape {mu.shape} of mu",
                gamma.shape, "pass one skewness per component")  # fmt: skip
        factor = matrix_factor(owner, sigma, L_Sigma, mu.shape[0]).astype(mu.dtype)
        return cls._wrap(
            cls._joint_class()._assemble(mu, gamma, DenseDispersion(factor), subordinator)
        )

    def normalize(self) -> Self:
        """The same law in the gauge in which log Y has its mode at 0."""
        return self._wrap(self.joint.normalize())

    def rescaled(self, shift: Float[Array, " d"], scale: Float[Array, " d"]) -> Self:
        """The law of shift + scale · X, componentwise; scale > 0, both of shape (d,)."""
        joint = self.joint
        return self._wrap(
            joint._assemble(
                shift + scale * joint.mu,
                scale * joint.gamma,
                joint.dispersion.scaled(scale),
                joint.subordinator,
            )
        )

    def log_prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Log-density of x, shape (..., d) -> (...); -inf at ±inf, nan at nan.

        Raises:
            ValueError: if the last axis of x has not length d.
        """
        x = jnp.asarray(x, self.mu.dtype)
        require(x.ndim > 0 and x.shape[-1] == self.dimension, f"{type(self).__name__}.log_prob",
                "x", f"have {self.dimension} components on its last axis", x.shape,
                "pass observations in rows")  # fmt: skip
        rows = x.reshape(-1, self.dimension)
        infinite = jnp.any(jnp.isinf(rows), axis=1) & ~jnp.any(jnp.isnan(rows), axis=1)
        p, a, b, linear = self._posterior(jnp.where(jnp.isinf(rows), 0.0, rows))
        log_prob = gig_log_partition(p, a, b) + linear + self._log_constant()
        log_prob = jnp.where(infinite, -jnp.inf, log_prob)
        return log_prob.reshape(x.shape[:-1])

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density of x, shape (..., d) -> (...)."""
        return jnp.exp(self.log_prob(x))

    def _posterior(self, X: Float[Array, "n d"]) -> tuple[Array, Array, Array, Array]:
        """(p, a, b) of the GIG law of Y given each row, and (x-μ)ᵀΣ⁻¹γ; shapes (n,)."""
        joint = self.joint
        p, a, b = joint.subordinator_as_gig()
        whitened = joint.dispersion.whiten(X - joint.mu[None, :])
        skew = joint.dispersion.whiten(joint.gamma[None, :])[0]
        square = jnp.sum(whitened * whitened, axis=1)
        n = X.shape[0]
        return (
            jnp.broadcast_to(p - joint.dimension / 2, (n,)),
            jnp.broadcast_to(a + skew @ skew, (n,)),
            b + square,
            whitened @ skew,
        )

    def _log_constant(self) -> Float[Array, ""]:
        joint = self.joint
        normal = joint.dispersion.half_log_det() + joint.dimension / 2 * math.log(2 * math.pi)
        return -normal - joint.subordinator.log_partition()

    def e_step(self, X: ArrayLike, *, backend: Backend = "jax") -> PosteriorMoments:
        """E log Y, E 1/Y, E Y given each row of X, shape (n, d), and the row's log-density."""
        X = jnp.asarray(X, self.mu.dtype)
        require(X.ndim == 2 and X.shape[1] == self.dimension, f"{type(self).__name__}.e_step",
                "X", f"have shape (n, {self.dimension})", X.shape,
                "pass observations in rows")  # fmt: skip
        p, a, b, linear = self._posterior(X)
        moments = gig_moments(p, a, b, backend=backend)
        log_prob = moments.log_partition + linear + self._log_constant()
        rest = (moments.log_y, moments.inverse_y, moments.y)
        return PosteriorMoments(*(jnp.asarray(v, X.dtype) for v in (log_prob, *rest)))

    def statistics(
        self, X: ArrayLike, weights: ArrayLike | None = None, *, backend: Backend = "jax"
    ) -> MixtureStatistics:
        """Additive sufficient statistics of the rows of X, shape (n, d), under this model."""
        X = jnp.asarray(X, self.mu.dtype)
        weights = None if weights is None else jnp.asarray(weights, X.dtype)
        return MixtureStatistics.from_rows(X, self.e_step(X, backend=backend), weights)

    def m_step(
        self, X: ArrayLike, expectations: PosteriorMoments, *, backend: Backend = "jax"
    ) -> Self:
        """The model that maximises the expected complete-data likelihood, in the gauge."""
        X = jnp.asarray(X, self.mu.dtype)
        return self.m_step_from_statistics(
            MixtureStatistics.from_rows(X, expectations), backend=backend
        )

    def m_step_from_statistics(
        self, statistics: MixtureStatistics, *, backend: Backend = "jax"
    ) -> Self:
        """`m_step` from sums that were collected in any number of pieces."""
        return self.m_step_with_status(statistics, backend=backend)[0]

    def m_step_with_status(
        self, statistics: MixtureStatistics, *, backend: Backend = "jax"
    ) -> tuple[Self, Array]:
        """`m_step_from_statistics` with the `InversionStatus` of the subordinator's fit.

        The CPU backend raises where the JAX one returns a status.
        """
        require(backend in ("jax", "cpu"), f"{type(self).__name__}.m_step", "backend",
                "be 'jax' or 'cpu'", repr(backend), "choose one")  # fmt: skip
        family = self._joint_class()
        eta = _mean_statistics(statistics)
        if backend == "cpu":
            joint = family._from_expectation_cpu(np.asarray(eta, np.float64))
            return self._wrap(joint.normalize()), jnp.int32(InversionStatus.CONVERGED)
        joint, status = family._from_mean_statistics(eta, self.joint.subordinator_as_gig())
        return self._wrap(joint.normalize()), status

    def mean(self) -> Float[Array, " d"]:
        """E X = μ + γ E Y, shape (d,); inf or nan where it does not exist."""
        mean_y = gig_moments(*self.joint.subordinator_as_gig()).y
        return self.mu + jnp.where(self.gamma == 0, 0.0, self.gamma * mean_y)

    def cov(self) -> Float[Array, "d d"]:
        """Cov X = Σ E Y + γ γᵀ Var Y, shape (d, d); inf where it does not exist."""
        p, a, b = self.joint.subordinator_as_gig()
        mean_y = gig_moments(p, a, b).y
        # E Y² / E Y is the mean under the law tilted by y, which is GIG(p + 1, a, b)
        variance = mean_y * (gig_moments(p + 1, a, b).y - mean_y)
        square = jnp.outer(self.gamma, self.gamma)
        return self.sigma * mean_y + jnp.where(square == 0, 0.0, square * variance)

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape d"]:
        """Draws of X, shape (*shape, d)."""
        return self.joint.sample(key, shape)[..., :-1]

    def project(self, w: ArrayLike) -> UnivariateNormalMixture:
        """The law of wᵀX for weights w, shape (d,)."""
        w = jnp.asarray(w, self.mu.dtype)
        require(w.shape == (self.dimension,), f"{type(self).__name__}.project", "w",
                f"have shape ({self.dimension},)", w.shape,
                "pass one weight per component")  # fmt: skip
        if is_concrete(w):
            require(np.any(np.asarray(w) != 0), f"{type(self).__name__}.project", "w",
                    "not be zero", np.asarray(w), "a constant has no density")  # fmt: skip
        scale = jnp.linalg.norm(self.L_Sigma.T @ w)
        p, a, b = self.joint.subordinator_as_gig()
        return UnivariateNormalMixture(w @ self.mu, w @ self.gamma, scale, p, a, b)


def _mean_statistics(statistics: MixtureStatistics) -> Array:
    """η̂ in the layout of `JointNormalMixture`."""
    s: Any = jax.tree.map(lambda total: total / statistics.n, statistics)
    head = jnp.stack([s.log_y, s.inverse_y, s.y])
    return jnp.concatenate([head, s.x, s.x_inverse_y, s.xx_inverse_y.ravel()])


@eqx.filter_jit
def _moment_start(family: type[M], X: Float[Array, "n d"]) -> M:
    """Sample mean and covariance, γ = 0, with the family's own start for Y."""
    mean = jnp.mean(X, axis=0)
    centred = X - mean[None, :]
    covariance = DenseDispersion.from_matrix(centred.T @ centred / X.shape[0])
    subordinator = family._start_subordinator(X)
    unit = family._joint_class()._assemble(mean, jnp.zeros_like(mean), covariance, subordinator)
    mean_y = gig_moments(*unit.subordinator_as_gig()).y
    scale = jnp.broadcast_to(1 / jnp.sqrt(mean_y), mean.shape)
    return family._wrap(
        family._joint_class()._assemble(
            mean, unit.gamma, unit.dispersion.scaled(scale), subordinator
        )
    )
