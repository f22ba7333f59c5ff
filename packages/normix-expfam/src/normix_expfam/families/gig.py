"""The generalized inverse Gaussian law."""

from typing import ClassVar, Self, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam._checks import as_floats, is_concrete, require, scalars
from normix_expfam._family import ExponentialFamily
from normix_expfam._gig import gig_covariance, gig_log_partition, gig_moments
from normix_expfam._inversion import GIGSolution, InversionStatus, solve_gig
from normix_expfam._positive import interior_point, log_indicator
from normix_expfam._sampling import sample_gig


@final
class GeneralizedInverseGaussian(ExponentialFamily):
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

    Raises:
        ValueError: if a concrete parameter is outside the domain.
    """

    eta_rule: ClassVar[str] = "satisfy E Y · E 1/Y > 1 and -log E 1/Y < E log Y < log E Y"

    p: Float[Array, ""]
    a: Float[Array, ""]
    b: Float[Array, ""]

    def __init__(self, p: ArrayLike, a: ArrayLike, b: ArrayLike):
        name = "GeneralizedInverseGaussian"
        self.p, self.a, self.b = scalars(name, p=p, a=a, b=b)
        if is_concrete(p, a, b):
            p_, a_, b_ = (np.asarray(x) for x in (p, a, b))
            require(np.isfinite(p_), name, "p", "be finite", p_, "pass a real number")
            for label, x in (("a", a_), ("b", b_)):
                require(np.isfinite(x) & (x >= 0), name, label, "be finite and >= 0", x,
                        "parameters are rates of y and of 1/y")  # fmt: skip
            require((a_ > 0) | (p_ < 0), name, "a", "be > 0 unless p < 0 (inverse gamma limit)",
                    a_, f"p is {p_}")  # fmt: skip
            require((b_ > 0) | (p_ > 0), name, "b", "be > 0 unless p > 0 (gamma limit)",
                    b_, f"p is {p_}")  # fmt: skip

    def natural_params(self) -> Float[Array, "3"]:
        return jnp.stack([self.p - 1, -self.b / 2, -self.a / 2])

    @classmethod
    def from_natural(cls, theta: Float[Array, "3"]) -> Self:
        return cls(theta[0] + 1, -2 * theta[2], -2 * theta[1])

    @staticmethod
    def _statistics_of(x: Array) -> Float[Array, "3"]:
        return jnp.stack([jnp.log(x), 1 / x, x])

    @staticmethod
    def _log_base_of(x: Array) -> Float[Array, ""]:
        return log_indicator(x)

    @staticmethod
    def _interior_point(x: Array) -> Array:
        return interior_point(x)

    @classmethod
    def _log_partition_from_theta(cls, theta: Float[Array, "3"]) -> Float[Array, ""]:
        return gig_log_partition(theta[0] + 1, -2 * theta[2], -2 * theta[1])

    @classmethod
    def _grad_log_partition(cls, theta: Float[Array, "3"]) -> Float[Array, "3"]:
        moments = gig_moments(theta[0] + 1, -2 * theta[2], -2 * theta[1])
        return jnp.stack([moments.log_y, moments.inverse_y, moments.y])

    @classmethod
    def _hessian_log_partition(cls, theta: Float[Array, "3"]) -> Float[Array, "3 3"]:
        return gig_covariance(theta[0] + 1, -2 * theta[2], -2 * theta[1])

    @classmethod
    def _log_partition_cpu(cls, theta: np.ndarray) -> float:
        from normix_expfam import _cpu_gig

        return float(_cpu_gig.log_partition(theta[0] + 1, -2 * theta[2], -2 * theta[1]))

    @classmethod
    def _grad_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam import _cpu_gig

        moments = _cpu_gig.moments(theta[0] + 1, -2 * theta[2], -2 * theta[1])
        return np.array([moments.log_y, moments.inverse_y, moments.y])

    @classmethod
    def _hessian_log_partition_cpu(cls, theta: np.ndarray) -> np.ndarray:
        from normix_expfam import _cpu_gig

        return _cpu_gig.covariance(theta[0] + 1, -2 * theta[2], -2 * theta[1])

    @classmethod
    def _from_expectation(cls, eta: Float[Array, "3"]) -> Self:
        solution = solve_gig(eta)
        lost = solution.status == int(InversionStatus.MAX_STEPS)
        return cls(jnp.where(lost, jnp.nan, solution.p), solution.a, solution.b)

    @classmethod
    def _from_expectation_cpu(cls, eta: np.ndarray) -> Self:
        from normix_expfam import _cpu_gig

        return cls(*_cpu_gig.solve(eta))

    @classmethod
    def solve_expectation(cls, eta: ArrayLike) -> GIGSolution:
        """Like `from_expectation`, as numbers with a status instead of an error; traceable."""
        return solve_gig(*as_floats(f"{cls.__name__}.solve_expectation", eta=eta))

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
        """Draws of the given shape; exact, by rejection that loops until every draw is accepted."""
        p, a, b = (jnp.broadcast_to(x, shape) for x in (self.p, self.a, self.b))
        return sample_gig(key, p, a, b)


GIG = GeneralizedInverseGaussian
