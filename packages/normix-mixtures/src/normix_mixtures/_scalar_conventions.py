"""A scalar mixture in the parameters of scipy.stats, of R's ghyp and of Prause (1999)."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam import gig_moments
from normix_expfam.internal import frozen_parameters, is_concrete, require

from ._conventions import Ghyp, Prause, degrees_of_freedom, most_degrees, rates_of_prause
from ._scalar_parameters import ScalarParameters


def to_ghyp(owner: str, of: ScalarParameters) -> Ghyp:
    """In the gauge E Y = 1, which must exist."""
    mean_y = gig_moments(of.p, of.a, of.b).y
    if is_concrete(mean_y):
        require(np.isfinite(mean_y), owner, "E Y", "be finite in the gauge E Y = 1", mean_y,
                "with a = 0 that needs p < -1; give p, a, b as they are")  # fmt: skip
    mu, gamma, sigma, p, a, b = of.rescale_subordinator(1 / mean_y)
    return Ghyp(p, b, a, mu, sigma, gamma)


def from_prause(
    owner: str,
    lambda_: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike,
    delta: ArrayLike,
    mu: ArrayLike,
) -> tuple[ArrayLike, ...]:
    """(μ, γ, σ, p, a, b) in the gauge σ = 1."""
    a, b = rates_of_prause(owner, alpha, beta, delta)
    return mu, beta, 1.0, lambda_, a, b


def to_prause(of: ScalarParameters) -> Prause:
    """In the gauge σ = 1."""
    mu, gamma, _, p, a, b = of.rescale_subordinator(of.sigma**2)
    return Prause(p, jnp.hypot(jnp.sqrt(a), gamma), gamma, jnp.sqrt(b), mu)


def from_scipy(owner: str, frozen: Any) -> tuple[ArrayLike, ...]:
    """(μ, γ, σ, p, a, b) of a frozen genhyperbolic, norminvgauss or t."""
    name, found = frozen_parameters(owner, frozen, "genhyperbolic", "norminvgauss", "t")
    loc, scale = found["loc"], found["scale"]
    if name == "t":
        df = degrees_of_freedom(owner, found["df"])
        return loc, 0.0, scale, -df / 2, 0.0, df
    p = -0.5 if name == "norminvgauss" else found["p"]
    return from_prause(owner, p, found["a"] / scale, found["b"] / scale, scale, loc)


def to_scipy(owner: str, of: ScalarParameters) -> Any:
    """As t for a = 0, norminvgauss for p = -1/2, else genhyperbolic."""
    from scipy import stats

    require(np.asarray(of.b) > 0, owner, "b", "be > 0", of.b,
            "scipy.stats has no variance gamma distribution")  # fmt: skip
    if float(of.a) == 0:
        require(of.gamma == 0, owner, "gamma", "be 0 where a = 0", of.gamma,
                "scipy.stats has no skewed t distribution")  # fmt: skip
        df, b = -2 * float(of.p), float(of.b)
        scale = float(of.sigma) * (b / df) ** 0.5
        df = df if df < most_degrees(of.p.dtype) else float("inf")
        return stats.t(df, loc=float(of.mu), scale=scale)
    p, alpha, beta, delta, mu = (float(x) for x in to_prause(of)[:5])
    shapes = alpha * delta, beta * delta
    if p == -0.5:
        return stats.norminvgauss(*shapes, loc=mu, scale=delta)
    return stats.genhyperbolic(p, *shapes, loc=mu, scale=delta)
