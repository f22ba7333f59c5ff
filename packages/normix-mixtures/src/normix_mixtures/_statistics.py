"""What the E-step hands to the M-step: posterior moments per row, and their additive sums."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class PosteriorMoments(NamedTuple):
    """Moments of the subordinator given each row, with the row's log-density; shapes (n,)."""

    log_prob: Float[Array, " n"]  # log f(x)
    log_y: Float[Array, " n"]  # E [log Y | x]
    inverse_y: Float[Array, " n"]  # E [1/Y | x]
    y: Float[Array, " n"]  # E [Y | x]


class MixtureStatistics(NamedTuple):
    """Sums over rows of the expected sufficient statistics of (X, Y); they add."""

    n: Float[Array, ""]  # number of rows, or the sum of weights
    log_y: Float[Array, ""]  # Σ E log Y
    inverse_y: Float[Array, ""]  # Σ E 1/Y
    y: Float[Array, ""]  # Σ E Y
    x: Float[Array, " d"]  # Σ x
    x_inverse_y: Float[Array, " d"]  # Σ x E 1/Y
    xx_inverse_y: Float[Array, "d d"]  # Σ x xᵀ E 1/Y

    @classmethod
    def from_rows(
        cls,
        X: Float[Array, "n d"],
        expectations: PosteriorMoments,
        weights: Float[Array, " n"] | None = None,
    ) -> "MixtureStatistics":
        """Sums over the rows of X, shape (n, d), each times its weight, shape (n,), if given."""
        _, log_y, inverse_y, y = expectations
        w = jnp.ones_like(y) if weights is None else weights
        weighted = X * (w * inverse_y)[:, None]
        return cls(
            jnp.sum(w), w @ log_y, w @ inverse_y, w @ y, w @ X,
            jnp.sum(weighted, axis=0), X.T @ weighted,
        )  # fmt: skip

    def merged(self, other: "MixtureStatistics") -> "MixtureStatistics":
        """The statistics of both sets of rows together."""
        return MixtureStatistics(*(a + b for a, b in zip(self, other, strict=True)))
