"""The scale of Y is a gauge: no public quantity depends on it, `normalize` fixes it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normix_expfam import mode_of_log
from normix_mixtures import GeneralizedHyperbolic, to_generalized_hyperbolic

X = np.array([[0.1, -0.2], [0.7, -1.1], [-9.0, 14.0], [40.0, 3.0]])
DATA = np.random.default_rng(4).standard_t(4, (60, 2)) + np.array([0.5, -2.0])
W = np.array([0.6, -0.8])
# eight points, four and sixty rows as in the other files: what is compiled is shared
LINE = np.linspace(-3, 3, 8)
PROBABILITIES = np.array([1e-6, 1e-3, 0.05, 0.3, 0.5, 0.8, 0.95, 0.99])

factors = st.floats(-8, 8).map(lambda exponent: 10.0**exponent)


def in_gauge(model, factor):
    """The same law with factor · Y for Y."""
    return type(model)._wrap(model.joint.rescaled_subordinator(jnp.asarray(factor)))


def assert_close(got, expected, tolerance):
    got, expected = np.asarray(got), np.asarray(expected)
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    assert np.max(error) <= tolerance, (got, expected)


@settings(max_examples=12)
@given(factor=factors)
def test_density_and_moments(model, factor):
    other = in_gauge(model, factor)
    assert_close(other.log_prob(X), model.log_prob(X), 1e-12)
    np.testing.assert_allclose(other.prob(X), model.prob(X), rtol=1e-12)
    for moment in ("mean", "var", "cov", "skewness", "kurtosis"):
        np.testing.assert_allclose(
            getattr(other, moment)(), getattr(model, moment)(), rtol=1e-11, err_msg=moment
        )
    np.testing.assert_allclose(
        other.characteristic_function(X / 10), model.characteristic_function(X / 10), atol=1e-13
    )


@settings(max_examples=8)
@given(factor=factors)
def test_projection(model, factor):
    law, other = model.project(W), in_gauge(model, factor).project(W)
    np.testing.assert_allclose(other.cdf(LINE), law.cdf(LINE), rtol=1e-12)
    np.testing.assert_allclose(other.sf(LINE), law.sf(LINE), rtol=1e-12)
    np.testing.assert_allclose(
        other.ppf(PROBABILITIES), law.ppf(PROBABILITIES), rtol=1e-11, atol=1e-12
    )
    for of in ("return", "loss"):
        np.testing.assert_allclose(
            other.expected_shortfall(PROBABILITIES, of=of),
            law.expected_shortfall(PROBABILITIES, of=of),
            rtol=1e-11,
            atol=1e-12,
        )


@settings(max_examples=12)
@given(factor=factors)
def test_derived_models(model, factor):
    other = in_gauge(model, factor)
    pairs = [
        (other, model),
        (other.normalize(), model.normalize()),
        (other.marginal([1]), model.marginal([1])),
        (other.conditional([0], X[1, :1]), model.conditional([0], X[1, :1])),
        (other.affine(X[:2]), model.affine(X[:2])),
        (other.standardize(), model.standardize()),
        (to_generalized_hyperbolic(other), model),
    ]
    for one, two in pairs:
        assert one.is_close(two, rtol=1e-11)
    for one, two in zip(
        jax.tree.leaves(other.normalize()), jax.tree.leaves(model.normalize()), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-13)
    assert other.n_parameters == model.n_parameters


@settings(max_examples=8)
@given(factor=factors)
def test_to_ghyp(model, factor):
    for one, two in zip(in_gauge(model, factor).to_ghyp(), model.to_ghyp(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-14)


@settings(max_examples=8)
@given(factor=factors)
def test_posterior_scales_as_y_does(model, factor):
    p, a, b = model.posterior(X[1]).as_gig()
    other = in_gauge(model, factor).posterior(X[1]).as_gig()
    np.testing.assert_allclose(list(other), [p, a / factor, b * factor], rtol=1e-13)


@settings(max_examples=8)
@given(factor=factors)
def test_em_step(model, factor):
    other = in_gauge(model, factor)
    found, moved = model.e_step(DATA), other.e_step(DATA)
    assert_close(moved.log_prob, found.log_prob, 1e-12)
    np.testing.assert_allclose(moved.log_y, found.log_y + np.log(factor), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(moved.inverse_y, found.inverse_y / factor, rtol=1e-12)
    np.testing.assert_allclose(moved.y, found.y * factor, rtol=1e-12)
    assert other.m_step(DATA, moved).is_close(model.m_step(DATA, found), rtol=1e-8)


def test_sample(model):
    """A draw of Y scales to rounding, so that draws of X agree key by key."""
    one = model.sample(jax.random.key(2), (50,))
    two = in_gauge(model, 4096.0).sample(jax.random.key(2), (50,))
    np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-9)


@settings(max_examples=10)
@given(factor=factors)
def test_normalize_puts_the_mode_of_log_y_at_0_and_stays_there(model, factor):
    found = in_gauge(model, factor).normalize()
    assert type(found) is type(model)
    assert float(mode_of_log(*found.joint.subordinator_as_gig())) == pytest.approx(1, rel=1e-14)
    p, a, b = (float(v) for v in found.joint.subordinator_as_gig())
    w = np.hypot(p, np.sqrt(a * b))
    np.testing.assert_allclose([a, b], [w + p, w - p], rtol=1e-13, atol=1e-14)
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(found.normalize()), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-14)


@pytest.mark.parametrize("log_scale", [-150, -100, 100, 150])
def test_nothing_is_clipped(model, log_scale):
    """Data in units of 1e±150: Σ has entries of 1e±300, and all of it survives the gauge."""
    scale = 10.0**log_scale
    far = model.rescaled(jnp.zeros(2), jnp.full(2, scale)).normalize()
    near = model.normalize()
    np.testing.assert_allclose(far.mu / scale, near.mu, rtol=1e-13)
    np.testing.assert_allclose(far.gamma / scale, near.gamma, rtol=1e-13)
    np.testing.assert_allclose(far.L_Sigma / scale, near.L_Sigma, rtol=1e-13)
    one, two = far.joint.subordinator_as_gig(), near.joint.subordinator_as_gig()
    np.testing.assert_allclose(list(one), list(two), rtol=1e-13)
    assert_close(far.log_prob(scale * X), near.log_prob(X) - 2 * np.log(scale), 1e-12)
    assert far.is_close(model.rescaled(jnp.zeros(2), jnp.full(2, scale)), rtol=1e-13)


@pytest.mark.parametrize("log_factor", [-150, 150])
def test_nothing_is_clipped_in_far_gauges(model, log_factor):
    other = in_gauge(model, 10.0**log_factor)
    assert other.is_close(model, rtol=1e-13)
    assert_close(other.log_prob(X), model.log_prob(X), 1e-12)


def test_rescaled_is_the_affine_law(model):
    shift, scale = np.array([3.0, -1e3]), np.array([1e-4, 1e4])
    other = model.rescaled(jnp.asarray(shift), jnp.asarray(scale))
    expected = np.asarray(model.log_prob(X)) - np.sum(np.log(scale))
    np.testing.assert_allclose(other.log_prob(shift + scale * X), expected, rtol=1e-9)
    np.testing.assert_allclose(other.mean(), shift + scale * np.asarray(model.mean()), rtol=1e-12)
    np.testing.assert_allclose(
        other.cov(), np.outer(scale, scale) * np.asarray(model.cov()), rtol=1e-11
    )
    assert other.is_close(model.affine(np.diag(scale), shift), rtol=1e-12)


def test_is_close_does_not_look_at_the_family(model):
    image = to_generalized_hyperbolic(model)
    assert image.is_close(model, rtol=1e-14)
    assert model.is_close(in_gauge(image, 1e7), rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-7, 1.0, 1e6])
def test_is_close_sees_a_change_of_any_parameter(model, factor):
    other = in_gauge(model, factor)
    leaves, structure = jax.tree.flatten(other)
    assert other.is_close(jax.tree.unflatten(structure, leaves), rtol=0.0)
    for i, leaf in enumerate(leaves):
        for index in np.ndindex(leaf.shape):
            if leaf[index] == 0:  # above the diagonal of a Cholesky factor
                continue
            changed = leaves.copy()
            changed[i] = leaf.at[index].multiply(1 + 1e-6)
            near = jax.tree.unflatten(structure, changed)
            assert not other.is_close(near), (i, index)
            assert not near.is_close(model), (i, index)
            assert near.is_close(model, rtol=1e-5), (i, index)


def test_is_close_in_units_of_the_spread():
    """μ = 0 and γ = 0 are compared with √Σ, and a law far from 0 with its size."""

    def gh(mu):
        return GeneralizedHyperbolic.from_classical(
            np.full(1, mu), np.zeros(1), np.eye(1) * 1e-20, p=1.0, a=1.0, b=1.0
        )

    assert gh(0.0).is_close(gh(1e-20))
    assert not gh(0.0).is_close(gh(1e-18))


def test_is_close_under_jit(model):
    same = eqx.filter_jit(lambda one, two: one.is_close(two))
    assert same(model, in_gauge(model, 3.0))
