"""Dispersions in other forms than a dense factor: a third party's subclasses in every family."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from normix_mixtures import DenseDispersion, Dispersion, to_family, to_generalized_hyperbolic


class FactorDispersion(Dispersion):
    """Σ = F Fᵀ + diag(D), by the square root √D (I + G Gᵀ)^½ with G = F/√D, not triangular."""

    factor: Float[Array, "d k"]
    noise: Float[Array, " d"]

    def _root(self, power: float) -> Array:
        """(I + G Gᵀ)^power."""
        root = self.factor / jnp.sqrt(self.noise)[:, None]
        left, singular, _ = jnp.linalg.svd(root, full_matrices=False)
        change = jnp.expm1(power * jnp.log1p(singular**2))
        return jnp.eye(self.noise.shape[0], dtype=left.dtype) + (left * change[None, :]) @ left.T

    def whiten(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return (x / jnp.sqrt(self.noise)[None, :]) @ self._root(-0.5)

    def colour(self, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return (z @ self._root(0.5)) * jnp.sqrt(self.noise)[None, :]

    def half_log_det(self) -> Float[Array, ""]:
        root = self.factor / jnp.sqrt(self.noise)[:, None]
        inner = jnp.eye(root.shape[1], dtype=root.dtype) + root.T @ root
        return (jnp.sum(jnp.log(self.noise)) + jnp.linalg.slogdet(inner)[1]) / 2

    def matrix(self) -> Float[Array, "d d"]:
        return self.factor @ self.factor.T + jnp.diag(self.noise)

    def cholesky(self) -> Float[Array, "d d"]:
        return jnp.linalg.cholesky(self.matrix())

    def diagonal(self) -> Float[Array, " d"]:
        return jnp.sum(self.factor**2, axis=1) + self.noise

    def scaled(self, scale: Float[Array, " d"]) -> Self:
        return type(self)(self.factor * scale[:, None], self.noise * scale**2)

    def fitted(self, scatter: Float[Array, "d d"]) -> Self:
        """Three EM steps of factor analysis (Rubin & Thayer 1982)."""
        found = self
        for _ in range(3):
            beta = jnp.linalg.solve(found.matrix(), found.factor).T
            across = scatter @ beta.T
            inner = jnp.eye(beta.shape[0]) - beta @ found.factor + beta @ across
            factor = jnp.linalg.solve(inner, across.T).T
            noise = jnp.diagonal(scatter) - jnp.sum(factor * across, axis=1)
            found = type(self)(factor, noise)
        return found


class DiagonalDispersion(Dispersion):
    """Σ = diag(D)."""

    values: Float[Array, " d"]

    def whiten(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return x / jnp.sqrt(self.values)[None, :]

    def colour(self, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return z * jnp.sqrt(self.values)[None, :]

    def half_log_det(self) -> Float[Array, ""]:
        return jnp.sum(jnp.log(self.values)) / 2

    def matrix(self) -> Float[Array, "d d"]:
        return jnp.diag(self.values)

    def cholesky(self) -> Float[Array, "d d"]:
        return jnp.diag(jnp.sqrt(self.values))

    def diagonal(self) -> Float[Array, " d"]:
        return self.values

    def scaled(self, scale: Float[Array, " d"]) -> Self:
        return type(self)(self.values * scale**2)

    def fitted(self, scatter: Float[Array, "d d"]) -> Self:
        return type(self)(jnp.diagonal(scatter))

    def free(self) -> Any:
        return jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), self)


D = 4
FORMS = {
    "factor": FactorDispersion(
        jnp.array([[0.8], [-0.5], [0.3], [1.1]]), jnp.array([0.4, 1.0, 0.2, 0.7])
    ),
    "diagonal": DiagonalDispersion(jnp.array([0.4, 1.0, 0.2, 0.7])),
}
MU, GAMMA = np.array([0.1, -0.2, 2.0, 0.0]), np.array([0.4, -0.1, 0.0, 0.2])
DATA = np.random.default_rng(6).standard_t(5, (60, D)) @ np.array(
    [[1.0, 0.2, 0.0, 0.5], [0.0, 1.0, 0.3, 0.0], [0.0, 0.0, 0.6, 0.1], [0.0, 0.0, 0.0, 1.2]]
)


def em_step(model, X):
    statistics = model.statistics(X)
    return model.e_step(X), model.m_step_from_statistics(statistics)


@pytest.fixture(scope="module")
def dispersion(name):
    """The forms in turn: families and forms do not know each other."""
    return FORMS["factor" if name in ("vg", "nig") else "diagonal"]


@pytest.fixture(scope="module")
def models(name, make, dispersion):
    """The same law with the dispersion in its form, and dense."""
    like = make(name, 2)
    parameters = {
        "vg": ("alpha", "beta"), "ninvg": ("alpha", "beta"), "nig": ("mu_ig", "lam"),
        "gh": ("p", "a", "b"),
    }[name]  # fmt: skip
    parameters = {key: getattr(like, key) for key in parameters}
    return tuple(
        type(like).from_classical(MU, GAMMA, sigma, **parameters)
        for sigma in (dispersion, np.asarray(dispersion.matrix()))
    )


def test_the_forms_do_what_a_dispersion_must(dispersion):
    """C Cᵀ = Σ for the test's own classes."""
    z = np.random.default_rng(0).standard_normal((5, D))
    root = np.asarray(dispersion.colour(jnp.eye(D))).T
    sigma = np.asarray(dispersion.matrix())
    np.testing.assert_allclose(root @ root.T, sigma, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(dispersion.whiten(dispersion.colour(jnp.asarray(z))), z, rtol=1e-12)
    assert float(dispersion.half_log_det()) == pytest.approx(np.linalg.slogdet(sigma)[1] / 2)
    np.testing.assert_allclose(dispersion.diagonal(), np.diagonal(sigma), rtol=1e-14)
    A = np.random.default_rng(1).standard_normal((2, D))
    dense = dispersion.transformed(jnp.asarray(A))
    assert isinstance(dense, DenseDispersion)
    np.testing.assert_allclose(dense.matrix(), A @ sigma @ A.T, rtol=1e-12)


def test_the_form_is_kept(models, dispersion):
    model, dense = models
    scale = jnp.array([1.0, 2.0, 1e-3, 1e3])
    for one in (
        model, model.normalize(), model.rescaled(jnp.zeros(D), scale), model.standardize(),
        to_generalized_hyperbolic(model), to_family(model, type(model)),
    ):  # fmt: skip
        assert type(one.joint.dispersion) is type(dispersion)
    assert model.is_close(dense, rtol=1e-12)
    assert model.normalize().is_close(dense.normalize(), rtol=1e-12)
    assert model.standardize().is_close(dense.standardize(), rtol=1e-12)
    np.testing.assert_allclose(model.L_Sigma, dense.L_Sigma, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(model.sigma, dense.sigma, rtol=1e-13, atol=1e-15)


# one family with each form
@pytest.mark.parametrize(
    "name",
    ["gh", "vg", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nig", "ninvg"))],
    indirect=True,
)
def test_density_posterior_and_moments_agree(models):
    model, dense = models
    np.testing.assert_allclose(model.log_prob(DATA), dense.log_prob(DATA), rtol=1e-12)
    for one, two in zip(model.e_step(DATA), dense.e_step(DATA), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-13)
    for moment in ("mean", "cov", "var", "skewness", "kurtosis"):
        np.testing.assert_allclose(
            getattr(model, moment)(), getattr(dense, moment)(), rtol=1e-11, atol=1e-14
        )
    for one, two in zip(
        model.posterior(DATA[0]).as_gig(), dense.posterior(DATA[0]).as_gig(), strict=True
    ):
        assert float(one) == pytest.approx(float(two), rel=1e-13)
    t = DATA[:4] / 3
    np.testing.assert_allclose(
        model.characteristic_function(t), dense.characteristic_function(t), atol=1e-14
    )
    y = np.abs(DATA[:, 0])
    points = model.joint.pack(DATA, y)
    np.testing.assert_allclose(
        model.joint.log_prob(points), dense.joint.log_prob(points), rtol=1e-11
    )


def test_closure_agrees(models):
    model, dense = models
    A, w = DATA[:2], np.array([0.6, -0.8, 0.3, 1.0])
    assert model.affine(A).is_close(dense.affine(A), rtol=1e-11)
    assert model.marginal([3, 0]).is_close(dense.marginal([3, 0]), rtol=1e-12)
    one, two = (m.conditional([1, -1], np.array([0.5, 2.0])) for m in models)
    assert one.is_close(two, rtol=1e-11)
    one, two = (m.project(w) for m in models)
    for leaf, other in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert float(leaf) == pytest.approx(float(other), rel=1e-13)
    for leaf, other in zip(model.to_ghyp(), dense.to_ghyp(), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=1e-12, atol=1e-14)


def test_samples_come_from_the_law(models):
    """Another square root gives other draws: mean and covariance within five standard errors."""
    model = models[0]
    x = np.asarray(model.sample(jax.random.key(2), (200_000,)))
    mean, cov = np.asarray(model.mean()), np.asarray(model.cov())
    assert np.all(np.abs(x.mean(0) - mean) < 5 * np.sqrt(np.diagonal(cov) / len(x)))
    products = (x - mean)[:, :, None] * (x - mean)[:, None, :]
    error = products.std(0) / np.sqrt(len(x))
    assert np.all(np.abs(products.mean(0) - cov) < 5 * error)


def test_em_keeps_the_form_and_never_lowers_the_likelihood(models):
    """From a start that is far from the data."""
    model, values = models[0], []
    for _ in range(6):
        expectations, after = em_step(model, DATA)
        values.append(float(np.sum(expectations.log_prob)))
        assert type(after.joint.dispersion) is type(model.joint.dispersion)
        model = after
    assert np.all(np.diff(values) >= -1e-10 * np.abs(values[0]))
    assert values[-1] > values[0] + 1


def test_a_diagonal_form_has_the_likelihood_of_its_own_maximum(models):
    """The M-step of a dense model and of a diagonal one share all but what the form leaves out."""
    model, dense = models
    if not isinstance(model.joint.dispersion, DiagonalDispersion):
        model, dense = dense, model  # the dense scatter bounds that of the factor form
    _, one = em_step(model, DATA)
    _, two = em_step(dense, DATA)
    np.testing.assert_allclose(one.mu, two.mu, rtol=1e-8)
    np.testing.assert_allclose(one.gamma, two.gamma, rtol=1e-8)
    laws = [np.stack(m.joint.subordinator_as_gig()) for m in (one, two)]
    np.testing.assert_allclose(*laws, rtol=1e-7, atol=1e-12)
    if isinstance(model.joint.dispersion, DiagonalDispersion):
        np.testing.assert_allclose(np.diagonal(one.sigma), np.diagonal(two.sigma), rtol=1e-8)


def test_free_parameters_of_a_diagonal_law(models):
    """μ and γ, the diagonal, and the subordinator less the gauge."""
    model, dense = models
    free = model.subordinator.natural_params().shape[0] - 1
    assert dense.n_parameters == 2 * D + D * (D + 1) // 2 + free
    if isinstance(model.joint.dispersion, DiagonalDispersion):
        assert model.n_parameters == 3 * D + free


def test_a_dispersion_of_another_size(name, make, dispersion):
    family = type(make(name, 2))
    match = rf"{family.__name__}\.from_classical: sigma must have dimension 2, got 4"
    like = make(name, 2)
    parameters = {
        "vg": ("alpha", "beta"), "ninvg": ("alpha", "beta"), "nig": ("mu_ig", "lam"),
        "gh": ("p", "a", "b"),
    }[name]  # fmt: skip
    parameters = {key: getattr(like, key) for key in parameters}
    with pytest.raises(ValueError, match=match):
        family.from_classical(np.zeros(2), np.zeros(2), dispersion, **parameters)
    with pytest.raises(ValueError, match="sigma, L_Sigma must be given one of the two, got both"):
        family.from_classical(MU, GAMMA, dispersion, L_Sigma=np.eye(D), **parameters)
