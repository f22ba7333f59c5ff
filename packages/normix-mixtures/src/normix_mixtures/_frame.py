"""Coordinates about a model in which the likelihood of rows is well conditioned.

EM knows a parameter as well as if Y had been seen. Where rows tell Y as good as exactly, but not
its distribution, it crawls: with |L⁻¹γ| >> 1 a row's component along γ is μ + γ y with next to no
noise, and a step of μ is one of Σ, however far the maximum. Coordinates are therefore those of a
frame K,

    K = L Q diag(1, ..., 1, √(1 + s²)),   Qᵀ L⁻¹γ = s e_d,   K Kᵀ = Σ + γ γᵀ,

in which rows have unit spread whichever of γ and Σ makes it: γ + K g, Σ = K C Cᵀ Kᵀ, and
μ + K (m - g), so that m moves the rows and g their skewness alone, or μ + K m where μ is held. Here
C = diag(1, ..., 1, 1/√(1 + s²)) + T off the diagonal and times exp(T_jj) on it, and the
subordinator on its slice. A step of length 1 is a large one for every model. The likelihood of rows
on one side of a plane may be the higher the less noise C_dd there is along γ. It is smooth in
C_dd² and has its maximum at 0, where no digits are left: C_dd² goes down to √ε. In logarithms
its curvature is of order C_dd². Next to the normal distribution, where Var Y is 1/w, that of g and
of the subordinator is of order 1/w².

The gradient is that of the complete-data likelihood (Fisher's identity: Dempster, Laird & Rubin
1977), from the statistics of an E-step. It is computed on the host by NumPy and SciPy, which need
no compilation.
"""

from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from normix_expfam.internal import Array, is_on_host, namespace_of, to_host, to_jax

from ._dispersion import DenseDispersion
from ._held import Held
from ._joint import JointNormalMixture
from ._law_about_mode import moments
from ._slice import Slice, free_coordinates
from ._statistics import MixtureStatistics

LONGEST = 4.0  # step of a coordinate from a model

Joint = TypeVar("Joint", bound=JointNormalMixture)


