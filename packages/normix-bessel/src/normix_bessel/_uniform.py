"""Debye's uniform expansion: log(e^z K_v(z)) without an exponential, for hypot(v, z) >= LIMIT.

With w = hypot(v, z), p = v/w and t0 = asinh(v/z) (DLMF 10.41.4, whose sum is e^L)

    log K_v(z) = v t0 - w + ½ log π/2 + G,   G = L(ξ, p²) - ½ log w,   ξ = LIMIT / w.

L is a polynomial that tools/expansion_coefficients.py fits: from LIMIT on its error is 4e-18, with
half of the terms in 1/w that the expansion would need. Slopes and moments are derivatives of G.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ._saddle import saddle_point

LIMIT = 25.0

# Of ξ, ξ², .., each ascending in p². Made by tools/expansion_coefficients.py.
_COEFFICIENTS = (
    (
        -0.005,
        0.008333333333333333,
    ),
    (
        0.00010000000000000002,
        -0.0006000000000000006,
        0.0005000000000000046,
        -1.215305998096166e-17,
        1.3519471024934574e-17,
        -5.305680067518454e-18,
    ),
    (
        -4.166666666666646e-06,
        5.309999999998298e-05,
        -0.00011049999999972078,
        6.138888888747422e-05,
        3.0382106136952966e-15,
        -2.9103265473816945e-15,
        1.0253616311641164e-15,
    ),
    (
        2.599999999671041e-07,
        -5.679999996709638e-06,
        2.123999994858451e-05,
        -2.7119999700854907e-05,
        1.1299999171700962e-05,
        1.1789462956125337e-12,
        -8.337572128335477e-13,
        2.3213724258950986e-13,
    ),
    (
        -2.145999922382445e-08,
        7.14985629413719e-07,
        -4.151576244074221e-06,
        8.979789291745018e-06,
        -8.282462802356864e-06,
        2.7607623653381877e-06,
        7.57403728908411e-11,
        -4.244410680143234e-11,
        9.732713451054243e-12,
    ),
    (
        2.1973258713351736e-09,
        -1.0367909855027283e-07,
        8.586055827181769e-07,
        -2.7590194731427017e-06,
        4.184027426638605e-06,
        -3.020636342810051e-06,
        8.374395974430954e-07,
        1.6785360183004265e-09,
        -7.569839087853122e-10,
        1.4342960913657028e-10,
    ),
    (
        -2.683431006888609e-10,
        1.7030469195524127e-08,
        -1.900788961354799e-07,
        8.411684011315917e-07,
        -1.8474479845560137e-06,
        2.14726579168117e-06,
        -1.2600965000069963e-06,
        2.819470182557188e-07,
        1.507505274367112e-08,
        -5.426924206240352e-09,
        8.318176770889617e-10,
    ),
    (
        3.796542301970393e-11,
        -3.1146287087719282e-09,
        4.487173697325298e-08,
        -2.590500788649146e-07,
        7.613580268885718e-07,
        -1.2416628583659371e-06,
        1.1189893839100098e-06,
        -4.812990008698784e-07,
        1.9133604150053227e-08,
        5.340804052429637e-08,
        -1.4214873916447126e-08,
        1.542682844110688e-09,
    ),
    (
        -5.960274060075259e-12,
        6.074070394157525e-10,
        -1.0806238803658824e-08,
        7.710271552867783e-08,
        -2.8209598215976646e-07,
        5.803882843945503e-07,
        -6.719628202539653e-07,
        3.743738714903439e-07,
        3.616339997356708e-09,
        -1.1504061427839959e-07,
        4.726317374514813e-08,
        -2.3844745400154535e-09,
        -1.055701744520169e-09,
    ),
    (
        9.084506668700477e-13,
        -1.0916601738468866e-10,
        2.2681868611424897e-09,
        -1.8783280507419015e-08,
        7.942692174514214e-08,
        -1.880490035187819e-07,
        2.482939260849679e-07,
        -1.5299716683117093e-07,
        -6.791056703993816e-09,
        4.5343855132417596e-08,
        1.8438833718431796e-08,
        -4.504835168127638e-08,
        2.1016257713215486e-08,
        -3.010864443835112e-09,
    ),
    (
        -9.127541429393266e-14,
        1.2219304243968167e-11,
        -2.803163651234803e-10,
        2.5437354685481864e-09,
        -1.1699908524016919e-08,
        2.985331011817369e-08,
        -4.183567763287361e-08,
        2.6288887058656087e-08,
        2.7012679510306628e-09,
        -8.768612789593684e-09,
        -1.9721368095398128e-09,
        -9.647983162188e-10,
        1.0653959889343526e-08,
        -8.681882520359617e-09,
        2.1500444426541307e-09,
    ),
)


def _raised(terms: list[jax.Array], x: jax.Array, order: int) -> list[jax.Array]:
    """(x + δ) Σ terms[i] δ^i up to δ^order."""
    inner = [x * a + below for a, below in zip(terms[1:], terms, strict=False)]
    return [x * terms[0], *inner, terms[-1]][: order + 1]


def _taylor(xi: jax.Array, s: jax.Array, order: int) -> list[list[jax.Array]]:
    """[j][i]: the coefficient of δξ^i δs^j in L(ξ + δξ, s + δs), i + j <= order."""
    found: list[list[jax.Array]] = [[] for _ in range(order + 1)]
    for coefficients in reversed(_COEFFICIENTS):
        of_s = [jnp.full_like(s, coefficients[-1])]
        for c in coefficients[-2::-1]:
            first, *rest = _raised(of_s, s, order)
            of_s = [first + c, *rest]
        found = [_raised(terms, xi, order - j) if terms else [] for j, terms in enumerate(found)]
        for j, term in enumerate(of_s):
            first, *rest = found[j] or [jnp.zeros_like(s)]
            found[j] = [first + term, *rest]
    return [_raised(terms, xi, order - j) for j, terms in enumerate(found)]


class _Point(NamedTuple):
    """A point of the domain, and G there: with its slopes w ∂G/∂w and ∂G/∂p."""

    t0: jax.Array
    w: jax.Array
    p: jax.Array  # v/w
    r: jax.Array  # z/w
    taylor: list[list[jax.Array]]  # of L
    log_kve: jax.Array

    @property
    def xi(self) -> jax.Array:
        return LIMIT / self.w

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


def _at(v: jax.Array, z: jax.Array, order: int) -> _Point:
    """z - w = -v² / (w + z) does not cancel."""
    t0, w = saddle_point(v, z), jnp.hypot(v, z)
    p = v / w
    taylor = _taylor(LIMIT / w, p * p, order)
    log_kve = v * (t0 - v / (w + z)) + (taylor[0][0] - 0.5 * jnp.log(w * (2 / math.pi)))
    return _Point(t0, w, p, z / w, taylor, log_kve)


def value(v: jax.Array, z: jax.Array) -> tuple[jax.Array]:
    """log(e^z K_v(z)), v >= 0."""
    return (_at(v, z, 0).log_kve,)


def gradient(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """(log(e^z K), ∂v, ∂z), from ∂v (v t0 - w) = t0 and ∂z (v t0 - w + z) = -v² / (z (w + z))."""
    at = _at(v, z, 1)
    u, _, _ = at.means()
    dz = at.r * ((at.along_w - at.p * at.along_p) / at.w) - at.p * (v / (at.w + z)) / at.r
    return at.log_kve, at.t0 + u, dz


def mean(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """log(e^z K) and the means of u, f and g (`KvMoments`), v >= 0."""
    at = _at(v, z, 1)
    return at.log_kve, *at.means()


def covariance(v: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """log(e^z K), the means of u, f, g, and their covariances uu, uf, ug, ff, fg, gg, v >= 0.

    They are derivatives at λ = 0, in λ, -a and -b, of

        log ∫ exp(λ u - a f - b g) du = H + G + const,   a = (w + v)/2, b = (w - v)/2 at λ = 0,

    where shifting u shows that w² = v² + 4ab and v = λ + a - b in G, and that of the second
    derivatives of H, the maximum of the exponent, only ∂λ² = 1/w is not 0. With the slopes of w
    and p in `means`, w ∂ij w = W is 1 - p², 1 - p, -(1 + p) for λλ, λa, λb and else 0, and
    w ∂ij p = -(p ∂ij w + ∂i p ∂j w + ∂i w ∂j p).
    """
    at = _at(v, z, 2)
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
