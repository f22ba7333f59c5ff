"""The normal distribution with the moments of the data, below which no near-normal fit should end.

Where the tails are those of a normal distribution EM crawls: Y is next to constant, all that moves
is what skewness and kurtosis of the sample happen to be, and the maximum, a fraction of a nat away,
is hundreds of iterations off. Schwarz's criterion then does not distinguish it from a normal one
(Schwarz 1978, Ann. Stat. 6, 461), which is what `likelihood_of_interest` puts in numbers.

Both apply to rows that are nearly normal themselves. Their Mardia kurtosis must not be larger than
that of a member that counts as near-normal, nor the length of the vector E z |z|² of the whitened
rows z (Mori, Rohatgi & Szekely 1994, Theory Probab. Appl. 38, 547), whose components for d = 1 are
the kurtosis and the skewness.
"""

import math
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from normix_expfam.internal import Array, namespace_of
from normix_fit._data import Rows
from normix_mixtures import DenseDispersion, Dispersion, Held, NormalMixture

NEAR = 10.0  # w, beyond which the excess kurtosis of a symmetric member is below 0.4
_LEAST_SPREAD = 1e-8  # Var Y / (E Y)² of the member that stands for the normal distribution
_ERRORS = 3  # standard errors of the kurtosis and the skewness of normal rows
_SINGULAR = 0.75  # power of eps below which a column is all rounding given those before it


class NormalReference(eqx.Module):
    """The normal distribution with mean and covariance of the rows, in a form of dispersion."""

    mean: Float[Array, " d"]
    dispersion: Dispersion
    log_likelihood: Array
    total: Array
    near: Array  # whether the rows are nearly normal

    def likelihood_of_interest(self, model: NormalMixture, held: Held) -> Array:
        """The log-likelihood above which BIC prefers the family of `model` to this one.

        -inf if the rows are not nearly normal: a fit that is there has not got far yet.

        Args:
            model: any member of the family, in this form of dispersion.
            held: what is held in the fit.
        """
        own = model.dimension + self.dispersion.count_parameters()
        more = model.count_parameters(held) - own
        xp = namespace_of(self.total)
        bound: Array = self.log_likelihood + max(more, 0) / 2 * xp.log(self.total)
        return xp.where(self.near, bound, -xp.inf)

    def as_mixture(self, like: NormalMixture) -> NormalMixture:
        """The member of the family of `like` next to it."""
        xp = namespace_of(self.mean)
        eye = xp.eye(self.mean.shape[0], dtype=self.mean.dtype)
        spread = xp.full_like(self.total, _LEAST_SPREAD)
        member = type(like)._of_moments(self.mean, eye, spread, xp.zeros_like(self.mean))
        return member.with_dispersion(self.dispersion).normalize()


def normal_reference(rows: Rows, like: Dispersion) -> NormalReference:
    """The one of the rows; its likelihood is nan where their covariance is singular.

    Args:
        rows: the data.
        like: a dispersion of the form in which the covariance is held.
    """
    return (_reference if rows.namespace is np else _reference_in_jax)(rows, like)


def _reference(rows: Rows, like: Dispersion) -> NormalReference:
    xp = rows.namespace
    n, d = rows.total, rows.dimension
    mean = rows.reduce(lambda X, w: w @ X) / n
    full = DenseDispersion(rows.scatter_factor(mean))
    dispersion = like.fitted_to_factor(full.cholesky())

    def of_block(X: Array, w: Array) -> Any:
        centred = X - mean[None, :]
        z = full.whiten(centred)
        square = xp.sum(z * z, axis=1)
        distance = xp.sum(dispersion.whiten(centred) ** 2, axis=1)
        return w @ distance, w @ square**2, (w * square) @ z

    distance, fourth, third = rows.reduce(of_block)
    constant = dispersion.half_log_det() + d / 2 * math.log(2 * math.pi)
    log_likelihood = -n * constant - distance / 2
    regular = full.least_pivot() > xp.finfo(rows.dtype).eps ** _SINGULAR
    log_likelihood = xp.where(regular, log_likelihood, xp.nan)

    unit = d * (d + 2)
    spread = fourth / n / unit - 1  # Var Y / (E Y)² that kurtosis would come from
    skewness = xp.sum((third / n) ** 2) / unit
    # for normal rows n d / 2 times skewness is χ² with d degrees of freedom
    error = xp.sqrt(8 / unit / n)
    chance = 2 / n * (1 + _ERRORS * math.sqrt(2 / d))
    near = (spread < 1 / NEAR + _ERRORS * error) & (skewness < 1 / NEAR + chance)
    return NormalReference(mean, dispersion, log_likelihood, n, near)


_reference_in_jax = eqx.filter_jit(_reference)


def is_near_normal(model: NormalMixture) -> Array:
    """Whether Y is nearly constant; the model is in the gauge."""
    return model.flags().concentration > NEAR
