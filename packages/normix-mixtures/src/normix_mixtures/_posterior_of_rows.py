"""Y given each row, and the density of the row, for a model in the gauge of `normalize`.

In the gauge a = w + p and b = w - p, and every row has the same posterior order v = p - d/2:
Y | x ~ GIG(v, A, B), A = a + s², B = b + Q (McNeil, Frey & Embrechts 2005, section 3.2.3). Here
s = |L⁻¹γ|, and the whitened row z = L⁻¹(x - μ) enters by its component along L⁻¹γ and the square
of the rest, Q = along² + across. With W² = v² + A B and the mode y0 of log Y given x,

    log f = log C(x) - log C - δ + v log y0 - ½ log det Σ - (d/2) log 2π,

δ = W - c - w, c = s along.

C is the mass of log Y about its mode (`normix_bessel.KvMoments.log_mass`), given x and before. No
other term is larger than the density asks for: where c > 0,

    δ (W + c + w) = v² - p² + A across + (along - s) (a (along - s) + 2 p s),

which is next to 0 where δ is, and elsewhere δ = (W - w) + |c|. log y0 comes from y0 - 1 = (v + W)/A
- 1 = (W - w - s² - d/2)/A, or for v < 0 from B/(W - v) - 1 = (Q - (W - w) - d/2)/(W - v).
"""

import math
from typing import Any, NamedTuple

from ._statistics import PosteriorMoments


class Gauged(NamedTuple):
    """What all rows have in common: numbers, in the gauge."""

    p: Any
    a: Any
    b: Any
    log_mass: Any  # of log Y about its mode
    s: Any  # |L⁻¹γ|
    half_log_det: Any
    d: int

    @property
    def order(self) -> Any:
        """v."""
        return self.p - self.d / 2

    @property
    def rate(self) -> Any:
        """A."""
        return self.a + self.s * self.s


class AtMode(NamedTuple):
    """Of log Y given each row, shapes (n,)."""

    B: Any
    W: Any
    mode: Any  # y0
    log_mode: Any
    fall: Any  # δ


def at_mode(of: Gauged, along: Any, across: Any, xp: Any) -> AtMode:
    """The mode of log Y given each row, and the exponent of the density there."""
    p, s, d, v, A = of.p, of.s, of.d, of.order, of.rate
    w = (of.a + of.b) / 2
    Q = along * along + across
    B = of.b + Q
    W = xp.sqrt(v * v + A * B)
    between = d / 2 * (d / 2 - 2 * p)  # v² - p²
    risen = (between + s * s * of.b + A * Q) / (W + w)  # W - w
    c = s * along
    apart = along - s
    gap = between + A * across + apart * (of.a * apart + 2 * p * s)
    fall = xp.where(c > 0, gap / (W + xp.abs(c) + w), risen - c)
    above = v > 0
    top, bottom = xp.where(above, v + W, B), xp.where(above, A, W - v)
    less = xp.where(above, risen - s * s, Q - risen) - d / 2
    near = xp.abs(less) < 0.5 * bottom
    mode = top / bottom
    log_mode = xp.where(near, xp.log1p(xp.where(near, less, 0.0) / bottom), xp.log(mode))
    return AtMode(B, W, mode, log_mode, fall)


def log_density(of: Gauged, at: AtMode, mass: Any, xp: Any) -> Any:
    """log f of every row, from log C(x) + ½ log W."""
    constant = of.log_mass + of.half_log_det + of.d / 2 * math.log(2 * math.pi)
    return mass - xp.log(at.W) / 2 - at.fall + of.order * at.log_mode - constant


def moments(
    of: Gauged, at: AtMode, found: tuple[Any, ...], scale: Any, xp: Any
) -> PosteriorMoments:
    """log f, E log Y, E 1/Y and E Y given each row, with their limits at a pole.

    Args:
        of: what the rows have in common.
        at: of the rows.
        found: log C(x) + ½ log W, log E e^u, log E e^-u and E u about the mode.
        scale: Y as it was given, in units of Y in the gauge.
        xp: jax.numpy or numpy.
    """
    mass, up, down, shift = found
    pole = (of.b == 0) & (of.order <= 0) & (at.B == 0)
    values = (
        log_density(of, at, mass, xp),
        at.log_mode + shift + xp.log(scale),
        xp.exp(down) / at.mode / scale,
        at.mode * xp.exp(up) * scale,
    )
    limits = xp.inf, -xp.inf, xp.inf, 0.0
    pairs = zip(limits, values, strict=True)
    return PosteriorMoments(*(xp.where(pole, limit, value) for limit, value in pairs))
