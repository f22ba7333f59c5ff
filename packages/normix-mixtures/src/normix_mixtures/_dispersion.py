"""How the dispersion Σ is held: an object that whitens, colours and knows its determinant."""

from abc import abstractmethod
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from normix_expfam.internal import (
    Array,
    Unbatched,
    binary_unit,
    cholesky,
    describe,
    hook,
    is_on_host,
    namespace_of,
)


class Dispersion(Unbatched):
    """A positive definite matrix Σ = C Cᵀ, seen through what the mixtures need of it.

    Subclasses may hold Σ in any form, for example as factors F Fᵀ + D; C may be any square root.
    """

    def __repr__(self) -> str:
        return describe(self)

    @abstractmethod
    def whiten(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """C⁻¹ x for every row, shape (n, d)."""

    @abstractmethod
    def colour(self, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """C z for every row, shape (n, d)."""

    @abstractmethod
    def half_log_det(self) -> Float[Array, ""]:
        """½ log det Σ."""

    @abstractmethod
    def matrix(self) -> Float[Array, "d d"]:
        """Σ, shape (d, d)."""

    @abstractmethod
    def cholesky(self) -> Float[Array, "d d"]:
        """The lower Cholesky factor of Σ, shape (d, d)."""

    @abstractmethod
    def diagonal(self) -> Float[Array, " d"]:
        """The diagonal of Σ, shape (d,)."""

    @abstractmethod
    def scaled(self, scale: Float[Array, " d"]) -> Self:
        """diag(scale) Σ diag(scale) for scale > 0, shape (d,)."""

    @abstractmethod
    def fitted(self, scatter: Float[Array, "d d"]) -> Self:
        """The dispersion of this form that maximises -½ (log det Σ + tr Σ⁻¹ S).

        An iterative form may improve on itself instead: EM stays monotone.

        Args:
            scatter: S, symmetric positive definite, shape (d, d).
        """

    @hook
    def fitted_to_factor(self, L: Float[Array, "d d"]) -> Self:
        """`fitted` to S = L Lᵀ, for L lower triangular with a positive diagonal."""
        return self.fitted(L @ L.T)

    @hook
    def free(self) -> Any:
        """Booleans in the structure of this object, True for the numbers that are parameters."""
        return jax.tree.map(lambda leaf: np.ones(leaf.shape, bool), self)

    def count_parameters(self) -> int:
        """How many of its numbers are parameters."""
        return sum(int(np.sum(leaf)) for leaf in jax.tree.leaves(self.free()))

    @hook
    def pivots(self) -> Float[Array, " d"]:
        """√(1 - R²) of every component given those before it, shape (d,): L_jj / √Σ_jj."""
        L = self.cholesky()
        xp = namespace_of(L)
        pivots: Array = xp.diagonal(L) / xp.sqrt(self.diagonal())
        return pivots

    def least_pivot(self) -> Float[Array, ""]:
        """The smallest of `pivots`: next to 0 where Σ is singular, nan where it is no matrix."""
        pivots = self.pivots()
        least: Array = namespace_of(pivots).min(pivots)
        return least

    @hook
    def distance(self, other: Self) -> Float[Array, ""]:
        """The largest difference of the Cholesky factors, of row j in units of √Σ_jj."""
        own = self.cholesky()
        xp = namespace_of(own)
        scale = xp.sqrt(self.diagonal())
        largest: Array = xp.max(xp.abs(other.cholesky() - own) / scale[:, None])
        return largest

    def transformed(self, A: Float[Array, "k d"]) -> "DenseDispersion":
        """A Σ Aᵀ for A of full row rank, shape (k, d), without forming it: A L = (Q R)ᵀ."""
        rows = A @ self.cholesky()
        unit = _unit(rows)  # of every row: its squares need not be numbers
        L = DenseDispersion.from_gram((rows / unit).T).L_Sigma
        return DenseDispersion(L * unit)


def norm(x: Float[Array, " d"]) -> Float[Array, ""]:
    """|x|, whether or not its square is a number."""
    unit = _unit(x)
    return jnp.linalg.norm(x / unit) * unit[0]


def _unit(x: Array) -> Array:
    """A power of 2 next to the largest absolute value on the last axis, kept as an axis."""
    xp = namespace_of(x)
    unit: Array = binary_unit(xp.max(xp.abs(x), axis=-1, keepdims=True), xp)
    return unit


_SMALL = 64  # columns up to which SciPy's BLAS would take longer to import than it saves


def whiten_on_host(L: Any, x: Any) -> Any:
    """L⁻¹ of every row of x, shape (n, d), by forward substitution."""
    if len(L) > _SMALL:
        from scipy.linalg.blas import dtrsm

        return dtrsm(1.0, L, x.T, lower=1).T
    z = np.array(x.T, order="C")
    for j, row in enumerate(L):
        if j > 0:
            z[j] -= row[:j] @ z[:j]
        z[j] /= row[j]
    return z.T


@final
class DenseDispersion(Dispersion):
    """Σ = L Lᵀ by its lower Cholesky factor.

    Args:
        L_Sigma: L, shape (d, d), lower triangular with a positive diagonal.

    Examples:
        >>> import jax.numpy as jnp
        >>> from normix_mixtures import DenseDispersion
        >>> held = DenseDispersion.from_matrix(jnp.array([[4.0, 2.0], [2.0, 2.0]]))
        >>> held.L_Sigma.tolist(), round(float(held.half_log_det()), 6)  # log 2
        ([[2.0, 0.0], [1.0, 1.0]], 0.693147)
    """

    L_Sigma: Float[Array, "d d"]

    @classmethod
    def from_matrix(cls, sigma: Float[Array, "d d"]) -> Self:
        """From Σ, symmetric positive definite; nan in the factor where it is not."""
        return cls(cholesky(sigma, namespace_of(sigma)))

    @classmethod
    def from_gram(cls, B: Float[Array, "n d"]) -> Self:
        """Bᵀ B without forming it, which would lose half of the digits; B of full column rank."""
        xp = namespace_of(B)
        R = xp.linalg.qr(B, mode="r")
        sign = xp.where(xp.diagonal(R) < 0, -1.0, 1.0).astype(R.dtype)
        return cls(R.T * sign[None, :])

    def whiten(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        if is_on_host(x):
            return whiten_on_host(self.L_Sigma, x)
        return jax.scipy.linalg.solve_triangular(self.L_Sigma, x.T, lower=True).T

    def colour(self, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return z @ self.L_Sigma.T

    def half_log_det(self) -> Float[Array, ""]:
        xp = namespace_of(self.L_Sigma)
        value: Array = xp.sum(xp.log(xp.diagonal(self.L_Sigma)))
        return value

    def matrix(self) -> Float[Array, "d d"]:
        return self.L_Sigma @ self.L_Sigma.T

    def cholesky(self) -> Float[Array, "d d"]:
        return self.L_Sigma

    def diagonal(self) -> Float[Array, " d"]:
        squares: Array = namespace_of(self.L_Sigma).sum(self.L_Sigma**2, axis=1)
        return squares

    def scaled(self, scale: Float[Array, " d"]) -> Self:
        return type(self)(self.L_Sigma * scale[:, None])

    def fitted(self, scatter: Float[Array, "d d"]) -> Self:
        return self.from_matrix(scatter)

    def fitted_to_factor(self, L: Float[Array, "d d"]) -> Self:
        return type(self)(L)

    def free(self) -> Any:
        return jax.tree.map(lambda leaf: np.tril(np.ones(leaf.shape, bool)), self)
