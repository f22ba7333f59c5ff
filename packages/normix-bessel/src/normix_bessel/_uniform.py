"""Debye's uniform expansion: log(e^z K_v(z)) without an exponential, for hypot(v, z) >= LIMIT.

With w = hypot(v, z), p = v/w and t0 = asinh(v/z) (DLMF 10.41.4, whose sum is e^L)

    log K_v(z) = v t0 - w + ½ log π/2 + G,   G = L(ξ, p²) - ½ log w,   ξ = LIMIT / w.

L is a polynomial that tools/expansion_coefficients.py fits: from LIMIT on its error is 2e-17, with
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
        0.0001,
        -0.0006000000000000001,
        0.0005000000000000003,
        -5.469454404140029e-19,
        2.553025758151301e-19,
    ),
    (
        -4.166666666666909e-06,
        5.310000000000716e-05,
        -0.00011050000000004638,
        6.138888888900272e-05,
        -1.1850906962660136e-16,
        4.420764284083816e-17,
    ),
    (
        2.6000000000126044e-07,
        -5.679999999953868e-06,
        2.1239999998869435e-05,
        -2.71199999937059e-05,
        1.1299999985966087e-05,
        1.3690188935774675e-14,
        -4.870977780147307e-15,
    ),
    (
        -2.1459999896790165e-08,
        7.149857034263363e-07,
        -4.151577606265264e-06,
        8.979798998784854e-06,
        -8.282497225374653e-06,
        2.760829384657553e-06,
        2.7909426962936357e-12,
        -7.764798029563958e-13,
    ),
    (
        2.1973313788723285e-09,
        -1.0367978401559043e-07,
        8.586200812739143e-07,
        -2.7591405638312835e-06,
        4.184544465353656e-06,
        -3.021897315965086e-06,
        8.392712556608139e-07,
        1.0975584840934277e-10,
        -2.5225677767895898e-11,
    ),
    (
        -2.6836604219786347e-10,
        1.7033623157281522e-08,
        -1.9015332820535294e-07,
        8.418711395697568e-07,
        -1.8509009127945974e-06,
        2.157204032150318e-06,
        -1.2777883867969272e-06,
        3.016904058103672e-07,
        1.6233350441007617e-09,
        -3.1163922246351314e-10,
    ),
    (
        3.801774783442699e-11,
        -3.1224031308064076e-09,
        4.5071139585333636e-08,
        -2.611113735234309e-07,
        7.725593532153652e-07,
        -1.2778202586311694e-06,
        1.1926536119314629e-06,
        -5.783479946148068e-07,
        1.0137356911110767e-07,
        1.0357857124898128e-08,
        -1.6515189304887853e-09,
    ),
    (
        -6.025985719435487e-12,
        6.177514402740496e-10,
        -1.1087639484321654e-08,
        8.019152005863263e-08,
        -2.999375254340842e-07,
        6.416354673524954e-07,
        -8.045177747021322e-07,
        5.589392652715388e-07,
        -1.5907731866377907e-07,
        -3.071286761895104e-08,
        2.738472471655501e-08,
        -3.429576812088387e-09,
    ),
    (
        9.508718674717675e-13,
        -1.1611688921924782e-10,
        2.464278315231709e-09,
        -2.1002149429576875e-08,
        9.250139622682392e-08,
        -2.3292501162432352e-07,
        3.413167451924438e-07,
        -2.6391179643700424e-07,
        4.5378100987031714e-08,
        9.086257209620521e-08,
        -7.259378803125884e-08,
        1.8852324366378433e-08,
        -8.27505639382737e-10,
    ),
    (
        -1.0225071808785432e-13,
        1.406647030853136e-11,
        -3.335309155065962e-10,
        3.1535592819540816e-09,
        -1.5293633570131633e-08,
        4.194067067729034e-08,
        -6.55056466247535e-08,
        5.089556936874723e-08,
        -4.29349064679717e-09,
        -1.704135798266516e-08,
        -4.588698114575648e-09,
        2.2879783087868036e-08,
        -1.511136096051605e-08,
        3.2841721782385818e-09,
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
