"""What changes the parameters and not the law, affine maps, conversion, moments, sampling."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam import mode_of_log
from normix_mixtures import NormalInverseGamma, to_generalized_hyperbolic

X = np.array([[0.1, -0.2], [0.7, -1.1], [-9.0, 14.0], [40.0, 3.0]])


def assert_same_law(log_prob, one, other):
    np.testing.assert_allclose(log_prob(one, X), log_prob(other, X), rtol=1e-12)
    np.testing.assert_allclose(one.mean(), other.mean(), rtol=1e-11)
    np.testing.assert_allclose(one.cov(), other.cov(), rtol=1e-11)


@pytest.mark.parametrize("factor", [1e-8, 0.3, 1e6])
def test_the_scale_of_the_subordinator_is_a_gauge(model, factor, log_prob):
    other = type(model)._wrap(model.joint.rescaled_subordinator(jnp.asarray(factor)))
    assert_same_law(log_prob, model, other)
    assert_same_law(log_prob, model, other.normalize())
    for a, b in zip(
        jax.tree.leaves(other.normalize()), jax.tree.leaves(model.normalize()), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_normalize_puts_the_mode_of_log_y_at_zero(model):
    gig = model.normalize().joint.subordinator_as_gig()
    assert float(mode_of_log(*gig)) == pytest.approx(1, rel=1e-14)


def test_rescaled_is_the_affine_law(model, log_prob):
    shift, scale = np.array([3.0, -1e3]), np.array([1e-4, 1e4])
    other = model.rescaled(jnp.asarray(shift), jnp.asarray(scale))
    expected = log_prob(model, X) - np.sum(np.log(scale))
    np.testing.assert_allclose(log_prob(other, shift + scale * X), expected, rtol=1e-9)
    np.testing.assert_allclose(other.mean(), shift + scale * np.asarray(model.mean()), rtol=1e-12)
    np.testing.assert_allclose(
        other.cov(), np.outer(scale, scale) * np.asarray(model.cov()), rtol=1e-11
    )


def test_every_member_is_generalized_hyperbolic(model, log_prob):
    assert_same_law(log_prob, model, to_generalized_hyperbolic(model))


def test_moments_against_sampling(model):
    """Within five standard errors; those of the covariance are measured."""
    sample = np.asarray(eqx.filter_jit(lambda m, key: m.sample(key, (200_000,)))(
        model, jax.random.key(11)
    ))  # fmt: skip
    n = len(sample)
    mean, cov = np.asarray(model.mean()), np.asarray(model.cov())
    assert np.all(np.abs(sample.mean(0) - mean) < 5 * np.sqrt(np.diagonal(cov) / n))
    products = (sample - mean)[:, :, None] * (sample - mean)[:, None, :]
    error = products.std(0) / np.sqrt(n)
    assert np.all(np.abs(products.mean(0) - cov) < 5 * error)


def test_sample_shapes_and_key_types(model):
    assert model.sample(jax.random.key(0)).shape == (2,)
    assert model.sample(jax.random.PRNGKey(0), (3, 4)).shape == (3, 4, 2)


def test_moments_that_do_not_exist():
    parts = (np.zeros(1), np.full(1, 0.5), np.eye(1))
    none = NormalInverseGamma.from_classical(*parts, alpha=0.8, beta=1.0)
    assert np.isinf(none.mean()).all()
    first = NormalInverseGamma.from_classical(*parts, alpha=1.5, beta=1.0)
    assert np.isfinite(first.mean()).all()
    assert np.isinf(first.cov()).all()
    symmetric = NormalInverseGamma.from_classical(
        np.zeros(1), np.zeros(1), np.eye(1), alpha=1.5, beta=1.0
    )
    assert np.isfinite(symmetric.cov()).all()