class Frame(eqx.Module):
    """Coordinates u = (m, g, T by rows, two of the slice), all 0 at the model."""

    part: Slice
    held: Held
    mu: Float[Array, " d"]
    K: Float[Array, "d d"]
    skew: Float[Array, ""]  # γ = skew · K e_d
    noise: Float[Array, ""]  # C_dd²

    @classmethod
    def at(cls, joint: JointNormalMixture, held: Held) -> "Frame":
        """About a model in the gauge with a dense dispersion."""
        L = np.asarray(joint.dispersion.cholesky(), np.float64)
        whitened = np.linalg.solve(L, np.asarray(joint.gamma, np.float64))
        s = np.linalg.norm(whitened)
        axis = np.zeros_like(whitened)
        axis[-1] = np.copysign(1.0, whitened[-1])
        # a reflection that takes the direction to its own side's axis, without cancellation
        mirror = whitened + s * axis
        length = np.linalg.norm(mirror)
        mirror = mirror / length if length > 0 else axis
        K = L - 2 * np.outer(L @ mirror, mirror)
        K[:, -1] *= -axis[-1] * np.hypot(1, s)
        shared: Any = K, s / np.hypot(1, s), 1 / (1 + s * s)
        parts = shared if is_on_host(joint.mu) else to_jax(shared, joint.mu.dtype)
        return cls(Slice.through(joint, held), held, joint.mu, *parts)

    @property
    def free(self) -> np.ndarray:
        """Which of the coordinates move, shape (k,)."""
        return free_coordinates(self.part, self.mu.shape[0], self.held)

    @property
    def lowest(self) -> Float[np.ndarray, " k"]:
        """How far down each coordinate may go; up it is `LONGEST`."""
        lowest = np.full(len(self.free), -LONGEST)
        least = np.sqrt(np.finfo(self.mu.dtype).eps)
        lowest[-3] = np.clip(np.log(least / float(self.noise)) / 2, -LONGEST, 0.0)
        return lowest

    @property
    def curvature(self) -> Float[np.ndarray, " k"]:
        """Its order of magnitude along each coordinate, for a row."""
        d = self.mu.shape[0]
        curvature = np.ones(len(self.free))
        curvature[-3] = self.noise
        flat = 1 / (1 + float(self.part.a + self.part.b) / 2) ** 2
        curvature[-2:] = flat
        if not self.held.mu:
            curvature[d : 2 * d] = flat
        return curvature

    def moved(self, like: Joint, u: Any) -> Joint:
        """The model at u, of the family of `like`."""
        moved: Joint = (
            _moved(self, like, u)
            if is_on_host(self.mu)
            else _moved_in_jax(self, like, jnp.asarray(u, self.mu.dtype))
        )
        return moved

    def gradient(self, u: Any, statistics: MixtureStatistics) -> Float[np.ndarray, " k"]:
        """∇ log f of a mean row at u, from the statistics of the E-step under that model."""
        d = self.mu.shape[0]
        on_host = to_host(self)
        m, g, C, law = _split(on_host, u)
        slope = on_host.part.slope(u[-2:])
        whiten = np.linalg.inv(np.asarray(self.K, np.float64))
        n = np.asarray(statistics.n, np.float64)
        log_y, inverse_y, y, x, over_y, square = (
            np.asarray(part, np.float64) / n for part in statistics.parts
        )
        # an infinite E Y belongs to a model with γ = 0 and a = 0, where it has no factor but 0
        y = y if np.isfinite(y) else np.zeros_like(y)
        centre = np.asarray(self.mu, np.float64) - np.asarray(statistics.origin, np.float64)
        x = x - centre
        cross = np.outer(over_y, centre)
        square = square - cross - cross.T + inverse_y * np.outer(centre, centre)
        x, over_y = whiten @ x, whiten @ (over_y - inverse_y * centre)
        square = whiten @ square @ whiten.T
        # mean of (x - m - g y)(x - m - g y)ᵀ/y
        mixed = np.outer(over_y, m) + np.outer(x, g) - np.outer(m, g)
        residual = square - mixed - mixed.T + inverse_y * np.outer(m, m) + y * np.outer(g, g)
        inverse = np.linalg.inv(C)
        inner = inverse @ residual @ inverse.T
        on_C = inverse.T @ (inner - np.eye(d))
        on_C[np.diag_indices(d)] *= np.diagonal(C)
        apart = np.stack([over_y - inverse_y * m - g, x - m - y * g], axis=1)
        normal = inverse.T @ (inverse @ apart)
        own_log_y, own_inverse_y, own_y = moments(*law)
        on_law = np.stack([log_y - own_log_y, (own_y - y) / 2, (own_inverse_y - inverse_y) / 2])
        # E Y or E 1/Y may be infinite on a boundary, along which a or b is 0
        moving = np.any(slope != 0, axis=1)
        last = on_law[moving] @ slope[moving]
        on_m, on_g = normal.T
        on_g = on_g if self.held.mu else on_g - on_m
        return np.concatenate([on_m, on_g, on_C[np.tril_indices(d)], last])


def _split(frame: Frame, u: Array) -> tuple[Array, Array, Array, Array]:
    """The moves of μ, γ itself, and C, all in the frame, and (p, a, b)."""
    xp, d = namespace_of(frame.mu), frame.mu.shape[0]
    last = np.arange(d) == d - 1
    # the place of every cell among the coordinates of T
    rows, columns = np.indices((d, d))
    place = np.where(columns <= rows, rows * (rows + 1) // 2 + columns, 0)
    T = xp.tril(u[2 * d : -2][place])
    scale = xp.where(last, xp.sqrt(frame.noise), 1.0)
    C = xp.tril(T, -1) + xp.diag(scale * xp.exp(xp.diagonal(T)))
    g = u[d : 2 * d]
    m = u[:d] if frame.held.mu else u[:d] - g
    g = g + xp.where(last, frame.skew, 0.0)
    return m, g, C, xp.stack(frame.part.at(u[-2:]).as_gig())


def _moved(frame: Frame, like: Any, u: Array) -> Any:
    m, g, C, law = _split(frame, u)
    dispersion = DenseDispersion(C).transformed(frame.K)
    subordinator = like.subordinator_family.from_gig(*law)
    return like._assemble(frame.mu + frame.K @ m, frame.K @ g, dispersion, subordinator)


_moved_in_jax = eqx.filter_jit(_moved)
