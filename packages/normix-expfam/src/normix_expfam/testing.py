"""Laws that every exponential family obeys: `check_family` proves a family by its instances.

Each law is a function that raises AssertionError and says which law failed, where and by how
much. `check_family` applies all of them; a law that an instance cannot obey (no finite
covariance at a limit, no sampler) is switched off by an argument, never by itself.

Errors are measured on the scale on which a quantity is known: mean statistics relative to
their root mean square, covariances relative to the standard deviations, logarithms relative to
the terms they are the sum of. Run with ``jax_enable_x64``.
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ._family import ExponentialFamily
from ._triad import grad_log_partition, log_partition

__all__ = [
    "check_cpu",
    "check_density",
    "check_differentiation",
    "check_family",
    "check_gradient",
    "check_hessian",
    "check_inverse",
    "check_inverse_cpu",
    "check_natural_params",
    "check_sampling",
    "check_score",
    "check_single_precision",
    "check_support",
    "check_transformations",
]

Support = Literal["positive", "other"]

_NODES = 4001  # of the quadrature; between a third and all of them carry weight
_DRAWS = 20_000
_DEPTH = 42.0  # it ends where the integrand is e^-42 of its largest value


def check_family(
    dist: ExponentialFamily,
    *,
    key: Array | None = None,
    rtol: float = 1e-9,
    support: Support = "positive",
    interior: bool = True,
    finite_covariance: bool = True,
    invertible: bool = True,
    invertible_on_cpu: bool = True,
    sampler: bool = True,
    single_precision_rtol: float | None = 1e-4,
) -> None:
    """Apply every law to one instance with float64 parameters.

    Args:
        dist: the law.
        key: for the sampling law; default `jax.random.key(0)`.
        rtol: tolerance of the deterministic laws.
        support: "positive" for univariate families on y > 0, where density and moments are also
            integrated; "other" leaves that out.
        interior: False on the boundary of the natural parameter space, where derivatives of ψ
            are one-sided and automatic differentiation of its formula says nothing.
        finite_covariance: False where Cov t(X) has infinite entries.
        invertible: False where η has infinite entries, or where η does not determine the law.
        invertible_on_cpu: False where the CPU solver is known to give up.
        sampler: False if the family has no `sample`.
        single_precision_rtol: tolerance of the float32 laws; None leaves them out.

    Raises:
        AssertionError: if a law does not hold.
        ValueError: if the parameters are not in float64.
    """
    if any(leaf.dtype != jnp.float64 for leaf in _floating_leaves(dist)):
        raise ValueError(
            f"check_family: parameters of dist must be float64, got {_describe(dist)}; set "
            "jax_enable_x64 and build it from Python floats"
        )
    key = jax.random.key(0) if key is None else key
    x = _points(dist, key, _DRAWS, sampler=sampler)
    check_natural_params(dist, rtol=rtol)
    check_cpu(dist, rtol=rtol)
    check_transformations(dist, x[:4])
    if interior:
        check_gradient(dist, rtol=rtol)
        check_hessian(dist, rtol=rtol)
        check_differentiation(dist, rtol=rtol)
        check_score(dist, x[0], rtol=rtol)
    if support == "positive":
        check_support(dist, outside=np.array([-np.inf, -1.0, 0.0, np.inf]))
        check_density(dist, rtol=rtol, finite_covariance=finite_covariance)
    if invertible:
        check_inverse(dist, rtol=rtol)
        if invertible_on_cpu:
            check_inverse_cpu(dist, rtol=rtol)
    if sampler:
        check_sampling(dist, x, finite_covariance=finite_covariance)
    if single_precision_rtol is not None:
        check_single_precision(dist, rtol=single_precision_rtol, sampler=sampler)


def check_natural_params(dist: ExponentialFamily, *, rtol: float = 1e-12) -> None:
    """Classical -> natural -> classical returns the parameters."""
    back = type(dist).from_natural(dist.natural_params())
    for got, expected in zip(jax.tree.leaves(back), jax.tree.leaves(dist), strict=True):
        expected = np.asarray(expected)
        tolerance = rtol * np.abs(expected) + 4 * np.finfo(expected.dtype).eps
        _require_close(dist, "classical -> natural -> classical", got, expected, tolerance)


def check_gradient(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """`_grad_log_partition` is the gradient of the undecorated `_log_partition_from_theta`."""
    facts = _facts(dist)
    _require_close(dist, "grad hook = jax.grad of psi", facts.eta, facts.derivatives.gradient,
                   rtol * facts.rms)  # fmt: skip


def check_hessian(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """`_hessian_log_partition` is the derivative of the gradient hook and positive definite."""
    facts = _facts(dist)
    allowed = rtol * facts.sd_sd
    _require_close(dist, "hessian hook = jacfwd of grad hook", facts.fisher,
                   facts.derivatives.jacobian, allowed)  # fmt: skip
    _require_close(dist, "hessian hook is symmetric", facts.fisher, facts.fisher.T, allowed * 1e-3)
    correlation = facts.fisher / facts.sd_sd
    least = float(np.linalg.eigvalsh(correlation)[0])
    if not least > 0:
        raise AssertionError(
            f"{_describe(dist)}: hessian hook is positive definite: the correlation matrix of "
            f"t(X) has the eigenvalue {least}"
        )


def check_cpu(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """The CPU hooks give what the JAX hooks give."""
    facts, family = _facts(dist), type(dist)
    psi = family._log_partition_cpu(facts.theta)
    _require_close(dist, "psi on the CPU = psi on JAX", psi, facts.psi, rtol * facts.magnitude)
    eta = dist.expectation_params(backend="cpu")
    _require_close(dist, "grad on the CPU = grad on JAX", eta, facts.eta, rtol * facts.rms)
    fisher = dist.fisher_information(backend="cpu")
    allowed = rtol * facts.sd_sd
    _require_close(dist, "hessian on the CPU = hessian on JAX", fisher, facts.fisher, allowed)


def check_differentiation(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """Automatic differentiation of `log_partition` goes through the hooks: grad, hessian, jvp."""
    facts = _facts(dist)
    found = facts.derivatives
    tiny, allowed = 64 * np.finfo(np.float64).eps, rtol * facts.sd_sd
    _require_close(dist, "grad of psi = grad hook", found.decorated_gradient, facts.eta,
                   tiny * facts.rms)  # fmt: skip
    _require_close(dist, "hessian of psi = hessian hook", found.decorated_hessian, facts.fisher,
                   allowed)  # fmt: skip
    _require_close(dist, "jacobian of grad = hessian hook", found.decorated_jacobian, facts.fisher,
                   allowed)  # fmt: skip
    _require_close(dist, "jvp of psi = grad hook . tangent", found.directional,
                   facts.eta @ facts.theta, tiny * facts.magnitude)  # fmt: skip


def check_score(dist: ExponentialFamily, x: Array, *, rtol: float = 1e-9) -> None:
    """The gradient of log_prob in θ is t(x) - η, at one observation x."""
    facts = _facts(dist)
    score = _score(type(dist), facts.theta, x)
    expected = np.asarray(dist.sufficient_statistics(x)) - facts.eta
    scale = facts.rms + np.abs(expected)
    _require_close(dist, "score = t(x) - eta", score, expected, rtol * scale)


def check_support(dist: ExponentialFamily, *, outside: np.ndarray) -> None:
    """log_prob is -inf at points outside the support and nan at nan, without warning."""
    got = np.asarray(dist.log_prob(outside))
    if not np.all(got == -np.inf):
        raise AssertionError(
            f"{_describe(dist)}: log_prob is -inf outside the support: got {got} at {outside}"
        )
    at_nan = np.asarray(dist.log_prob(np.full(outside.shape[1:], np.nan)))
    if not np.isnan(at_nan):
        raise AssertionError(f"{_describe(dist)}: log_prob is nan at nan: got {at_nan}")


def check_density(
    dist: ExponentialFamily, *, rtol: float = 1e-9, finite_covariance: bool = True
) -> None:
    """The density on y > 0 integrates to 1, with mean ∇ψ and covariance ∇²ψ of t.

    The trapezoidal rule in log y, on a range found by closing in on where the density is not
    negligible; it takes a density with one mode.
    """
    facts = _facts(dist)
    x, weight = _quadrature(dist, facts, moments=2 if finite_covariance else 1)
    t = np.asarray(dist.sufficient_statistics(x))
    allowed = rtol + 64 * np.finfo(np.float64).eps * facts.magnitude
    _require_close(dist, "density integrates to 1", weight.sum(), 1.0, allowed)
    finite = np.isfinite(facts.eta)
    if finite_covariance and not finite.all():
        raise AssertionError(f"{_describe(dist)}: mean statistics are finite: got {facts.eta}")
    with np.errstate(over="ignore"):
        mean = weight @ t[:, finite]
    _require_close(dist, "grad hook = mean of t by quadrature", facts.eta[finite], mean,
                   (allowed * facts.rms)[finite])  # fmt: skip
    if finite_covariance:
        centred = (t - facts.eta) / facts.sd
        cov = (centred * weight[:, None]).T @ centred
        _require_close(dist, "hessian hook = covariance of t by quadrature, in units of sd",
                       facts.fisher / facts.sd_sd, cov,
                       allowed + _collinear(facts))  # fmt: skip


def check_inverse(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """η -> θ -> η returns η."""
    facts = _facts(dist)
    back = type(dist).from_expectation(facts.eta)
    _require_close(dist, "eta -> theta -> eta", _facts(back).eta, facts.eta, rtol * facts.rms)


def check_inverse_cpu(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """η -> θ on the CPU reaches the likelihood of the law that η came from."""
    facts = _facts(dist)
    found = type(dist).from_expectation(facts.eta, backend="cpu")
    theta = np.asarray(found.natural_params())
    reached = theta @ facts.eta - np.asarray(found.log_partition())
    best = facts.theta @ facts.eta - facts.psi
    _require_close(dist, "likelihood of eta -> theta on the CPU", reached, best,
                   rtol * facts.magnitude)  # fmt: skip


def check_sampling(dist: ExponentialFamily, x: Array, *, finite_covariance: bool = True) -> None:
    """The mean of t over the draws x is within 5 standard errors, by ∇²ψ, of ∇ψ."""
    facts, n = _facts(dist), x.shape[0]
    if not np.all(np.isfinite(dist.log_base_measure(x))):
        raise AssertionError(f"{_describe(dist)}: draws lie in the support")
    known = np.isfinite(facts.sd)
    if finite_covariance and not known.all():
        raise AssertionError(f"{_describe(dist)}: covariance is finite: got {facts.fisher}")
    mean = np.asarray(dist.sufficient_statistics(x)).mean(axis=0)
    allowed = 5 * facts.sd / np.sqrt(n) + 64 * np.finfo(np.float64).eps * facts.rms
    _require_close(dist, f"mean of t over {n} draws = grad hook", mean[known], facts.eta[known],
                   allowed[known])  # fmt: skip


def check_transformations(dist: ExponentialFamily, x: Array) -> None:
    """log_prob and mean statistics are the same plain, under jit, and under vmap over laws."""
    facts = _facts(dist)
    allowed = 64 * np.finfo(np.float64).eps * _log_prob_magnitude(dist, facts, x)
    plain = dist.log_prob(x)
    _require_close(dist, "log_prob under jit", _log_prob(dist, x), plain, allowed)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), dist)
    values, eta = _vmapped(stacked, x)
    allowed_eta = 64 * np.finfo(np.float64).eps * facts.rms
    for i in range(2):
        _require_close(dist, "log_prob under vmap over laws", values[i], plain, allowed)
        _require_close(dist, "eta under vmap over laws", eta[i], facts.eta, allowed_eta)


def check_single_precision(
    dist: ExponentialFamily, *, rtol: float = 1e-4, sampler: bool = True
) -> None:
    """In float32 results are float32, finite, and those of float64 at the same parameters."""
    small = _cast(dist, jnp.float32)
    dist = _cast(small, jnp.float64)
    facts = _facts(dist)
    # θ itself is rounded to float32, so the hooks are compared at that θ
    theta = np.asarray(small.natural_params())
    got, exact = _Facts(type(dist), theta), _Facts(type(dist), theta.astype(np.float64))
    eps = float(np.finfo(np.float32).eps)
    comparisons = (
        ("psi", got.psi, exact.psi, 64 * eps * exact.magnitude),
        ("eta", got.eta, exact.eta, rtol * exact.rms),
        ("fisher", got.fisher, exact.fisher, rtol * exact.sd_sd),
    )
    for name, single, double, allowed in comparisons:
        if single.dtype != np.float32:
            raise AssertionError(f"{_describe(dist)}: {name} keeps float32: got {single.dtype}")
        _require_close(dist, f"{name} in float32", single, double, allowed)
    x = _points(small, jax.random.key(1), 64, sampler=sampler)
    if x.dtype != jnp.float32:
        raise AssertionError(f"{_describe(dist)}: draws keep float32: got {x.dtype}")
    values = _log_prob(small, x)
    if values.dtype != jnp.float32:
        raise AssertionError(f"{_describe(dist)}: log_prob keeps float32: got {values.dtype}")
    x = x.astype(jnp.float64)
    allowed = 64 * eps * _log_prob_magnitude(dist, facts, x)
    _require_close(dist, "log_prob in float32", values, _log_prob(dist, x), allowed)


class _Facts:
    """ψ, η and Cov t of a law and their derivatives, in NumPy, and the scales of their errors."""

    def __init__(self, family: type[ExponentialFamily], theta: np.ndarray):
        self.theta = theta
        found = jax.tree.map(np.asarray, _evaluate(family, theta))
        self.psi, self.eta, self.fisher, self.derivatives = found
        if np.isnan(self.psi) or np.isnan(self.eta).any() or np.isnan(self.fisher).any():
            raise AssertionError(
                f"{family.__name__}: hooks are not nan: got psi {self.psi}, grad {self.eta} and "
                f"hessian {self.fisher} at theta {theta}"
            )
        self.sd = np.sqrt(np.diagonal(self.fisher)).astype(np.float64)
        self.sd_sd = np.outer(self.sd, self.sd)
        self.rms = np.where(np.isfinite(self.sd), np.hypot(self.eta, self.sd), np.abs(self.eta))
        with np.errstate(invalid="ignore"):
            terms = np.where(theta == 0, 0.0, theta * self.eta)
        self.magnitude = float(1 + np.abs(self.psi) + np.abs(terms).sum())


def _facts(dist: ExponentialFamily) -> _Facts:
    return _Facts(type(dist), np.asarray(dist.natural_params()))


def _collinear(facts: _Facts) -> np.ndarray:
    """What rounding t(x) - η leaves in a covariance in units of sd."""
    with np.errstate(invalid="ignore", over="ignore"):
        lost = np.finfo(np.float64).eps * np.abs(facts.eta) / facts.sd
    return 64 * (lost[:, None] + lost[None, :])


class _Derivatives(NamedTuple):
    gradient: np.ndarray  # of the undecorated ψ
    jacobian: np.ndarray  # of the gradient hook
    decorated_gradient: np.ndarray
    decorated_hessian: np.ndarray
    decorated_jacobian: np.ndarray  # of the decorated gradient
    directional: np.ndarray  # of the decorated ψ, along θ


@partial(jax.jit, static_argnums=0)
def _evaluate(family: type[ExponentialFamily], theta: Array) -> tuple[Any, ...]:
    """The hooks and what automatic differentiation makes of them: one compilation per family."""

    def psi(at: Array) -> Array:
        return log_partition(family, at)

    def slope(at: Array) -> Array:
        return grad_log_partition(family, at)

    derivatives = _Derivatives(
        gradient=jax.grad(family._log_partition_from_theta)(theta),
        jacobian=jax.jacfwd(family._grad_log_partition)(theta),
        decorated_gradient=jax.grad(psi)(theta),
        decorated_hessian=jax.hessian(psi)(theta),
        decorated_jacobian=jax.jacfwd(slope)(theta),
        directional=jax.jvp(psi, (theta,), (theta,))[1],
    )
    return (
        family._log_partition_from_theta(theta),
        family._grad_log_partition(theta),
        family._hessian_log_partition(theta),
        derivatives,
    )


@partial(jax.jit, static_argnums=0)
def _score(family: type[ExponentialFamily], theta: Array, x: Array) -> Array:
    return jax.grad(lambda at: family.from_natural(at).log_prob(x))(theta)


@eqx.filter_jit
def _log_prob(dist: ExponentialFamily, x: ArrayLike) -> Array:
    return dist.log_prob(x)


@eqx.filter_jit
def _vmapped(dists: ExponentialFamily, x: Array) -> tuple[Array, Array]:
    def one(dist: ExponentialFamily) -> tuple[Array, Array]:
        return dist.log_prob(x), jnp.asarray(dist.expectation_params())

    return eqx.filter_vmap(one)(dists)


def _quadrature(
    dist: ExponentialFamily, facts: _Facts, *, moments: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x and weights f(x) dx of the trapezoidal rule in log x."""
    unit = np.where(np.isfinite(facts.sd), facts.sd, np.abs(facts.eta))
    unit = np.where(np.isfinite(unit), unit, np.inf)
    low, high = -700.0, 700.0
    for _ in range(100):
        u = np.linspace(low, high, _NODES)
        x = np.exp(u)
        log_density = np.asarray(_log_prob(dist, x)) + u
        t = np.asarray(dist.sufficient_statistics(x))
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.nan_to_num(
                np.abs(t - np.where(np.isfinite(facts.eta), facts.eta, 0.0)) / unit
            )
        level = log_density + moments * np.log1p(distance.max(axis=1))
        kept = np.flatnonzero(level > level.max() - _DEPTH)
        first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, _NODES - 1)
        if 3 * kept.size > _NODES or high - low < 1e-12:
            break
        low, high = u[first], u[last]
    return x, np.exp(log_density) * (u[1] - u[0])


