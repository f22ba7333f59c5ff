"""The E-step by one table of Bessel functions, on both engines, against direct evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam.internal import to_host
from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    VarianceGamma,
)
from normix_mixtures._e_step import moments_by_table
from normix_mixtures._e_step_on_host import log_prob_on_host, posterior_on_host

D = 3
L = np.array([[1.0, 0.0, 0.0], [0.4, 0.8, 0.0], [-0.2, 0.3, 1.5]])
SIGMA = L @ L.T
MODELS = {
    "gh": lambda g: GeneralizedHyperbolic.from_classical(0 * g, g, SIGMA, p=1.3, a=0.7, b=2.0),
    "order 0": lambda g: GeneralizedHyperbolic.from_classical(0 * g, g, SIGMA, p=1.5, a=2.0, b=0.1),
    "nearly normal": lambda g: GeneralizedHyperbolic.from_classical(
        1 + 0 * g, g, SIGMA, p=-40.0, a=1e6, b=1e6
    ),
    "b = 0": lambda g: GeneralizedHyperbolic.from_classical(0 * g, g, SIGMA, p=4.0, a=3.0, b=0.0),
    "pole": lambda g: VarianceGamma.from_classical(0 * g, g, SIGMA, alpha=1.2, beta=0.3),
    "t": lambda g: NormalInverseGamma.from_classical(0 * g, g, SIGMA, alpha=1.2, beta=3.0),
    "nig": lambda g: NormalInverseGaussian.from_classical(0 * g, g, SIGMA, mu_ig=1.2, lam=3.0),
}
SKEWED = {"0": np.zeros(D), "small": np.array([0.3, -0.2, 1.0]), "large": np.array([30.0, -20, 10])}


def rows_of(model):
    """Usual rows, rows next to μ, far ones, and μ itself."""
    X = np.asarray(model.sample(jax.random.key(0), (200,)))
    mu = np.asarray(model.mu)
    return np.concatenate([X, mu + 1e-8 * (X - mu), 1e3 * X, mu[None, :]])


def apart(got, expected, absolute):
    """The largest difference, relative, or in units of max(1, |value|)."""
    got, expected = np.asarray(got), np.asarray(expected)
    same = got == expected  # infinite ones too
    with np.errstate(invalid="ignore"):
        unit = np.maximum(np.abs(expected), 1.0 if absolute else 0.0)
        return float(np.max(np.where(same, 0.0, np.abs(got - expected) / unit)))


@pytest.mark.cpu
@pytest.mark.parametrize("skew", SKEWED)
@pytest.mark.parametrize("name", MODELS)
def test_tables_give_what_direct_evaluation_gives(name, skew):
    model = MODELS[name](SKEWED[skew]).normalize()
    X = rows_of(model)
    direct = model.e_step(X)
    # a row far along γ is known to the rounding of its whitened length
    loose = {"0": 1.0, "small": 10.0, "large": 1e3}[skew]
    with_jax = moments_by_table(model.joint, jnp.asarray(X))
    on_host = posterior_on_host(to_host(model.joint), X)
    for found in (with_jax, on_host):
        assert apart(found.log_prob, direct.log_prob, absolute=True) < loose * 2e-14
        assert apart(found.log_y, direct.log_y, absolute=True) < 5e-14
        assert apart(found.inverse_y, direct.inverse_y, absolute=False) < 2e-13
        assert apart(found.y, direct.y, absolute=False) < 5e-14
    density = log_prob_on_host(to_host(model.joint), X)
    assert apart(density, model.log_prob(X), absolute=True) < loose * 2e-14


@pytest.mark.cpu
@pytest.mark.parametrize("name", MODELS)
def test_sums_agree_between_engines_and_with_rows(name):
    model = MODELS[name](SKEWED["small"]).normalize()
    X = np.asarray(model.sample(jax.random.key(1), (500,)))
    weights = np.linspace(0, 2, len(X))
    sums = [model.expect(jnp.asarray(X), jnp.asarray(weights))]
    sums.append(to_host(model).expect(X, weights, backend="cpu"))
    sums.append(model.expect(X, weights, backend="cpu"))
    expected = model.statistics(X, weights).moved(0 * model.mu)
    for found in sums:
        assert int(found.flags.not_finite) == int(found.flags.at_pole) == 0
        for got, other in zip(found.statistics.parts, expected.parts, strict=True):
            np.testing.assert_allclose(got, other, rtol=1e-11, atol=1e-12 * len(X))
        assert float(found.log_likelihood) == pytest.approx(
            float(weights @ np.asarray(model.log_prob(X))), rel=1e-13
        )


@pytest.mark.cpu
def test_no_rows_have_no_moments():
    model = MODELS["gh"](SKEWED["small"])
    for backend in ("jax", "cpu"):
        assert [part.shape for part in model.e_step(np.empty((0, D)), backend=backend)] == [
            (0,)
        ] * 4


@pytest.mark.float32
@pytest.mark.parametrize("name", [name for name in MODELS if name != "nearly normal"])
def test_the_table_in_single_precision(name):
    model = MODELS[name](SKEWED["small"].astype(np.float32)).normalize()
    X = model.sample(jax.random.key(0), (300,))
    got, expected = moments_by_table(model.joint, X), model.e_step(X)
    assert got.y.dtype == np.float32
    for one, other in zip(got, expected, strict=True):
        assert apart(one, other, absolute=True) < 2e-5
