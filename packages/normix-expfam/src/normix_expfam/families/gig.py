"""The generalized inverse Gaussian distribution."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from normix_expfam._arrays import Array
from normix_expfam._checks import (
    Backend,
    Rule,
    array_namespace,
    as_floats,
    checked,
    is_concrete,
    scalars,
)
from normix_expfam._divergence import Divergences
from normix_expfam._gig._api import gig_log_partition, gig_moments
from normix_expfam._gig._density import log_density
from normix_expfam._gig._divergence import divergence, entropy, variance_along
from normix_expfam._gig._inversion import GIGSolution, GIGTarget, solve_gig, solve_target
from normix_expfam._gig._jax import covariance
from normix_expfam._gig._member import GIGMember
from normix_expfam._gig._raw_moments import mode, skewness_and_kurtosis
from normix_expfam._gig._sampling import sample_gig
from normix_expfam._information import Information
from normix_expfam._sample_spread import Spread
from normix_expfam._scipy import parameters_without_location
from normix_expfam._status import Status

_NAME = "GeneralizedInverseGaussian"


def _is_rate(x: Array) -> Array:
    return (x >= 0) & (x < jnp.inf)


def _parameters(theta: Any) -> tuple[Any, Any, Any]:
    """(p, a, b) of θ."""
    return theta[0] + 1, -2 * theta[2], -2 * theta[1]


def _entropy(law: Any) -> Array:
    return entropy(law.p, law.a, law.b)


def _difference(_: Any, x: Array, y: Array) -> Array:
    return divergence(_parameters(y), _parameters(x))


def _variance_along(_: Any, theta: Array, delta: Array) -> Array:
    return variance_along(theta, delta)


def _free(law: Any) -> Any:
    inside = jnp.ones((), bool), law.a > 0, law.b > 0
    return eqx.tree_at(lambda law: (law.p, law.a, law.b), law, inside)


@final
class GeneralizedInverseGaussian(GIGMember):
    """GIG(p, a, b): density ∝ y^(p-1) exp(-(a y + b/y)/2) on y > 0.

    θ = (p - 1, -b/2, -a/2), t(y) = (log y, 1/y, y), h = 1 and
    ψ = log 2 + log K_p(√(ab)) + (p/2) log(b/a) (Jørgensen 1982).

    The domain includes its boundary: b = 0 with p > 0 is Gamma(p, a/2), a = 0 with p < 0 is
    InverseGamma(-p, b/2), exactly.

    Other conventions: R's ghyp and GIGrvg write λ = p, χ = b, ψ = a; scipy.stats.geninvgauss
    has ``p, b = √(ab), scale = √(b/a)``.

    Args:
        p: shape, any real.
        a: rate of y, a >= 0.
        b: rate of 1/y, b >= 0.
        check: False leaves out the check, for models built in a loop.

    Raises:
        ValueError: if a concrete parameter is outside the domain; a traced one raises
            at run time, by `equinox.error_if`.

    Examples:
        GIG(-1/2, 1, 1) is InverseGaussian(1, 1), whose density at 1 is 1/√(2π).

        >>> from normix_expfam import GIG
        >>> law = GIG(-0.5, 1.0, 1.0)
        >>> round(float(law.log_prob(1.0)), 6)
        -0.918939
        >>> round(float(law.cdf(law.ppf(0.99))), 6)
        0.99
    """

    eta_rule: ClassVar[str] = "satisfy E Y · E 1/Y > 1 and -log E 1/Y < E log Y < log E Y"
    gig_statistics: ClassVar[tuple[int, ...]] = (0, 1, 2)
    boundaries: ClassVar[Mapping[Status, str]] = MappingProxyType({
        Status.GAMMA_LIMIT: "b = 0, where it is Gamma(p, a/2)",
        Status.INVERSE_GAMMA_LIMIT: "a = 0, where it is InverseGamma(-p, b/2)",
    })  # fmt: skip
    divergences: ClassVar[Divergences] = Divergences(
        entropy=_entropy, difference=_difference, variance_along=_variance_along
    )
    information: ClassVar[Information] = Information(free=_free)

    p: Float[Array, ""]
    a: Float[Array, ""]
    b: Float[Array, ""]

    def __init__(self, p: ArrayLike, a: ArrayLike, b: ArrayLike, *, check: bool = True):
        order = f"p is {p}" if is_concrete(p) else "check the sign of p"
        self.p, self.a, self.b = scalars(_NAME, p=p, a=a, b=b)
        rates = "parameters are rates of y and of 1/y"
        rule = Rule("p", "be finite", "pass a real number")
        self.p = checked(_NAME, rule, jnp.isfinite, (p,), (self.p,), check=check)
        rule = Rule("a", "be finite and >= 0", rates)
        self.a = checked(_NAME, rule, _is_rate, (a,), (self.a,), check=check)
        rule = Rule("b", "be finite and >= 0", rates)
        self.b = checked(_NAME, rule, _is_rate, (b,), (self.b,), check=check)
        rule = Rule("a", "be > 0 unless p < 0 (inverse gamma limit)", order)
        self.a = checked(_NAME, rule, lambda a, p: (a > 0) | (p < 0), (a, p), (self.a, self.p),
                         check=check)  # fmt: skip
        rule = Rule("b", "be > 0 unless p > 0 (gamma limit)", order)
        self.b = checked(_NAME, rule, lambda b, p: (b > 0) | (p > 0), (b, p), (self.b, self.p),
                         check=check)  # fmt: skip

    def natural_params(self) -> Float[Array, "3"]:
        return jnp.stack([self.p - 1, -self.b / 2, -self.a / 2])

    @classmethod
    def from_natural(cls, theta: Float[Array, "3"]) -> Self:
        return cls(*_parameters(theta))

    def as_gig(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        return self.p, self.a, self.b

    @classmethod
    def from_gig(cls, p: ArrayLike, a: ArrayLike, b: ArrayLike) -> Self:
        return cls._unchecked(p, a, b)

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "3"]:
        return jnp.stack([jnp.log(x), 1 / x, x])

    def _log_kernel(self, x: Array) -> Float[Array, ""]:
        return log_density(self.p, self.a, self.b, x)

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "3"]) -> Float[Array, ""]:
        return gig_log_partition(*_parameters(theta))

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, "3"]) -> Float[Array, "3"]:
        moments = gig_moments(*_parameters(theta))
        return jnp.stack([moments.log_y, moments.inverse_y, moments.y])

    @classmethod
    def _hessian_log_partition(cls, theta: Float[Array, "3"]) -> Float[Array, "3 3"]:
        return covariance(*_parameters(theta))

    @classmethod
    def _log_partition_cpu(cls, theta: np.ndarray) -> float:
        from normix_expfam._gig import _cpu

        return float(_cpu.log_partition(*_parameters(theta)))

    @classmethod
    def _grad_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam._gig import _cpu

        moments = _cpu.moments(*_parameters(theta))
        return np.array([moments.log_y, moments.inverse_y, moments.y])

    @classmethod
    def _hessian_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam._gig import _cpu

        return _cpu.covariance(*_parameters(theta))

    @classmethod
    def _solve_expectation(cls, eta: Any, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        if backend == "cpu":
            from normix_expfam._gig import _cpu

            found, status = _cpu.solve(eta)
            return cls(*found, check=False), jnp.asarray(status, jnp.int32)
        return cls._of_solution(solve_gig(eta))

    @classmethod
    def _from_spread(cls, data: Spread, backend: Backend) -> tuple[Self, Int[Array, ""]]:
        upper = array_namespace(backend).log1p(data.excess) - data.log_gap
        if backend == "cpu":
            from normix_expfam._gig import _cpu

            gaps = data.log_gap, upper
            found, status = _cpu.solve_gaps(data.mean, data.inverse_mean, *gaps)
            return cls(*found, check=False), jnp.asarray(status, jnp.int32)
        # sums over data have a relative error
        noise = jnp.finfo(upper.dtype).eps * (data.log_gap + upper) / 2
        target = GIGTarget(data.mean, data.inverse_mean, data.log_gap, upper, noise)
        return cls._of_solution(solve_target(target))

    @classmethod
    def _of_solution(cls, solution: GIGSolution) -> tuple[Self, Int[Array, ""]]:
        lost = solution.status == int(Status.MAX_ITER)
        p = jnp.where(lost, jnp.nan, solution.p)
        return cls(p, solution.a, solution.b, check=False), solution.status

    @classmethod
    def solve_expectation(cls, eta: ArrayLike) -> GIGSolution:
        """Like `from_expectation`, as numbers with a status instead of an error; traceable.

        eta has the shape (3,); see `solve_gig`.
        """
        return solve_gig(*as_floats(f"{cls.__name__}.solve_expectation", eta=eta))

    def mean(self) -> Float[Array, ""]:
        return gig_moments(self.p, self.a, self.b).y

    def var(self) -> Float[Array, ""]:
        return covariance(self.p, self.a, self.b)[2, 2]

    def skewness(self) -> Float[Array, ""]:
        return skewness_and_kurtosis(self.p, self.a, self.b)[0]

    def kurtosis(self) -> Float[Array, ""]:
        return skewness_and_kurtosis(self.p, self.a, self.b)[1]

    def mode(self) -> Float[Array, ""]:
        return mode(self.p, self.a, self.b)

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        return sample_gig(key, *(jnp.broadcast_to(x, shape) for x in self.as_gig()))

    def to_scipy(self) -> Any:
        """geninvgauss, and at the limits gamma (b = 0) and invgamma (a = 0)."""
        from scipy import stats

        p, a, b = (float(x) for x in self.as_gig())
        if b == 0:
            return stats.gamma(p, scale=2 / a)
        if a == 0:
            return stats.invgamma(-p, scale=b / 2)
        return stats.geninvgauss(p, np.sqrt(a) * np.sqrt(b), scale=np.sqrt(b) / np.sqrt(a))

    @classmethod
    def from_scipy(cls, frozen: Any) -> Self:
        """From a frozen geninvgauss, gamma or invgamma of scipy.stats.

        Raises:
            TypeError: if it is no frozen distribution.
            ValueError: for another distribution, and for loc other than 0.
        """
        name, found = parameters_without_location(
            "GIG.from_scipy", frozen, "geninvgauss", "gamma", "invgamma"
        )
        scale = found["scale"]
        if name == "gamma":
            return cls(found["a"], 2 / scale, 0.0)
        if name == "invgamma":
            return cls(-found["a"], 0.0, 2 * scale)
        return cls(found["p"], found["b"] / scale, found["b"] * scale)


GIG = GeneralizedInverseGaussian
