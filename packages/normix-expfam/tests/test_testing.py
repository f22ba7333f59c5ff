"""The laws of `normix_expfam.testing` pass for a family of one formula, and fail for wrong ones."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam import GIG, ExponentialFamily, Gamma, testing

ROOT = Path(__file__).resolve().parents[3]


class Rayleigh(ExponentialFamily):
    """Density x/σ² exp(-x²/2σ²): tier 1, with ψ alone."""

    sigma: jax.Array

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

    @classmethod
    def _from_expectation(cls, eta):
        return cls(jnp.sqrt(eta[0] / 2))

    def sample(self, key, shape=()):
        return self.sigma * jnp.sqrt(2 * jax.random.exponential(key, shape, self.sigma.dtype))


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
    "check_inverse": testing.check_inverse,
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
    def _from_expectation(cls, eta):
        return cls(jnp.sqrt(eta[0] / 2) * (1 + 1e-4))


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
        (WrongSampler, "check_sampling", "mean of t over 20000 draws = grad hook: got"),
        (NegativeDraws, "check_sampling", "draws lie in the support"),
        (AlwaysDouble, "check_single_precision", "draws keep float32: got float64"),
        (CoarseInSingle, "check_single_precision", "psi in float32: got"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value.split(" =")[0],
)
def test_a_wrong_family_is_found_and_the_law_is_named(family, law, message):
    with pytest.raises(AssertionError, match=rf"^{family.__name__}\(2\.0\): {message}"):
        LAWS[law](family(2.0))


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


def test_every_law_is_public_and_applied():
    assert set(LAWS) == set(testing.__all__) - {"check_family"}


@pytest.mark.parametrize("path", ["packages/normix-expfam/README.md", "docs/expfam.md"])
def test_the_examples_of_the_documents_run(path):
    text = (ROOT / path).read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    exec(compile("\n".join(blocks), path, "exec"), {"__name__": "example"})
