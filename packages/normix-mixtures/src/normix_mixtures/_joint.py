"""`JointNormalMixture`: the joint law f(x, y) of a normal variance-mean mixture.

X | Y = y ~ N(μ + γ y, Σ y), Y ~ a GIG law or a limit of one (Barndorff-Nielsen, Kent &
Sørensen 1982; McNeil, Frey & Embrechts 2005, section 3.2). With

    t(x, y) = (log y, 1/y, y, x, x/y, vec x xᵀ/y),
    θ = (p - 1 - d/2, -(b + μᵀΣ⁻¹μ)/2, -(a + γᵀΣ⁻¹γ)/2, Σ⁻¹γ, Σ⁻¹μ, -½ vec Σ⁻¹),
    h(x, y) = (2π)^(-d/2),   ψ(θ) = ψ_Y(p, a, b) + ½ log det Σ + μᵀΣ⁻¹γ

it is an exponential family. With a subordinator that fixes p, a or b it is the curved
subfamily of the generalized hyperbolic one in which that equation holds; its maximum likelihood
is still in closed form, because f(x | y) and f(y) share no parameter. Its ∇ψ and ∇²ψ are those
of the full family, E t and Cov t.
"""

from typing import Any, ClassVar, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from normix_expfam import (
    Divergences,
    ExponentialFamily,
    GIGMember,
    Information,
    MultivariateNormal,
    gig_moments,
    mode_of_log,
    sample_gig,
    to_gig,
)
from normix_expfam.internal import (
    Array,
    Backend,
    array_namespace,
    gig_log_density,
    hook,
    is_on_host,
    namespace_of,
    require_unbatched,
)

from ._dispersion import DenseDispersion, Dispersion
from ._layout import Parts, flat, head_of, parts_of, without_head
from ._normal_part import NormalPart, normal_part


class GIGParameters(NamedTuple):
    """A subordinator as GIG(p, a, b), limits a = 0 and b = 0 included."""

    p: Array
    """Shape p."""

    a: Array
    """Rate a of Y."""

    b: Array
    """Rate b of 1/Y."""


def _entropy(law: Any) -> Array:
    """That of Y and the mean of that of N(μ + γ Y, Σ Y), which ask for E log Y only."""
    log_y = gig_moments(*law.subordinator_as_gig()).log_y
    of_normal = (1 + np.log(2 * np.pi) + log_y) / 2
    of_y = law.subordinator.divergences.entropy(law.subordinator)
    return of_y + law.dimension * of_normal + law.dispersion.half_log_det()


def _kl(law: Any, other: Any) -> Array:
    """That of Y and the mean of that of N(μ + γ Y, Σ Y)."""
    moments = gig_moments(*law.subordinator_as_gig())
    centre = jnp.zeros_like(law.mu)
    mine, theirs = (
        MultivariateNormal(centre, one.dispersion.cholesky(), check=False) for one in (law, other)
    )
    apart = jnp.stack([law.mu - other.mu, law.gamma - other.gamma])
    mu, gamma = other.dispersion.whiten(apart)
    # a mean that is infinite counts for nothing where it is not met
    shift = [
        jnp.where(square == 0, 0.0, square * mean)
        for square, mean in ((mu @ mu, moments.inverse_y), (gamma @ gamma, moments.y))
    ]
    of_normal = mine.divergences.kl(mine, theirs) + (shift[0] + shift[1]) / 2 + mu @ gamma
    return law.subordinator.divergences.kl(law.subordinator, other.subordinator) + of_normal


def _free(law: Any) -> Any:
    free = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), law)
    of_y = law.subordinator.information.free(law.subordinator)
    parts = law.dispersion.free(), of_y
    return eqx.tree_at(lambda law: (law.dispersion, law.subordinator), free, parts)


