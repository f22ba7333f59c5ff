"""The density against quadrature: normalisation, mean statistics, covariance, entropy."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam._family import ExponentialFamily

from ._facts import Facts, facts_of, log_prob, require_close, require_holds

Support = Literal["positive", "real", "unit"]

_NODES = 4001  # of the quadrature; between a third and all of them carry weight
_DEPTH = 42.0  # it ends where the integrand is e^-42 of its largest value

OUTSIDE = {
    "positive": np.array([-np.inf, -1.0, -1e-200, np.inf]),
    "real": np.array([-np.inf, np.inf]),
    "unit": np.array([-np.inf, -1.0, -1e-200, 1 + 1e-12, 2.0, np.inf]),
}
_ENDS = {  # of the support, with two points that approach it
    "positive": ((0.0, (1e-290, 1e-300)),),
    "real": (),
    "unit": ((0.0, (1e-290, 1e-300)), (1.0, (1 - 2**-52, 1 - 2**-53))),
}


def check_support(dist: ExponentialFamily, *, outside: np.ndarray) -> None:
    """log_prob is -inf at points outside the support and nan at nan, without warning."""
    got = np.asarray(dist.log_prob(outside))
    require_holds(dist, "log_prob is -inf outside the support", got == -np.inf,
                  f"{got} at {outside}", "_log_base_of")  # fmt: skip
    at_nan = np.asarray(dist.log_prob(np.full(outside.shape[1:], np.nan)))
    require_holds(dist, "log_prob is nan at nan", np.isnan(at_nan), at_nan, "_log_base_of")


def check_boundary(dist: ExponentialFamily, *, support: Support = "positive") -> None:
    """At an end of the support log_prob is its limit from inside, or -inf where it is left out."""
    for end, near in _ENDS[support]:
        got, *inside = (float(value) for value in dist.log_prob(np.array([end, *near])))
        # a power of the distance, or a logarithm of it, is straight in log distance
        towards = inside[1] - inside[0]
        finite = abs(towards) <= 1e-6 * (1 + abs(inside[1]))
        if finite:
            limited = abs(got - inside[1]) <= 1e-6 * (1 + abs(inside[1]))
        else:
            limited = got == np.copysign(np.inf, towards)
        good = limited or got == -np.inf
        require_holds(dist, f"log_prob at {end}, an end of the support, is its limit or -inf", good,
                      f"{got}, and {inside} at {near}", "_log_base_of, _log_kernel")  # fmt: skip


def check_kernel(dist: ExponentialFamily, x: ArrayLike, *, rtol: float = 1e-9) -> None:
    """log f = log h + θ·t - ψ at points of the support, which `_interior_point` leaves alone."""
    facts = facts_of(dist)
    x = np.asarray(x)
    base = np.asarray(dist.log_base_measure(x))
    x, base = x[np.isfinite(base)], base[np.isfinite(base)]
    kept = dist._map_batch(dist._interior_point, jnp.asarray(x))
    require_close(dist, "a point of the support is its own interior point", kept, x, 0.0,
                  "_interior_point")  # fmt: skip
    t = np.asarray(dist.sufficient_statistics(x))
    expected = base + t @ facts.theta - facts.psi
    terms = 1 + np.abs(base) + abs(facts.psi) + np.abs(t) @ np.abs(facts.theta)
    require_close(dist, "log_prob = log h + theta . t - psi", dist.log_prob(x), expected,
                  64 * np.finfo(np.float64).eps * terms + rtol, "_log_kernel")  # fmt: skip


def check_density(
    dist: ExponentialFamily,
    *,
    rtol: float = 1e-9,
    finite_covariance: bool = True,
    support: Support = "positive",
) -> None:
    """The density integrates to 1, with mean ∇ψ and covariance ∇²ψ of t; it has one mode."""
    facts = facts_of(dist)
    growth = _growth_of_statistics(dist, facts, 2 if finite_covariance else 1)
    x, weight = quadrature(dist, growth, support=support)
    t = np.asarray(dist.sufficient_statistics(x))
    allowed = rtol + 64 * np.finfo(np.float64).eps * facts.magnitude
    require_close(dist, "density integrates to 1", weight.sum(), 1.0, allowed,
                  "_log_partition_from_theta, _statistics_of, _log_base_of")  # fmt: skip
    finite = np.isfinite(facts.eta)
    if finite_covariance:
        require_holds(dist, "mean statistics are finite", finite, facts.eta, "_grad_log_partition")
    with np.errstate(over="ignore"):
        mean = weight @ t[:, finite]
    require_close(dist, "grad hook = mean of t by quadrature", facts.eta[finite], mean,
                   (allowed * facts.rms)[finite],
                   "_grad_log_partition, _log_partition_from_theta, _statistics_of")  # fmt: skip
    if finite_covariance:
        centred = (t - facts.eta) / facts.sd
        cov = (centred * weight[:, None]).T @ centred
        require_close(dist, "hessian hook = covariance of t by quadrature, in units of sd",
                       facts.fisher / facts.sd_sd, cov,
                       allowed + collinear(facts), "_hessian_log_partition")  # fmt: skip


def check_entropy(
    dist: ExponentialFamily, *, rtol: float = 1e-9, support: Support = "positive"
) -> None:
    """The entropy is -∫ f log f dx, and the cross entropy of a law with itself."""
    facts = facts_of(dist)
    x, weight = quadrature(dist, _growth_of_statistics(dist, facts, 1), support=support)
    allowed = rtol + 64 * np.finfo(np.float64).eps * facts.magnitude
    found = np.asarray(dist.entropy())
    value = np.asarray(log_prob(dist, x))
    with np.errstate(invalid="ignore"):
        expected = -np.sum(np.where(weight > 0, weight * value, 0.0))
    require_close(dist, "entropy by quadrature", found, expected, allowed * (1 + abs(found)),
                   "_mean_log_base, divergences.entropy")  # fmt: skip
    require_close(dist, "cross entropy with itself = entropy", dist.cross_entropy(dist), found,
                  allowed, "_mean_log_base, divergences.entropy")  # fmt: skip


def collinear(facts: Facts) -> np.ndarray:
    """What rounding t(x) - η leaves in a covariance in units of sd."""
    with np.errstate(invalid="ignore", over="ignore"):
        lost = np.finfo(np.float64).eps * np.abs(facts.eta) / facts.sd
    return 64 * (lost[:, None] + lost[None, :])


def _growth_of_statistics(
    dist: ExponentialFamily, facts: Facts, power: int
) -> Callable[[np.ndarray], np.ndarray]:
    """log of the largest statistic's power, in units of its standard deviation."""
    unit = np.where(np.isfinite(facts.sd), facts.sd, np.abs(facts.eta))
    unit = np.where(np.isfinite(unit), unit, np.inf)
    centre = np.where(np.isfinite(facts.eta), facts.eta, 0.0)

    def growth(x: np.ndarray) -> np.ndarray:
        t = np.asarray(dist.sufficient_statistics(x))
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.nan_to_num(np.abs(t - centre) / unit)
        return np.asarray(power * np.log1p(distance.max(axis=1)))

    return growth


