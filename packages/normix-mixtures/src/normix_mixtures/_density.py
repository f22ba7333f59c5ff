"""The density of X = μ + γ Y + √Y L Z and the law of Y given X, from whitened rows.

By Bayes' rule, for every y > 0,

    f(x) = f_Y(y) N(x; μ + γ y, Σ y) / f(y | x),   Y | x ~ GIG(p - d/2, a + γᵀΣ⁻¹γ, b + Q(x)),

Q(x) = (x - μ)ᵀΣ⁻¹(x - μ) (McNeil, Frey & Embrechts 2005, section 3.2.3). It is taken at y1, the
mode of log Y given x, where no term is larger than the density itself asks for. The terms of the
textbook difference ψ(posterior) - ψ(prior) + (x - μ)ᵀΣ⁻¹γ are of the size of √(ab). With
y1 = y0 e^v and the terms of `_mode_shift` and `_mode_mass`,

    log f = -(α f(v) + β h(v)) - |z - γ y1|²/(2 y1) - d/2 log(2π y1) + log C(A, B) - log C(α, β).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from normix_expfam import GIGMoments
from normix_expfam.internal import gig_log_density, gig_moments_and_log_density

from ._mode_mass import CONCENTRATED, Prior, log_mass, log_mass_of_concentrated, prior_of
from ._mode_shift import Shift, cost, shift


class Posterior(NamedTuple):
    """Y | x ~ GIG(p, a, b) for every row, shapes (n,)."""

    p: jax.Array
    a: jax.Array
    b: jax.Array


class _Known(NamedTuple):
    """What is known of Y | x before its mass, at a point y1 next to the mode of its log."""

    given: Posterior  # of Y / unit², unit = √y1 held constant
    unit: jax.Array
    log_unit: jax.Array  # log of unit²
    mode: Shift
    log_joint: jax.Array  # of log Y at y1, and x, but for the mass of log Y
    pole: jax.Array


def posterior(p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array) -> Posterior:
    """From whitened rows z = L⁻¹(x - μ), shape (n, d), and L⁻¹γ, shape (d,)."""
    n, d = z.shape
    gain = skew @ skew
    return Posterior(
        jnp.broadcast_to(p - d / 2, (n,)),
        jnp.broadcast_to(a + gain, (n,)),
        b + jnp.sum(z * z, axis=1),
    )


def log_density(
    p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array
) -> jax.Array:
    """log f of the whitened rows, without -½ log det Σ, shape (n,).

    +inf where the density is infinite: at z = 0 for b = 0 and p <= d/2.
    """
    prior = prior_of(p, a, b)
    known = _known(p, a, b, prior, z, skew)
    # concentrated rows take no part in it
    given = (jnp.where(_concentrated(known.mode), 1.0, value) for value in known.given)
    log_given = gig_log_density(*given, jnp.ones_like(known.unit))
    value = _log_density(p, a, b, prior, known, log_given)
    return jnp.where(known.pole, jnp.inf, value)


def moments_and_log_density(
    p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array
) -> tuple[GIGMoments, jax.Array]:
    """E log Y, E 1/Y, E Y given each row, and `log_density`; at a pole the moments are limits."""
    moments, value, known = _in_one_pass(p, a, b, z, skew, 0.0)
    log_prob, *rest = at_pole(known.pole, value, moments)
    return GIGMoments(moments.log_partition, *rest), log_prob


class AtPoint(NamedTuple):
    """On the line, for Y with the measure y f_Y(y) given X = x; arrays of the shape of x."""

    log_density: jax.Array  # log f(x)
    log_mean: jax.Array  # log (f(x) E(Y | X = x))
    moments: GIGMoments
    mode: Shift


def at_point(p: jax.Array, a: jax.Array, b: jax.Array, g: jax.Array, x: jax.Array) -> AtPoint:
    """f(x) E(Y | X = x) has no pole, and its mean of 1/Y is f(x).

    Where E(Y | X = x) is infinite they are those of f_Y itself.
    """
    infinite = (a == 0) & (g == 0) & (p >= -0.5)
    tilt = jnp.where(infinite, 0.0, 1.0).astype(x.dtype)
    found, value, known = _in_one_pass(p, a, b, x.reshape(-1, 1), g[None], tilt)
    log_f = jnp.where(infinite, value, value + jnp.log(found.inverse_y))
    log_mean = jnp.where(infinite, jnp.inf, value)
    point = AtPoint(log_f, log_mean, found, known.mode)
    shaped: AtPoint = jax.tree.map(lambda part: part.reshape(x.shape), point)
    return shaped


def _in_one_pass(
    p: jax.Array, a: jax.Array, b: jax.Array, z: jax.Array, skew: jax.Array,
    tilt: jax.Array | float,
) -> tuple[GIGMoments, jax.Array, _Known]:  # fmt: skip
    prior = prior_of(p, a, b)
    known = _known(p, a, b, prior, z, skew, tilt)
    found, log_given = gig_moments_and_log_density(*known.given, jnp.ones_like(known.unit))
    inverse = 1 / known.unit
    moments = GIGMoments(
        found.log_partition + known.given.p * known.log_unit,
        found.log_y + known.log_unit,
        found.inverse_y * inverse * inverse,
        found.y * known.unit * known.unit,
    )
    return moments, _log_density(p, a, b, prior, known, log_given), known


def at_pole(pole: jax.Array, log_prob: jax.Array, moments: GIGMoments) -> list[jax.Array]:
    """log f, E log Y, E 1/Y, E Y with their limits at a pole, where Y | x is a point mass at 0."""
    limits = (jnp.inf, -jnp.inf, jnp.inf, 0.0)
    values = (log_prob, *moments[1:])
    return [jnp.where(pole, x, jnp.asarray(y)) for x, y in zip(limits, values, strict=True)]


def _known(
    p: jax.Array, a: jax.Array, b: jax.Array, prior: Prior, z: jax.Array, skew: jax.Array,
    tilt: jax.Array | float = 0.0,
) -> _Known:  # fmt: skip
    n, d = z.shape
    y0, alpha, beta = prior
    lift = tilt - d / 2
    order = jnp.broadcast_to(p + lift, (n,))
    pole = (order <= 0) & (b == 0) & jnp.all(z == 0, axis=1)
    z = jnp.where(pole[:, None], 1.0, z)
    root = jnp.sqrt(y0)
    mode = shift(order, alpha, beta, lift, (skew * root)[None, :], z / root)
    # the density does not depend on y1: it is held constant where the mass is known off the mode
    large, hold = _concentrated(mode), jax.lax.stop_gradient
    moved = hold(jnp.log(y0)) - jnp.log(y0)
    v = jnp.where(large, mode.v, hold(mode.v) + moved)
    e = jnp.where(large, mode.e, hold(mode.e) + (1 + hold(mode.e)) * jnp.expm1(moved))
    mode = mode._replace(v=v, e=e)
    root_y1 = root * jnp.exp(v / 2)
    held = hold(root_y1)
    inverse = 1 / held
    raised, lowered = skew[None, :] * held[:, None], z * inverse[:, None]
    given = Posterior(
        order,
        a * held * held + jnp.sum(raised * raised, axis=1),
        b * inverse * inverse + jnp.sum(lowered * lowered, axis=1),
    )
    log_y1 = jnp.log(y0) + v
    distance = z / root_y1[:, None] - skew[None, :] * root_y1[:, None]
    normal = -jnp.sum(distance * distance, axis=1) / 2 - d / 2 * math.log(2 * math.pi)
    log_joint = normal + lift * log_y1 - cost(alpha, beta, mode)
    return _Known(given, held, hold(log_y1), mode, log_joint, pole)


def _concentrated(mode: Shift) -> jax.Array:
    return mode.up + mode.down > CONCENTRATED


def _log_density(
    p: jax.Array, a: jax.Array, b: jax.Array, prior: Prior, known: _Known, log_given: jax.Array
) -> jax.Array:
    up, down, *_ = known.mode
    given = jnp.where(_concentrated(known.mode), log_mass_of_concentrated(up, down), -log_given)
    return known.log_joint + given - log_mass(p, a, b, prior)