class JointNormalMixture(ExponentialFamily):
    """f(x, y): X | Y = y ~ N(μ + γ y, Σ y) with a positive subordinator Y.

    One observation is the vector (x_1, ..., x_d, y), shape (d + 1,); `pack` makes it. The
    marginal law f(x) is a `NormalMixture`, which owns its joint law.
    """

    mu: eqx.AbstractVar[Float[Array, " d"]]
    gamma: eqx.AbstractVar[Float[Array, " d"]]
    dispersion: eqx.AbstractVar[Dispersion]
    subordinator: eqx.AbstractVar[GIGMember]

    subordinator_family: eqx.AbstractClassVar[type[GIGMember]]
    """The family of Y."""

    event_ndim: ClassVar[int] = 1
    divergences: ClassVar[Divergences] = Divergences(entropy=_entropy, kl=_kl)
    information: ClassVar[Information] = Information(free=_free)

    @classmethod
    def _assemble(cls, mu: Array, gamma: Array, dispersion: Dispersion, subordinator: Any) -> Self:
        """The law with these parts."""
        family: Any = cls
        law: Self = family(mu, gamma, dispersion, subordinator)
        return law

    @classmethod
    @hook
    def _fit_subordinator(
        cls, means: Float[Array, "3"], start: GIGParameters | None
    ) -> tuple[GIGMember, Array]:
        """The MLE from E (log Y, 1/Y, Y) with its `Status`; start may speed it up.

        For means of NumPy it is made by NumPy and SciPy.
        """
        del start
        own = np.array(cls.subordinator_family.gig_statistics)
        backend: Backend = "cpu" if is_on_host(means) else "jax"
        return cls.subordinator_family._solve_expectation(means[own], backend)

    @classmethod
    @hook
    def _fit_subordinator_of_order(
        cls, means: Float[Array, "3"], p: Array
    ) -> tuple[GIGMember, Array]:
        """The same with the order p of Y known."""
        del p
        return cls._fit_subordinator(means, None)

    def subordinator_as_gig(self) -> GIGParameters:
        """The law of Y as GIG(p, a, b)."""
        return GIGParameters(*self.subordinator.as_gig())

    @property
    def dimension(self) -> int:
        """The number d of components of X."""
        require_unbatched(self, "dimension")
        return self.mu.shape[0]

    @staticmethod
    def pack(x: ArrayLike, y: ArrayLike) -> Float[Array, "*batch k"]:
        """(x, y) as observations: x of shape (..., d) and y of shape (...) -> (..., d + 1)."""
        x, y = jnp.asarray(x), jnp.asarray(y)
        return jnp.concatenate([x, y[..., None].astype(x.dtype)], axis=-1)

    def natural_params(self) -> Float[Array, " k"]:
        p, a, b = self.subordinator_as_gig()
        d = self.dimension
        whitened = self.dispersion.whiten(jnp.stack([self.mu, self.gamma]))
        inverse_root = self.dispersion.whiten(jnp.eye(d, dtype=self.mu.dtype)).T
        precision_mu, precision_gamma = inverse_root.T @ whitened[0], inverse_root.T @ whitened[1]
        on_inverse_y = -(b + whitened[0] @ whitened[0]) / 2
        on_y = -(a + whitened[1] @ whitened[1]) / 2
        square = -(inverse_root.T @ inverse_root) / 2
        return flat(Parts(p - 1 - d / 2, on_inverse_y, on_y, precision_gamma, precision_mu, square))

    @classmethod
    def _parts_of_theta(cls, theta: Array) -> tuple[NormalPart, GIGParameters]:
        on_log_y, on_inverse_y, on_y, linear, over_y, square = parts_of(theta)
        d = linear.shape[0]
        precision = -(square + square.T)
        sigma = jnp.linalg.inv(precision)
        sigma = (sigma + sigma.T) / 2
        mu, gamma = sigma @ over_y, sigma @ linear
        gig = GIGParameters(
            on_log_y + 1 + d / 2, -2 * on_y - gamma @ linear, -2 * on_inverse_y - mu @ over_y
        )
        return NormalPart(mu, gamma, sigma), gig

    @classmethod
    def from_natural(cls, theta: Float[Array, " k"]) -> Self:
        normal, gig = cls._parts_of_theta(theta)
        dispersion = DenseDispersion.from_matrix(normal.sigma)
        return cls._assemble(
            normal.mu, normal.gamma, dispersion, cls.subordinator_family.from_gig(*gig)
        )

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, " k"]:
        point, y = x[:-1], x[-1]
        square = jnp.outer(point, point / y)
        return flat(Parts(jnp.log(y), 1 / y, y, point, point / y, square))

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        y, d = x[-1], x.shape[0] - 1
        inside = (y > 0) & (y < jnp.inf)
        base = jnp.where(inside, -d / 2 * jnp.log(2 * jnp.pi), -jnp.inf)
        return jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, base).astype(x.dtype)

    @staticmethod
    def _interior_point(x: Array) -> Array:
        y = x[-1]
        return x.at[-1].set(jnp.where((y > 0) & (y < jnp.inf), y, 1.0))

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, " k"]) -> Float[Array, ""]:
        normal, gig = cls._parts_of_theta(theta)
        psi = cls.subordinator_family.from_gig(*gig).log_partition()
        # nan, unlike a determinant, where the dispersion is not positive definite
        half_log_det = jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(normal.sigma))))
        return psi + half_log_det + normal.mu @ parts_of(theta).x

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, " k"]) -> Float[Array, " k"]:
        law = cls.from_natural(theta)
        constant, slope = law._statistics_given_y()
        mean = to_gig(law.subordinator).expectation_params()
        # a moment that is infinite stays out of the statistics that do not contain it
        return constant + jnp.sum(jnp.where(slope == 0, 0.0, slope * mean[None, :]), axis=1)

    @classmethod
    def _hessian_log_partition(cls, theta: Float[Array, " k"]) -> Float[Array, "k k"]:
        """Cov t = Cov E[t | Y] + E Cov[t | Y], by the moments of normal laws."""
        law = cls.from_natural(theta)
        _, slope = law._statistics_given_y()
        subordinator = to_gig(law.subordinator)
        _, inverse_y, y = subordinator.expectation_params()
        sigma, mu, gamma = law.dispersion.matrix(), law.mu, law.gamma
        d = law.dimension

        def with_square(mean: Array) -> Array:
            """Cov (z, vec z zᵀ) for z ~ N(mean, Σ), shape (d, d²)."""
            half = sigma[:, :, None] * mean[None, None, :]
            return (half + half.swapaxes(1, 2)).reshape(d, d * d)

        cross = jnp.outer(mu, gamma)
        square = jnp.outer(mu, mu) * inverse_y + cross + cross.T + jnp.outer(gamma, gamma) * y
        half = sigma[:, None, :, None] * (sigma / 2 + square)[None, :, None, :]  # Σ_ik (.)_jl
        half = half + half.transpose(1, 0, 2, 3)
        squares = (half + half.transpose(0, 1, 3, 2)).reshape(d * d, d * d)
        squares = (squares + squares.T) / 2
        by_x, by_over_y = with_square(mu + gamma * y), with_square(mu * inverse_y + gamma)
        within = jnp.block([
            [sigma * y, sigma, by_x],
            [sigma, sigma * inverse_y, by_over_y],
            [by_x.T, by_over_y.T, squares],
        ])  # fmt: skip
        between = slope @ subordinator.fisher_information() @ slope.T
        return between + without_head(within)

    def _statistics_given_y(self) -> tuple[Float[Array, " k"], Float[Array, "k 3"]]:
        """E [t(X, Y) | Y = y] as constant + slope · (log y, 1/y, y)."""
        mu, gamma, zero = self.mu, self.gamma, jnp.zeros_like(self.mu)
        nothing, none = jnp.zeros_like(mu, shape=()), jnp.zeros_like(jnp.outer(mu, mu))
        one, cross = jnp.ones_like(nothing), jnp.outer(mu, gamma)
        square = self.dispersion.matrix() + cross + cross.T
        constant = flat(Parts(nothing, nothing, nothing, mu, gamma, square))
        on_log = flat(Parts(one, nothing, nothing, zero, zero, none))
        on_inverse = flat(Parts(nothing, one, nothing, zero, mu, jnp.outer(mu, mu)))
        on_y = flat(Parts(nothing, nothing, one, gamma, zero, jnp.outer(gamma, gamma)))
        return constant, jnp.stack([on_log, on_inverse, on_y], axis=1)

    @classmethod
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Array]:
        normal = normal_part(parts_of(eta), array_namespace(backend))
        # of the GIG family too: the other solver of η, which checks the one that fitters use
        own = head_of(eta)[np.array(cls.subordinator_family.gig_statistics)]
        subordinator, status = cls.subordinator_family._solve_expectation(own, backend)
        dispersion = DenseDispersion.from_matrix(normal.sigma)
        return cls._assemble(normal.mu, normal.gamma, dispersion, subordinator), status

    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        """log f_Y(y) + log N(x; μ + γ y, Σ y) + (d/2) log 2π, whose terms do not cancel."""
        point, y = x[:-1], x[-1]
        z = self.dispersion.whiten((point - self.mu - self.gamma * y)[None, :])[0]
        normal = -z @ z / (2 * y) - self.dispersion.half_log_det() - self.dimension / 2 * jnp.log(y)
        return normal + gig_log_density(*self.subordinator_as_gig(), y)

    def rescaled_subordinator(self, factor: Array) -> Self:
        """The same law of X with factor · Y for Y: (Σ, γ, Y) -> (Σ/factor, γ/factor, factor Y)."""
        p, a, b = self.subordinator_as_gig()
        xp = namespace_of(self.mu)
        root = xp.broadcast_to(1 / xp.sqrt(factor), self.mu.shape)
        return self._assemble(
            self.mu,
            self.gamma / factor,
            self.dispersion.scaled(root),
            self.subordinator_family.from_gig(p, a / factor, b * factor),
        )

    def normalize(self) -> Self:
        """The same law of X in the gauge in which log Y has its mode at 0.

        Then a = w + p and b = w - p with w = √(p² + ab): the gauge exists for every member and
        every limit, which E Y = 1 or det Σ = 1 do not offer at once, and passes through them
        smoothly.
        """
        return self.rescaled_subordinator(1 / mode_of_log(*self.subordinator_as_gig()))

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape k"]:
        """Draws (x, y) packed as observations, shape `(*shape, d + 1)`."""
        y_key, z_key = jax.random.split(key)
        y = sample_gig(y_key, *(jnp.broadcast_to(v, shape) for v in self.subordinator_as_gig()))
        z = jax.random.normal(z_key, (*shape, self.dimension), self.mu.dtype)
        noise = self.dispersion.colour(z.reshape(-1, self.dimension)).reshape(z.shape)
        mu, gamma = (jnp.broadcast_to(v, z.shape) for v in (self.mu, self.gamma))
        return self.pack(mu + gamma * y[..., None] + noise * jnp.sqrt(y)[..., None], y)