class _Line(NamedTuple):
    """The support as an increasing image of the line."""

    from_line: Callable[[np.ndarray], np.ndarray]
    log_slope: Callable[[np.ndarray], np.ndarray]
    reach: float  # the image is the whole support beyond it, to working precision


def _log_sigmoid(u: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -u)


_LINES = {
    "positive": _Line(np.exp, lambda u: u, 700.0),
    "real": _Line(np.sinh, lambda u: np.logaddexp(u, -u) - np.log(2), 700.0),
    "unit": _Line(
        lambda u: np.exp(_log_sigmoid(u)), lambda u: _log_sigmoid(u) + _log_sigmoid(-u), 36.0
    ),
}


def quadrature(
    dist: ExponentialFamily,
    growth: Callable[[np.ndarray], np.ndarray],
    *,
    support: Support = "positive",
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x and weights f(x) dx of the trapezoidal rule, after a map of the support to the line.

    The range closes in on where the density times the growth of the integrand, given as
    log growth(x), is not negligible.
    """
    line = _LINES[support]
    low, high = -line.reach, line.reach
    for _ in range(100):
        u = np.linspace(low, high, _NODES)
        x = line.from_line(u)
        log_density = np.asarray(log_prob(dist, x)) + line.log_slope(u)
        level = log_density + growth(x)
        kept = np.flatnonzero(level > level.max() - _DEPTH)
        first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, _NODES - 1)
        if 3 * kept.size > _NODES or high - low < 1e-12:
            break
        low, high = u[first], u[last]
    return x, np.exp(log_density) * (u[1] - u[0])