def _points(dist: Any, key: Array, n: int, *, sampler: bool = True) -> Array:
    """n draws, or where there is no sampler n times the same point of the support."""
    if sampler:
        return _sampled(dist, key, n)
    if dist.event_ndim > 0:
        raise ValueError(
            f"check_family: sampler must be True for {type(dist).__name__}, whose observations "
            "have axes; apply the laws one by one with points of your own"
        )
    return jnp.full(n, dist._interior_point(jnp.ones((), dist.natural_params().dtype)))


@eqx.filter_jit
def _sampled(dist: Any, key: Array, n: int) -> Array:
    return jnp.asarray(dist.sample(key, (n,)))


def _log_prob_magnitude(dist: ExponentialFamily, facts: _Facts, x: Array) -> np.ndarray:
    """The size of the terms that log_prob adds up."""
    t = np.asarray(dist.sufficient_statistics(x))
    base = np.abs(np.asarray(dist.log_base_measure(x)))
    return 1 + base + abs(facts.psi) + np.abs(t) @ np.abs(facts.theta)


def _floating_leaves(dist: ExponentialFamily) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(dist) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def _cast(dist: Any, dtype: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, dist
    )


def _describe(dist: ExponentialFamily) -> str:
    values = ", ".join(str(np.asarray(leaf)) for leaf in jax.tree.leaves(dist))
    return f"{type(dist).__name__}({values})"


def _require_close(
    dist: ExponentialFamily, law: str, got: Any, expected: Any, allowed: Any
) -> None:
    """Raise AssertionError where two arrays differ by more than allowed; equal infinities agree."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        raise AssertionError(
            f"{_describe(dist)}: {law}: shapes {got.shape} and {expected.shape} differ"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(got - expected)
        wrong = ~((got == expected) | (difference <= allowed))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        limit = np.broadcast_to(allowed, got.shape)[where]
        raise AssertionError(
            f"{_describe(dist)}: {law}: got {got[where]!r}, expected {expected[where]!r} at index "
            f"{where}, difference {difference[where]:.3g}, allowed {limit:.3g}"
        )
