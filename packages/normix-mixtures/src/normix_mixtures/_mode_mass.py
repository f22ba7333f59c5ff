"""log C(α, β), C = ∫ exp(-α f(u) - β h(u)) du, f = e^u - 1 - u, h = e^-u - 1 + u.

It is the mass of log Y about its mode: u = log(Y/y0), α = a y0/2, β = b/(2 y0) for
Y ~ GIG(p, a, b), so that α - β = p and w = α + β = √(p² + ab).

For a concentrated distribution log C = ½ log(2π/w) + Σ w^-k L_k(t²), t = (α - β)/w, the logarithm
of Debye's expansion (DLMF 10.41.4), whose derivatives -E f and -E h have relative accuracy. They
must: what one observation changes is of size 1/w², E f and E h are of size 1/w.
`tools/mass_coefficients.py` prints the L_k.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from normix_expfam.internal import gig_log_density, gig_mode_and_rates

from ._mode_shift import Means, exponents

CONCENTRATED = 400.0  # w from where the expansion is taken: its next term is then 1e-18
_SERIES = (
    (-1 / 8, 5 / 24),
    (1 / 16, -3 / 8, 5 / 16),
    (-25 / 384, 531 / 640, -221 / 128, 1105 / 1152),
    (13 / 128, -71 / 32, 531 / 64, -339 / 32, 565 / 128),
    (-1073 / 5120, 50049 / 7168, -186821 / 4608, 44899 / 512, -82825 / 1024, 82825 / 3072),
    (103 / 192, -405 / 16, 1677 / 8, -5389 / 8, 65385 / 64, -11805 / 16, 19675 / 96),
)  # L_1 .. L_6, ascending in t²


class Prior(NamedTuple):
    """Y in units of the mode y0 of log Y, whose exponent there is α f(u) + β h(u)."""

    y0: jax.Array
    alpha: jax.Array
    beta: jax.Array

    @property
    def concentrated(self) -> jax.Array:
        """Whether the expansion holds."""
        return self.alpha + self.beta > CONCENTRATED


def of_parameters(
    prior: Prior, by_alpha: jax.Array, by_beta: jax.Array, by_log_y0: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Derivatives in (p, a, b) from those in α, β and log y0."""
    y0, alpha, beta = prior
    w, both = alpha + beta, by_alpha + by_beta
    return (
        (alpha * by_alpha - beta * by_beta + by_log_y0) / w,
        y0 * (beta * both - by_log_y0) / (2 * w),
        (alpha * both + by_log_y0) / (2 * w) / y0,
    )


@jax.custom_jvp
def prior_of(p: jax.Array, a: jax.Array, b: jax.Array) -> Prior:
    """Of GIG(p, a, b), limits included."""
    return Prior(*gig_mode_and_rates(p, a, b))


@prior_of.defjvp
def _(primals: Any, tangents: Any) -> tuple[Prior, Prior]:
    y0, alpha, beta = found = prior_of(*primals)
    dp, da, db = tangents
    w = alpha + beta
    both = (beta * (y0 * da) + alpha * (db / y0)) / (2 * w)
    moved = y0 * (dp - y0 * da / 2 + db / y0 / 2) / w
    return found, Prior(moved, alpha / w * dp + both, both - beta / w * dp)


def log_mass_of_concentrated(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """log C for w > `CONCENTRATED`; a number elsewhere."""
    large = alpha + beta > CONCENTRATED
    alpha, beta = (jnp.where(large, value, CONCENTRATED) for value in (alpha, beta))
    w = alpha + beta
    ratio = (alpha - beta) / w
    square, total = ratio * ratio, jnp.zeros_like(w)
    for coefficients in reversed(_SERIES):
        value = jnp.full_like(w, coefficients[-1])
        for c in coefficients[-2::-1]:
            value = value * square + c
        total = (value + total) / w
    return (math.log(2 * math.pi) - jnp.log(w)) / 2 + total


def means_of_concentrated(alpha: jax.Array, beta: jax.Array) -> Means:
    """E u, E f and E h. The first follows from E [α f' + β h'] = 0."""
    one, none = jnp.ones_like(alpha), jnp.zeros_like(alpha)
    f, h = (
        -jax.jvp(log_mass_of_concentrated, (alpha, beta), tangents)[1]
        for tangents in ((one, none), (none, one))
    )
    return Means((beta * h - alpha * f) / (alpha + beta), f, h)


def log_mass(p: jax.Array, a: jax.Array, b: jax.Array, prior: Prior) -> jax.Array:
    """log C of GIG(p, a, b), with derivatives of every order."""
    large = prior.concentrated
    p, a, b = (jnp.where(large, 1.0, value) for value in (p, a, b))
    # by the density at any y that is held constant
    y = jax.lax.stop_gradient(jnp.where(large, 1.0, prior.y0))
    s = jnp.where(large, 0.0, jnp.log(y / prior.y0))
    f, h = exponents(s, jnp.expm1(s), jnp.expm1(-s))
    by_density = -gig_log_density(p, a, b, y) - jnp.log(y) - prior.alpha * f - prior.beta * h
    return jnp.where(large, log_mass_of_concentrated(prior.alpha, prior.beta), by_density)
