"""`NormalMixture`: a mixture law with the pieces of EM, the E- and the M-step, and no fitter."""

from abc import abstractmethod
from typing import Literal, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GIGMember, InversionStatus, gig_moments
from normix_expfam.toolbox import is_concrete, require, resolve_backend

from ._checks import observations, rows, weights_of
from ._density import at_pole, moments_and_log_density, posterior
from ._dispersion import DenseDispersion
from ._law import MixtureLaw
from ._normal_part import normal_part
from ._statistics import MixtureStatistics, PosteriorMoments

Backend = Literal["jax", "cpu"]
M = TypeVar("M", bound="NormalMixture")


class NormalMixture(MixtureLaw):
    """A normal variance-mean mixture f(x), which owns its joint law f(x, y), with EM steps.

    X = μ + γ Y + √Y L Z, Z standard normal in d dimensions, Σ = L Lᵀ, Y the subordinator.
    (Σ, γ, Y) is identified up to the scale of Y; `normalize` moves a model into the gauge in
    which log Y has its mode at 0, without changing its law.
    """

    @classmethod
    @abstractmethod
    def _start_subordinator(cls, like: Array) -> GIGMember:
        """A moderately heavy-tailed subordinator in the dtype of `like`, to start EM from."""

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

    def e_step(self, X: ArrayLike, *, backend: Backend = "jax") -> PosteriorMoments:
        """E log Y, E 1/Y, E Y given each row of X, shape (n, d), and the row's log-density.

        ``backend="cpu"`` evaluates the Bessel functions at once with NumPy and SciPy.

        Raises:
            ValueError: if X has not shape (n, d) or is concrete and not finite.
        """
        owner = f"{type(self).__name__}.e_step"
        return self._e_step(self._rows(owner, X), resolve_backend(owner, backend))

    def _rows(self, owner: str, X: ArrayLike) -> Float[Array, "n d"]:
        shape = np.shape(X)
        require(len(shape) == 2 and shape[1] == self.dimension, owner, "X",
                f"have shape (n, {self.dimension})", shape,
                "pass observations in rows")  # fmt: skip
        X = rows(owner, X, self.dimension, self.mu.dtype, name="X")[0]
        if is_concrete(X):
            bad = np.flatnonzero(~np.all(np.isfinite(X), axis=1))
            require(bad.size == 0, owner, "X", "be finite", f"inf in row {bad[:1]}",
                    "drop or repair such rows")  # fmt: skip
        return X

    def _e_step(self, X: Float[Array, "n d"], backend: Backend) -> PosteriorMoments:
        if backend == "jax":
            return _e_step(self, X)
        z, skew = self._whitened(X)
        law = self.joint.subordinator_as_gig()
        given = posterior(*law, z, skew)
        found = gig_moments(*given, backend="cpu")
        prior = gig_moments(*law, backend="cpu").log_partition
        normal = z @ skew - self.dimension / 2 * np.log(2 * np.pi)
        log_prob = found.log_partition - prior + normal - self.joint.dispersion.half_log_det()
        values = at_pole(given, log_prob, found)
        return PosteriorMoments(*(jnp.asarray(value, X.dtype) for value in values))

    def statistics(
        self, X: ArrayLike, weights: ArrayLike | None = None, *, backend: Backend = "jax"
    ) -> MixtureStatistics:
        """Additive sufficient statistics of the rows of X, shape (n, d), under this model.

        They are sums about μ of this model; statistics of chunks add with ``+``.

        Args:
            X: shape (n, d).
            weights: one per row, >= 0, shape (n,).
            backend: of the E-step.

        Raises:
            ValueError: for shapes that do not fit, nan, or negative weights.
        """
        owner = f"{type(self).__name__}.statistics"
        X = self._rows(owner, X)
        found = self._e_step(X, resolve_backend(owner, backend))
        weights = weights_of(owner, weights, X)
        return MixtureStatistics.from_rows(X, found, weights, self.mu)

    def m_step(
        self,
        X: ArrayLike,
        expectations: PosteriorMoments,
        *,
        symmetric: bool = False,
        backend: Backend = "jax",
    ) -> Self:
        """The model that maximises the expected complete-data likelihood, in the gauge.

        Args:
            X: shape (n, d).
            expectations: of `e_step` on the same rows.
            symmetric: keep γ = 0.
            backend: of the subordinator's fit.

        Raises:
            ValueError: for shapes that do not fit or nan.
        """
        X = self._rows(f"{type(self).__name__}.m_step", X)
        found = MixtureStatistics.from_rows(X, expectations, None, self.mu)
        return self.m_step_from_statistics(found, symmetric=symmetric, backend=backend)

    def m_step_from_statistics(
        self, statistics: MixtureStatistics, *, symmetric: bool = False, backend: Backend = "jax"
    ) -> Self:
        """`m_step` from sums that were collected in any number of pieces."""
        return self.m_step_with_status(statistics, symmetric=symmetric, backend=backend)[0]

    def m_step_with_status(
        self, statistics: MixtureStatistics, *, symmetric: bool = False, backend: Backend = "jax"
    ) -> tuple[Self, Array]:
        """`m_step_from_statistics` with the `InversionStatus` of the subordinator's fit.

        The CPU backend raises where the JAX one returns a status.
        """
        backend = resolve_backend(f"{type(self).__name__}.m_step", backend)
        family = self.joint_family
        eta = statistics.mean_statistics()
        normal = normal_part(eta, jnp, symmetric=symmetric)
        if backend == "cpu":
            subordinator = family._fit_subordinator_cpu(np.asarray(eta[:3], np.float64))
            subordinator = jax.tree.map(lambda leaf: leaf.astype(eta.dtype), subordinator)
            status = jnp.int32(InversionStatus.CONVERGED)
        else:
            start = self.joint.subordinator_as_gig()
            subordinator, status = family._fit_subordinator(eta[:3], start)
        mu, dispersion = normal.mu + statistics.origin, self.joint.dispersion.fitted(normal.sigma)
        joint = family._assemble(mu, normal.gamma, dispersion, subordinator)
        return self._wrap(joint.normalize()), status


@eqx.filter_jit
def _e_step(model: NormalMixture, X: Float[Array, "n d"]) -> PosteriorMoments:
    z, skew = model._whitened(X)
    found, log_prob = moments_and_log_density(*model.joint.subordinator_as_gig(), z, skew)
    log_prob = log_prob - model.joint.dispersion.half_log_det()
    return PosteriorMoments(log_prob, found.log_y, found.inverse_y, found.y)


@eqx.filter_jit
def _moment_start(family: type[M], X: Float[Array, "n d"]) -> M:
    """Sample mean and covariance, γ = 0, with the family's own start for Y."""
    mean = jnp.mean(X, axis=0)
    centred = X - mean[None, :]
    covariance = DenseDispersion.from_matrix(centred.T @ centred / X.shape[0])
    subordinator = family._start_subordinator(X)
    unit = family.joint_family._assemble(mean, jnp.zeros_like(mean), covariance, subordinator)
    mean_y = gig_moments(*unit.subordinator_as_gig()).y
    scale = jnp.broadcast_to(1 / jnp.sqrt(mean_y), mean.shape)
    return family._wrap(
        family.joint_family._assemble(mean, unit.gamma, unit.dispersion.scaled(scale), subordinator)
    )
