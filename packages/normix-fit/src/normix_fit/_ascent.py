"""Ascent of the observed log-likelihood by L-BFGS, where EM crawls.

EM knows a parameter as well as if Y had been seen. Where rows tell Y as good as exactly, but not
its law, it crawls: with |L⁻¹γ| >> 1 a row's component along γ is μ + γ y with next to no noise, and
a step of μ is one of Σ, however far the maximum. Coordinates are therefore those of a frame K,

    K = L Q diag(1, ..., 1, √(1 + s²)),   Qᵀ L⁻¹γ = s e_d,   K Kᵀ = Σ + γ γᵀ,

in which rows have unit spread whichever of γ and Σ makes it: γ + K g, Σ = K C Cᵀ Kᵀ, and
μ + K (m - g), so that m moves the rows and g their skewness alone, or μ + K m where μ is held. Here
C = diag(1, ..., 1, 1/√(1 + s²)) + T off the diagonal and times exp(T_jj) on it, and the
subordinator on its slice. A step of length 1 is a large one for every law. The likelihood of rows
on one side of a plane may be the higher the less noise C_dd there is along γ. It is smooth in
C_dd² and has its maximum at 0, where no digits are left: ascents end at C_dd² = √ε. In logarithms
its curvature is of order C_dd². Next to the normal distribution, where Var Y is 1/w, that of g and
of the subordinator is of order 1/w².

The gradient is that of the complete-data likelihood (Fisher's identity: Dempster, Laird & Rubin
1977), so an evaluation is an E-step, and the program of the EM loop does it. All else,
the test of the gradient at the end of EM included, is done on the host by NumPy and SciPy, which
need no compilation.
"""

import contextlib
from collections.abc import Callable, Collection
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from normix_expfam import gig_moments
from normix_mixtures import DenseDispersion, NormalMixture

from ._coordinates import Slice, free_coordinates, slice_of

_FLAT = 0.01  # of the usual curvature, the least
_LONGEST = 4.0  # step of a coordinate in one ascent
_PAIRS = 30  # that L-BFGS remembers
_WORSE = 1e3  # nats below the start, for what has no likelihood


