"""The E-step in NumPy and BLAS: blocks of rows that fit the cache, one table of Bessel functions.

All rows have one posterior order, so that all that is asked of the Bessel functions is a function
of one variable, of which `normix_bessel` makes a table once per E-step.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from normix_expfam import mode_of_log

from ._joint import JointNormalMixture
from ._law_about_mode import Table, in_the_limit, log_mass
from ._posterior_of_rows import Gauged, at_mode, moments
from ._statistics import PosteriorMoments

_CELLS = 1 << 17  # in a block, 1 MB
_LEAST, _MOST = 512, 8192  # rows in a block
_FAR = 100.0  # of s along: beyond it the square of the rest is summed, not taken as a difference


def blocks(n: int, d: int) -> Iterator[slice]:
    """Slices of n rows of d columns that fit the cache."""
    size = min(max(_CELLS // d, _LEAST), _MOST)
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


class RowsGiven:
    """What is known of Y given rows, for one joint distribution with arrays of NumPy."""

    def __init__(self, joint: JointNormalMixture) -> None:
        self._scale: Any = np.float64(mode_of_log(*joint.subordinator_as_gig()))
        factor: Any = 1 / self._scale
        joint = joint.rescaled_subordinator(factor)
        p, a, b = (np.float64(value) for value in joint.subordinator_as_gig())
        self.joint = joint
        skew = np.asarray(joint.dispersion.whiten(joint.gamma[None, :])[0])
        s = float(np.linalg.norm(skew))
        self._unit = skew / s if s > 0 else skew
        self._of = Gauged(
            p, a, b, log_mass(p, a, b, np), s, float(joint.dispersion.half_log_det()), len(skew)
        )
        self._table = Table(float(self._of.order))

    def moments(self, X: Any) -> PosteriorMoments:
        """E log Y, E 1/Y, E Y given each of a block of rows, in the scale of Y as it was given."""
        with np.errstate(all="ignore"):
            at = at_mode(self._of, *self._components(X - self.joint.mu), np)
            return moments(self._of, at, self._look_up(at.B), self._scale, np)

    def _components(self, centred: Any) -> tuple[Any, Any]:
        """Of whitened rows the component along L⁻¹γ, and the square of the rest."""
        z = self.joint.dispersion.whiten(centred)
        s = self._of.s
        along = z @ self._unit
        if s * np.max(np.abs(along)) > _FAR:
            z -= np.outer(along, self._unit)
            return along, np.einsum("ij,ij->i", z, z)
        square = np.einsum("ij,ij->i", z, z)
        return along, np.maximum(square - along * along, 0.0)

    def _look_up(self, B: Any) -> Any:
        A, v = self._of.rate, self._of.order
        inside = (A > 0) & (B > 0)
        if inside.all():
            return self._table.look_up(np.sqrt(A) * np.sqrt(B))
        limit = in_the_limit(np.float64(v), np)
        found = tuple(np.full_like(B, value) for value in limit)
        if inside.any():
            looked = self._table.look_up(np.sqrt(A) * np.sqrt(B[inside]))
            for whole, part in zip(found, looked, strict=True):
                whole[inside] = part
        return found


def posterior_on_host(joint: JointNormalMixture, X: Any) -> PosteriorMoments:
    """E log Y, E 1/Y, E Y given each row of X, shape (n, d), and the row's log-density."""
    if len(X) == 0:
        return PosteriorMoments(*(np.empty((4, 0))))
    given = RowsGiven(joint)
    parts = [given.moments(X[rows]) for rows in blocks(*X.shape)]
    whole: Any = (np.concatenate(part) for part in zip(*parts, strict=True))
    return PosteriorMoments(*whole)


def log_prob_on_host(joint: JointNormalMixture, X: Any) -> Any:
    """log f of every row of X, shape (n, d); -inf at ±inf."""
    given = RowsGiven(joint)
    found = np.empty(len(X))
    for rows in blocks(*X.shape):
        infinite = np.any(np.isinf(X[rows]), axis=1)
        block = np.where(infinite[:, None], 0.0, X[rows]) if infinite.any() else X[rows]
        found[rows] = np.where(infinite, -np.inf, given.moments(block).log_prob)
    return found
