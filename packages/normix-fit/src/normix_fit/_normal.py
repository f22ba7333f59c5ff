"""The normal law with the moments of the data, below which no fit should end.

Where the tails are those of a normal law EM crawls: Y is next to constant, all that moves is what
skewness and kurtosis of the sample happen to be, and the maximum, a fraction of a nat away, is
hundreds of iterations off. The law is then not told from a normal one by Schwarz's criterion
(Schwarz 1978, Ann. Stat. 6, 461), which is what `likelihood_of_interest` puts in numbers.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from normix_mixtures import NormalMixture

from ._map import Data

_NEAR = 10.0  # w, beyond which the excess kurtosis of a symmetric law is below 0.4
_LEAST_SPREAD = 1e-8  # Var Y / (E Y)² of the law that stands for the normal one


class NormalLaw(eqx.Module):
    """The normal law with mean and covariance of the rows."""

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    log_likelihood: Array
    total: Array
    spread: Array  # Var Y / (E Y)² that Mardia's kurtosis of the rows would have

    def likelihood_of_interest(self, model: NormalMixture, held: int) -> Array:
        """The log-likelihood above which BIC prefers the family of `model` to the normal law.

        -inf if the kurtosis of the rows is not near that of a normal law: then a fit that is there
        has not got far yet.

        Args:
            model: any member of the family.
            held: how many of its parameters are held.
        """
        d = model.dimension
        more = model.n_parameters - held - (d + d * (d + 1) // 2)
        bound = self.log_likelihood + max(more, 0) / 2 * jnp.log(self.total)
        error = jnp.sqrt(8 / (d * (d + 2)) / self.total)  # of the spread, for normal rows
        return jnp.where(self.spread < 1 / _NEAR + 3 * error, bound, -jnp.inf)

    def as_mixture(self, like: NormalMixture) -> NormalMixture:
        """The member of the family of `like` next to it."""
        law = type(like).from_moments(self.mean, self.covariance, spread=_LEAST_SPREAD)
        return law.normalize()


@eqx.filter_jit
def normal_law(data: Data) -> NormalLaw:
    """That of the rows; its likelihood is nan where their covariance is singular."""
    n, d = data.total, data.X.shape[1]
    w = jnp.ones_like(data.X[:, 0]) if data.weights is None else data.weights
    mean = w @ data.X / n
    X = data.X - mean[None, :]
    covariance = X.T @ (X * w[:, None]) / n
    L = jnp.linalg.cholesky(covariance)
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(L)))
    log_likelihood = -n * (half_log_det + d / 2 * (math.log(2 * math.pi) + 1))
    z = jax.scipy.linalg.solve_triangular(L, X.T, lower=True)
    kurtosis = w @ jnp.sum(z * z, axis=0) ** 2 / n
    return NormalLaw(mean, covariance, log_likelihood, n, kurtosis / (d * (d + 2)) - 1)


def is_near_normal(model: NormalMixture) -> Array:
    """Whether Y is nearly constant; the model is in the gauge."""
    _, a, b = model.joint.subordinator_as_gig()
    return (a + b) / 2 > _NEAR
