"""Exact, uniformly efficient sampling of GIG distributions: rejection for the log-concave log Y.

With Y = y0 e^u, u has the density exp(-φ(u)), φ convex with φ(0) = φ'(0) = 0 (see
`normix_bessel.KvMoments`). The tangents of φ at the points where it is about 1 bound it from
below, so a box with two exponential tails bounds the density, and the share of proposals that
is accepted is bounded away from 0 over the whole family (Devroye 2014, Statistics and
Computing 24, 239), its gamma and inverse gamma limits included.

A draw is differentiable in the parameters as the quantile that it is: with F(y; θ) held,
dy/dθ = -∂_θ F / ∂_y F (Figurnov, Mohamed & Mnih 2018, "Implicit reparameterization gradients").
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from normix_expfam._gig._exponent_of_log_y import powers, reach
from normix_expfam._manual_axes import varying_like

from ._jax import mode_of_log
from ._tails import drift_of_quantile


def _phi(u: jax.Array, alpha: jax.Array, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """φ(u) = α (e^u - 1 - u) + β (e^-u - 1 + u) and φ'(u)."""
    e, d = powers(u)
    return alpha * (e - u) + beta * (d + u), alpha * e - beta * d


def _touching(side: float, alpha: jax.Array, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """|u| where the tangent taken near φ = 1 meets φ = 0 on one side, and its slope."""
    main, other = (alpha, beta) if side > 0 else (beta, alpha)
    u = reach(jnp.zeros_like(main), main, other, 1.0, steps=6)
    value, slope = _phi(side * u, alpha, beta)
    slope = side * slope
    return u - value / slope, slope


@jax.jit
def sample_gig(key: jax.Array, p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """One draw of GIG(p, a, b) per element of the equally shaped p, a, b.

    A draw below the smallest number is 0 and one beyond the largest is inf, which for `|p| < 0.01`
    next to a limit is not rare. Draws are differentiable in p, a and b.

    Args:
        key: either kind of JAX key.
        p: shape, floating arrays of one shape (...) and dtype, as are a and b.
        a: rate of Y.
        b: rate of 1/Y.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from normix_expfam import sample_gig
        >>> p, a, b = (jnp.full(1000, x) for x in (-0.5, 1.0, 1.0))
        >>> y = sample_gig(jax.random.key(0), p, a, b)
        >>> bool(jnp.all(y > 0)), bool(abs(jnp.mean(y) - 1) < 0.1)  # E Y = 1
        (True, True)
    """
    return _draw(key, p, a, b)


@jax.custom_jvp
def _draw(key: jax.Array, p: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    y0 = mode_of_log(p, a, b)
    alpha, beta = a * y0 / 2, b / y0 / 2
    right, rate_right = _touching(+1.0, alpha, beta)
    left, rate_left = _touching(-1.0, alpha, beta)
    total = left + right + 1 / rate_left + 1 / rate_right

    def propose(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        place_key, tail_key, accept_key = jax.random.split(key, 3)
        place = jax.random.uniform(place_key, p.shape, p.dtype) * total
        tail = jax.random.exponential(tail_key, p.shape, p.dtype)
        middle = place < left + right
        to_right = place < left + right + 1 / rate_right
        u = jnp.where(
            middle,
            place - left,
            jnp.where(to_right, right + tail / rate_right, -left - tail / rate_left),
        )
        bound = jnp.where(middle, 0.0, tail)
        height = jax.random.exponential(accept_key, p.shape, p.dtype)
        return u, _phi(u, alpha, beta)[0] <= bound + height

    def body(
        state: tuple[jax.Array, jax.Array, jax.Array],
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        key, drawn, accepted = state
        key, subkey = jax.random.split(key)
        u, accept = propose(subkey)
        return key, jnp.where(accepted, drawn, u), accepted | accept

    # parameters that are nan would never accept
    lost = jnp.isnan(total)
    first = (key, *varying_like((jnp.where(lost, jnp.nan, 0.0).astype(p.dtype), lost), key))
    _, u, _ = jax.lax.while_loop(lambda state: ~jnp.all(state[2]), body, first)
    # e^u alone may leave the range of numbers where y does not
    return jnp.where(jnp.abs(u) < 1, y0 * jnp.exp(u), jnp.exp(jnp.log(y0) + u))


@partial(_draw.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    key, p, a, b = primals
    y = _draw(key, p, a, b)
    return y, drift_of_quantile((p, a, b), y, tangents[1:])
