"""The joint laws f(x, y) as exponential families, and that they are consistent with f(x)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam import testing as laws
from normix_mixtures import GeneralizedHyperbolic


@pytest.mark.parametrize("backend", ["jax", "cpu"])
def test_the_full_family_obeys_the_laws_of_exponential_families(make, backend):
    joint = make("gh", 1).joint
    laws.check_family(joint, backends=(backend,), support="other", single_precision_rtol=1e-3)


def test_every_family_obeys_the_laws_that_hold_on_a_curved_one(model):
    joint = model.joint
    laws.check_natural_params(joint, rtol=1e-12)
    laws.check_inverse(joint)
    laws.check_transformations(joint, joint.sample(jax.random.key(3), (4,)))
    laws.check_sampling(joint, joint.sample(jax.random.key(1), (200_000,)))


@pytest.mark.cpu
def test_the_cpu_backend_agrees(model):
    laws.check_cpu(model.joint)


def test_gradient_of_psi_in_redundant_coordinates(make):
    """For d > 1 the statistic vec x xᵀ/y holds each product twice; ∇ψ is still E t."""
    laws.check_gradient(make("gh", 2).joint)


def test_the_tangent_law_of_psi(model):
    """Along a curve of laws of the family, dψ = η · dθ; this is all that curvature leaves."""

    def psi_and_theta(shift):
        mu = model.mu + shift * jnp.array([0.3, -0.2])
        gamma = model.gamma * (1 + shift)
        joint = model.joint
        sigma = joint.dispersion.scaled(jnp.array([1.0, 1.0]) + shift)
        curve = joint._assemble(mu, gamma, sigma, joint.subordinator)
        return curve._log_partition_from_theta(curve.natural_params()), curve.natural_params()

    d_psi, d_theta = jax.jvp(psi_and_theta, (0.0,), (1.0,))[1]
    assert d_psi == pytest.approx(float(model.joint.expectation_params() @ d_theta), rel=1e-11)


def test_fisher_information_is_the_covariance_of_the_statistics(model):
    joint = model.joint
    t = np.asarray(joint.sufficient_statistics(joint.sample(jax.random.key(0), (200_000,))))
    fisher = np.asarray(joint.fisher_information())
    # log y, y and x have light enough tails in every family for covariances to settle
    index = [0, 3, 4]
    scale = np.sqrt(np.diagonal(fisher))[index]
    got = np.cov(t[:, index].T) / np.outer(scale, scale)
    np.testing.assert_allclose(
        got, fisher[np.ix_(index, index)] / np.outer(scale, scale), atol=0.05
    )


def test_statistics_of_a_family_at_infinite_moments_stay_finite_where_they_exist():
    joint = GeneralizedHyperbolic.from_classical(
        np.zeros(1), np.full(1, 0.5), np.eye(1), p=0.8, a=1.0, b=0.0
    ).joint
    eta = np.asarray(joint.expectation_params())
    np.testing.assert_array_equal(np.isinf(eta), [False, True, False, False, False, False])


def test_conditional_times_subordinator_is_the_joint_density(model):
    x, y = np.array([0.7, -1.1]), np.array([0.2, 1.0, 6.0])
    got = model.joint.log_prob(model.joint.pack(np.tile(x, (3, 1)), y))
    sigma = np.asarray(model.sigma)
    for i, value in enumerate(y):
        z = x - np.asarray(model.mu) - np.asarray(model.gamma) * value
        conditional = -0.5 * z @ np.linalg.solve(sigma * value, z) - 0.5 * np.log(
            np.linalg.det(2 * np.pi * sigma * value)
        )
        expected = conditional + float(model.subordinator.log_prob(value))
        assert float(got[i]) == pytest.approx(expected, rel=1e-12)


def test_integrating_y_out_gives_the_marginal(model):
    u, step = np.linspace(-18, 14, 1601, retstep=True)
    X = np.array([[0.1, -0.2], [0.7, -1.1], [-9.0, 4.0], [20.0, 1.0]])
    for x in X:
        points = model.joint.pack(np.tile(x, (len(u), 1)), np.exp(u))
        integral = np.sum(np.exp(np.asarray(model.joint.log_prob(points)) + u)) * step
        assert np.log(integral) == pytest.approx(float(model.log_prob(x)), rel=1e-9)


def test_the_joint_density_is_zero_outside_its_support(model):
    points = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, np.inf]])
    assert np.all(np.asarray(model.joint.log_prob(points)) == -np.inf)
