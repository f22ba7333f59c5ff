"""`NormalMixture`: a mixture law with the pieces of EM, the E- and the M-step, and no fitter."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GIGMember, Status, gig_moments
from normix_expfam.internal import as_floats, is_concrete, require, resolve_backend, scalars

from ._checks import check_observations, check_weights, rows, vector
from ._density import at_pole, moments_and_log_density, posterior
from ._law import MixtureLaw
from ._moment_start import moment_start
from ._normal_part import normal_part
from ._statistics import MixtureStatistics, PosteriorMoments
from ._subordinator import from_named_parameters, named_parameters, parameter_names
from ._univariate import UnivariateNormalMixture

Backend = Literal["jax", "cpu"]


class NormalMixture(MixtureLaw):
    """A normal variance-mean mixture f(x), which owns its joint law f(x, y), with EM steps.

    X = μ + γ Y + √Y L Z, Z standard normal in d dimensions, Σ = L Lᵀ, Y the subordinator.
    (Σ, γ, Y) is identified up to the scale of Y; `normalize` moves a model into the gauge in
    which log Y has its mode at 0, without changing its law.
    """

    shape_parameter: ClassVar[str | None] = None
    """The name of the subordinator's parameter that no gauge changes, if it has one."""

    subordinator_density: eqx.AbstractClassVar[str]
    """The density of Y up to a factor, in the names of `subordinator_parameters`, for reports."""

    subordinator_aliases: ClassVar[Mapping[str, str]] = {}
    """Names here of those parameters of the subordinator that have another one there."""

    @classmethod
    @abstractmethod
    def from_classical(cls, *args: Any, **parameters: Any) -> Self:
        """From location μ, skewness γ, dispersion Σ and the parameters of the subordinator.

        Args:
            mu: shape (d,).
            gamma: shape (d,); 0 if left out, the symmetric distribution.
            sigma: Σ, shape (d, d), or a `Dispersion`; either this or L_Sigma.
            L_Sigma: lower Cholesky factor of Σ, shape (d, d), by name.
            **parameters: those of the subordinator, by the names of `subordinator_names`.

        Raises:
            ValueError: for shapes that do not fit, Σ that is not symmetric positive definite,
                or parameters of the subordinator outside its domain.
        """

    @classmethod
    def univariate(
        cls, mu: ArrayLike, gamma: ArrayLike, sigma: ArrayLike, **subordinator: ArrayLike
    ) -> UnivariateNormalMixture:
        """The scalar distribution of μ + γ Y + σ √Y Z.

        Args:
            mu: location μ, a number.
            gamma: skewness γ, a number.
            sigma: σ > 0, which multiplies √Y.
            **subordinator: the parameters of Y, by the names of `from_classical`.

        Raises:
            TypeError: if a parameter of Y is missing, or unknown.
            ValueError: if sigma is not positive, or a parameter of Y outside its domain.
        """
        owner, family = f"{cls.__name__}.univariate", cls.joint_family.subordinator_family
        given = {"mu": mu, "gamma": gamma, "sigma": sigma, **subordinator}
        mu, gamma, sigma, *values = scalars(owner, **given)
        parameters = dict(zip(subordinator, values, strict=True))
        law = from_named_parameters(owner, family, cls.subordinator_aliases, parameters)
        return UnivariateNormalMixture._with_subordinator(mu, gamma, sigma, law)

    @classmethod
    def subordinator_names(cls) -> tuple[str, ...]:
        """The names of the parameters of Y, as `from_classical` takes them."""
        return parameter_names(cls.joint_family.subordinator_family, cls.subordinator_aliases)

    def subordinator_parameters(self) -> dict[str, Float[Array, ""]]:
        """The parameters of Y by name."""
        return named_parameters(self.joint.subordinator, self.subordinator_aliases)

    @classmethod
    @abstractmethod
    def _subordinator_of_spread(cls, spread: Array) -> GIGMember:
        """The usual member with E Y = 1 and Var Y = spread > 0, a number."""

    @classmethod
    def from_moments(
        cls, mean: ArrayLike, cov: ArrayLike, *, spread: ArrayLike, gamma: ArrayLike | None = None
    ) -> Self:
        """The model with E X = mean, Cov X = cov, E Y = 1 and Var Y = spread.

        The excess kurtosis of every component is 3 · spread for γ = 0; at 0 lies the normal law.
        Of the generalized hyperbolic laws it is the one with p = -1/2.

        Args:
            mean: shape (d,).
            cov: shape (d, d).
            spread: > 0.
            gamma: skewness γ, shape (d,), 0 if left out; γᵀ cov⁻¹ γ · spread < 1.

        Raises:
            ValueError: for shapes that do not fit, a spread that is not positive, or where
                cov - γ γᵀ spread is not positive definite.
        """
        owner = f"{cls.__name__}.from_moments"
        mean = vector(owner, "mean", mean)
        gamma = jnp.zeros_like(mean) if gamma is None else vector(owner, "gamma", gamma)
        spread = _spread(owner, spread).astype(mean.dtype)
        sigma = as_floats(owner, cov=cov)[0].astype(mean.dtype) - jnp.outer(gamma, gamma) * spread
        subordinator = cls._subordinator_of_spread(spread)
        return cls._from_parts(mean - gamma, gamma, sigma, None, subordinator)

    @classmethod
    def default_init(
        cls, X: ArrayLike, weights: ArrayLike | None = None, *, spread: ArrayLike | None = None
    ) -> Self:
        """A start for EM from the first four sample moments.

        The spread is a third of the median over the columns of the sample excess kurtosis, within
        limits; a row that makes up the moments of a column by itself counts for less.

        Args:
            X: observations, shape (n, d), n > d, without nan.
            weights: one per row, >= 0, shape (n,).
            spread: Var Y / (E Y)², > 0, a scalar, instead of that of the sample kurtosis.

        Raises:
            ValueError: for a wrong shape, nan or inf, n <= d, a constant column, columns that
                are linearly dependent, weights that do not fit, or spread <= 0.
        """
        owner = f"{cls.__name__}.default_init"
        X = check_observations(owner, X)
        weights = check_weights(owner, weights, X)
        given = None if spread is None else _spread(owner, spread).astype(X.dtype)
        return moment_start(cls.from_moments, X, weights, given)

    def with_fixed(self, **values: ArrayLike) -> Self:
        """This model with `shape_parameter` or mu moved to values, the means of Y as they were.

        Args:
            **values: "mu", shape (d,), or the number that `shape_parameter` names.

        Raises:
            ValueError: for another name, or a value outside the domain of the family.
        """
        owner = f"{type(self).__name__}.with_fixed"
        require("subordinator" not in values, owner, "values", "be of mu or the shape",
                "subordinator", "build the model with from_classical")  # fmt: skip
        names = self.check_fixed(owner, tuple(values))
        joint, family = self.joint, self.joint_family
        mu, subordinator = joint.mu, joint.subordinator
        if "mu" in names:
            mu = vector(owner, "mu", values["mu"]).astype(mu.dtype)
            require(mu.shape == joint.mu.shape, owner, "mu", f"have shape {joint.mu.shape}",
                    mu.shape, "pass one location per component")  # fmt: skip
        if self.shape_parameter in names:
            (shape,) = scalars(owner, **{str(self.shape_parameter): values[self.shape_parameter]})
            sign = jnp.sign(joint.subordinator_as_gig().p)
            order = shape if self.shape_parameter == "p" else sign * shape
            subordinator = _of_order(self, order.astype(mu.dtype))
            if is_concrete(order):
                good = np.isfinite(order) & (
                    (self.shape_parameter == "p") | (np.asarray(shape) > 0)
                )
                require(good, owner, str(self.shape_parameter), "be in the domain of the family",
                        shape, "give another value")  # fmt: skip
        return self._wrap(family._assemble(mu, joint.gamma, joint.dispersion, subordinator))

    def with_fixed_of(self, other: Self, names: Sequence[str]) -> Self:
        """This model with what an M-step can keep moved to the values it has in another one.

        Args:
            other: a model of the same family and dimension, in the same gauge.
            names: out of "mu", "subordinator" and `shape_parameter`.

        Raises:
            ValueError: for another name.
        """
        names = self.check_fixed(f"{type(self).__name__}.with_fixed_of", tuple(names))
        values = {name: getattr(other, name) for name in names if name != "subordinator"}
        moved = self.with_fixed(**values)
        subordinator = (other if "subordinator" in names else moved).subordinator
        joint = moved.joint
        return self._wrap(joint._assemble(joint.mu, joint.gamma, joint.dispersion, subordinator))

    def e_step(self, X: ArrayLike, *, backend: Backend = "jax") -> PosteriorMoments:
        """E log Y, E 1/Y, E Y given each row of X, shape (n, d), and the row's log-density.

        ``backend="cpu"`` evaluates the Bessel functions at once with NumPy and SciPy.

        Raises:
            ValueError: if X has not shape (n, d) or is concrete and not finite.
        """
        owner = f"{type(self).__name__}.e_step"
        return self._e_step(self._rows(owner, X), resolve_backend(owner, backend, self, X))

    def _rows(self, owner: str, X: ArrayLike) -> Float[Array, "n d"]:
        (X,) = as_floats(owner, X=X)
        shape = X.shape
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
        values = at_pole((given.b == 0) & (given.p <= 0), log_prob, found)
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
        found = self._e_step(X, resolve_backend(owner, backend, self, X))
        weights = check_weights(owner, weights, X)
        return MixtureStatistics.from_rows(X, found, weights, self.mu)

    def m_step(
        self,
        X: ArrayLike,
        expectations: PosteriorMoments,
        *,
        symmetric: bool = False,
        fixed: Sequence[str] = (),
        backend: Backend = "jax",
    ) -> Self:
        """The model that maximises the expected complete-data likelihood, in the gauge.

        Args:
            X: shape (n, d).
            expectations: of `e_step` on the same rows.
            symmetric: γ = 0.
            fixed: what keeps its value in this model: "mu", "subordinator", `shape_parameter`.
            backend: of the subordinator's fit.

        Raises:
            ValueError: for shapes that do not fit, nan, or names that cannot be fixed.
        """
        X = self._rows(f"{type(self).__name__}.m_step", X)
        found = MixtureStatistics.from_rows(X, expectations, None, self.mu)
        return self.m_step_from_statistics(found, symmetric=symmetric, fixed=fixed, backend=backend)

    def m_step_from_statistics(
        self,
        statistics: MixtureStatistics,
        *,
        symmetric: bool = False,
        fixed: Sequence[str] = (),
        backend: Backend = "jax",
    ) -> Self:
        """`m_step` from sums that were collected in any number of pieces."""
        return self.m_step_with_status(
            statistics, symmetric=symmetric, fixed=fixed, backend=backend
        )[0]

    @classmethod
    def check_fixed(cls, owner: str, fixed: Sequence[str]) -> tuple[str, ...]:
        """The names of parameters that an M-step can keep, each once.

        Raises:
            ValueError: for another name.
        """
        shape = () if cls.shape_parameter is None else (cls.shape_parameter,)
        known = ("mu", "subordinator", *shape)
        for name in fixed:
            require(name in known, owner, "fixed", f"have names among {', '.join(known)}",
                    repr(name), "for gamma = 0 use symmetric=True; the scale of Y is the "
                    "gauge")  # fmt: skip
        return tuple(name for name in known if name in fixed)

    def m_step_with_status(
        self,
        statistics: MixtureStatistics,
        *,
        symmetric: bool = False,
        fixed: Sequence[str] = (),
        backend: Backend = "jax",
    ) -> tuple[Self, Array]:
        """`m_step_from_statistics` with the `Status` of the subordinator's fit.

        The CPU backend raises where the JAX one returns a status. With a fixed shape both use
        the solver of the JAX one.
        """
        owner = f"{type(self).__name__}.m_step"
        backend = resolve_backend(owner, backend, self, statistics)
        fixed = self.check_fixed(owner, fixed)
        family = self.joint_family
        eta = statistics.mean_statistics()
        mu = self.mu - statistics.origin if "mu" in fixed else None
        normal = normal_part(eta, jnp, symmetric=symmetric, mu=mu)
        if "subordinator" in fixed:
            subordinator, status = self.joint.subordinator, jnp.int32(Status.CONVERGED)
        elif self.shape_parameter in fixed:
            order = self.joint.subordinator_as_gig().p
            subordinator, status = family._fit_subordinator_of_order(eta[:3], order)
        elif backend == "cpu":
            subordinator = family._fit_subordinator_cpu(np.asarray(eta[:3], np.float64))
            subordinator = jax.tree.map(lambda leaf: leaf.astype(eta.dtype), subordinator)
            status = jnp.int32(Status.CONVERGED)
        else:
            start = self.joint.subordinator_as_gig()
            subordinator, status = family._fit_subordinator(eta[:3], start)
        mu, dispersion = normal.mu + statistics.origin, self.joint.dispersion.fitted(normal.sigma)
        joint = family._assemble(mu, normal.gamma, dispersion, subordinator)
        return self._wrap(joint.normalize()), status


def _spread(owner: str, value: ArrayLike) -> Array:
    (spread,) = scalars(owner, spread=value)
    if is_concrete(spread):
        require(np.isfinite(spread) & (np.asarray(spread) > 0), owner, "spread",
                "be finite and > 0", spread, "it is Var Y / (E Y)²")  # fmt: skip
    return spread


@eqx.filter_jit
def _of_order(model: NormalMixture, order: Array) -> GIGMember:
    """The subordinator with its shape at `order` and the means of Y as they were, where finite."""
    found = gig_moments(*model.joint.subordinator_as_gig())
    means = jnp.stack([found.log_y, found.inverse_y, found.y])
    means = jnp.where(jnp.isfinite(means), means, 1.0)
    subordinator: GIGMember = model.joint_family._fit_subordinator_of_order(means, order)[0]
    return subordinator


@eqx.filter_jit
def _e_step(model: NormalMixture, X: Float[Array, "n d"]) -> PosteriorMoments:
    z, skew = model._whitened(X)
    found, log_prob = moments_and_log_density(*model.joint.subordinator_as_gig(), z, skew)
    log_prob = log_prob - model.joint.dispersion.half_log_det()
    return PosteriorMoments(log_prob, found.log_y, found.inverse_y, found.y)
