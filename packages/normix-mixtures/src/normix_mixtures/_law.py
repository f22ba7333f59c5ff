"""`MixtureLaw`: the law of X in X | Y ~ N(μ + γ Y, Σ Y), and what it is closed under.

Density and law of Y given X are those of `_density`, moments those of `_moments`, conditional laws
those of `_conditional`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from normix_expfam import GeneralizedInverseGaussian, GIGMember, to_gig
from normix_expfam.internal import Unbatched, describe, is_concrete, require

from . import _component_moments as moments
from ._checks import dispersion_of, full_rank, indices_of, rows, vector
from ._conditional import conditional_parts
from ._conventions import Ghyp
from ._density import log_density, posterior
from ._dispersion import Dispersion, norm
from ._joint import JointNormalMixture
from ._transform import characteristic
from ._univariate import UnivariateNormalMixture


class MixtureLaw(Unbatched):
    """A normal variance-mean mixture f(x), which owns its joint law f(x, y).

    X = μ + γ Y + √Y L Z, Z standard normal in d dimensions, Σ = L Lᵀ, Y the subordinator.
    (Σ, γ, Y) is identified up to the scale of Y; `normalize` moves a model into the gauge in
    which log Y has its mode at 0, without changing its law.
    """

    joint: eqx.AbstractVar[JointNormalMixture]

    joint_family: eqx.AbstractClassVar[type[JointNormalMixture]]
    """The joint family that belongs to this marginal one."""

    _family_of_conditionals: ClassVar[type["MixtureLaw"]]
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
        free = self.subordinator.natural_params().shape[0] - 1
        dispersion = sum(
            int(np.sum(leaf)) for leaf in jax.tree.leaves(self.joint.dispersion.free())
        )
        return 2 * self.dimension + dispersion + free

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

    def without_skewness(self) -> Self:
        """The law with γ = 0 and the same Σ, Y and E X, or the same μ where E Y is infinite."""
        joint, mean = self.joint, self.mean()
        mu = jnp.where(jnp.all(jnp.isfinite(mean)), mean, joint.mu)
        zero = jnp.zeros_like(mu)
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

    def conditional(self, indices: Sequence[int], values: ArrayLike) -> "MixtureLaw":
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
        given = indices_of(owner, indices, self.dimension)
        require(given.size < self.dimension, owner, "indices", "leave a component", indices,
                "condition on fewer")  # fmt: skip
        values = vector(owner, "values", values).astype(self.mu.dtype)
        require(values.shape == given.shape, owner, "values", f"have shape {given.shape}",
                values.shape, "pass one value per index")  # fmt: skip
        mu, gamma, dispersion, law = conditional_parts(self.joint, given, values)
        if is_concrete(law.p, law.b):
            require(np.asarray(law.b) > 0 or np.asarray(law.p) > 0, owner, "values",
                    "not be μ, where the density is infinite", values,
                    "take other values")  # fmt: skip
        family = MixtureLaw._family_of_conditionals
        return family._wrap(family.joint_family._assemble(mu, gamma, dispersion, law))

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

        Raises:
            ValueError: if the last axis of x has not length d, or a concrete x has nan.
        """
        return self._log_prob_of("log_prob", x)

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density of x, shape (..., d) -> (...); see `log_prob`."""
        return jnp.exp(self._log_prob_of("prob", x))

    def _log_prob_of(self, method: str, x: ArrayLike) -> Float[Array, "*batch"]:
        owner = f"{type(self).__name__}.{method}"
        flat, shape = rows(owner, x, self.dimension, self.mu.dtype)
        return _log_prob(self, flat).reshape(shape)

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
        found = posterior(*self.joint.subordinator_as_gig(), *self._whitened(x[None, :]))
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

    def _whitened(self, X: Float[Array, "n d"]) -> tuple[Array, Array]:
        """L⁻¹(x - μ) of every row, and L⁻¹γ."""
        whiten = self.joint.dispersion.whiten
        return whiten(X - self.joint.mu[None, :]), whiten(self.joint.gamma[None, :])[0]

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

    def is_close(self, other: "MixtureLaw", rtol: float = 1e-9) -> Array:
        """Whether two models are the same law up to rtol, compared in the gauge; a boolean.

        Differences of μ, γ and Σ are measured in units of the standard deviations √Σ_ii of both,
        those of the subordinators in (p, a, b) in units of √(p² + ab) + 1.

        Raises:
            ValueError: if the dimensions differ.
        """
        owner = f"{type(self).__name__}.is_close"
        require(self.dimension == other.dimension, owner, "other",
                f"have dimension {self.dimension}", other.dimension,
                "compare models of the same components")  # fmt: skip
        one, two = self.normalize(), other.normalize()
        root = jnp.sqrt(jnp.maximum(one._squares(), two._squares()))
        laws = [jnp.stack(model.joint.subordinator_as_gig()) for model in (one, two)]
        width = 1 + jnp.maximum(*(jnp.hypot(law[0], jnp.sqrt(law[1] * law[2])) for law in laws))
        differences = (
            (one.mu - two.mu) / (jnp.abs(one.mu) + root),
            (one.gamma - two.gamma) / (jnp.abs(one.gamma) + root),
            ((one.sigma - two.sigma) / jnp.outer(root, root)).ravel(),
            (laws[0] - laws[1]) / width,
        )
        return jnp.all(jnp.abs(jnp.concatenate(differences)) <= rtol)

    def to_ghyp(self) -> Ghyp:
        """The parameters of R's ghyp in its gauge E Y = 1; sigma is the matrix Σ.

        Raises:
            ValueError: if the model is concrete and E Y is infinite.
        """
        mean_y = to_gig(self.subordinator).mean()
        if is_concrete(mean_y):
            require(np.isfinite(mean_y), f"{type(self).__name__}.to_ghyp", "E Y",
                    "be finite in the gauge E Y = 1", mean_y,
                    "with a = 0 that needs p < -1; pass λ, χ, ψ of this model as "
                    "they are")  # fmt: skip
        joint = self.joint.rescaled_subordinator(1 / mean_y)
        p, a, b = joint.subordinator_as_gig()
        return Ghyp(p, b, a, joint.mu, joint.dispersion.matrix(), joint.gamma)


Family = TypeVar("Family", bound=MixtureLaw)


def family_of_conditionals(family: type[Family]) -> type[Family]:
    """Mark the one family that contains the conditional laws of every mixture law.

    `MixtureLaw.conditional` returns its members but cannot import it, because a family is built on
    `MixtureLaw`.
    """
    MixtureLaw._family_of_conditionals = family
    return family


# The part that depends on the family and its dispersion is small; the rest is one program for all.


def _log_prob(model: MixtureLaw, X: Float[Array, "n d"]) -> Float[Array, " n"]:
    infinite, *whitened, half_log_det = _prepared(model, X)
    return _log_prob_of_whitened(infinite, *whitened, half_log_det)


@eqx.filter_jit
def _prepared(model: MixtureLaw, X: Float[Array, "n d"]) -> tuple[Array, ...]:
    infinite = jnp.any(jnp.isinf(X), axis=1) & ~jnp.any(jnp.isnan(X), axis=1)
    z, skew = model._whitened(jnp.where(infinite[:, None], 0.0, X))
    law = model.joint.subordinator_as_gig()
    return infinite, *law, z, skew, model.joint.dispersion.half_log_det()


@jax.jit
def _log_prob_of_whitened(
    infinite: Array, p: Array, a: Array, b: Array, z: Array, skew: Array, half_log_det: Array
) -> Array:
    return jnp.where(infinite, -jnp.inf, log_density(p, a, b, z, skew) - half_log_det)


def _characteristic(model: MixtureLaw, t: Float[Array, "n d"]) -> Complex[Array, " n"]:
    return _characteristic_of(*_turned(model, t))


@eqx.filter_jit
def _turned(model: MixtureLaw, t: Float[Array, "n d"]) -> tuple[Array, ...]:
    law = model.joint.subordinator_as_gig()
    return *law, t @ model.L_Sigma, t @ model.gamma, t @ model.mu


_characteristic_of = jax.jit(characteristic)
