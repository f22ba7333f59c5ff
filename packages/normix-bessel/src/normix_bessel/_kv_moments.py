"""What one pass over the integrand of K_v gives: `KvMoments`."""

import math
from typing import Any, NamedTuple

Array = Any  # jax.Array from the "jax" backend, numpy.ndarray from "cpu"


class KvMoments(NamedTuple):
    r"""log K_v(z) with the moments of the law that its integral defines.

    For real order v and z > 0 the integrand of ::

        K_v(z) = ½ ∫ exp(-z cosh t + v t) dt                     (DLMF 10.32.9)

    is, normalised, a probability law of t whose log-partition function is log K_v(z). It
    peaks at the saddle t0 = asinh(v/z). With u = t - t0 and w = hypot(v, z) its exponent is ::

        -z cosh t + v t = (-w + v t0) - ½ (w + v) f(u) - ½ (w - v) g(u),
        f(u) = e^u - 1 - u,   g(u) = e^-u - 1 + u,   f, g >= 0,

    so the statistics (u, f, g) carry value, gradient and Fisher information of everything
    built on K_v, without the cancellation that (t, e^t, e^-t) suffer for large w.

    Every array has the broadcast shape ``(...)`` of v and z, but for the trailing axes named.

    Below z = 1e-150 (float32: 1e-19) z² underflows, and at orders `|v| < 7` the covariance, at
    `|v| <= 1/2` also the mean of `e^-|t|`, can be inf or nan; `log_kve` and its derivatives are
    not.
    """

    log_kve: Array
    """log(e^z K_v(z)), shape (...)."""

    order: Array
    """v, shape (...)."""

    argument: Array
    """z, shape (...)."""

    saddle: Array
    """t0 = asinh(v/z), shape (...)."""

    w: Array
    """hypot(v, z), shape (...)."""

    mean: Array
    """Means of (u, f, g), shape (..., 3)."""

    cov: Array | None
    """Covariance of (u, f, g), shape (..., 3, 3); None when it was not asked for."""

    @property
    def log_kv(self) -> Array:
        """log K_v(z), shape (...)."""
        return self.log_kve - self.argument

    @property
    def log_mass(self) -> Array:
        """log ∫ exp(-½ (w + v) f - ½ (w - v) g) du = log(2 K_v(z)) + w - v t0, shape (...).

        Its absolute error is `|v t0| eps`, however large z is.
        """
        fall = self.order * (self.saddle - self.order / (self.w + self.argument))
        return self.log_kve - fall + math.log(2)

    @property
    def dv(self) -> Array:
        """∂ log K_v(z) / ∂v = E t, shape (...)."""
        return self.saddle + self.mean[..., 0]

    @property
    def dz(self) -> Array:
        """∂ log K_v(z) / ∂z = -E cosh t, shape (...)."""
        return -(self.ratio_up + self.ratio_down) / 2

    @property
    def ratio_up(self) -> Array:
        """K_{v+1}(z) / K_v(z) = E e^t, shape (...)."""
        return self._exp_saddle(+1) * (1 + self.mean[..., 0] + self.mean[..., 1])

    @property
    def ratio_down(self) -> Array:
        """K_{v-1}(z) / K_v(z) = E e^-t, shape (...)."""
        return self._exp_saddle(-1) * (1 - self.mean[..., 0] + self.mean[..., 2])

    def _exp_saddle(self, sign: int) -> Array:
        """e^(±t0) = (w ± v) / z, by the one of its two forms that does not cancel."""
        total = self.w + abs(self.order)
        falls = (sign * self.order < 0).astype(total.dtype)
        rises = 1 - falls
        return (rises * total + falls * self.argument) / (rises * self.argument + falls * total)
