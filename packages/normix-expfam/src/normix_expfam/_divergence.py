"""Divergences within a family, all from the Bregman divergence of ψ,

    B(x, y) = ψ(x) - ψ(y) - (x - y)·∇ψ(y) >= 0.

KL(p‖q) = B(θ_q, θ_p). With θ_m = α θ_p + (1-α) θ_q, Rényi's divergence of order α is
(α B(θ_p, θ_m) + (1-α) B(θ_q, θ_m)) / (1-α) (Nielsen & Nock 2011, "On Rényi and Tsallis entropies
and divergences for exponential families"). These forms lose nothing for distributions that are
close, where the terms of B cancel: there B is integrated, as ∫_0^1 (1-s) δᵀ ∇²ψ(y + s δ) δ ds.
The terms are also large where a distribution is concentrated; such families have closed forms.

`Divergences` holds what a family computes in a way of its own.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from ._triad import Triad, grad_log_partition, log_partition

_NEAR = 1e-2  # B below which it is integrated: the segment is then 0.15 standard deviations long
_NODES, _STEP = 14, 0.22  # of the rule on the segment, on each side of its middle
_RESOLVED = 1e-5  # difference from half of the nodes that a smooth ∇²ψ keeps, relative
_SMALL = 8  # natural parameters, up to which ∇²ψ is evaluated as a matrix


def dot(theta: jax.Array, eta: jax.Array) -> jax.Array:
    """θ·η, in which an infinite mean that θ does not weight counts for nothing."""
    return jnp.sum(jnp.where(theta == 0, 0.0, theta * eta))


def bregman(family: Triad, x: jax.Array, y: jax.Array) -> jax.Array:
    """B(x, y) in natural parameters; +inf where ψ(x) is, not finite where ψ(y) is not."""
    return _pair(family, jnp.stack([x, x]), y)[0]


@partial(jax.jit, static_argnums=0)
def _pair(family: Triad, both: jax.Array, y: jax.Array) -> jax.Array:
    """B of two points from one: all divergences are made of it, so that it is compiled once."""
    return jax.vmap(lambda x: _bregman(family, x, y))(both)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _bregman(family: Triad, x: jax.Array, y: jax.Array) -> jax.Array:
    delta = x - y
    psi = log_partition(family, x)
    far = family.divergences.difference(family, x, y)
    nodes, weights = (jnp.asarray(table, x.dtype) for table in _segment())
    variance_along = family.divergences.variance_along
    parts = weights * jax.vmap(lambda s: variance_along(family, y + s * delta, delta))(nodes)
    near = jnp.sum(parts)
    # every other node is the rule of twice the step, which has half of the digits
    resolved = jnp.abs(near - 2 * jnp.sum(parts[_NODES % 2 :: 2])) <= _RESOLVED * near
    close = (jnp.abs(far) < _NEAR) & (near < 2 * _NEAR) & resolved
    return jnp.where(psi == jnp.inf, jnp.inf, jnp.where(close, near, far))


def difference(family: Triad, x: jax.Array, y: jax.Array) -> jax.Array:
    """B(x, y) by its definition, which is right where its terms are not large beside it."""
    psi, least = jax.vmap(partial(log_partition, family))(jnp.stack([x, y]))
    return psi - least - dot(x - y, grad_log_partition(family, y))


def variance_along(family: Triad, theta: jax.Array, delta: jax.Array) -> jax.Array:
    """δᵀ∇²ψ(θ) δ = Var δ·t(X). In small families ∇²ψ may hold what is infinite where δ is 0."""
    if theta.size > _SMALL:
        return delta @ jax.jvp(family._grad_log_partition, (theta,), (delta,))[1]
    return quadratic_form(family._hessian_log_partition(theta), delta)


def quadratic_form(matrix: jax.Array, delta: jax.Array) -> jax.Array:
    """δᵀMδ, in which an entry that meets a 0 of δ counts for nothing."""
    met = (delta[:, None] != 0) & (delta[None, :] != 0)
    return jnp.sum(jnp.where(met, delta[:, None] * matrix * delta[None, :], 0.0))


@cache
def _segment() -> tuple[np.ndarray, np.ndarray]:
    """Tanh-sinh rule on [0, 1] with the weight 1 - s: ∇²ψ may be singular at a boundary s = 0."""
    t = _STEP * np.arange(-_NODES, _NODES + 1)
    nodes, rest = (1 / (1 + np.exp(sign * np.pi * np.sinh(t))) for sign in (-1, 1))
    return nodes, _STEP * np.pi * np.cosh(t) * nodes * rest**2


@partial(_bregman.defjvp, symbolic_zeros=True)
def _(family: Triad, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (x, y), (dx, dy) = primals, tangents
    tangent = jnp.zeros((), x.dtype)
    if not isinstance(dx, SymbolicZero):
        tangent += (grad_log_partition(family, x) - grad_log_partition(family, y)) @ dx
    if not isinstance(dy, SymbolicZero):
        # ∇²ψ(y) is symmetric, so δᵀ∇²ψ(y) is a row that may hold what is infinite
        delta = x - y
        rows = family._hessian_log_partition(y)
        tangent -= jnp.sum(jnp.where(delta[:, None] == 0, 0.0, delta[:, None] * rows), 0) @ dy
    return _bregman(family, x, y), tangent


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def negative_conjugate(family: Triad, theta: jax.Array) -> jax.Array:
    """ψ(θ) - θ·∇ψ(θ), the entropy but for the base measure."""
    return log_partition(family, theta) - dot(theta, grad_log_partition(family, theta))


@negative_conjugate.defjvp
def _(family: Triad, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (theta,), (tangent,) = primals, tangents
    rows = family._hessian_log_partition(theta)
    slope = jnp.sum(jnp.where(theta[:, None] == 0, 0.0, theta[:, None] * rows), axis=0)
    return negative_conjugate(family, theta), -slope @ tangent


def mix(order: jax.Array, to_p: jax.Array, to_q: jax.Array) -> jax.Array:
    """(α B_p + (1-α) B_q) / (1-α) for the order α, where B_p is 0 at α = 1."""
    one = order == 1
    alpha = jnp.where(one, 2.0, order).astype(to_p.dtype)
    return to_q + jnp.where(one, 0.0, alpha / (1 - alpha) * to_p)


def renyi(family: Triad, p: jax.Array, q: jax.Array, order: jax.Array) -> jax.Array:
    """D_α(p‖q) for α > 0; KL(p‖q) at α = 1, +inf where α p + (1-α) q is no natural parameter."""
    one = order == 1
    alpha = jnp.where(one, 2.0, order).astype(p.dtype)
    middle = jnp.where(one, p, q + alpha * (p - q))
    to_p, to_q = _pair(family, jnp.stack([p, q]), middle)
    value = mix(order, to_p, to_q)
    # on the boundary the means may be infinite where ψ is not
    psi_p, psi_q, psi = _values(family, jnp.stack([p, q, middle]))
    plain = (psi - alpha * psi_p - (1 - alpha) * psi_q) / (alpha - 1)
    value = jnp.where(jnp.isfinite(to_p) & jnp.isfinite(to_q) | one, value, plain)
    known = jnp.all(jnp.isfinite(middle))
    return jnp.where(jnp.isfinite(psi), value, jnp.where(known, jnp.inf, jnp.nan))


@partial(jax.jit, static_argnums=0)
def _values(family: Triad, points: jax.Array) -> jax.Array:
    return jax.vmap(partial(log_partition, family))(points)


def _entropy(law: Any) -> jax.Array:
    family: Any = type(law)
    return negative_conjugate(family, law.natural_params()) - law._mean_log_base()


def _kl(law: Any, other: Any) -> jax.Array:
    family: Any = type(law)
    return bregman(family, other.natural_params(), law.natural_params())


def _renyi(law: Any, other: Any, order: jax.Array) -> jax.Array:
    family: Any = type(law)
    return renyi(family, law.natural_params(), other.natural_params(), order)


class Divergences(NamedTuple):
    """How the entropy and the divergences of a family are computed: from ψ, but for what is given.

    A family gives what has a form without loss, in its classical parameters or in θ.
    """

    entropy: Callable[[Any], jax.Array] = _entropy
    """-E log f(X) of a distribution."""

    kl: Callable[[Any, Any], jax.Array] = _kl
    """The Kullback-Leibler divergence of a distribution from another of its family."""

    renyi: Callable[[Any, Any, jax.Array], jax.Array] = _renyi
    """The same of Rényi, with its order."""

    difference: Callable[[Any, jax.Array, jax.Array], jax.Array] = difference
    """B(x, y) of a family away from x = y, for the two above where they follow from ψ."""

    variance_along: Callable[[Any, jax.Array, jax.Array], jax.Array] = variance_along
    """Var δ·t(X) of a family at θ, which is integrated to B where x and y are close."""
