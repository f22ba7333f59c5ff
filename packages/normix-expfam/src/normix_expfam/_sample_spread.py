"""Mean and spread of positive data, from differences of the data and not of their mean statistics.

log E Y - E log Y and E Y · E 1/Y - 1 are as small as the squared coefficient of variation. Means of
log y, 1/y and y hold them to rounding of terms of size 1; sums over y/m - 1, m the mean, hold them
with all their digits. An exponential family of positive data needs nothing else for its fit.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._kl_term import kl_term


class Spread(NamedTuple):
    """Of one set of positive data, three numbers."""

    mean: Any
    """E Y."""

    log_gap: Any
    """log E Y - E log Y >= 0."""

    excess: Any
    """E Y · E 1/Y - 1 >= 0."""

    @property
    def inverse_mean(self) -> Any:
        """E 1/Y."""
        return (1 + self.excess) / self.mean


def binary_unit(size: Any, xp: Any = jnp) -> Any:
    """The power of 2 in (size/2, size], by which quotients are exact; 1 where the size is 0."""
    size = xp.where(size > 0, size, 1.0)
    if xp is jnp:
        size = jax.lax.stop_gradient(size)
    return size / (2 * xp.frexp(size)[0])


def spread(y: Any, weights: Any, xp: Any = jnp) -> Spread:
    """The spread of y > 0, shape (n,), with weights of that shape or None.

    It is 0 exactly where all values of positive weight are equal.
    """
    if weights is None:
        share = xp.full_like(y, 1 / y.shape[0])
    else:
        # in units of the largest: sums of large weights need not be numbers
        share = weights / xp.max(weights)
        share = share / xp.sum(share)
    # in a unit in which sums stay numbers
    largest = xp.max(xp.where(share > 0, y, 0.0))
    unit = binary_unit(largest, xp)
    y, top = y / unit, largest / unit
    # again about the first mean, which is near the largest value to rounding of that
    mean = top + share @ (y - top)
    mean = mean + share @ (y - mean)
    apart = y - mean
    ratio = apart / mean
    log_gap = share @ kl_term(xp.ones_like(y), y / mean, apart, mean, xp.log(y / mean), xp)
    excess = share @ (ratio * (apart / y))
    # the mean is rounded, by the fraction -e: of data that vary in their last digits it matters
    e = share @ ratio
    return Spread(unit * mean, log_gap - e * e / 2, excess * (1 + e) - e * e)
