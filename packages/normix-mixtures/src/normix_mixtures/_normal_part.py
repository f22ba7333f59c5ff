"""The M-step of (μ, γ, Σ), in closed form."""

from typing import Any, NamedTuple

from normix_expfam.internal import Array

from ._layout import Parts


class NormalPart(NamedTuple):
    """μ (d,), γ (d,), Σ (d, d)."""

    mu: Array
    gamma: Array
    sigma: Array


def normal_part(
    means: Parts, xp: Any, *, symmetric: bool = False, mu: Array | None = None
) -> NormalPart:
    """(μ, γ, Σ) that maximise the complete-data likelihood, from mean statistics.

    The normal equations E[(x - μ - γ y)/y] = 0 and E[x - μ - γ y] = 0 give
    γ = (m - E x E 1/Y) / (1 - E Y E 1/Y) with m = E x/Y, μ = E x - γ E Y, and
    Σ = E x xᵀ/Y - μ γᵀ - γ μᵀ - E 1/Y μ μᵀ - E Y γ γᵀ. When Y is a point mass to working
    precision, γ is not determined and 0 is as likely as any value. With γ = 0 given (symmetric),
    μ = E x/Y / E 1/Y and Σ = E x xᵀ/Y - E 1/Y μ μᵀ. With μ given, γ = (E x - μ) / E Y or 0, and
    Σ = E (x - μ)(x - μ)ᵀ/Y - E Y γ γᵀ.
    An infinite E Y makes γ = 0: it is the limit of both.
    """
    _, inverse_y, y, x, over_y, square = means
    finite = xp.isfinite(y)
    y = xp.where(finite, y, 1.0)
    if mu is not None:
        gamma = xp.zeros_like(x) if symmetric else xp.where(finite, (x - mu) / y, 0.0)
        cross = xp.outer(over_y, mu)
        sigma = square - cross - cross.T + inverse_y * xp.outer(mu, mu) - y * xp.outer(gamma, gamma)
        return NormalPart(mu, gamma, (sigma + sigma.T) / 2)
    if symmetric:
        mu = over_y / inverse_y
        return NormalPart(mu, xp.zeros_like(mu), square - xp.outer(over_y, mu))
    spread = y * inverse_y - 1  # >= 0 by Jensen
    determined = (spread > 64 * xp.finfo(x.dtype).eps) & finite
    where, outer = xp.where, xp.outer
    gamma = where(determined, (x * inverse_y - over_y) / where(determined, spread, 1.0), 0.0)
    mu = where(finite, x - gamma * y, over_y / inverse_y)
    sigma = square - outer(mu, gamma) - outer(gamma, mu)
    sigma = sigma - inverse_y * outer(mu, mu) - y * outer(gamma, gamma)
    return NormalPart(mu, gamma, (sigma + sigma.T) / 2)
