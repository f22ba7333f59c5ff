"""`UnivariateNormalMixture`: the scalar law, as a projection of a model or on its own."""

from typing import Any, Literal, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from normix_expfam import (
    GeneralizedInverseGaussian,
    UnivariateDistribution,
    gig_moments,
    mode_of_log,
    sample_gig,
)
from normix_expfam.internal import (
    Rule,
    checked,
    describe,
    frozen_parameters,
    is_concrete,
    is_positive,
    require,
    scalars,
)

from . import _component_moments as moments
from ._conventions import (
    Ghyp,
    Prause,
    degrees_of_freedom,
    most_degrees,
    rates_of_alpha_bar,
    rates_of_prause,
)
from ._density import log_density
from ._tail import log_odds, mean_above, mean_beyond, quantile
from ._transform import characteristic

Side = Literal["return", "loss"]

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
        check: False leaves out the check, for laws built in a loop.

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
        finite = "be finite", "repair or drop it"
        self.mu = checked(_NAME, Rule("mu", *finite), jnp.isfinite, (mu,), (arrays[0],),
                          check=check)  # fmt: skip
        self.gamma = checked(_NAME, Rule("gamma", *finite), jnp.isfinite, (gamma,), (arrays[1],),
                             check=check)  # fmt: skip
        rule = Rule("sigma", "be finite and > 0", "it multiplies √Y")
        self.sigma = checked(_NAME, rule, is_positive, (sigma,), (arrays[2],), check=check)
        law = GeneralizedInverseGaussian(*((p, a, b) if check else arrays[3:]), check=check)
        self.p, self.a, self.b = (x.astype(self.mu.dtype) for x in law.as_gig())

    def __repr__(self) -> str:
        return describe(self)

    @property
    def subordinator(self) -> GeneralizedInverseGaussian:
        """The law of Y."""
        return GeneralizedInverseGaussian(self.p, self.a, self.b, check=False)

    def _standard(self, x: Array) -> tuple[Array, Array]:
        """γ/σ and (x - μ)/σ."""
        return self.gamma / self.sigma, (x - self.mu) / self.sigma

    def log_prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Log-density at x, any shape; -inf at ±inf, nan at nan."""
        return _log_prob(self, self._like_parameters(x))

    def prob(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density at x, any shape."""
        return jnp.exp(self.log_prob(x))

    def _log_odds(self, x: Array) -> Array:
        return _log_odds(self, x)

    def _quantile(self, log_odds: Array) -> Array:
        return _quantile(self, log_odds)

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
        return _characteristic(self, self._like_parameters(t, "t"))

    def posterior(self, x: ArrayLike) -> GeneralizedInverseGaussian:
        """The law of Y given X = x, GIG(p - 1/2, a + γ²/σ², b + (x - μ)²/σ²).

        Raises:
            ValueError: if x is not one number, or is concrete and not finite.
        """
        (x,) = scalars(f"{_NAME}.posterior", x=x)
        if is_concrete(x):
            require(np.isfinite(x), f"{_NAME}.posterior", "x", "be finite", x, "drop it")
        skew, z = self._standard(x.astype(self.mu.dtype))
        return GeneralizedInverseGaussian(
            self.p - 0.5, self.a + skew**2, self.b + z**2, check=False
        )

    def mean_above(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """E (X | X > x), any shape; +inf where it is infinite."""
        return _tail_mean(self, self._like_parameters(x), above=True)

    def mean_below(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """E (X | X <= x), any shape; -inf where it is infinite."""
        return _tail_mean(self, self._like_parameters(x), above=False)

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
        level = self._level("value_at_risk", level, of)
        return -self.isf(level) if of == "return" else self.ppf(level)

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
        level = self._level("expected_shortfall", level, of)
        law = self.affine(-1.0) if of == "return" else self
        return _mean_beyond(law, jnp.log(level) - jnp.log1p(-level))

    def _level(self, method: str, level: ArrayLike, of: str) -> Array:
        owner = f"{_NAME}.{method}"
        require(of in ("return", "loss"), owner, "of", "be 'return' or 'loss'", repr(of),
                "say what X is")  # fmt: skip
        level = self._like_parameters(level, "level")
        if is_concrete(level):
            values = np.asarray(level)
            require((values > 0) & (values < 1), owner, "level", "be in (0, 1)", level,
                    "pass a confidence level such as 0.99")  # fmt: skip
        return level

    def affine(self, scale: ArrayLike, shift: ArrayLike = 0.0) -> "UnivariateNormalMixture":
        """The law of scale · X + shift, scale != 0.

        Raises:
            ValueError: if they are not scalars, or scale is concrete and 0.
        """
        owner = f"{_NAME}.affine"
        scale, shift = scalars(owner, scale=scale, shift=shift)
        if is_concrete(scale):
            require(
                np.asarray(scale) != 0,
                owner,
                "scale",
                "not be 0",
                scale,
                "a constant has no density",
            )
        scale, shift = (x.astype(self.mu.dtype) for x in (scale, shift))
        return UnivariateNormalMixture(
            scale * self.mu + shift, scale * self.gamma, jnp.abs(scale) * self.sigma,
            self.p, self.a, self.b, check=False,
        )  # fmt: skip

    def standardize(self) -> "UnivariateNormalMixture":
        """The law of (X - E X) / std(X).

        Raises:
            ValueError: if the law is concrete and has no finite variance.
        """
        mean, std = self.mean(), self.std()
        if is_concrete(std):
            require(np.isfinite(std), f"{_NAME}.standardize", "the variance", "be finite", std**2,
                    "standardise by quantiles instead")  # fmt: skip
        return self.affine(1 / std, -mean / std)

    def normalize(self) -> "UnivariateNormalMixture":
        """The same law in the gauge in which log Y has its mode at 0."""
        return self._rescaled_subordinator(1 / mode_of_log(self.p, self.a, self.b))

    def _rescaled_subordinator(self, factor: Array) -> "UnivariateNormalMixture":
        return UnivariateNormalMixture(
            self.mu, self.gamma / factor, self.sigma / jnp.sqrt(factor),
            self.p, self.a / factor, self.b * factor, check=False,
        )  # fmt: skip

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
            ValueError: if the law is concrete and E Y is infinite.
        """
        mean_y = gig_moments(self.p, self.a, self.b).y
        if is_concrete(mean_y):
            require(np.isfinite(mean_y), f"{_NAME}.to_ghyp", "E Y",
                    "be finite in the gauge E Y = 1", mean_y,
                    "with a = 0 that needs p < -1; give p, a, b as they are")  # fmt: skip
        law = self._rescaled_subordinator(1 / mean_y)
        return Ghyp(law.p, law.b, law.a, law.mu, law.sigma, law.gamma)

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
        a, b = rates_of_prause(owner, alpha, beta, delta)
        return cls(mu, beta, 1.0, lambda_, a, b)

    def to_prause(self) -> Prause:
        """λ, α, β, δ, μ: the gauge σ = 1."""
        law = self._rescaled_subordinator(self.sigma**2)
        return Prause(law.p, jnp.hypot(jnp.sqrt(law.a), law.gamma), law.gamma, jnp.sqrt(law.b),
                      law.mu)  # fmt: skip

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        """From scipy.stats.genhyperbolic, norminvgauss or t, whose df = inf is a normal one.

        Raises:
            TypeError: if it is no frozen distribution.
            ValueError: for another distribution, or arrays of parameters.
        """
        owner = f"{_NAME}.from_scipy"
        name, found = frozen_parameters(owner, frozen, "genhyperbolic", "norminvgauss", "t")
        scale = found["scale"]
        if name == "t":
            df = degrees_of_freedom(owner, found["df"])
            return cls(found["loc"], 0.0, scale, -df / 2, 0.0, df)
        p = -0.5 if name == "norminvgauss" else found["p"]
        return cls.from_prause(p, found["a"] / scale, found["b"] / scale, scale, found["loc"])

    def to_scipy(self) -> Any:
        """As scipy.stats.t for a = 0, norminvgauss for p = -1/2, else genhyperbolic.

        Raises:
            ValueError: if b = 0, or if a = 0 and γ is not 0, for which scipy.stats has no
                distribution.
        """
        from scipy import stats

        require(np.asarray(self.b) > 0, f"{_NAME}.to_scipy", "b", "be > 0", self.b,
                "scipy.stats has no variance gamma law")  # fmt: skip
        if float(self.a) == 0:
            require(self.gamma == 0, f"{_NAME}.to_scipy", "gamma", "be 0 where a = 0", self.gamma,
                    "scipy.stats has no skewed t distribution")  # fmt: skip
            df, b = -2 * float(self.p), float(self.b)
            scale = float(self.sigma) * (b / df) ** 0.5
            df = df if df < most_degrees(self.p.dtype) else float("inf")
            return stats.t(df, loc=float(self.mu), scale=scale)
        p, alpha, beta, delta, mu = (float(x) for x in self.to_prause()[:5])
        shapes = alpha * delta, beta * delta
        if p == -0.5:
            return stats.norminvgauss(*shapes, loc=mu, scale=delta)
        return stats.genhyperbolic(p, *shapes, loc=mu, scale=delta)


@jax.jit
def _log_prob(law: UnivariateNormalMixture, x: Array) -> Array:
    infinite = jnp.isinf(x)
    skew, z = law._standard(jnp.where(infinite, law.mu, x))
    flat = z.reshape(-1, 1)
    value = log_density(law.p, law.a, law.b, flat, skew[None]).reshape(x.shape)
    return jnp.where(infinite, -jnp.inf, value - jnp.log(law.sigma))


@jax.jit
def _log_odds(law: UnivariateNormalMixture, x: Array) -> Array:
    infinite = jnp.isinf(x)
    from_mu = jnp.where(infinite, 0.0, x - law.mu)
    odds = log_odds(law.p, law.a, law.b, law.gamma, law.sigma, from_mu)
    return jnp.where(infinite, x, odds)


@jax.jit
def _quantile(law: UnivariateNormalMixture, odds: Array) -> Array:
    infinite = jnp.isinf(odds)
    finite = jnp.where(infinite, 0.0, odds)
    from_mu = quantile(law.p, law.a, law.b, law.gamma, law.sigma, finite)
    return jnp.where(infinite, odds, law.mu + from_mu)


@jax.jit
def _characteristic(law: UnivariateNormalMixture, t: Array) -> Array:
    turned = (law.sigma * t)[..., None]
    return characteristic(law.p, law.a, law.b, turned, law.gamma * t, law.mu * t)


def _tail_mean(law: UnivariateNormalMixture, x: Array, *, above: bool) -> Array:
    return _mean_above(law, x) if above else -_mean_above(law.affine(-1.0), -x)


@jax.jit
def _mean_above(law: UnivariateNormalMixture, x: Array) -> Array:
    finite = jnp.isfinite(x)
    from_mu = jnp.where(finite, x - law.mu, 0.0)
    inside = mean_above(law.p, law.a, law.b, law.gamma, law.sigma, from_mu)
    edge = jnp.where(x == -jnp.inf, law.mean(), x)
    return jnp.where(finite, law.mu + inside, edge)


@jax.jit
def _mean_beyond(law: UnivariateNormalMixture, odds: Array) -> Array:
    finite = jnp.isfinite(odds)
    from_mu = mean_beyond(law.p, law.a, law.b, law.gamma, law.sigma, jnp.where(finite, odds, 0.0))
    edge = jnp.where(odds == -jnp.inf, law.mean(), odds)
    return jnp.where(finite, law.mu + from_mu, edge)