class Frame(eqx.Module):
    """Coordinates u = (m, g, T by rows, two of the slice) about a model in the gauge."""

    law: Slice
    pinned: bool = eqx.field(static=True)  # whether μ is held
    mu: Float[Array, " d"]
    K: Float[Array, "d d"]
    skew: Float[Array, ""]  # γ = skew · K e_d
    noise: Float[Array, ""]  # C_dd²

    @classmethod
    def at_model(cls, model: NormalMixture, fixed: Collection[str]) -> "Frame":
        """With the model at u = 0."""
        import scipy.linalg

        L = np.asarray(model.joint.dispersion.cholesky(), np.float64)
        whitened = scipy.linalg.solve_triangular(L, np.asarray(model.gamma, np.float64), lower=True)
        s = np.linalg.norm(whitened)
        axis = np.zeros_like(whitened)
        axis[-1] = np.copysign(1.0, whitened[-1])
        # a reflection that takes the direction to its own side's axis, without cancellation
        mirror = whitened + s * axis
        length = np.linalg.norm(mirror)
        mirror = mirror / length if length > 0 else axis
        K = L - 2 * np.outer(L @ mirror, mirror)
        K[:, -1] *= -axis[-1] * np.hypot(1, s)
        law = slice_of(model, fixed)
        dtype = model.mu.dtype
        return cls(
            law, "mu" in fixed, model.mu, jnp.asarray(K, dtype),
            jnp.asarray(s / np.hypot(1, s), dtype), jnp.asarray(1 / (1 + s * s), dtype),
        )  # fmt: skip

    @property
    def lowest(self) -> Float[np.ndarray, " k"]:
        """How far down each coordinate may go."""
        d, noise = self.mu.shape[0], float(self.noise)
        lowest = np.full(2 * d + d * (d + 1) // 2 + 2, -_LONGEST)
        least = np.sqrt(np.finfo(self.mu.dtype).eps)
        lowest[-3] = np.clip(np.log(least / noise) / 2, -_LONGEST, 0.0)
        return lowest

    @property
    def curvature(self) -> Float[np.ndarray, " k"]:
        """Its order of magnitude along each coordinate, for a row."""
        d = self.mu.shape[0]
        curvature = np.ones(2 * d + d * (d + 1) // 2 + 2)
        curvature[-3] = self.noise
        flat = 1 / (1 + float(self.law.a + self.law.b) / 2) ** 2
        curvature[-2:] = flat
        if not self.pinned:
            curvature[d : 2 * d] = flat
        return curvature

    def moved(self, like: NormalMixture, u: Float[Array | np.ndarray, " k"]) -> NormalMixture:
        """The model at u, of the family of `like`."""
        model: NormalMixture = _moved(self, like, jnp.asarray(u, self.mu.dtype))
        return model

    def gradient(
        self, u: Float[np.ndarray, " k"], eta: Float[np.ndarray, " e"]
    ) -> Float[np.ndarray, " k"]:
        """∇ log f of a mean row at u, from the mean statistics η of the E-step under that model."""
        import scipy.linalg

        d = self.mu.shape[0]
        m, g, C, law, slope = (
            np.asarray(part, np.float64) for part in _parts(self, jnp.asarray(u, self.mu.dtype))
        )
        whiten = scipy.linalg.inv(np.asarray(self.K, np.float64))
        centre = np.asarray(self.mu, np.float64)
        log_y, inverse_y, y = eta[:3]
        # an infinite E Y belongs to a law with γ = 0 and a = 0, where it has no factor but 0
        y = y if np.isfinite(y) else 0.0
        x, over_y = eta[3 : 3 + d] - centre, eta[3 + d : 3 + 2 * d]
        cross = np.outer(over_y, centre)
        square = eta[3 + 2 * d :].reshape(d, d) - cross - cross.T
        square = square + inverse_y * np.outer(centre, centre)
        x, over_y = whiten @ x, whiten @ (over_y - inverse_y * centre)
        square = whiten @ square @ whiten.T
        # mean of (x - m - g y)(x - m - g y)ᵀ/y
        mixed = np.outer(over_y, m) + np.outer(x, g) - np.outer(m, g)
        residual = square - mixed - mixed.T + inverse_y * np.outer(m, m) + y * np.outer(g, g)
        inner = scipy.linalg.solve_triangular(C, residual, lower=True)
        inner = scipy.linalg.solve_triangular(C, inner.T, lower=True)
        on_C = scipy.linalg.solve_triangular(C, inner - np.eye(d), lower=True, trans="T")
        on_C[np.diag_indices(d)] *= np.diagonal(C)
        normal = scipy.linalg.cho_solve(
            (C, True), np.stack([over_y - inverse_y * m - g, x - m - y * g], axis=1)
        )
        own = gig_moments(*law, backend="cpu")
        on_law = np.stack([log_y - own.log_y, (own.y - y) / 2, (own.inverse_y - inverse_y) / 2])
        # E Y or E 1/Y may be infinite on a boundary, along which a or b is 0
        moving = np.any(slope != 0, axis=1)
        last = on_law[moving] @ slope[moving]
        on_m, on_g = normal.T
        on_g = on_g if self.pinned else on_g - on_m
        return np.concatenate([on_m, on_g, on_C[np.tril_indices(d)], last])


def _split(frame: Frame, u: Array) -> tuple[Array, Array, Array, Array]:
    """The moves of μ, γ itself, and C, all in the frame, and (p, a, b)."""
    d = frame.mu.shape[0]
    T = jnp.zeros_like(frame.K).at[np.tril_indices(d)].set(u[2 * d : -2])
    scale = jnp.ones_like(frame.mu).at[-1].set(jnp.sqrt(frame.noise))
    C = jnp.tril(T, -1) + jnp.diag(scale * jnp.exp(jnp.diagonal(T)))
    g = u[d : 2 * d]
    m = u[:d] if frame.pinned else u[:d] - g
    return m, g.at[-1].add(frame.skew), C, jnp.stack(frame.law.at(u[-2:]).as_gig())


@jax.jit
def _parts(frame: Frame, u: Array) -> tuple[Array, Array, Array, Array, Array]:
    """As `_split`, and the derivative of (p, a, b) in the last two coordinates."""
    slope = jax.jacfwd(lambda last: jnp.stack(frame.law.at(last).as_gig()))(u[-2:])
    return *_split(frame, u), slope


@eqx.filter_jit
def _moved(frame: Frame, like: NormalMixture, u: Array) -> NormalMixture:
    m, g, C, law = _split(frame, u)
    parts = (
        frame.mu + frame.K @ m, frame.K @ g, DenseDispersion(C).transformed(frame.K),
        like.joint.subordinator_family.from_gig(*law),
    )  # fmt: skip

    moved: NormalMixture = eqx.tree_at(
        lambda law: (
            law.joint.mu, law.joint.gamma, law.joint.dispersion, law.joint.subordinator,
        ),
        like,
        parts,
    )  # fmt: skip
    return moved


class Point(NamedTuple):
    """A model with its log-likelihood, and the mean statistics η under it."""

    model: NormalMixture
    log_likelihood: float
    eta: Float[np.ndarray, " e"]


def unexplained(point: Point, total: float, fixed: Collection[str]) -> float:
    """At most so many nats are left to gain, if no coordinate of the frame is nearly flat.

    Σ g²/2c of the gradient g, with the curvature c a hundredth of its order of magnitude, but of
    each coordinate at most g times the way that it can go.
    """
    frame = Frame.at_model(point.model, fixed)
    free = free_coordinates(frame.law, point.model.dimension, fixed)
    slope = frame.gradient(np.zeros(len(free)), point.eta)
    way = np.where(slope < 0, -frame.lowest, _LONGEST)
    with np.errstate(over="ignore"):  # the way is the bound then
        gains = np.minimum(slope * slope / (2 * _FLAT * frame.curvature), np.abs(slope) * way)
    return float(total * np.sum(gains[free]))


class _SpentError(Exception):
    """The evaluations are used up."""


def ascend(
    start: Point,
    evaluate: Callable[[NormalMixture], Point],
    total: float,
    fixed: Collection[str],
    most: int,
    gain_tol: float,
) -> int:
    """Climb from `start` with at most `most` evaluations, and return their number.

    Args:
        start: where to begin.
        evaluate: computes the E-step under a model, and keeps what it wants to keep; the
            log-likelihood is -inf where EM cannot continue from the model.
        total: number of rows, or the sum of weights.
        fixed: what is held, "gamma" for a symmetric fit.
        most: evaluations.
        gain_tol: nats; the ascent ends when it gains less in a step.
    """
    import scipy.optimize

    frame = Frame.at_model(start.model, fixed)
    free = free_coordinates(frame.law, start.model.dimension, fixed)
    # in these units the curvature is of order 1
    unit = np.sqrt(total * frame.curvature[free])
    spent = 0

    def fallen(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal spent
        u = np.zeros(len(free))
        u[free] = x / unit
        point = start
        if np.any(x != 0):
            if spent == most:
                raise _SpentError
            spent += 1
            point = evaluate(frame.moved(start.model, u))
        if not np.isfinite(point.log_likelihood):
            return _WORSE, np.zeros_like(x)
        slope = frame.gradient(u, point.eta)[free]
        return start.log_likelihood - point.log_likelihood, -total / unit * slope

    with contextlib.suppress(_SpentError):
        scipy.optimize.minimize(
            fallen,
            np.zeros(np.count_nonzero(free)),
            jac=True,
            method="L-BFGS-B",
            # bounds on all make the first step one of the gradient in these units
            bounds=scipy.optimize.Bounds(unit * frame.lowest[free], unit * _LONGEST),
            options={
                "maxcor": _PAIRS, "maxiter": most, "maxfun": most,
                "ftol": gain_tol / 10, "gtol": np.sqrt(gain_tol) / 30,
            },
        )  # fmt: skip
    return spent
