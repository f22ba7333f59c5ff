"""Debye's uniform expansion: log(e^z K_v(z)) without an exponential, where hypot(v, z) is large.

With w = hypot(v, z), p = v/w and t0 = asinh(v/z) (DLMF 10.41.4, whose sum is e^L)

    log K_v(z) = v t0 - w + ½ log π/2 + G,   G = L(ξ, p²) - ½ log w,   ξ = limit / w.

L is a polynomial that tools/expansion_coefficients.py fits for w from a limit on: its error is
5e-18, with half of the terms in 1/w that the expansion would need. Slopes and moments are
derivatives of G. Every function takes the table of its coefficients: that from 64 on is half as
long as that from 25 on.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ._saddle import saddle_point
from ._uniform_tables import FROM_25, Table


def _raised(terms: list[jax.Array], x: jax.Array, order: int) -> list[jax.Array]:
    """(x + δ) Σ terms[i] δ^i up to δ^order."""
    inner = [x * a + below for a, below in zip(terms[1:], terms, strict=False)]
    return [x * terms[0], *inner, terms[-1]][: order + 1]


def _taylor(xi: jax.Array, s: jax.Array, table: Table, order: int) -> list[list[jax.Array]]:
    """[j][i]: the coefficient of δξ^i δs^j in L(ξ + δξ, s + δs), i + j <= order."""
    found: list[list[jax.Array]] = [[] for _ in range(order + 1)]
    for coefficients in reversed(table.coefficients):
        of_s = [jnp.full_like(s, coefficients[-1])]
        for c in coefficients[-2::-1]:
            first, *rest = _raised(of_s, s, order)
            of_s = [first + c, *rest]
        found = [_raised(terms, xi, order - j) if terms else [] for j, terms in enumerate(found)]
        for j, term in enumerate(of_s):
            first, *rest = found[j] or [jnp.zeros_like(s)]
            found[j] = [first + term, *rest]
    return [_raised(terms, xi, order - j) for j, terms in enumerate(found)]


Sums = Callable[[jax.Array, jax.Array], list[list[jax.Array]]]


def _materialised(sums: Sums) -> Sums:
    """The same where any ξ <= 1: the condition keeps XLA from taking them anew in every result."""

    def evaluate(xi: jax.Array, s: jax.Array) -> list[list[jax.Array]]:
        shapes = jax.eval_shape(sums, xi, s)
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.cond(jnp.any(xi <= 1), sums, lambda *_: nothing, xi, s)

    return evaluate


class _Point(NamedTuple):
    """A point of the domain, and G there: with its slopes w ∂G/∂w and ∂G/∂p."""

    t0: jax.Array
    w: jax.Array
    xi: jax.Array
    p: jax.Array  # v/w
    r: jax.Array  # z/w
    taylor: list[list[jax.Array]]  # of L
    log_kve: jax.Array

    @property
    def along_w(self) -> jax.Array:
        return -(0.5 + self.xi * self.taylor[0][1])

    @property
    def along_p(self) -> jax.Array:
        return 2 * self.p * self.taylor[1][0]

    @property
    def gap(self) -> jax.Array:
        """1 - p."""
        return self.r * self.r / (1 + self.p)

    def means(self) -> tuple[jax.Array, ...]:
        """Of u, f and g, with λ, a and b as in `covariance`: E u = ∂λ G, E f = -∂a G, E g = -∂b G.

        w and p have the slopes p, 1, 1 and (1 - p²)/w, (1 - p)/w, -(1 + p)/w.
        """
        p, gap, along_w, along_p = self.p, self.gap, self.along_w, self.along_p
        u = (p * along_w + (gap * (1 + p)) * along_p) / self.w
        f = -(along_w + gap * along_p) / self.w
        return u, f, ((1 + p) * along_p - along_w) / self.w


def _at(v: jax.Array, z: jax.Array, table: Table, order: int) -> _Point:
    """z - w = -v² / (w + z) does not cancel."""
    t0, w = saddle_point(v, z), jnp.hypot(v, z)
    xi, p = table.limit / w, v / w
    sums = partial(_taylor, table=table, order=order)
    taylor = (_materialised(sums) if order else sums)(xi, p * p)
    log_kve = v * (t0 - v / (w + z)) + (taylor[0][0] - 0.5 * jnp.log(w * (2 / math.pi)))
    return _Point(t0, w, xi, p, z / w, taylor, log_kve)


def value(v: jax.Array, z: jax.Array, table: Table = FROM_25) -> tuple[jax.Array]:
    """log(e^z K_v(z)), v >= 0."""
    return (_at(v, z, table, 0).log_kve,)


def gradient(v: jax.Array, z: jax.Array, table: Table = FROM_25) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z), from ∂v (v t0 - w) = t0 and ∂z (v t0 - w + z) = -v² / (z (w + z))."""
    at = _at(v, z, table, 1)
    u, _, _ = at.means()
    dz = at.r * ((at.along_w - at.p * at.along_p) / at.w) - at.p * (v / (at.w + z)) / at.r
    return at.log_kve, at.t0 + u, dz


def mean(v: jax.Array, z: jax.Array, table: Table = FROM_25) -> tuple[jax.Array, ...]:
    """log(e^z K) and the means of u, f and g (`KvMoments`), v >= 0."""
    at = _at(v, z, table, 1)
    return at.log_kve, *at.means()


def covariance(v: jax.Array, z: jax.Array, table: Table = FROM_25) -> tuple[jax.Array, ...]:
    """log(e^z K), the means of u, f, g, and their covariances uu, uf, ug, ff, fg, gg, v >= 0.

    They are derivatives at λ = 0, in λ, -a and -b, of

        log ∫ exp(λ u - a f - b g) du = H + G + const,   a = (w + v)/2, b = (w - v)/2 at λ = 0,

    where shifting u shows that w² = v² + 4ab and v = λ + a - b in G, and that of the second
    derivatives of H, the maximum of the exponent, only ∂λ² = 1/w is not 0. With the slopes of w
    and p in `means`, w ∂ij w = W is 1 - p², 1 - p, -(1 + p) for λλ, λa, λb and else 0, and
    w ∂ij p = -(p ∂ij w + ∂i p ∂j w + ∂i w ∂j p).
    """
    at = _at(v, z, table, 2)
    x, xi, p, gap = 1 / at.w, at.xi, at.p, at.gap
    (_, first, second), (slope, mixed), (bend,) = at.taylor
    ww = 0.5 + 2 * xi * (first + xi * second)
    cross = -2 * p * (xi * mixed) - at.along_p
    pp = 2 * slope + 8 * (p * p) * bend
    tilt = at.along_w - p * at.along_p
    of_w = (p, -jnp.ones_like(p), -jnp.ones_like(p))
    of_p = (gap * (1 + p), -gap, 1 + p)

    def scaled(i: int, j: int) -> jax.Array:
        both = of_w[i] * of_p[j] + of_w[j] * of_p[i]
        return ww * (of_w[i] * of_w[j]) + cross * both + pp * (of_p[i] * of_p[j])

    uu, uf, ug = (scaled(0, j) + tilt * of_p[j] for j in range(3))
    seconds = (x * uu + 1, x * uf, x * ug, *(x * scaled(*ij) for ij in ((1, 1), (1, 2), (2, 2))))
    return at.log_kve, *at.means(), *(x * y for y in seconds)
