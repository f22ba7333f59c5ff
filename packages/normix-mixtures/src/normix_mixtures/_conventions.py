"""Parameters of other packages and papers, in numbers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GeneralizedInverseGaussian, gig_moments
from normix_expfam.internal import Rule, as_floats, checked, is_concrete, require, scalars


class Ghyp(NamedTuple):
    """R's ghyp: Y ~ GIG(λ, χ, ψ) with density ∝ y^(λ-1) exp(-(χ/y + ψ y)/2), E Y = 1.

    sigma is the dispersion matrix, and in one dimension the number that multiplies √Y.
    """

    lambda_: Float[Array, ""]
    """λ = p."""

    chi: Float[Array, ""]
    """χ = b."""

    psi: Float[Array, ""]
    """ψ = a."""

    mu: Array
    """Location μ, shape (d,), or a number in one dimension."""

    sigma: Array
    """Σ, shape (d, d), or the number σ in one dimension."""

    gamma: Array
    """Skewness γ, shape (d,), or a number in one dimension."""

    @property
    def alpha_bar(self) -> Float[Array, ""]:
        """√(χψ), which ghyp calls alpha.bar."""
        return jnp.sqrt(self.chi) * jnp.sqrt(self.psi)


class Prause(NamedTuple):
    """GH(λ, α, β, δ, μ) of Prause (1999), with the matrix Δ, det Δ = 1, in more dimensions."""

    lambda_: Float[Array, ""]
    """λ = p."""

    alpha: Float[Array, ""]
    """α."""

    beta: Array
    """β, shape (d,), or a number in one dimension."""

    delta: Float[Array, ""]
    """δ."""

    mu: Array
    """μ, shape (d,), or a number in one dimension."""

    Delta: Array | None = None
    """Δ, shape (d, d), or None in one dimension."""


def rates_of_alpha_bar(
    owner: str, lambda_: Any, chi: Any, psi: Any, alpha_bar: Any
) -> tuple[ArrayLike, ArrayLike]:
    """(χ, ψ) as given, or from ᾱ = √(χψ) with E Y = 1.

    For ψ = χ = ᾱ it is E Y = K_{λ+1}(ᾱ)/K_λ(ᾱ), and Y is divided by that. At ᾱ = 0 it is the gamma
    distribution with ψ = 2λ, or the inverse gamma distribution with χ = -2(λ + 1).
    """
    if alpha_bar is None:
        require(chi is not None and psi is not None, owner, "chi, psi", "be given both",
                f"chi = {chi}, psi = {psi}", "or pass alpha_bar instead")  # fmt: skip
        return chi, psi
    require(chi is None and psi is None, owner, "alpha_bar", "not be given beside chi and psi",
            alpha_bar, "it determines them")  # fmt: skip
    order, bar = as_floats(owner, lambda_=lambda_, alpha_bar=alpha_bar)
    if is_concrete(order, bar):
        least, power = np.asarray(bar), np.asarray(order)
        require((least >= 0) & (least < np.inf), owner, "alpha_bar", "be finite and >= 0",
                alpha_bar, "it is √(χψ)")  # fmt: skip
        require((least > 0) | (power > 0) | (power < -1), owner, "alpha_bar",
                "be > 0 for -1 <= λ <= 0", alpha_bar, "E Y = 1 has no limit there")  # fmt: skip
    limit = bar == 0
    inside = jnp.where(limit, 1.0, bar)
    ratio = gig_moments(order, inside, inside).y
    psi, chi = inside * ratio, inside / ratio
    return (
        jnp.where(limit, jnp.maximum(-2 * (order + 1), 0.0), chi),
        jnp.where(limit, jnp.maximum(2 * order, 0.0), psi),
    )


def degrees_of_freedom(owner: str, df: ArrayLike) -> jax.Array:
    """df > 0, and for the normal limit inf the first number that no float tells from it."""
    (given,) = scalars(owner, df=df)
    rule = Rule("df", "be > 0", "it is the number of degrees of freedom, inf for a normal one")
    given = checked(owner, rule, lambda x: x > 0, (df,), (given,), check=True)
    return jnp.minimum(given, most_degrees(given.dtype))


def most_degrees(dtype: Any) -> float:
    """From here on z²/df is below rounding for every z in which a t and a normal density differ."""
    return float(jnp.finfo(dtype).eps) ** -4


def rates_of_prause(
    owner: str, alpha: ArrayLike, beta: ArrayLike, delta: ArrayLike, *, dimension: int = 1
) -> tuple[jax.Array, jax.Array]:
    """(a, b) = (α² - β², δ²) for |β| as β; a = 0 where it exceeds α by rounding."""
    alpha, beta, delta = as_floats(owner, alpha=alpha, beta=beta, delta=delta)
    if is_concrete(alpha, beta, delta):
        most = (1 + 4 * dimension * float(jnp.finfo(alpha.dtype).eps)) * np.asarray(alpha)
        require((most >= 0) & (np.abs(beta) <= most), owner, "alpha", "be >= |beta|", alpha,
                f"beta is {beta}")  # fmt: skip
        require(np.asarray(delta) >= 0, owner, "delta", "be >= 0", delta, "it is √b")
    return jnp.maximum((alpha - beta) * (alpha + beta), 0.0), delta**2


def mean_for_ghyp(owner: str, subordinator: GeneralizedInverseGaussian) -> jax.Array:
    """E Y, by which Y is divided in ghyp's gauge E Y = 1.

    Raises:
        ValueError: if it is concrete and infinite.
    """
    mean = subordinator.mean()
    if is_concrete(mean):
        require(np.isfinite(mean), owner, "E Y", "be finite in the gauge E Y = 1", mean,
                "with a = 0 that needs p < -1; pass λ, χ, ψ of this model as they are")  # fmt: skip
    return mean
