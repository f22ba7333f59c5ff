"""The laws of `normix_expfam.testing` pass for a family of one formula, and fail for wrong ones."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from normix_expfam import GIG, Divergences, Gamma, Information, UnivariateFamily, testing

ROOT = Path(__file__).resolve().parents[3]


class Rayleigh(UnivariateFamily):
    """Density x/σ² exp(-x²/2σ²): tier 1, with ψ alone, and what a law on the line has."""

    sigma: jax.Array
    interior_theta = (-1.0,)

    def __init__(self, sigma):
        self.sigma = jnp.asarray(sigma)

    def natural_params(self):
        return jnp.stack([-0.5 / self.sigma**2])

    @classmethod
    def from_natural(cls, theta):
        return cls(jnp.sqrt(-0.5 / theta[0]))

    @staticmethod
    def _statistics_of(x):
        return jnp.stack([x**2])

    @staticmethod
    def _log_base_of(x):
        inside = (x > 0) & (x < jnp.inf)
        base = jnp.where(inside, jnp.log(jnp.where(inside, x, 1.0)), -jnp.inf)
        return jnp.where(jnp.isnan(x), jnp.nan, base)

    @staticmethod
    def _interior_point(x):
        return jnp.where((x > 0) & (x < jnp.inf), x, 1.0)

    @classmethod
    def _log_partition_from_theta(cls, theta):
        return -jnp.log(-2 * theta[0])

    def _mean_log_base(self):
        return jnp.log(self.sigma) + (jnp.log(2.0) - np.euler_gamma) / 2

    def _log_odds(self, x):
        s = jnp.where(x > 0, x, 1.0) ** 2 / (2 * self.sigma**2)
        inside = jnp.log(jnp.expm1(-s) / -jnp.exp(-s))
        return jnp.where(x > 0, inside, jnp.where(x <= 0, -jnp.inf, jnp.nan))

    def _quantile(self, log_odds):
        return self.sigma * jnp.sqrt(2 * jax.nn.softplus(log_odds))

    def mean(self):
        return self.sigma * jnp.sqrt(jnp.pi / 2)

    def var(self):
        return (4 - jnp.pi) / 2 * self.sigma**2

    def skewness(self):
        return jnp.asarray(2 * np.sqrt(np.pi) * (np.pi - 3) / (4 - np.pi) ** 1.5)

    def kurtosis(self):
        return jnp.asarray(-(6 * np.pi**2 - 24 * np.pi + 16) / (4 - np.pi) ** 2)

    def mode(self):
        return self.sigma

    def raw_moment(self, order):
        half = jnp.asarray(order, self.sigma.dtype) / 2
        return (2 * self.sigma**2) ** half * jnp.exp(jax.scipy.special.gammaln(1 + half))

    def sample(self, key, shape=()):
        return self.sigma * jnp.sqrt(2 * jax.random.exponential(key, shape, self.sigma.dtype))

    def to_scipy(self):
        return stats.rayleigh(scale=float(self.sigma))

    @classmethod
    def from_scipy(cls, frozen):
        return cls(frozen.kwds["scale"])


def test_a_family_that_gives_its_log_partition_alone_obeys_all_laws():
    testing.check_family(Rayleigh(2.0))


def draws_of(dist):
    return dist.sample(jax.random.key(0), (20_000,))


LAWS = {
    "check_natural_params": testing.check_natural_params,
    "check_gradient": testing.check_gradient,
    "check_hessian": testing.check_hessian,
    "check_cpu": testing.check_cpu,
    "check_differentiation": testing.check_differentiation,
    "check_score": lambda dist: testing.check_score(dist, jnp.asarray(1.5)),
    "check_support": lambda dist: testing.check_support(dist, outside=np.array([-1.0, 0.0])),
    "check_density": testing.check_density,
    "check_entropy": testing.check_entropy,
    "check_inverse": testing.check_inverse,
    "check_inverse_derivative": testing.check_inverse_derivative,
    "check_mle": lambda dist: testing.check_mle(dist, draws_of(dist)[:400]),
    "check_boundary": testing.check_boundary,
    "check_deviations": testing.check_deviations,
    "check_domain": testing.check_domain,
    "check_kernel": lambda dist: testing.check_kernel(dist, draws_of(dist)[:400]),
    "check_sampler": lambda dist: testing.check_sampler(dist, jax.random.key(0), draws_of(dist)),
    "check_scipy": lambda dist: testing.check_scipy(dist, draws_of(dist)[:400]),
    "check_divergences": lambda dist: testing.check_divergences(dist, draws_of(dist)[:400]),
    "check_distribution": lambda dist: testing.check_distribution(dist, draws_of(dist)),
    "check_moments": testing.check_moments,
    "check_inverse_cpu": testing.check_inverse_cpu,
    "check_sampling": lambda dist: testing.check_sampling(dist, draws_of(dist)),
    "check_transformations": lambda dist: testing.check_transformations(dist, draws_of(dist)[:4]),
    "check_single_precision": testing.check_single_precision,
}

OFF = 1 + 1e-6


class WrongRoundTrip(Rayleigh):
    @classmethod
    def from_natural(cls, theta):
        return cls(OFF * jnp.sqrt(-0.5 / theta[0]))


class WrongGradient(Rayleigh):
    @classmethod
    def _grad_log_partition(cls, theta):
        return -OFF / theta


class WrongHessian(Rayleigh):
    @classmethod
    def _hessian_log_partition(cls, theta):
        return OFF / theta[:, None] ** 2


class ConcaveHessian(Rayleigh):
    @classmethod
    def _hessian_log_partition(cls, theta):
        return jnp.zeros((1, 1), theta.dtype) * theta[:, None]


class WrongOnCPU(Rayleigh):
    @classmethod
    def _grad_log_partition_cpu(cls, theta):
        return -OFF / theta


class WrongNormalisation(Rayleigh):
    @classmethod
    def _log_partition_from_theta(cls, theta):
        return 1e-6 - jnp.log(-2 * theta[0])


class WrongPower(Rayleigh):
    @classmethod
    def _log_partition_from_theta(cls, theta):
        return -OFF * jnp.log(-2 * theta[0])


class Everywhere(Rayleigh):
    @staticmethod
    def _log_base_of(x):
        return jnp.log(jnp.abs(x) + 1)


class ZeroAtNan(Rayleigh):
    @staticmethod
    def _log_base_of(x):
        inside = (x > 0) & (x < jnp.inf)
        return jnp.where(inside, jnp.log(jnp.where(inside, x, 1.0)), -jnp.inf)


class WrongInverse(Rayleigh):
    @classmethod
    def _solve_expectation(cls, eta, backend):
        del backend
        return cls(jnp.sqrt(eta[0] / 2) * (1 + 1e-4)), jnp.int32(0)


class WrongEntropy(Rayleigh):
    def _mean_log_base(self):
        return Rayleigh._mean_log_base(self) + 1e-6


class StuckInverse(Rayleigh):
    @classmethod
    def _solve_expectation(cls, eta, backend):
        del backend
        return cls(jnp.sqrt(jax.lax.stop_gradient(eta[0]) / 2)), jnp.int32(0)


class BiasedFit(Rayleigh):
    @classmethod
    def _fit(cls, x, weights, backend):
        law, status = super()._fit(x, weights, backend)
        return cls(law.sigma * (1 + 1e-4)), status


class WrongOdds(Rayleigh):
    def _log_odds(self, x):
        return Rayleigh._log_odds(self, x) * OFF


class WrongTogether(Rayleigh):
    """A distribution function and quantiles that agree with each other alone."""

    def _log_odds(self, x):
        return Rayleigh._log_odds(self, x) + 0.1

    def _quantile(self, log_odds):
        return Rayleigh._quantile(self, log_odds - 0.1)


class WrongSkewness(Rayleigh):
    def skewness(self):
        return Rayleigh.skewness(self) * OFF


class WrongMode(Rayleigh):
    def mode(self):
        return 1.01 * self.sigma


class WrongSampler(Rayleigh):
    def sample(self, key, shape=()):
        return 1.05 * Rayleigh.sample(self, key, shape)


class NegativeDraws(Rayleigh):
    def sample(self, key, shape=()):
        return -Rayleigh.sample(self, key, shape)


class AlwaysDouble(Rayleigh):
    def sample(self, key, shape=()):
        return Rayleigh.sample(self, key, shape).astype(jnp.float64)


class CoarseInSingle(Rayleigh):
    @classmethod
    def _log_partition_from_theta(cls, theta):
        error = 1e-3 if theta.dtype == jnp.float32 else 0.0
        return error - jnp.log(-2 * theta[0])


@pytest.mark.parametrize(
    ("family", "law", "message"),
    [
        (WrongRoundTrip, "check_natural_params", "classical -> natural -> classical: got"),
        (WrongRoundTrip, "check_score", r"score = t\(x\) - eta: got"),
        (WrongGradient, "check_gradient", "grad hook = jax.grad of psi: got"),
        (WrongGradient, "check_density", "grad hook = mean of t by quadrature: got"),
        (WrongHessian, "check_hessian", "hessian hook = jacfwd of grad hook: got"),
        (WrongHessian, "check_density", "hessian hook = covariance of t by quadrature"),
        (ConcaveHessian, "check_hessian", "hessian hook"),
        (WrongOnCPU, "check_cpu", "grad on the CPU = grad on JAX: got"),
        (WrongNormalisation, "check_density", "density integrates to 1: got"),
        (WrongPower, "check_density", "density integrates to 1: got"),
        (Everywhere, "check_support", "log_prob is -inf outside the support: got"),
        (ZeroAtNan, "check_support", "log_prob is nan at nan: got"),
        (WrongInverse, "check_inverse", "eta -> theta -> eta: got"),
        (WrongInverse, "check_inverse_cpu", "likelihood of eta -> theta on the CPU: got"),
        (WrongEntropy, "check_entropy", "entropy by quadrature: got"),
        (StuckInverse, "check_inverse_derivative", "dtheta/deta = inverse of the hessian hook: "),
        (BiasedFit, "check_mle", "eta of the MLE = mean of t over the data: got"),
        (WrongGradient, "check_divergences", "KL divergence from itself: got|gradient|KL"),
        (WrongOdds, "check_distribution", "derivative of cdf = density: got"),
        (WrongTogether, "check_distribution", "derivative of cdf = density: got"),
        (WrongSampler, "check_distribution", "cdf of the draws is uniform: got"),
        (WrongSkewness, "check_moments", "skewness by quadrature: got"),
        (WrongMode, "check_moments", "the mode is a maximum of the density: got"),
        (WrongSampler, "check_sampling", "mean of t over 20000 draws = grad hook: got"),
        (NegativeDraws, "check_sampling", "draws lie in the support"),
        (AlwaysDouble, "check_single_precision", "draws keeps? float32: got float64"),
        (CoarseInSingle, "check_single_precision", "psi in float32: got"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value.split(" =")[0],
)
def test_a_wrong_family_is_found_and_the_law_is_named(family, law, message):
    with pytest.raises(AssertionError, match=rf"^{family.__name__}(\(2\.0\))?: {message}"):
        LAWS[law](family(2.0))


def _of(method):
    """The member of `Rayleigh` that a planted error starts from."""
    return getattr(Rayleigh, method)


def _times(method, factor=OFF):
    return lambda self, *args: factor * _of(method)(self, *args)


def _statistic(function):
    return staticmethod(lambda x: jnp.stack([function(x)]))


def _base(function):
    """log h, changed where the function says."""
    return staticmethod(lambda x: function(x, Rayleigh._log_base_of(x)))


def _of_theta(function):
    return classmethod(lambda _, theta: function(theta))


def _fit_with(change):
    def fit(cls, x, weights, backend):
        law, status = Rayleigh._fit.__func__(cls, *change(x, weights), backend)
        return law, status

    return classmethod(fit)


def _finite_outside(theta):
    return -jnp.log(jnp.abs(2 * theta[0]))


def _clipped(theta):
    return -jnp.log(jnp.maximum(-2 * theta[0], 1e-3))


def _without_key(self, _, shape=()):
    return Rayleigh.sample(self, jax.random.key(7), shape)


def _without_shape(self, key, _=()):
    return Rayleigh.sample(self, key, (20_000,))


def _shape_reversed(self, key, shape=()):
    return Rayleigh.sample(self, key, shape[::-1])


def _in_pairs(self, key, shape=()):
    drawn = Rayleigh.sample(self, key, shape)
    return drawn if drawn.ndim != 1 else jnp.repeat(drawn[::2], 2)[: drawn.size]


def _in_python(self, key, shape=()):
    return float(self.sigma) * Rayleigh.sample(self, key, shape)


def _new_keys_only(self, key, shape=()):
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise TypeError("key must be new")
    return Rayleigh.sample(self, key, shape)


def _expectation(function, on=("jax", "cpu"), status=0):
    """The inversion, another on some backends."""

    def solve(cls, eta, backend):
        if backend in on:
            return cls(function(eta)), jnp.int32(status)
        return Rayleigh._solve_expectation.__func__(cls, eta, backend)

    return classmethod(solve)


def _flagged(self):
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool), self)


def _own_sigma(self, factor):
    return type(self)(factor * self.sigma)


HALF, SMALL = 0.5, 1 + 1e-4
PLANTED = {
    # parameters
    "natural_params": ({"natural_params": lambda self: jnp.stack([-OFF / 2 / self.sigma**2])},
                       "natural_params, from_natural"),
    "from_natural": ({"from_natural": _of_theta(lambda theta: Rayleigh(theta[0]))},
                     "natural_params, from_natural"),
    "from_natural is another class": (
        {"from_natural": _of_theta(lambda theta: {"sigma": theta[0]})}, "from_natural"),
    "information.free": ({"information": Information(free=_flagged)}, r"information\.free"),
    "information.deviations": (
        {"information": Information(deviations=lambda law: _own_sigma(law, HALF * SMALL))},
        r"information\.deviations"),
    "information.mean": (
        {"information": Information(mean=lambda law: OFF * Rayleigh.information.mean(law))},
        r"information\.mean"),
    "information.covariance": (
        {"information": Information(
            covariance=lambda law: OFF * Rayleigh.information.covariance(law))},
        r"information\.covariance"),
    "divergences.entropy": (
        {"divergences": Divergences(entropy=lambda law: OFF * Rayleigh.divergences.entropy(law))},
        r"divergences\.entropy"),
    "divergences.kl": (
        {"divergences": Divergences(
            kl=lambda law, other: SMALL * Rayleigh.divergences.kl(law, other))},
        "divergences"),
    "divergences.renyi": (
        {"divergences": Divergences(
            renyi=lambda *given: SMALL * Rayleigh.divergences.renyi(*given))},
        "divergences"),
    # the log-partition triad
    "psi is finite beyond its domain": (
        {"_log_partition_from_theta": _of_theta(_finite_outside)}, "_log_partition_from_theta"),
    "psi is clipped": (
        {"_log_partition_from_theta": _of_theta(_clipped)}, "_log_partition_from_theta"),
    "psi is concave": (
        {"_log_partition_from_theta": _of_theta(lambda theta: jnp.log(-2 * theta[0]))},
        "_log_partition_from_theta"),
    "psi, a constant": (
        {"_log_partition_from_theta": _of_theta(lambda theta: 1e-6 - jnp.log(-2 * theta[0]))},
        "_log_partition_from_theta|_log_kernel"),
    "psi, its power": (
        {"_log_partition_from_theta": _of_theta(lambda theta: -OFF * jnp.log(-2 * theta[0]))},
        "_log_partition_from_theta"),
    "psi raises": (
        {"_log_partition_from_theta": _of_theta(lambda theta: -jnp.log(-2 * theta[3]).foo)},
        "_log_partition_from_theta"),
    "_grad_log_partition": ({"_grad_log_partition": _of_theta(lambda theta: -OFF / theta)},
                            "_grad_log_partition"),
    "_grad_log_partition is nan": (
        {"_grad_log_partition": _of_theta(lambda theta: theta * jnp.nan)}, "_grad_log_partition"),
    "_hessian_log_partition": (
        {"_hessian_log_partition": _of_theta(lambda theta: OFF / theta[:, None] ** 2)},
        "_hessian_log_partition"),
    "_log_partition_cpu": (
        {"_log_partition_cpu": _of_theta(lambda theta: -OFF * float(np.log(-2 * theta[0])))},
        "_log_partition_cpu"),
    "_grad_log_partition_cpu": (
        {"_grad_log_partition_cpu": _of_theta(lambda theta: -OFF / theta)},
        "_grad_log_partition_cpu"),
    "_hessian_log_partition_cpu": (
        {"_hessian_log_partition_cpu": _of_theta(lambda theta: OFF / theta[:, None] ** 2)},
        "_hessian_log_partition_cpu"),
    # η -> θ
    "_solve_expectation": (
        {"_solve_expectation": _expectation(lambda eta: jnp.sqrt(eta[0] / 2) * SMALL)},
        "_solve_expectation"),
    "_solve_expectation has no derivative": (
        {"_solve_expectation": _expectation(
            lambda eta: jnp.sqrt(jax.lax.stop_gradient(eta[0]) / 2))},
        "_solve_expectation"),
    "_solve_expectation answers nan": (
        {"_solve_expectation": _expectation(
            lambda eta: jnp.sqrt(jnp.where(eta[0] > 0, eta[0], 1.0) / 2))},
        "_solve_expectation"),
    "_solve_expectation on the CPU": (
        {"_solve_expectation": _expectation(lambda eta: np.sqrt(eta[0] / 2) * SMALL, ["cpu"])},
        "_solve_expectation"),
    "interior_theta": ({"interior_theta": (1.0,)}, "interior_theta"),
    "_solve_expectation has a wrong status": (
        {"_solve_expectation": _expectation(lambda eta: jnp.sqrt(eta[0] / 2), status=5)},
        "_solve_expectation"),
    "_fit": ({"_fit": _fit_with(lambda x, weights: (x * SMALL, weights))}, "_fit"),
    "_fit without weights": ({"_fit": _fit_with(lambda x, _: (x, None))}, "_fit"),
    # density
    "_statistics_of": ({"_statistics_of": _statistic(lambda x: x**2 * OFF)}, "_statistics_of"),
    "_log_base_of": ({"_log_base_of": _base(lambda _, base: base + 1e-6)}, "_log_base_of"),
    "_log_base_of at 0": (
        {"_log_base_of": _base(lambda x, base: jnp.where(x == 0, 0.0, base))}, "_log_base_of"),
    "_log_base_of below 0": (
        {"_log_base_of": staticmethod(lambda x: jnp.log(jnp.abs(x) + 1))}, "_log_base_of"),
    "_log_base_of just below 0": (
        {"_log_base_of": _base(lambda x, base: jnp.where((x < 0) & (x > -0.1), 0.0, base))},
        "_log_base_of"),
    "_log_base_of at nan": (
        {"_log_base_of": _base(lambda x, base: jnp.where(jnp.isnan(x), -jnp.inf, base))},
        "_log_base_of"),
    "_interior_point": (
        {"_interior_point": staticmethod(lambda x: jnp.where(x > 0.5, x, 0.5))},
        "_interior_point"),
    "_log_kernel": ({"_log_kernel": _times("_log_kernel")}, "_log_kernel"),
    "_mean_log_base": ({"_mean_log_base": _times("_mean_log_base")}, "_mean_log_base"),
    # on the line
    "_log_odds": ({"_log_odds": _times("_log_odds")}, "_log_odds"),
    "_log_odds below the support": (
        {"_log_odds": lambda self, x: Rayleigh._log_odds(self, jnp.abs(x))}, "_log_odds"),
    "_quantile": ({"_quantile": _times("_quantile")}, "_quantile"),
    "_quantile at its ends": (
        {"_quantile": lambda self, odds: Rayleigh._quantile(self, jnp.clip(odds, -80.0, 80.0))},
        "_quantile"),
    "mean": ({"mean": _times("mean")}, "mean"),
    "var": ({"var": _times("var")}, "var"),
    "skewness": ({"skewness": _times("skewness")}, "skewness"),
    "kurtosis": ({"kurtosis": _times("kurtosis")}, "kurtosis"),
    "mode": ({"mode": _times("mode", 1.01)}, "mode"),
    "raw_moment": ({"raw_moment": lambda self, order: Rayleigh.raw_moment(self, jnp.round(order))},
                   "raw_moment"),
    "to_scipy": ({"to_scipy": lambda self: stats.rayleigh(scale=float(self.sigma) * SMALL)},
                 "to_scipy"),
    "from_scipy": ({"from_scipy": classmethod(lambda cls, frozen: cls(frozen.kwds["scale"] * OFF))},
                   "from_scipy"),
    "from_scipy takes all": (
        {"from_scipy": classmethod(
            lambda cls, frozen: cls(getattr(frozen, "kwds", {}).get("scale", 1.0)))},
        "from_scipy"),
    # draws
    "sample": ({"sample": lambda self, key, shape=(): 1.05 * Rayleigh.sample(self, key, shape)},
               "sample"),
    "sample is negative": (
        {"sample": lambda self, key, shape=(): -Rayleigh.sample(self, key, shape)}, "sample"),
    "sample ignores its key": ({"sample": _without_key}, "sample"),
    "sample ignores its shape": ({"sample": _without_shape}, "sample"),
    "sample reverses its shape": ({"sample": _shape_reversed}, "sample"),
    "sample repeats itself": ({"sample": _in_pairs}, "sample"),
    "sample cannot be traced": ({"sample": _in_python}, "sample"),
    "sample takes new keys only": ({"sample": _new_keys_only}, "sample"),
    "sample is always double": (
        {"sample": lambda self, key, shape=(): Rayleigh.sample(self, key, shape).astype(float)},
        "sample"),
    "event_ndim": ({"event_ndim": 1}, "event_ndim|_log_base_of|_interior_point|_log_kernel"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_found_and_its_member_is_named(name):
    members, see = PLANTED[name]
    family = type(Rayleigh)(f"Planted{re.sub('[^a-z]', '', name)}", (Rayleigh,), dict(members))
    with pytest.raises(AssertionError, match=rf"see [^;]*\b({see})\b[^;]*$"):
        testing.check_family(family(2.0))


def test_a_hook_that_is_nan_is_found():
    class Nan(Rayleigh):
        @classmethod
        def _grad_log_partition(cls, theta):
            return theta * jnp.nan

    with pytest.raises(AssertionError, match=r"^Nan: hooks are not nan"):
        testing.check_family(Nan(2.0))


def test_single_precision_parameters_are_refused_with_a_remedy():
    with pytest.raises(
        ValueError, match=r"check_family: parameters .* must be float64.*enable_x64"
    ):
        testing.check_family(Gamma(jnp.float32(2), jnp.float32(3)))


def test_what_is_infinite_must_be_declared():
    with pytest.raises(AssertionError, match="mean statistics are finite: got"):
        testing.check_density(GIG(0.7, 2.0, 0.0))


@pytest.mark.parametrize("backends", [(), ("jax", "gpu")])
def test_unknown_or_no_backends_are_refused(backends):
    with pytest.raises(ValueError, match=r"check_family: backends must be some of 'jax' and 'cpu'"):
        testing.check_family(Rayleigh(2.0), backends=backends)


def test_every_law_is_public_and_applied():
    assert set(LAWS) == set(testing.__all__) - {"check_family"}


@pytest.mark.parametrize("path", ["packages/normix-expfam/README.md", "docs/expfam.md"])
def test_the_examples_of_the_documents_run(path):
    text = (ROOT / path).read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    exec(compile("\n".join(blocks), path, "exec"), {"__name__": "example"})
