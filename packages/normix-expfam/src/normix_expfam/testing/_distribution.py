"""Distribution function, quantiles and moments of a distribution on the line."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from normix_expfam._univariate_family import UnivariateFamily

from ._density import OUTSIDE, Support, quadrature
from ._facts import facts_of, log_prob, require_close, require_holds

_PROBABILITIES = np.array([1e-30, 1e-5, 0.02, 0.3, 0.5, 0.8, 0.999])
_ORDERS = np.array([0.0, 0.5, 1.0, 2.0, 3.0])  # of raw moments
_SUPPORT_ENDS = {"positive": (0.0, np.inf), "real": (-np.inf, np.inf), "unit": (0.0, 1.0)}


def check_distribution(
    dist: UnivariateFamily, x: Array, *, rtol: float = 1e-9, support: Support = "positive"
) -> None:
    """cdf, sf, their logarithms, ppf and isf belong together, to the density and to the draws x."""
    q = _PROBABILITIES
    at, above, values, slope = (np.asarray(value) for value in _functions(dist, jnp.asarray(q)))
    cdf, sf, log_cdf, log_sf = values
    density = np.exp(np.asarray(log_prob(dist, at)))
    noise = 64 * np.finfo(np.float64).eps * facts_of(dist).magnitude
    require_close(dist, "derivative of cdf = density", slope, density, (rtol + noise) * density,
                  "_log_odds")  # fmt: skip
    require_close(dist, "cdf + sf = 1", cdf + sf, np.ones_like(q), 1e-15, "_log_odds")
    require_close(dist, "exp(log_cdf) = cdf", np.exp(log_cdf), cdf, 1e-13 * cdf, "_log_odds")
    require_close(dist, "exp(log_sf) = sf", np.exp(log_sf), sf, 1e-13 * sf, "_log_odds")
    low, high = _SUPPORT_ENDS[support]
    outside = OUTSIDE[support]
    require_close(dist, "cdf is 0 below the support and 1 above", dist.cdf(outside),
                  np.where(outside > low, 1.0, 0.0), 0.0, "_log_odds")  # fmt: skip
    require_holds(dist, "cdf is nan at nan", np.isnan(dist.cdf(np.nan)), dist.cdf(np.nan),
                  "_log_odds")  # fmt: skip
    require_close(dist, "cdf(ppf(q)) = q", cdf, q, rtol * q, "_quantile")
    back = np.asarray(dist.sf(above))
    require_close(dist, "sf(isf(q)) = q", back, q, rtol * q, "_quantile")
    require_close(dist, "ppf(0) and ppf(1) are the ends of the support",
                  dist.ppf(np.array([0.0, 1.0])), (low, high), 0.0, "_quantile")  # fmt: skip
    ordered = np.sort(np.asarray(x))
    empirical = np.arange(1, ordered.size + 1) / ordered.size
    distance = float(np.max(np.abs(np.asarray(dist.cdf(ordered)) - empirical)))
    # Dvoretzky, Kiefer, Wolfowitz: exceeded once in 3 million
    require_holds(dist, "cdf of the draws is uniform", distance < 2.75 / np.sqrt(ordered.size),
                  f"the distance {distance} from {ordered.size} draws",
                  "sample, _log_odds")  # fmt: skip


def check_moments(
    dist: UnivariateFamily, *, rtol: float = 1e-8, support: Support = "positive"
) -> None:
    """mean, var, std, skewness, kurtosis and raw moments are the integrals, where they exist.

    The mode has no point of higher density.
    """
    facts = facts_of(dist)
    mean, var, skewness, kurtosis, std = (float(value) for value in _moments(dist))
    noise = 64 * np.finfo(np.float64).eps * facts.magnitude

    def growth(at: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            distance = np.nan_to_num(np.abs(at - mean) / std)
        return np.asarray(4 * np.log1p(distance))

    x, weight = quadrature(dist, growth, support=support)
    weight = weight / weight.sum()  # whose error the mean would multiply by mean / std
    centred = x - weight @ x
    first, second = weight @ x, weight @ centred**2
    spread = np.sqrt(second)
    allowed = rtol + noise
    require_close(dist, "mean by quadrature", mean, first, allowed * (abs(first) + spread), "mean")
    require_close(dist, "var by quadrature", var, second, allowed * second, "var")
    require_close(dist, "std² = var", std**2, var, 1e-14 * var, "var")
    third, fourth = (weight @ (centred / spread) ** k for k in (3, 4))
    lost = allowed + 1e-15 * abs(first) / spread
    require_close(dist, "skewness by quadrature", skewness, third, lost * (1 + abs(third)),
                  "skewness")  # fmt: skip
    require_close(dist, "kurtosis by quadrature", kurtosis + 3, fourth, lost * fourth, "kurtosis")
    orders = _ORDERS if support != "real" else _ORDERS[_ORDERS % 1 == 0]
    raw = np.asarray(dist.raw_moment(orders))
    powers = x[None, :] ** orders[:, None]
    require_close(dist, f"raw moments of orders {orders} by quadrature", raw, powers @ weight,
                  allowed * (np.abs(powers) @ weight), "raw_moment")  # fmt: skip
    mode = float(dist.mode())
    step = 1e-3 * spread * np.array([-1.0, 0.0, 1.0])
    low, middle, high = np.asarray(log_prob(dist, mode + step))
    most = max(low, high, np.max(log_prob(dist, x)))
    require_holds(dist, "the mode is a maximum of the density",
                  not np.isfinite(middle) or middle >= most - noise,
                  f"log_prob {middle} at {mode}, and {low} and {high} beside it",
                  "mode")  # fmt: skip


@eqx.filter_jit
def _functions(dist: UnivariateFamily, q: Array) -> tuple[Array, Array, Array, Array]:
    at, above = dist.ppf(q), dist.isf(q)
    values = jnp.stack([dist.cdf(at), dist.sf(at), dist.log_cdf(at), dist.log_sf(at)])
    return at, above, values, jax.vmap(jax.grad(dist.cdf))(at)


@eqx.filter_jit
def _moments(dist: UnivariateFamily) -> tuple[Array, ...]:
    return dist.mean(), dist.var(), dist.skewness(), dist.kurtosis(), dist.std()
