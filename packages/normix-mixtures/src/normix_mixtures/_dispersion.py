"""How the dispersion Σ is held: an object that whitens, colours and knows its determinant."""

from abc import abstractmethod
from typing import Self, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Dispersion(eqx.Module):
    """A positive definite matrix Σ = C Cᵀ, seen through what the mixtures need of it."""

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


@final
class DenseDispersion(Dispersion):
    """Σ = L Lᵀ by its lower Cholesky factor.

    Args:
        L_Sigma: L, shape (d, d), lower triangular with a positive diagonal.
    """

    L_Sigma: Float[Array, "d d"]

    @classmethod
    def from_matrix(cls, sigma: Float[Array, "d d"]) -> Self:
        """From Σ, symmetric positive definite; nan in the factor where it is not."""
        return cls(jnp.linalg.cholesky(sigma))

    def whiten(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return jax.scipy.linalg.solve_triangular(self.L_Sigma, x.T, lower=True).T

    def colour(self, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return z @ self.L_Sigma.T

    def half_log_det(self) -> Float[Array, ""]:
        return jnp.sum(jnp.log(jnp.diagonal(self.L_Sigma)))

    def matrix(self) -> Float[Array, "d d"]:
        return self.L_Sigma @ self.L_Sigma.T

    def cholesky(self) -> Float[Array, "d d"]:
        return self.L_Sigma

    def diagonal(self) -> Float[Array, " d"]:
        return jnp.sum(self.L_Sigma**2, axis=1)

    def scaled(self, scale: Float[Array, " d"]) -> Self:
        return type(self)(self.L_Sigma * scale[:, None])
