"""Moments and characteristic functions against samples, projections and closed forms."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from normix_mixtures import NormalInverseGamma

N = 200_000
MOMENTS = ("mean", "var", "skewness", "kurtosis")


def draws(model, key):
    return model.sample(key, (N,))


@pytest.fixture(scope="module")
def sample(model):
    return np.asarray(draws(model, jax.random.key(11)))


def test_mean_and_covariance_of_a_sample(model, sample):
    """Within five standard errors; those of the covariance are measured."""
    mean, cov = np.asarray(model.mean()), np.asarray(model.cov())
    assert np.all(np.abs(sample.mean(0) - mean) < 5 * np.sqrt(np.diagonal(cov) / N))
    products = (sample - mean)[:, :, None] * (sample - mean)[:, None, :]
    assert np.all(np.abs(products.mean(0) - cov) < 5 * products.std(0) / math.sqrt(N))
    np.testing.assert_allclose(model.var(), np.diagonal(cov), rtol=1e-13)


# Gamma and inverse gamma, with lighter tails than in the registry: eight moments of X for errors
# of the kurtosis.
LIGHT = {"ninvg": {"alpha": 14.0, "beta": 9.0}}


@pytest.fixture(scope="module")
def light(name, model):
    if name not in LIGHT:
        return model
    return type(model).from_classical(model.mu, model.gamma, model.sigma, **LIGHT[name])


def test_skewness_and_kurtosis_of_a_sample(light):
    """The sums Σ (z³ - skewness) and Σ (z⁴ - kurtosis - 3) have mean 0 for z with mean 0, var 1."""
    x = np.asarray(draws(light, jax.random.key(12)))
    z = (x - np.asarray(light.mean())) / np.sqrt(np.asarray(light.var()))
    for power, expected in ((3, light.skewness()), (4, np.asarray(light.kurtosis()) + 3)):
        error = (z**power).std(0) / math.sqrt(N)
        assert np.all(np.abs((z**power).mean(0) - expected) < 5 * error), power


@pytest.mark.parametrize("moment", MOMENTS)
def test_moments_are_those_of_the_components(model, moment):
    got = np.asarray(getattr(model, moment)())
    for i, w in enumerate(np.eye(2)):
        assert got[i] == pytest.approx(float(getattr(model.project(w), moment)()), rel=1e-12)


def test_moments_from_those_of_the_subordinator(name, make):
    """E (μ + γ Y + √Y L Z)^k by the normal moments given Y, here for k = 3 and 4."""
    model = make(name, 1) if name != "ninvg" else NormalInverseGamma.from_classical(
        np.full(1, 0.1), np.full(1, 0.4), np.full((1, 1), 1.3), alpha=6.5, beta=2.0
    )  # fmt: skip
    u, step = np.linspace(-40, 25, 4001, retstep=True)
    y = np.exp(u)
    weight = np.exp(np.asarray(model.subordinator.log_prob(y)) + u) * step
    raw = [weight @ y**k for k in range(5)]
    gamma, square = float(model.gamma[0]), float(model.sigma[0, 0])
    # central moments of X: of γ (Y - m) + √Y σ Z
    m = raw[1]
    centred = [weight @ ((y - m) ** k) for k in range(5)]
    mixed = [weight @ ((y - m) ** k * y) for k in range(3)]
    second = gamma**2 * centred[2] + square * m
    third = gamma**3 * centred[3] + 3 * gamma * square * mixed[1]
    fourth = gamma**4 * centred[4] + 6 * gamma**2 * square * mixed[2] + 3 * square**2 * raw[2]
    assert float(model.mean()[0]) == pytest.approx(0.1 + gamma * m, rel=1e-9)
    assert float(model.var()[0]) == pytest.approx(second, rel=1e-9)
    assert float(model.skewness()[0]) == pytest.approx(third / second**1.5, rel=1e-8)
    assert float(model.kurtosis()[0]) == pytest.approx(fourth / second**2 - 3, rel=1e-8)


def skewed_t(alpha, gamma):
    gamma = np.asarray(gamma)
    sigma = np.array([[1.0, 0.3], [0.3, 2.0]])[: len(gamma), : len(gamma)]
    return NormalInverseGamma.from_classical(
        np.zeros(len(gamma)), gamma, sigma, alpha=alpha, beta=1.5
    )


ALPHAS = (0.4, 0.8, 1.2, 1.8, 2.5, 3.2, 4.5)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_which_moments_exist(alpha):
    """E Y^k is finite for k < α only; X1 with γ = 0 needs E Y^(k/2), X2 and X3 need E Y^k.

    Infinite means have the sign of γ, infinite even moments are +inf; what is no limit is nan.
    """
    model = NormalInverseGamma.from_classical(
        np.zeros(3), np.array([0.0, 0.5, -0.5]), np.eye(3), alpha=alpha, beta=1.5
    )
    got = {moment: np.asarray(getattr(model, moment)()) for moment in MOMENTS}
    for order, moment in enumerate(MOMENTS, start=1):
        exists = [order / 2 < alpha, order < alpha, order < alpha]
        np.testing.assert_array_equal(np.isfinite(got[moment]), exists, err_msg=moment)
    if alpha > 0.5:
        assert got["mean"][0] == 0
        assert got["var"][0] == (np.inf if alpha < 1 else pytest.approx(1.5 / (alpha - 1)))
        if alpha < 1:
            np.testing.assert_array_equal(got["mean"][1:], [np.inf, -np.inf])
    if 1 < alpha < 2:
        np.testing.assert_array_equal(got["var"][1:], [np.inf, np.inf])
        assert got["kurtosis"][0] == np.inf
    if alpha > 1.5:
        assert got["skewness"][0] == 0
    if 2 < alpha < 3:
        np.testing.assert_array_equal(got["skewness"][1:], [np.inf, -np.inf])
    if 2 < alpha < 4:
        np.testing.assert_array_equal(got["kurtosis"][1:], [np.inf, np.inf])
    if alpha < 0.5:
        assert np.isnan(got["mean"][0])
    for i, w in enumerate(np.eye(3)):
        law = model.project(w)
        for moment in MOMENTS:
            np.testing.assert_allclose(
                getattr(law, moment)(), got[moment][i], rtol=1e-12, err_msg=moment
            )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_which_covariances_exist(alpha):
    """E X_i X_j needs E Y^k with k = 1 plus one half for every γ that is not 0."""
    got = np.asarray(skewed_t(alpha, [0.0, 0.5]).cov())
    np.testing.assert_array_equal(got, got.T)
    need = np.array([[1.0, 1.5], [1.5, 2.0]])
    np.testing.assert_array_equal(np.isfinite(got), need < alpha)
    both = np.asarray(skewed_t(alpha, [0.5, -0.5]).cov())
    np.testing.assert_array_equal(np.isfinite(both), np.full((2, 2), alpha > 2))
    if 1 < alpha < 2:
        np.testing.assert_array_equal(both, [[np.inf, -np.inf], [-np.inf, np.inf]])
    none = np.asarray(skewed_t(alpha, [0.0, 0.0]).cov())
    np.testing.assert_array_equal(np.isfinite(none), np.full((2, 2), alpha > 1))


def test_gradients_at_a_symmetric_law(name, make):
    """At γ = 0: dE X = E Y, dCov = 0, dskewness = 3 σ² Var Y / (σ² E Y)^1.5, dkurtosis = 0."""
    model = make(name, 1) if name != "ninvg" else skewed_t(4.5, [0.0])

    def moments(gamma):
        law = eqx.tree_at(lambda m: m.joint.gamma, model, gamma[None])
        return jnp.concatenate([getattr(law, moment)() for moment in MOMENTS])

    square = float(model.sigma[0, 0])
    first, second = (float(v()) for v in (model.subordinator.mean, model.subordinator.var))
    expected = [first, 0, 3 * square * second / (square * first) ** 1.5, 0]
    zero = jnp.zeros(())
    for slopes in (jax.jacfwd(moments), jax.jacrev(moments)):
        np.testing.assert_allclose(slopes(zero), expected, rtol=1e-10, atol=1e-12)


def test_gradients_where_higher_moments_do_not_exist():
    """The mean of the skewed t law at γ = 0 with E Y but no Var Y, its variance in Σ."""

    def mean_and_var(gamma, scale):
        law = skewed_t(1.6, [0.0])
        law = eqx.tree_at(lambda m: m.joint.gamma, law, gamma[None])
        law = law.rescaled(jnp.zeros(1), scale[None])
        return law.mean()[0], law.var()[0]

    zero, one = jnp.zeros(()), jnp.ones(())
    assert float(jax.grad(lambda g: mean_and_var(g, one)[0])(zero)) == pytest.approx(1.5 / 0.6)
    slope = jax.grad(lambda s: mean_and_var(zero, s)[1])(one)
    assert float(slope) == pytest.approx(2 * 1.5 / 0.6)


# Characteristic functions

T = np.array([[0.3, 0.0], [-0.7, 0.4], [1.5, 1.0], [0.0, -4.0]])


def test_characteristic_function_of_a_sample(model, sample):
    """Real and imaginary part within five standard errors."""
    waves = np.exp(1j * sample[:100_000] @ T.T)
    got = np.asarray(model.characteristic_function(T))
    for part in (np.real, np.imag):
        error = part(waves).std(0) / math.sqrt(len(waves))
        assert np.all(np.abs(part(waves).mean(0) - part(got)) < 5 * error)


def laplace_exponent(model, t):
    return 1j * (t @ np.asarray(model.gamma)) - np.sum(t @ np.asarray(model.sigma) * t, axis=1) / 2


def log_kv(order, z):
    """Of complex argument, without the zeros of K at large ones."""
    return np.log(special.kve(order, z)) - z


def closed_form(name, model, s):
    """E exp(s Y)."""
    if name == "vg":
        return np.exp(-float(model.alpha) * np.log1p(-s / float(model.beta)))
    if name == "nig":
        m, lam = float(model.mu_ig), float(model.lam)
        return np.exp(2 * s * m / (1 + np.sqrt(1 - 2 * m * m * s / lam)))
    if name == "ninvg":
        alpha, root = float(model.alpha), np.sqrt(-s * float(model.beta))
        logs = alpha * np.log(root) + log_kv(alpha, 2 * root)
        return 2 * np.exp(logs - math.lgamma(alpha))
    p, a, b = (float(v) for v in (model.p, model.a, model.b))
    rate = a - 2 * s
    logs = p / 2 * np.log(a / rate) + log_kv(p, np.sqrt(rate * b))
    return np.exp(logs - log_kv(p, math.sqrt(a * b)))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.floats(-6, 1.5))
def test_characteristic_function_in_closed_form(name, model, seed, exponent):
    """1e-12 of the value for variance gamma and NIG down to 1e-8, of 1 for ratios of SciPy's K."""
    t = 10.0**exponent * np.random.default_rng(seed).standard_normal((4, 2))
    expected = closed_form(name, model, laplace_exponent(model, t))
    expected = np.exp(1j * (t @ np.asarray(model.mu))) * expected
    got = np.asarray(model.characteristic_function(t))
    bound = np.maximum(np.abs(expected), 1e-8) if name in ("vg", "nig") else 1.0
    assert np.all(np.abs(got - expected) <= 1e-12 * bound)


def test_characteristic_function_at_0_and_its_symmetry(model):
    np.testing.assert_allclose(model.characteristic_function(np.zeros((4, 2))), 1, rtol=1e-15)
    got = np.asarray(model.characteristic_function(T))
    np.testing.assert_allclose(model.characteristic_function(-T), got.conj(), rtol=1e-14)
    assert np.all(np.abs(got) < 1)
    for t, value in zip(T, got, strict=True):
        law = model.project(t)
        assert complex(law.characteristic_function(1.0)) == pytest.approx(complex(value), rel=1e-11)


def test_characteristic_function_has_the_mean_as_its_slope(model):
    slope = jax.jacfwd(lambda t: jnp.imag(model.characteristic_function(t)))(jnp.zeros(2))
    np.testing.assert_allclose(slope, model.mean(), rtol=1e-10)
