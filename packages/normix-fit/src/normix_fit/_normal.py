"""The normal law with the moments of the data, below which no fit should end.

Where the tails are those of a normal law EM crawls: Y is next to constant, all that moves is what
skewness and kurtosis of the sample happen to be, and the maximum, a fraction of a nat away, is
hundreds of iterations off. The law is then not told from a normal one by Schwarz's criterion
(Schwarz 1978, Ann. Stat. 6, 461), which is what `likelihood_of_interest` puts in numbers.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_mixtures import NormalMixture

from ._map import Data

_NEAR = 10.0  # w, beyond which the excess kurtosis of a symmetric law is below 0.4
_LEAST_SPREAD = 1e-8  # Var Y / (E Y)² of the law that stands for the normal one


class NormalLaw(eqx.Module):
    """The normal law with mean 0 and the covariance of standardised rows."""

    covariance: Float[Array, "d d"]
    log_likelihood: Array
    total: Array

    def likelihood_of_interest(self, model: NormalMixture, held: int) -> Array:
        """The log-likelihood above which BIC prefers the family of `model` to the normal law.

        Args:
            model: any member of the family.
            held: how many of its parameters are held.
        """
        d = model.dimension
        more = model.n_parameters - held - (d + d * (d + 1) // 2)
        return self.log_likelihood + max(more, 0) / 2 * jnp.log(self.total)

    def as_mixture(self, like: NormalMixture) -> NormalMixture:
        """The member of the family of `like` next to it."""
        mean = np.zeros(self.covariance.shape[0], self.covariance.dtype)
        return type(like).from_moments(mean, self.covariance, spread=_LEAST_SPREAD).normalize()


@eqx.filter_jit
def normal_law(data: Data) -> NormalLaw:
    """That of the rows; its likelihood is nan where their covariance is singular."""
    n, d = data.total, data.X.shape[1]
    W = data.X if data.weights is None else data.X * data.weights[:, None]
    covariance = data.X.T @ W / n
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(covariance))))
    log_likelihood = -n * (half_log_det + d / 2 * (np.log(2 * np.pi) + 1))
    return NormalLaw(covariance, log_likelihood, n)


def is_near_normal(model: NormalMixture) -> Array:
    """Whether Y is nearly constant; the model is in the gauge."""
    _, a, b = model.joint.subordinator_as_gig()
    return (a + b) / 2 > _NEAR
