"""`UnivariateNormalMixture`: the scalar distribution, as a projection of a model or on its own."""

from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from normix_expfam import (
    GeneralizedInverseGaussian,
    GIGMember,
    UnivariateDistribution,
    mode_of_log,
    sample_gig,
)
from normix_expfam.internal import describe, is_concrete, require, scalars

from . import _component_moments as moments
from . import _risk as risk
from . import _scalar_conventions as conventions
from . import _scalar_functions as functions
from ._conventions import Ghyp, Prause, rates_of_alpha_bar
from ._risk import Side
from ._scalar_parameters import ScalarParameters, check_normal_part

_NAME = "UnivariateNormalMixture"


@final
class UnivariateNormalMixture(UnivariateDistribution):
    """X = μ + γ Y + σ √Y Z with Y ~ GIG(p, a, b), Z standard normal.

    Args:
        mu: location μ, in the units of X.
        gamma: skewness γ, in the units of X per unit of Y.
        sigma: σ > 0, which multiplies √Y; not the standard deviation, see `std`.
        p: shape of the subordinator.
        a: its rate of Y, >= 0; 0 for p < 0 only.
        b: its rate of 1/Y, >= 0; 0 for p > 0 only.
        check: False leaves out the check, for distributions built in a loop.

    Raises:
        ValueError: if a concrete parameter is outside the domain; a traced one raises
            at run time, by `equinox.error_if`.

    Examples:
        With p = -2, a = 0 and b = 4 it is Student's t with 4 degrees of freedom.

        >>> from normix_mixtures import UnivariateNormalMixture
        >>> law = UnivariateNormalMixture(mu=0.0, gamma=0.0, sigma=1.0, p=-2.0, a=0.0, b=4.0)
        >>> round(float(law.cdf(0.0)), 6), round(float(law.ppf(0.95)), 6)
        (0.5, 2.131847)
        >>> round(float(law.value_at_risk(0.95)), 6)
        2.131847
    """

    mu: Float[Array, ""]
    gamma: Float[Array, ""]
    sigma: Float[Array, ""]
    p: Float[Array, ""]
    a: Float[Array, ""]
    b: Float[Array, ""]

    def __init__(
        self,
        mu: ArrayLike,
        gamma: ArrayLike,
        sigma: ArrayLike,
        p: ArrayLike,
        a: ArrayLike,
        b: ArrayLike,
        *,
        check: bool = True,
    ):
        arrays = scalars(_NAME, mu=mu, gamma=gamma, sigma=sigma, p=p, a=a, b=b)
        given = mu, gamma, sigma
        self.mu, self.gamma, self.sigma = check_normal_part(_NAME, given, arrays[:3], check=check)
        law = GeneralizedInverseGaussian(*((p, a, b) if check else arrays[3:]), check=check)
        self.p, self.a, self.b = (x.astype(self.mu.dtype) for x in law.as_gig())

    @classmethod
    def _with_subordinator(cls, mu: Array, gamma: Array, sigma: Array, law: GIGMember) -> Self:
        """With a distribution of Y that has been checked."""
        parts = mu, gamma, sigma
        mu, gamma, sigma = check_normal_part(_NAME, parts, parts, check=True)
        return cls(mu, gamma, sigma, *law.as_gig(), check=False)

    def __repr__(self) -> str:
        return describe(self)

    @property
    def subordinator(self) -> GeneralizedInverseGaussian:
        """The distribution of Y."""
        return GeneralizedInverseGaussian(self.p, self.a, self.b, check=False)

    @property
    def _parameters(self) -> ScalarParameters:
        return ScalarParameters(self.mu, self.gamma, self.sigma, self.p, self.a, self.b)

    def log_prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Log-density at x, any shape; -inf at ±inf, nan at nan."""
        return functions.log_density(self._parameters, self._like_parameters(x))

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density at x, any shape."""
        return jnp.exp(self.log_prob(x))

    def _log_odds(self, x: Array) -> Array:
        return functions.log_odds(self._parameters, x)

    def _quantile(self, log_odds: Array) -> Array:
        return functions.quantile(self._parameters, log_odds)

    def mean(self) -> Float[Array, ""]:
        """E X = μ + γ E Y; inf or nan where it does not exist."""
        return moments.mean(self.subordinator, self.mu, self.gamma)

    def var(self) -> Float[Array, ""]:
        """Var X = σ² E Y + γ² Var Y; inf or nan where it does not exist."""
        return moments.variance(self.subordinator, self.gamma, self.sigma**2)

    def skewness(self) -> Float[Array, ""]:
        return moments.skewness(self.subordinator, self.gamma, self.sigma**2)

    def kurtosis(self) -> Float[Array, ""]:
        return moments.kurtosis(self.subordinator, self.gamma, self.sigma**2)

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        y_key, z_key = jax.random.split(key)
        y = sample_gig(y_key, *(jnp.broadcast_to(v, shape) for v in (self.p, self.a, self.b)))
        z = jax.random.normal(z_key, shape, self.mu.dtype)
        return self.mu + self.gamma * y + self.sigma * jnp.sqrt(y) * z

    def characteristic_function(self, t: ArrayLike) -> Complex[Array, "*batch"]:
        """E exp(i t X) at real t, any shape."""
        return functions.characteristic(self._parameters, self._like_parameters(t, "t"))

    def posterior(self, x: ArrayLike) -> GeneralizedInverseGaussian:
        """The distribution of Y given X = x, GIG(p - 1/2, a + γ²/σ², b + (x - μ)²/σ²).

        Raises:
            ValueError: if x is not one number, or is concrete and not finite.
        """
        (x,) = scalars(f"{_NAME}.posterior", x=x)
        if is_concrete(x):
            require(np.isfinite(x), f"{_NAME}.posterior", "x", "be finite", x, "drop it")
        skew, z = self.gamma / self.sigma, (x.astype(self.mu.dtype) - self.mu) / self.sigma
        return GeneralizedInverseGaussian(
            self.p - 0.5, self.a + skew**2, self.b + z**2, check=False
        )

    def mean_above(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """E (X | X > x), any shape; +inf where it is infinite."""
        return functions.mean_above(self._parameters, self._like_parameters(x))

    def mean_below(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """E (X | X <= x), any shape; -inf where it is infinite."""
        return -functions.mean_above(self._parameters.reflect(), -self._like_parameters(x))

    def value_at_risk(self, level: ArrayLike, *, of: Side = "return") -> Float[Array, "*batch"]:
        """Value at risk at a confidence level, any shape: a loss, positive when it hurts.

        For ``of="return"`` X is a return and the loss is -X: the result is -ppf(1 - level). For
        ``of="loss"`` X is the loss itself: ppf(level) (McNeil, Frey & Embrechts 2005, 2.2.2).

        Args:
            level: in (0, 1), for example 0.99.
            of: what X is.

        Raises:
            ValueError: if a concrete level is not in (0, 1), or for another ``of``.
        """
        level = self._like_parameters(level, "level")
        return risk.value_at_risk(f"{_NAME}.value_at_risk", self, level, of)

    def expected_shortfall(
        self, level: ArrayLike, *, of: Side = "return"
    ) -> Float[Array, "*batch"]:
        """Expected shortfall: the mean of the losses beyond `value_at_risk`, any shape.

        -E (X | X <= -VaR) for returns, E (X | X > VaR) for losses (McNeil, Frey & Embrechts 2005,
        2.2.4). It is +inf where the tail has no mean.

        Args:
            level: in (0, 1), for example 0.99.
            of: what X is, "return" or "loss".

        Raises:
            ValueError: if a concrete level is not in (0, 1), or for another ``of``.
        """
        level = self._like_parameters(level, "level")
        owner = f"{_NAME}.expected_shortfall"
        return risk.expected_shortfall(owner, self._parameters, level, of)

    def affine(self, scale: ArrayLike, shift: ArrayLike = 0.0) -> "UnivariateNormalMixture":
        """The distribution of scale · X + shift, scale != 0.

        Raises:
            ValueError: if they are not scalars, or scale is concrete and 0.
        """
        owner = f"{_NAME}.affine"
        scale, shift = scalars(owner, scale=scale, shift=shift)
        if is_concrete(scale):
            require(np.asarray(scale) != 0, owner, "scale", "not be 0", scale,
                    "a constant has no density")  # fmt: skip
        scale, shift = (x.astype(self.mu.dtype) for x in (scale, shift))
        return UnivariateNormalMixture(
            scale * self.mu + shift, scale * self.gamma, jnp.abs(scale) * self.sigma,
            self.p, self.a, self.b, check=False,
        )  # fmt: skip

    def standardize(self) -> "UnivariateNormalMixture":
        """The distribution of (X - E X) / std(X).

        Raises:
            ValueError: if it is concrete and has no finite variance.
        """
        mean, std = self.mean(), self.std()
        if is_concrete(std):
            require(np.isfinite(std), f"{_NAME}.standardize", "the variance", "be finite", std**2,
                    "standardise by quantiles instead")  # fmt: skip
        return self.affine(1 / std, -mean / std)

    def normalize(self) -> "UnivariateNormalMixture":
        """The same distribution in the gauge in which log Y has its mode at 0."""
        factor = 1 / mode_of_log(self.p, self.a, self.b)
        return UnivariateNormalMixture(*self._parameters.rescale_subordinator(factor), check=False)

    @classmethod
    def from_ghyp(
        cls,
        lambda_: ArrayLike,
        chi: ArrayLike | None = None,
        psi: ArrayLike | None = None,
        *,
        alpha_bar: ArrayLike | None = None,
        mu: ArrayLike = 0.0,
        sigma: ArrayLike = 1.0,
        gamma: ArrayLike = 0.0,
    ) -> Self:
        """From the parameters of R's ghyp: λ = p, χ = b, ψ = a, or alpha.bar = √(χψ) and E Y = 1.

        Raises:
            ValueError: unless either chi and psi or alpha_bar are given, or outside the domain.
        """
        chi, psi = rates_of_alpha_bar(f"{_NAME}.from_ghyp", lambda_, chi, psi, alpha_bar)
        return cls(mu, gamma, sigma, lambda_, psi, chi)

    def to_ghyp(self) -> Ghyp:
        """The parameters of R's ghyp in its gauge E Y = 1; sigma is σ.

        Raises:
            ValueError: if it is concrete and E Y is infinite.
        """
        return conventions.to_ghyp(f"{_NAME}.to_ghyp", self._parameters)

    @classmethod
    def from_prause(
        cls,
        lambda_: ArrayLike,
        alpha: ArrayLike,
        beta: ArrayLike,
        delta: ArrayLike,
        mu: ArrayLike = 0.0,
    ) -> Self:
        """From GH(λ, α, β, δ, μ) of Prause (1999): a = α² - β², b = δ², γ = β, σ = 1.

        Raises:
            ValueError: outside the domain, `|β| <= α` with equality only for λ < 0.
        """
        owner = f"{_NAME}.from_prause"
        return cls(*conventions.from_prause(owner, lambda_, alpha, beta, delta, mu))

    def to_prause(self) -> Prause:
        """λ, α, β, δ, μ: the gauge σ = 1."""
        return conventions.to_prause(self._parameters)

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        """From scipy.stats.genhyperbolic, norminvgauss or t, whose df = inf is a normal one.

        Raises:
            TypeError: if it is no frozen distribution.
            ValueError: for another distribution, or arrays of parameters.
        """
        return cls(*conventions.from_scipy(f"{_NAME}.from_scipy", frozen))

    def to_scipy(self) -> Any:
        """As scipy.stats.t for a = 0, norminvgauss for p = -1/2, else genhyperbolic.

        Raises:
            ValueError: if b = 0, or if a = 0 and γ is not 0, for which scipy.stats has no
                distribution.
        """
        return conventions.to_scipy(f"{_NAME}.to_scipy", self._parameters)
