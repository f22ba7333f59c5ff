"""Draws: shapes, keys, size, and the law that they come from."""

import jax
import numpy as np
import pytest
from scipy import stats


def draws(model, key, shape):
    return model.sample(key, shape)


def test_shapes_and_key_types(model):
    assert model.sample(jax.random.key(0)).shape == (2,)
    assert model.sample(jax.random.PRNGKey(0), (3, 4)).shape == (3, 4, 2)
    assert model.sample(jax.random.key(0), (0,)).shape == (0, 2)
    assert model.joint.sample(jax.random.key(0), (3, 4)).shape == (3, 4, 3)
    assert model.project(np.array([1.0, 0.0])).sample(jax.random.key(0), (3, 4)).shape == (3, 4)


def test_one_key_one_sample(model):
    """Both kinds of key hold the same state; another key gives other draws."""
    new, old = jax.random.key(3), jax.random.PRNGKey(3)
    np.testing.assert_array_equal(model.sample(new, (3, 4)), model.sample(old, (3, 4)))
    assert not np.any(model.sample(new, (3, 4)) == model.sample(jax.random.key(4), (3, 4)))


def test_dtype(name, make):
    assert make(name, 2, np.float32).sample(jax.random.key(0), (2,)).dtype == np.float32


def test_joint_draws_hold_those_of_x(model):
    both = np.asarray(model.joint.sample(jax.random.key(1), (3, 4)))
    np.testing.assert_array_equal(both[..., :-1], model.sample(jax.random.key(1), (3, 4)))
    assert np.all(both[..., -1] > 0)


@pytest.mark.parametrize("angle", [0.4, 2.0])
def test_projections_follow_their_distribution_function(model, angle):
    w = np.array([np.cos(angle), np.sin(angle)])
    x = np.asarray(draws(model, jax.random.key(17), (20_000,))) @ w
    assert stats.kstest(np.asarray(model.project(w).cdf(x)), "uniform").pvalue > 1e-3
    own = np.asarray(model.project(w).sample(jax.random.key(18), (20_000,)))
    assert stats.kstest(np.asarray(model.project(w).cdf(own)), "uniform").pvalue > 1e-3


def test_the_subordinator_of_joint_draws(model):
    y = np.asarray(model.joint.sample(jax.random.key(19), (20_000,)))[:, -1]
    own = np.asarray(model.subordinator.sample(jax.random.key(20), (20_000,)))
    assert stats.ks_2samp(y, own).pvalue > 1e-3


def wide(like, d):
    """The subordinator of a model on d components that differ in scale by 1e6."""
    rng = np.random.default_rng(d)
    scale = np.logspace(-3, 3, d)
    root = np.linalg.cholesky(np.cov(rng.standard_normal((d, 4 * d)))) * scale[:, None]
    parts = scale * rng.standard_normal(d), scale * rng.uniform(-0.5, 0.5, d)
    law = like.subordinator
    cls = type(like)
    return cls._from_parts(*parts, None, root, law), scale


def test_a_million_rows_of_ten_components_in_one_call(model):
    """Mean and covariance within five standard errors."""
    law, scale = wide(model, 10)
    x = draws(law, jax.random.key(23), (1_000_000,))
    assert x.shape == (1_000_000, 10)
    x = np.asarray(x) / scale
    n, mean = len(x), np.asarray(law.mean()) / scale
    cov = np.asarray(law.cov()) / np.outer(scale, scale)
    assert np.all(np.isfinite(x))
    assert np.all(np.abs(x.mean(0) - mean) < 5 * np.sqrt(np.diagonal(cov) / n))
    centred = x - mean
    got = centred.T @ centred / n
    squares = centred**2
    error = np.sqrt((squares.T @ squares / n - got**2) / n)
    assert np.all(np.abs(got - cov) < 5 * error)
