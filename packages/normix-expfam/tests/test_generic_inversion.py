"""η -> θ for families that give ψ alone, and a θ to start from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import digamma, gammaln

from normix_expfam import ExponentialFamily
from normix_expfam.testing import check_family


class Beta(ExponentialFamily):
    """Beta(a, b) on (0, 1): θ = (a, b), t = (log x, log(1 - x)), h = 1 / (x (1 - x)).

    (`jax.scipy.special.betaln` has the wrong second derivative at a = b.)
    """

    a: jax.Array
    b: jax.Array
    interior_theta = (1.0, 1.0)

    def __init__(self, a, b):
        self.a, self.b = jnp.asarray(a), jnp.asarray(b)

    def natural_params(self):
        return jnp.stack([self.a, self.b])

    @classmethod
    def from_natural(cls, theta):
        return cls(theta[0], theta[1])

    @staticmethod
    def _statistics_of(x):
        return jnp.stack([jnp.log(x), jnp.log1p(-x)])

    @staticmethod
    def _interior_point(x):
        return jnp.where((x > 0) & (x < 1), x, 0.5)

    @classmethod
    def _log_base_of(cls, x):
        inside = cls._interior_point(x)
        base = jnp.where((x > 0) & (x < 1), -jnp.log(inside) - jnp.log1p(-inside), -jnp.inf)
        return jnp.where(jnp.isnan(x), jnp.nan, base)

    @classmethod
    def _log_partition_from_theta(cls, theta):
        inside = jnp.all(theta > 0)
        safe = jnp.where(inside, theta, 1.0)
        return jnp.where(inside, jnp.sum(gammaln(safe)) - gammaln(jnp.sum(safe)), jnp.inf)

    def _mean_log_base(self):
        return 2 * digamma(self.a + self.b) - digamma(self.a) - digamma(self.b)

    def sample(self, key, shape=()):
        return jax.random.beta(key, self.a, self.b, shape, self.a.dtype)


class Waiting(ExponentialFamily):
    """The exponential law: θ = -rate, t(x) = x; ψ is nan outside the domain."""

    rate: jax.Array
    interior_theta = (-1.0,)

    def __init__(self, rate):
        self.rate = jnp.asarray(rate)

    def natural_params(self):
        return -self.rate[None]

    @classmethod
    def from_natural(cls, theta):
        return cls(-theta[0])

    @staticmethod
    def _statistics_of(x):
        return x[None]

    @staticmethod
    def _log_base_of(x):
        base = jnp.where((x > 0) & (x < jnp.inf), 0.0, -jnp.inf)
        return jnp.where(jnp.isnan(x), jnp.nan, base).astype(x.dtype)

    @staticmethod
    def _interior_point(x):
        return jnp.where((x > 0) & (x < jnp.inf), x, 1.0)

    @classmethod
    def _log_partition_from_theta(cls, theta):
        return -jnp.log(-theta[0])


class Normal(ExponentialFamily):
    """N(m, s²) on the line: θ = (m/s², -1/(2s²)), t(x) = (x, x²), h = 1."""

    m: jax.Array
    s: jax.Array
    interior_theta = (0.0, -0.5)

    def __init__(self, m, s):
        self.m, self.s = jnp.asarray(m), jnp.asarray(s)

    def natural_params(self):
        return jnp.stack([self.m / self.s**2, -0.5 / self.s**2])

    @classmethod
    def from_natural(cls, theta):
        variance = -0.5 / theta[1]
        return cls(theta[0] * variance, jnp.sqrt(variance))

    @staticmethod
    def _statistics_of(x):
        return jnp.stack([x, x**2])

    @staticmethod
    def _log_base_of(x):
        base = jnp.where(jnp.isfinite(x), 0.0, -jnp.inf)
        return jnp.where(jnp.isnan(x), jnp.nan, base).astype(x.dtype)

    @staticmethod
    def _interior_point(x):
        return jnp.where(jnp.isfinite(x), x, 0.0)

    @classmethod
    def _log_partition_from_theta(cls, theta):
        return -(theta[0] ** 2) / (4 * theta[1]) + jnp.log(jnp.pi / -theta[1]) / 2

    def _mean_log_base(self):
        return jnp.zeros((), self.m.dtype)

    def sample(self, key, shape=()):
        return self.m + self.s * jax.random.normal(key, shape, self.m.dtype)


class Startless(Waiting):
    interior_theta = None


def found(family):
    """Laws of a batch of η, in one call, and the η they have."""

    def one(eta):
        law = family.from_expectation(eta, throw=False)
        return law.natural_params(), law.expectation_params()

    return jax.jit(jax.vmap(one))


inverse = {family: found(family) for family in (Beta, Waiting, Normal)}
eta_of = {
    family: jax.jit(jax.vmap(lambda theta, family=family: family._grad_log_partition(theta)))
    for family in (Beta, Normal)
}


def test_exponential_means_over_sixteen_decades_are_met():
    eta = np.logspace(-8, 8, 64)[:, None]
    theta, back = inverse[Waiting](eta)
    np.testing.assert_allclose(back, eta, rtol=1e-9)
    np.testing.assert_allclose(theta, -1 / eta, rtol=1e-9)


def test_beta_laws_over_five_decades_of_both_parameters_are_met():
    grid = np.logspace(-2, 3, 11)
    theta = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    eta = np.asarray(eta_of[Beta](theta))
    back = np.asarray(inverse[Beta](eta)[1])
    np.testing.assert_allclose(back, eta, rtol=1e-9)


def test_normal_laws_of_all_scales_are_met():
    # E X² tells m from s only while m / s is moderate
    m, log_s = np.meshgrid(np.array([-30.0, -1.0, 0.0, 2.0, 100.0]), np.arange(-6.0, 7.0, 2.0))
    s = 10 ** log_s.ravel()
    m = m.ravel() * s
    eta = np.stack([m, m**2 + s**2], axis=-1)
    back = np.asarray(inverse[Normal](eta)[1])
    scale = np.sqrt(np.stack([m**2 + s**2, (m**2 + s**2) ** 2], axis=-1))
    assert np.max(np.abs(back - eta) / scale) < 1e-9


INFEASIBLE = {
    Waiting: [(0.0,), (-1.0,), (-1e-8,), (np.inf,), (np.nan,)],
    Beta: [
        (0.0, -1.0),
        (-1.0, 0.5),
        (-np.log(2), -np.log(2)),
        (-0.1, -0.1),
        (-np.inf, -1.0),
        (np.nan, -1.0),
    ],
    Normal: [(1.0, 0.9), (2.0, 1.0), (0.0, 0.0), (0.0, -1.0), (np.inf, 1.0), (0.0, np.nan)],
}
CASES = [(family, eta) for family, rows in INFEASIBLE.items() for eta in rows]


@pytest.mark.parametrize(("family", "eta"), CASES)
def test_infeasible_mean_statistics_are_an_error(family, eta):
    message = rf"^{family.__name__}\.from_expectation: eta must be attainable as E t\(X\), got"
    with pytest.raises(ValueError, match=message):
        family.from_expectation(np.array(eta))


@pytest.mark.parametrize("family", INFEASIBLE)
def test_infeasible_mean_statistics_give_nan_and_never_a_number(family):
    rows = np.array(INFEASIBLE[family])
    assert np.all(np.isnan(inverse[family](rows)[0]))
    for eta in rows:
        law = family.from_expectation(eta, throw=False)
        assert all(np.isnan(leaf) for leaf in jax.tree.leaves(law))


def test_a_family_without_a_start_says_what_it_must_give():
    message = r"^Startless\.from_expectation: the family must give interior_theta, .* own _solve_e"
    with pytest.raises(NotImplementedError, match=message):
        Startless.from_expectation(np.array([2.0]))


@pytest.mark.parametrize("law", [Beta(0.7, 3.0), Waiting(2.5), Normal(0.5, 2.0)])
def test_the_derivative_is_the_inverse_of_the_fisher_information(law):
    family = type(law)
    eta = jnp.stack([law.expectation_params()] * 2)

    def theta(eta):
        return family.from_expectation(eta, throw=False).natural_params()

    for jacobian in (jax.jacrev, jax.jacfwd):
        slopes = jax.jit(jax.vmap(jacobian(theta)))(eta)
        expected = np.linalg.inv(np.asarray(law.fisher_information()))
        for slope in np.asarray(slopes):
            np.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-12)


def test_fits_maximise_the_likelihood():
    x = Beta(2.0, 0.5).sample(jax.random.key(3), (400,))
    result = eqx.filter_jit(lambda x: Beta.mle(x, throw=False))(x)
    eta = np.asarray(Beta.sufficient_statistics(x)).mean(axis=0)
    np.testing.assert_allclose(result.model.expectation_params(), eta, rtol=1e-9)
    assert result.converged


def test_a_beta_family_of_one_formula_obeys_all_laws():
    check_family(Beta(2.5, 4.0), support="unit")


def test_a_normal_family_of_one_formula_obeys_all_laws():
    check_family(Normal(0.5, 2.0), support="real")
