"""`NormalMixture`: the distribution of X in X | Y ~ N(μ + γ Y, Σ Y), and its face to the world.

A class of short delegations: densities and the E-step are those of `_e_step`, the M-step that of
`_m_step`, moments those of `_component_moments`, conditional distributions those of `_conditional`.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Bool, Complex, Float, Int

from normix_expfam import GeneralizedInverseGaussian, GIGMember, gig_moments, to_gig
from normix_expfam.internal import (
    Array,
    Backend,
    Unbatched,
    as_floats,
    describe,
    is_concrete,
    is_for_host,
    is_on_host,
    namespace_of,
    require,
    resolve_backend,
    scalars,
    to_host,
    to_jax,
)

from . import _component_moments as moments
from ._checks import (
    check_observations,
    check_weights,
    dispersion_of,
    finite_rows,
    full_rank,
    indices_of,
    rows,
    vector,
)
from ._comparison import are_close, change
from ._conditional import conditional_parts
from ._conventions import Ghyp, mean_for_ghyp
from ._density import posterior
from ._dispersion import DenseDispersion, Dispersion, norm
from ._e_step import Expected, expect_rows, log_prob_of_rows, posterior_moments, whitened
from ._e_step_on_host import log_prob_on_host
from ._frame import Frame
from ._held import Held, count_free
from ._joint import JointNormalMixture
from ._law_about_mode import moments as moments_on_host
from ._m_step import maximise
from ._moment_start import OneBlock, Rows, moment_start
from ._row_buckets import of_filled_rows
from ._statistics import MixtureStatistics, PosteriorMoments
from ._subordinator import from_named_parameters, named_parameters, parameter_names
from ._substitution import substitute
from ._transform import characteristic
from ._univariate import UnivariateNormalMixture

_NOTHING = Held()
_MANY = 500  # rows from which their density costs less by NumPy than a first call of JAX's program


class Flags(NamedTuple):
    """What a fitter asks of a model in the gauge."""

    is_finite: Bool[Array, ""]
    """Whether all parameters are numbers and Σ is positive definite."""

    least_pivot: Float[Array, ""]
    """√(1 - R²) of the component that those before it explain best; see `Dispersion.pivots`."""

    concentration: Float[Array, ""]
    """(a + b)/2 of Y ~ GIG(p, a, b): about E Y² / Var Y where it is large, next to a normal one."""


class NormalMixture(Unbatched):
    """A normal variance-mean mixture f(x), which owns its joint distribution f(x, y).

    X = μ + γ Y + √Y L Z, Z standard normal in d dimensions, Σ = L Lᵀ, Y the subordinator.
    (Σ, γ, Y) is identified up to the scale of Y; `normalize` moves a model into the gauge in
    which log Y has its mode at 0, without changing its law.
    """

    joint: eqx.AbstractVar[JointNormalMixture]

    joint_family: eqx.AbstractClassVar[type[JointNormalMixture]]
    """The joint family that belongs to this marginal one."""

    shape_parameter: ClassVar[str | None] = None
    """The name of the subordinator's parameter that no gauge changes, if it has one."""

    subordinator_density: eqx.AbstractClassVar[str]
    """The density of Y up to a factor, in the names of `subordinator_parameters`, for reports."""

    subordinator_aliases: ClassVar[Mapping[str, str]] = {}
    """Names here of those parameters of the subordinator that have another one there."""

    _family_of_conditionals: ClassVar[type["NormalMixture"]]
    """Where `conditional` finds its answer; the decorator `family_of_conditionals` sets it."""

    def __repr__(self) -> str:
        return describe(self)

    @classmethod
    def _wrap(cls, joint: JointNormalMixture) -> Self:
        """The marginal law of this joint law."""
        family: Any = cls
        model: Self = family(joint)
        return model

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
        """The number d of components of X."""
        return self.joint.dimension

    @property
    def n_parameters(self) -> int:
        """Free parameters of the law of X, of which the gauge takes one from the subordinator."""
        return self.count_parameters()

    def count_parameters(self, held: Held | None = None) -> int:
        """`n_parameters` without those that are held."""
        return count_free(self, held)

    @classmethod
    def _from_parts(
        cls,
        mu: ArrayLike,
        gamma: ArrayLike | None,
        sigma: ArrayLike | Dispersion | None,
        L_Sigma: ArrayLike | None,
        subordinator: GIGMember,
    ) -> Self:
        """Checked construction shared by the families' `from_classical`."""
        owner = f"{cls.__name__}.from_classical"
        mu = vector(owner, "mu", mu)
        gamma = jnp.zeros_like(mu) if gamma is None else vector(owner, "gamma", gamma)
        require(gamma.shape == mu.shape, owner, "gamma", f"have the shape {mu.shape} of mu",
                gamma.shape, "pass one skewness per component")  # fmt: skip
        dispersion = dispersion_of(owner, sigma, L_Sigma, mu.shape[0])
        dtype = jnp.result_type(float) if not jnp.issubdtype(mu.dtype, jnp.floating) else mu.dtype
        parts = jax.tree.map(lambda leaf: leaf.astype(dtype), (gamma, dispersion, subordinator))
        return cls._wrap(cls.joint_family._assemble(mu, *parts))

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

    def with_dispersion(self, dispersion: Dispersion) -> Self:
        """The model with another Σ, of the same dimension, and the rest as it is."""
        joint = self.joint
        return self._wrap(joint._assemble(joint.mu, joint.gamma, dispersion, joint.subordinator))

    def without_skewness(self) -> Self:
        """The law with γ = 0 and the same Σ, Y and E X, or the same μ where E Y is infinite."""
        joint = self.joint
        xp, law = namespace_of(joint.mu), joint.subordinator_as_gig()
        y = gig_moments(*law).y if xp is jnp else moments_on_host(*law)[2]
        mean = joint.mu + joint.gamma * y
        # where γ is 0 already, so is the shift, whatever E Y is
        mean = xp.where(joint.gamma == 0, joint.mu, mean)
        mu = xp.where(xp.all(xp.isfinite(mean)), mean, joint.mu)
        zero = xp.zeros_like(mu)
        return self._wrap(joint._assemble(mu, zero, joint.dispersion, joint.subordinator))

    def affine(self, A: ArrayLike, b: ArrayLike | None = None) -> Self:
        """The law of A X + b, which is of the same family.

        Args:
            A: shape (k, d), of full row rank k <= d; for a vector see `project`.
            b: shape (k,), 0 if left out.

        Raises:
            ValueError: for shapes that do not fit or a concrete A of lower rank.
        """
        owner = f"{type(self).__name__}.affine"
        A = full_rank(owner, A, self.dimension).astype(self.mu.dtype)
        shift = jnp.zeros_like(A, shape=A.shape[:1]) if b is None else vector(owner, "b", b)
        require(shift.shape == A.shape[:1], owner, "b", f"have shape {A.shape[:1]}", shift.shape,
                "pass one shift per row of A")  # fmt: skip
        joint = self.joint
        return self._wrap(
            joint._assemble(
                A @ joint.mu + shift.astype(A.dtype), A @ joint.gamma,
                joint.dispersion.transformed(A), joint.subordinator,
            )
        )  # fmt: skip

    def marginal(self, indices: Sequence[int]) -> Self:
        """The law of the components `indices` of X, in that order.

        Raises:
            ValueError: if they are empty, repeated or not components of X.
        """
        chosen = indices_of(f"{type(self).__name__}.marginal", indices, self.dimension)
        return self.affine(np.eye(self.dimension)[chosen])

    def conditional(self, indices: Sequence[int], values: ArrayLike) -> "NormalMixture":
        """The law of the other components, in their order, given X[indices] = values.

        It is a `GeneralizedHyperbolic` model for every family.

        Args:
            indices: the components that are known, some but not all.
            values: what they are, shape (len(indices),).

        Raises:
            ValueError: for indices or values that do not fit, nan, or where no conditional law
                exists: at values = μ[indices] for b = 0 and p <= len(indices)/2.
        """
        owner = f"{type(self).__name__}.conditional"
        family = NormalMixture._family_of_conditionals
        parts = conditional_parts(owner, self.joint, indices, values)
        return family._wrap(family.joint_family._assemble(*parts))

    def standardize(self) -> Self:
        """The law of (X_i - E X_i) / std(X_i): mean 0, variances 1, correlations as before.

        Raises:
            ValueError: if the model is concrete and has no finite variances.
        """
        mean, variance = self.mean(), self.var()
        if is_concrete(variance):
            require(np.isfinite(variance), f"{type(self).__name__}.standardize", "the variances",
                    "be finite", variance, "use affine with a scale of your own")  # fmt: skip
        scale = 1 / jnp.sqrt(variance)
        return self.rescaled(-mean * scale, scale)

    def log_prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Log-density of x, shape (..., d) -> (...); -inf at ±inf, nan at traced nan.

        That of hundreds of rows on a CPU is computed by NumPy, unless something is traced.

        Raises:
            ValueError: if the last axis of x has not length d, or a concrete x has nan.
        """
        return self._log_prob_of("log_prob", x)

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density of x, shape (..., d) -> (...); see `log_prob`."""
        return jnp.exp(self._log_prob_of("prob", x))

    def _log_prob_of(self, method: str, x: ArrayLike) -> Float[Array, "*batch"]:
        owner = f"{type(self).__name__}.{method}"
        if is_on_host(self.mu):
            on_host: Array = log_prob_on_host(self.joint, np.asarray(x, np.float64))
            return on_host
        flat, shape = rows(owner, x, self.dimension, self.mu.dtype)
        if len(flat) >= _MANY and is_for_host(self, flat):
            many = log_prob_on_host(to_host(self.joint), np.asarray(flat, np.float64))
            return to_jax(many.reshape(shape), self.mu.dtype)
        found = of_filled_rows(partial(log_prob_of_rows, self.joint), flat, self)
        return found if found.shape == shape else found.reshape(shape)

    def posterior(self, x: ArrayLike) -> GeneralizedInverseGaussian:
        """The law of Y given X = x: GIG(p - d/2, a + γᵀΣ⁻¹γ, b + (x - μ)ᵀΣ⁻¹(x - μ)).

        Args:
            x: one point, shape (d,); for more use `equinox.filter_vmap`, or `e_step`.

        Raises:
            ValueError: for another shape, nan, or where Y given x has no law: at x = μ for b = 0
                and p <= d/2.
        """
        owner = f"{type(self).__name__}.posterior"
        x = vector(owner, "x", x).astype(self.mu.dtype)
        require(x.shape == self.mu.shape, owner, "x", f"have shape {self.mu.shape}", x.shape,
                "pass one point, or batch with equinox.filter_vmap")  # fmt: skip
        found = posterior(*self.joint.subordinator_as_gig(), *whitened(self.joint, x[None, :]))
        p, a, b = (value[0] for value in found)
        if is_concrete(p, b):
            require(np.asarray(b) > 0 or np.asarray(p) > 0, owner, "x",
                    "not be μ, where the density is infinite", x, "take another point")  # fmt: skip
        return GeneralizedInverseGaussian(p, a, b, check=False)

    def characteristic_function(self, t: ArrayLike) -> Complex[Array, "*batch"]:
        """E exp(i tᵀX) at real t, shape (..., d) -> (...).

        It is exp(i tᵀμ) times E exp(s Y) at s = i tᵀγ - tᵀΣt/2.

        Raises:
            ValueError: if the last axis of t has not length d, or a concrete t has nan.
        """
        owner = f"{type(self).__name__}.characteristic_function"
        flat, shape = rows(owner, t, self.dimension, self.mu.dtype, name="t")
        return _characteristic(self, flat).reshape(shape)

    def mean(self) -> Float[Array, " d"]:
        """E X = μ + γ E Y, shape (d,); inf or nan where it does not exist."""
        return moments.mean(to_gig(self.subordinator), self.mu, self.gamma)

    def cov(self) -> Float[Array, "d d"]:
        """Cov X = Σ E Y + γ γᵀ Var Y, shape (d, d); inf or nan where it does not exist."""
        return moments.covariance(to_gig(self.subordinator), self.gamma, self.sigma)

    def var(self) -> Float[Array, " d"]:
        """Variances of the components, the diagonal of `cov`, shape (d,)."""
        return moments.variance(to_gig(self.subordinator), self.gamma, self._squares())

    def skewness(self) -> Float[Array, " d"]:
        """Skewness of each component, shape (d,); inf or nan where it does not exist."""
        return moments.skewness(to_gig(self.subordinator), self.gamma, self._squares())

    def kurtosis(self) -> Float[Array, " d"]:
        """Excess kurtosis of each component, shape (d,); inf or nan where it does not exist."""
        return moments.kurtosis(to_gig(self.subordinator), self.gamma, self._squares())

    def _squares(self) -> Float[Array, " d"]:
        return self.joint.dispersion.diagonal()

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape d"]:
        """Draws of X, shape `(*shape, d)`; either kind of JAX key."""
        return self.joint.sample(key, shape)[..., :-1]

    def project(self, w: ArrayLike) -> UnivariateNormalMixture:
        """The law of wᵀX for weights w, shape (d,).

        Raises:
            ValueError: for another shape, or a concrete w that is 0 or not finite.
        """
        w = vector(f"{type(self).__name__}.project", "w", w).astype(self.mu.dtype)
        require(w.shape == (self.dimension,), f"{type(self).__name__}.project", "w",
                f"have shape ({self.dimension},)", w.shape,
                "pass one weight per component")  # fmt: skip
        if is_concrete(w):
            require(np.any(np.asarray(w) != 0), f"{type(self).__name__}.project", "w",
                    "not be zero", np.asarray(w), "a constant has no density")  # fmt: skip
        scale = norm(self.L_Sigma.T @ w)
        return UnivariateNormalMixture(
            w @ self.mu, w @ self.gamma, scale, *self.joint.subordinator_as_gig(), check=False
        )

    def is_close(self, other: "NormalMixture", rtol: float = 1e-9) -> Array:
        """Whether two models are the same distribution up to rtol, in the gauge; a boolean.

        Differences of μ, γ and Σ are measured in units of the standard deviations √Σ_ii of both,
        those of the subordinators in (p, a, b) in units of √(p² + ab) + 1.

        Raises:
            ValueError: if the dimensions differ.
        """
        owner = f"{type(self).__name__}.is_close"
        require(self.dimension == other.dimension, owner, "other",
                f"have dimension {self.dimension}", other.dimension,
                "compare models of the same components")  # fmt: skip
        return are_close(self.joint.normalize(), other.joint.normalize(), rtol)

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
    def _of_moments(cls, mean: Array, cov: Array, spread: Array, gamma: Array) -> Self:
        """`from_moments` of checked arrays, of NumPy too."""
        if not is_on_host(mean):
            return cls.from_moments(mean, cov, spread=spread, gamma=gamma)
        dispersion = DenseDispersion.from_matrix(cov - np.outer(gamma, gamma) * spread)
        law = to_host(cls._subordinator_of_spread(spread))
        return cls._wrap(cls.joint_family._assemble(mean - gamma, gamma, dispersion, law))

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
        xp = np if is_for_host(X, weights, spread) else jnp
        rows = check_observations(owner, X, xp)
        w = check_weights(owner, weights, rows)
        given = None if spread is None else _spread(owner, spread).astype(rows.dtype)
        if xp is jnp:
            w = jnp.ones_like(rows[:, 0]) if w is None else w
            return cls.default_start(OneBlock(rows, w), given)
        dtype = jnp.float32 if rows.dtype == np.float32 else jnp.result_type(float)
        rows, w, given = to_host((rows, np.ones(len(rows)) if w is None else w, given))
        with np.errstate(all="ignore"):
            model: Self = to_jax(cls.default_start(OneBlock(rows, w), given), dtype)
        return model

    @classmethod
    def default_start(cls, rows: Rows, spread: Array | None = None) -> Self:
        """`default_init` of checked rows, wherever they are; see there."""
        return moment_start(cls._of_moments, rows, spread)

    def with_fixed(self, **values: ArrayLike) -> Self:
        """This model with `shape_parameter` or mu moved to values, the means of Y as they were.

        Args:
            **values: "mu", shape (d,), or the number that `shape_parameter` names.

        Raises:
            ValueError: for another name, or a value outside the domain of the family.
        """
        owner = f"{type(self).__name__}.with_fixed"
        return self._wrap(substitute(owner, self.joint, type(self), values))

    def with_held_of(self, other: Self, held: Held) -> Self:
        """This model with what is held moved to the values it has in another one.

        Args:
            other: a model of the same family and dimension, in the same gauge.
            held: what is held.
        """
        names = [name for name in (held.shape, "mu" if held.mu else None) if name is not None]
        moved = self.with_fixed(**{name: getattr(other, name) for name in names})
        subordinator = (other if held.subordinator else moved).subordinator
        joint = moved.joint
        law = self._wrap(joint._assemble(joint.mu, joint.gamma, joint.dispersion, subordinator))
        return law.without_skewness() if held.gamma else law

    def e_step(self, X: ArrayLike, *, backend: Backend = "jax") -> PosteriorMoments:
        """E log Y, E 1/Y, E Y given each row of X, shape (n, d), and the row's log-density.

        ``backend="cpu"`` evaluates the Bessel functions at once with NumPy and SciPy.

        Raises:
            ValueError: if X has not shape (n, d) or is concrete and not finite.
        """
        owner = f"{type(self).__name__}.e_step"
        X = finite_rows(owner, X, self.dimension, self.mu.dtype)
        backend = resolve_backend(owner, backend, self, X)
        given = partial(posterior_moments, self.joint, backend=backend)
        return given(X) if backend == "cpu" else of_filled_rows(given, X, self)

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
        X = finite_rows(owner, X, self.dimension, self.mu.dtype)
        found = posterior_moments(self.joint, X, resolve_backend(owner, backend, self, X))
        w = check_weights(owner, weights, X)
        return MixtureStatistics.from_rows(X, found, w, self.mu)

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
        X = finite_rows(f"{type(self).__name__}.m_step", X, self.dimension, self.mu.dtype)
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
        owner = f"{type(self).__name__}.m_step"
        held = Held.of(type(self), fixed, symmetric=symmetric, owner=owner)
        return self.maximise(statistics, held, backend=backend)[0]

    def expect(
        self,
        X: Float[Array, "n d"],
        weights: Float[Array, " n"] | None = None,
        *,
        origin: Float[Array, " d"] | None = None,
        backend: Backend = "jax",
    ) -> Expected:
        """The E-step as sums over checked rows: what a fitter carries through its loop.

        Args:
            X: rows, shape (n, d).
            weights: one per row, >= 0, shape (n,); rows of weight 0 do not count.
            origin: of the statistics, shape (d,); 0 if left out.
            backend: of the Bessel functions.
        """
        return expect_rows(self.joint, X, weights, origin, backend)

    def maximise(
        self,
        statistics: MixtureStatistics,
        held: Held = _NOTHING,
        *,
        backend: Backend = "jax",
    ) -> tuple[Self, Int[Array, ""]]:
        """`m_step_from_statistics`, and the `Status` of the subordinator's fit.

        Where that has no solution, the subordinator is nan and the status INFEASIBLE.
        """
        backend = resolve_backend(f"{type(self).__name__}.maximise", backend, self, statistics)
        if backend == "jax" or is_on_host(self.mu):
            joint, status = maximise(self.joint, statistics, held)
            return self._wrap(joint), status
        with np.errstate(all="ignore"):
            found = maximise(to_host(self.joint), to_host(statistics), held)
        joint, status = to_jax(found, self.mu.dtype)
        return self._wrap(joint), status

    def no_statistics(self) -> MixtureStatistics:
        """Those of no rows about 0, in the shape in which `expect` gives them."""
        return MixtureStatistics.zeros(namespace_of(self.mu).zeros_like(self.mu))

    def change(self, other: Self) -> Float[Array, ""]:
        """Largest change of μ, γ and L to another model, both in the gauge.

        Each is in units of √Σ_jj of its row. The distribution of Y is left out: p, a and b can run
        along a nearly flat valley after that of X has settled.
        """
        return change(self.joint, other.joint)

    def flags(self) -> Flags:
        """What a fitter asks of a model in the gauge."""
        xp = namespace_of(self.mu)
        numbers = [xp.all(xp.isfinite(leaf)) for leaf in jax.tree.leaves(self)]
        least = self.joint.dispersion.least_pivot()
        _, a, b = self.joint.subordinator_as_gig()
        return Flags(xp.all(xp.stack(numbers)) & (least > 0), least, (a + b) / 2)

    def frame(self, held: Held) -> Frame | None:
        """Coordinates for an ascent from this model in the gauge; None if Σ is not dense."""
        dense = isinstance(self.joint.dispersion, DenseDispersion)
        return Frame.at(self.joint, held) if dense else None

    def moved(self, frame: Frame, u: Float[Array | np.ndarray, " k"]) -> Self:
        """The model of this family at the coordinates u of a frame."""
        return self._wrap(frame.moved(self.joint, u))

    def to_ghyp(self) -> Ghyp:
        """The parameters of R's ghyp in its gauge E Y = 1; sigma is the matrix Σ.

        Raises:
            ValueError: if the model is concrete and E Y is infinite.
        """
        mean_y = mean_for_ghyp(f"{type(self).__name__}.to_ghyp", to_gig(self.subordinator))
        joint = self.joint.rescaled_subordinator(1 / mean_y)
        p, a, b = joint.subordinator_as_gig()
        return Ghyp(p, b, a, joint.mu, joint.dispersion.matrix(), joint.gamma)


Family = TypeVar("Family", bound=NormalMixture)


def family_of_conditionals(family: type[Family]) -> type[Family]:
    """Mark the one family that contains the conditional distributions of every mixture.

    `NormalMixture.conditional` returns its members but cannot import it, because a family is built
    on `NormalMixture`.
    """
    NormalMixture._family_of_conditionals = family
    return family


def _spread(owner: str, value: ArrayLike) -> Array:
    (spread,) = scalars(owner, spread=value)
    if is_concrete(spread):
        require(np.isfinite(spread) & (np.asarray(spread) > 0), owner, "spread",
                "be finite and > 0", spread, "it is Var Y / (E Y)²")  # fmt: skip
    return spread


def _characteristic(model: NormalMixture, t: Float[Array, "n d"]) -> Complex[Array, " n"]:
    return _characteristic_of(*_turned(model, t))


@eqx.filter_jit
def _turned(model: NormalMixture, t: Float[Array, "n d"]) -> tuple[Array, ...]:
    law = model.joint.subordinator_as_gig()
    return *law, t @ model.L_Sigma, t @ model.gamma, t @ model.mu


_characteristic_of = jax.jit(characteristic)  # one program for all families
