"""Marginal densities: reference values, normalisation, derivatives, the peak, float32."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from normix_mixtures import GeneralizedHyperbolic, VarianceGamma

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def reference(shared_data):
    return json.loads((shared_data / "reference_gh.json").read_text())


def gh(row, sigma):
    return GeneralizedHyperbolic.from_classical(
        np.atleast_1d(row["mu"]), np.atleast_1d(row["gamma"]), np.asarray(sigma),
        p=row["lambda"], a=row["psi"], b=row["chi"],
    )  # fmt: skip


def assert_close(got, expected, tolerance):
    got, expected = np.asarray(got), np.asarray([float(value) for value in expected])
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    assert error.max() <= tolerance, (error.argmax(), error.max())


def test_univariate_reference_densities(reference, log_prob):
    for row in reference["univariate"]:
        model = gh(row, [[row["sigma"] ** 2]])
        assert_close(log_prob(model, np.array([row["x"]])), [row["mp_logpdf"]], 1e-11)
        scalar = model.project(np.ones(1))
        assert_close(log_prob(scalar, np.array(row["x"])), [row["mp_logpdf"]], 1e-11)


def test_multivariate_reference_densities(reference, log_prob):
    for row in reference["multivariate"]:
        got = log_prob(gh(row, row["sigma"]), np.array(row["x"]))
        assert_close(got, row["mp_logpdf"], 1e-11)


def test_density_integrates_to_one_on_the_line(scalar_model, log_prob):
    t, step = np.linspace(-7, 7, 1401, retstep=True)
    x = np.sinh(t)[:, None] * 3
    weights = np.cosh(t) * 3 * step
    heavy = 1e-7  # the skewed t has mass beyond |x| = 1600
    assert weights @ np.exp(log_prob(scalar_model, x)) == pytest.approx(1, abs=heavy)


def test_density_integrates_to_one_in_the_plane(model, log_prob):
    t, step = np.linspace(-6, 6, 241, retstep=True)
    first, second = np.meshgrid(np.sinh(t), np.sinh(t), indexing="ij")
    x = np.stack([first, second], axis=-1)
    weights = np.outer(np.cosh(t), np.cosh(t)) * step**2
    got = log_prob(model, x)
    assert got.shape == (241, 241)
    assert np.sum(np.exp(got) * weights) == pytest.approx(1, abs=1e-5)


def mp_psi(p, a, b):
    if b == 0:
        return mp.loggamma(p) - p * mp.log(a / 2)
    if a == 0:
        return mp.loggamma(-p) + p * mp.log(b / 2)
    return mp.log(2 * mp.besselk(p, mp.sqrt(a * b))) + p / 2 * mp.log(b / a)


TO_GIG = {
    "vg": lambda alpha, beta: (alpha, 2 * beta, mp.mpf(0)),
    "ninvg": lambda alpha, beta: (-alpha, mp.mpf(0), 2 * beta),
    "nig": lambda mean, lam: (mp.mpf("-0.5"), lam / mean**2, lam),
    "gh": lambda p, a, b: (p, a, b),
}


def mp_log_prob(name, flat, x):
    """In two dimensions, at parameters (μ, γ, L11, L21, L22, subordinator)."""
    mu, gamma, (l11, l21, l22) = flat[:2], flat[2:4], flat[4:7]
    p, a, b = TO_GIG[name](*flat[7:])

    def whiten(v):
        first = v[0] / l11
        return first, (v[1] - l21 * first) / l22

    z, skew = whiten([x[0] - mu[0], x[1] - mu[1]]), whiten(gamma)
    square, gain = z[0] ** 2 + z[1] ** 2, skew[0] ** 2 + skew[1] ** 2
    return (
        mp_psi(p - 1, a + gain, b + square) - mp_psi(p, a, b)
        + z[0] * skew[0] + z[1] * skew[1] - mp.log(l11 * l22) - mp.log(2 * mp.pi)
    )  # fmt: skip


def test_gradients_in_every_parameter(name, model):
    fields = [float(value) for value in jax.tree.leaves(model.subordinator)]
    family = type(model.subordinator)

    def of_flat(flat, x):
        zero = jnp.zeros((), flat.dtype)
        factor = jnp.stack([jnp.stack([flat[4], zero]), jnp.stack([flat[5], flat[6]])])
        dispersion = eqx.tree_at(lambda d: d.L_Sigma, model.joint.dispersion, factor)
        subordinator = family(*flat[7:])
        joint = model.joint._assemble(flat[:2], flat[2:4], dispersion, subordinator)
        return type(model)._wrap(joint).log_prob(x)

    L = np.asarray(model.L_Sigma)
    flat = np.concatenate([model.mu, model.gamma, [L[0, 0], L[1, 0], L[1, 1]], fields])
    gradient = jax.jit(jax.grad(of_flat))
    for x in ([0.7, -1.1], [-9.0, 14.0], [0.1, -0.2]):  # the last is μ
        got = gradient(jnp.asarray(flat), jnp.asarray(x))
        with mp.workdps(40):
            point, step = [mp.mpf(float(value)) for value in flat], mp.mpf("1e-13")
            for i in range(len(flat)):
                above, below = list(point), list(point)
                above[i], below[i] = point[i] + step, point[i] - step
                at = [mp.mpf(value) for value in x]
                slope = (mp_log_prob(name, above, at) - mp_log_prob(name, below, at)) / (2 * step)
                assert float(got[i]) == pytest.approx(float(slope), rel=1e-9, abs=1e-11), (x, i)


def test_gradients_of_general_members_on_the_boundary(make):
    """In a and b they are the one-sided derivatives, which exist for these p."""
    x = np.array([0.7, -1.1])
    base = make("gh", 2)

    @jax.jit
    def value(parameters):
        subordinator = type(base.subordinator)(*parameters)
        joint = base.joint
        joint = joint._assemble(joint.mu, joint.gamma, joint.dispersion, subordinator)
        return type(base)._wrap(joint).log_prob(x)

    gradient = jax.jit(jax.grad(value))
    for parameters in (np.array([3.5, 1.4, 0.0]), np.array([-3.2, 0.0, 4.0])):
        got = gradient(parameters)
        for i in range(3):
            shifted = parameters + 1e-6 * (np.arange(3) == i)
            slope = (float(value(shifted)) - float(value(parameters))) / 1e-6
            assert float(got[i]) == pytest.approx(slope, rel=1e-4)


def test_variance_gamma_peak(log_prob):
    mu, gamma = np.array([1.0, 2.0]), np.array([0.1, 0.2])
    sigma = np.array([[1.0, 0.3], [0.3, 2.0]])
    for alpha, infinite in ((0.6, True), (1.0, True), (1.01, False), (3.0, False)):
        model = VarianceGamma.from_classical(mu, gamma, sigma, alpha=alpha, beta=1.0)
        at_mu = float(log_prob(model, mu))
        assert (at_mu == np.inf) if infinite else np.isfinite(at_mu)


def test_density_at_infinity_and_nan(model):
    x = np.array([[np.inf, 0.0], [0.0, -np.inf], [np.nan, 0.0], [np.nan, np.inf]])
    traced = jax.vmap(model.log_prob)(x)  # a concrete nan is refused
    np.testing.assert_array_equal(traced, [-np.inf, -np.inf, np.nan, np.nan])


def test_batch_shapes(make):
    model = make("nig", 2)
    x = np.linspace(-2, 2, 24).reshape(3, 4, 2)
    assert model.log_prob(x).shape == (3, 4)
    assert model.log_prob(x[0, 0]).shape == ()
    assert model.prob(x[0]).shape == (4,)
    np.testing.assert_allclose(model.log_prob(x)[1, 2], model.log_prob(x[1, 2]), rtol=1e-14)


def test_single_precision(name, make, log_prob):
    small, model = make(name, 2, np.float32), make(name, 2)
    x = np.array([[0.7, -1.1], [-9.0, 14.0], [0.1, -0.2], [40.0, 3.0]])
    got = log_prob(small, jnp.asarray(x, jnp.float32))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, log_prob(model, x), rtol=2e-5)
    expectations = small.e_step(jnp.asarray(x, jnp.float32))
    for value, expected in zip(expectations, model.e_step(x), strict=True):
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    law = small.project(jnp.ones(2, jnp.float32))
    assert law.cdf(jnp.float32(0.3)).dtype == jnp.float32
    expected = model.project(np.ones(2)).cdf(0.3)
    np.testing.assert_allclose(law.cdf(jnp.float32(0.3)), expected, rtol=1e-4)
    assert np.all(np.isfinite(small.sample(jax.random.key(0), (100,))))
