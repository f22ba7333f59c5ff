"""The density against quadrature: normalisation, mean statistics, covariance, entropy."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from normix_expfam._family import ExponentialFamily

from ._facts import Facts, describe, facts_of, log_prob, require_close

Support = Literal["positive", "real", "unit"]

_NODES = 4001  # of the quadrature; between a third and all of them carry weight
_DEPTH = 42.0  # it ends where the integrand is e^-42 of its largest value

OUTSIDE = {
    "positive": np.array([-np.inf, -1.0, np.inf]),
    "real": np.array([-np.inf, np.inf]),
    "unit": np.array([-np.inf, -1.0, 2.0, np.inf]),
}


def check_support(dist: ExponentialFamily, *, outside: np.ndarray) -> None:
    """log_prob is -inf at points outside the support and nan at nan, without warning."""
    got = np.asarray(dist.log_prob(outside))
    if not np.all(got == -np.inf):
        raise AssertionError(
            f"{describe(dist)}: log_prob is -inf outside the support: got {got} at {outside}"
        )
    at_nan = np.asarray(dist.log_prob(np.full(outside.shape[1:], np.nan)))
    if not np.isnan(at_nan):
        raise AssertionError(f"{describe(dist)}: log_prob is nan at nan: got {at_nan}")


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
    require_close(dist, "density integrates to 1", weight.sum(), 1.0, allowed)
    finite = np.isfinite(facts.eta)
    if finite_covariance and not finite.all():
        raise AssertionError(f"{describe(dist)}: mean statistics are finite: got {facts.eta}")
    with np.errstate(over="ignore"):
        mean = weight @ t[:, finite]
    require_close(dist, "grad hook = mean of t by quadrature", facts.eta[finite], mean,
                   (allowed * facts.rms)[finite])  # fmt: skip
    if finite_covariance:
        centred = (t - facts.eta) / facts.sd
        cov = (centred * weight[:, None]).T @ centred
        require_close(dist, "hessian hook = covariance of t by quadrature, in units of sd",
                       facts.fisher / facts.sd_sd, cov,
                       allowed + collinear(facts))  # fmt: skip


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
    require_close(dist, "entropy by quadrature", found, expected, allowed * (1 + abs(found)))
    require_close(dist, "cross entropy with itself = entropy", dist.cross_entropy(dist), found,
                  allowed)  # fmt: skip


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
