"""Draws against distribution functions: Kolmogorov-Smirnov with fixed keys."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from normix_expfam import GIG, Gamma, InverseGamma, InverseGaussian, mode_of_log, sample_gig
from normix_expfam._gig._sampling import _touching
from normix_expfam._gig._tails import tails

DRAWS = 100_000
LAWS = [
    (-50.0, 1e-6, 1e-6),
    (-10.0, 1e-8, 1e-8),
    (0.0, 1e-7, 1e-7),
    (-2.0, 0.0, 3.0),
    (500.0, 1.0, 1.0),
    (-500.0, 2.0, 3.0),
    (0.3, 2.0, 0.0),
]


def cdf_of_log(p: float, a: float, b: float) -> Callable[[np.ndarray], np.ndarray]:
    """The distribution function of log Y by the trapezoidal rule."""

    def level(s: np.ndarray) -> np.ndarray:
        return p * s - (a * np.exp(s) + b * np.exp(-s)) / 2

    s = np.linspace(-200, 200, 40_001)
    kept = s[level(s) > np.max(level(s)) - 45]
    s = np.linspace(kept[0] - 0.01, kept[-1] + 0.01, 200_001)
    density = np.exp(level(s) - np.max(level(s)))
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return lambda at: np.interp(at, s, mass / mass[-1])


@pytest.fixture(scope="module")
def draws() -> np.ndarray:
    """Draws of all the laws at once, shape (laws, draws)."""
    p, a, b = (np.broadcast_to(column, (DRAWS, len(LAWS))).T for column in np.array(LAWS).T)
    return np.asarray(sample_gig(jax.random.key(2), p, a, b))


@pytest.mark.parametrize("i", range(len(LAWS)), ids=[str(law) for law in LAWS])
def test_draws_of_gig_follow_its_distribution_function(draws, i):
    assert np.all(np.isfinite(draws[i]) & (draws[i] > 0))
    assert stats.kstest(np.log(draws[i]), cdf_of_log(*LAWS[i])).pvalue > 1e-3


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (Gamma(0.4, 3.0), stats.gamma(0.4, scale=1 / 3)),
        (Gamma(80.0, 1e-3), stats.gamma(80, scale=1e3)),
        (InverseGamma(1.7, 0.5), stats.invgamma(1.7, scale=0.5)),
        (InverseGamma(40.0, 1e4), stats.invgamma(40, scale=1e4)),
        (InverseGaussian(3.607, 1.659), stats.invgauss(3.607 / 1.659, scale=1.659)),
        (InverseGaussian(2.0, 300.0), stats.invgauss(2 / 300, scale=300)),
        (GIG(2.0, 3.0, 5.0), stats.geninvgauss(2, np.sqrt(15), scale=np.sqrt(5 / 3))),
        (GIG(0.4, 6.0, 0.0), stats.gamma(0.4, scale=1 / 3)),
        (GIG(-1.7, 0.0, 1.0), stats.invgamma(1.7, scale=0.5)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "log_prob") else "",
)
def test_draws_follow_the_distribution_function_of_scipy(law, reference):
    x = np.asarray(law.sample(jax.random.key(4), (DRAWS,)))
    assert stats.kstest(x, reference.cdf).pvalue > 1e-3


def test_the_share_of_accepted_proposals_is_bounded_below_over_the_whole_family():
    rng = np.random.default_rng(8)
    n = 5000
    p = rng.choice([-1, 1], n) * 10 ** rng.uniform(-3, 4, n)
    a, b = 10 ** rng.uniform(-12, 6, (2, n))
    a[:500], p[:500] = 0, -np.abs(p[:500])
    b[500:1000], p[500:1000] = 0, np.abs(p[500:1000])
    p, a, b = (jnp.asarray(x) for x in (p, a, b))
    y0 = mode_of_log(p, a, b)
    alpha, beta = a * y0 / 2, b / y0 / 2
    both = tails(p, a, b, y0)
    mass = np.exp(np.logaddexp(both.lower, both.upper))
    envelope = sum(end + 1 / rate for end, rate in (
        _touching(+1.0, alpha, beta), _touching(-1.0, alpha, beta)
    ))  # fmt: skip
    share = mass / np.asarray(envelope)
    assert not np.any(np.isnan(sample_gig(jax.random.key(1), p, a, b)))
    assert np.all(share < 1)
    assert np.min(share) > 0.6


def test_draws_of_a_law_that_is_nan_are_nan_and_end():
    p = np.array([1.5, np.nan, 1.5, 1.5])
    a = np.array([2.0, 2.0, np.nan, 2.0])
    b = np.array([3.0, 3.0, 3.0, np.nan])
    drawn = sample_gig(jax.random.key(0), *(jnp.asarray(x) for x in (p, a, b)))
    np.testing.assert_array_equal(np.isnan(drawn), [False, True, True, True])


def test_draws_move_with_the_shape_of_a_gamma_law_as_its_quantiles_do():
    alpha, beta, n = 2.3, 1.7, 1000
    rate, zero = np.full(n, 2 * beta), np.zeros(n)

    def draw(alpha):
        return sample_gig(jax.random.key(5), jnp.full(n, alpha), rate, zero)

    y, slope = jax.jvp(draw, (alpha,), (1.0,))
    expected = jax.lax.random_gamma_grad(jnp.full(n, alpha), beta * y) / beta
    np.testing.assert_allclose(slope, expected, rtol=1e-10)


def test_the_gradient_of_the_mean_of_draws_is_that_of_the_mean():
    law = GIG(1.5, 2.0, 3.0)

    def loss(law):
        return jnp.mean(law.sample(jax.random.key(6), (DRAWS,)))

    slope = jax.grad(loss)(law)
    expected = jax.grad(lambda law: law.mean())(law)
    for name in ("p", "a", "b"):
        np.testing.assert_allclose(getattr(slope, name), getattr(expected, name), rtol=0.01)


FAMILIES = [Gamma(2.0, 3.0), InverseGamma(2.0, 3.0), InverseGaussian(2.0, 3.0), GIG(1.0, 2.0, 3.0)]


@pytest.mark.parametrize("law", FAMILIES, ids=lambda law: type(law).__name__)
def test_draws_depend_on_the_key_alone_whatever_its_type(law):
    draws = np.asarray(law.sample(jax.random.key(9), (DRAWS,)))
    np.testing.assert_array_equal(law.sample(jax.random.key(9), (DRAWS,)), draws)
    np.testing.assert_array_equal(law.sample(jax.random.PRNGKey(9), (DRAWS,)), draws)
    assert np.all(np.asarray(law.sample(jax.random.key(10), (DRAWS,))) != draws)
    assert np.unique(draws).size == DRAWS


@pytest.mark.parametrize("law", FAMILIES, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("shape", [(), (1,), (5, 3), (0,)])
def test_draws_have_the_shape_asked_for(law, shape):
    drawn = jax.eval_shape(lambda key: law.sample(key, shape), jax.random.key(9))
    assert drawn.shape == shape
    assert drawn.dtype == np.float64
