"""Affine maps, marginals, conditionals, standardisation and the law of Y given x."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normix_mixtures import (
    GeneralizedHyperbolic,
    MixtureStatistics,
    NormalInverseGamma,
    PosteriorMoments,
)

D = 3
X = np.array([[0.1, -0.2, 0.3], [0.7, -1.1, 2.4], [-3.0, 4.0, 9.0], [2.0, 0.5, 1.9]])
DATA = np.random.default_rng(4).standard_t(4, (60, 2)) + np.array([0.5, -2.0])
INDEX_SETS = ([0], [2], [-2], [1, 0], [2, 0], [-1, 1])


@pytest.fixture(scope="module")
def cube(name, make):
    """A skewed three-dimensional model of every family in turn."""
    return make(name, D)


def turned(rng, k, d, decades=1.5):
    """A matrix of shape (k, d) whose singular values lie within 10^±decades."""
    left = np.linalg.qr(rng.standard_normal((k, k)))[0]
    right = np.linalg.qr(rng.standard_normal((d, k)))[0]
    return (left * 10.0 ** rng.uniform(-decades, decades, k)) @ right.T


def assert_close(got, expected, tolerance):
    """Relative to the size of the value, but at least of 1."""
    got, expected = np.asarray(got), np.asarray(expected)
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    assert np.max(error) <= tolerance, (got, expected)


def correlation(cov):
    root = np.sqrt(np.diagonal(cov))
    return np.asarray(cov) / np.outer(root, root)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_affine_onto_the_same_dimension_changes_variables(cube, seed):
    rng = np.random.default_rng(seed)
    A, b = turned(rng, D, D), 10 * rng.standard_normal(D)
    expected = np.asarray(cube.log_prob(X)) - np.linalg.slogdet(A)[1]
    assert_close(cube.affine(A, b).log_prob(X @ A.T + b), expected, 1e-10)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), k=st.just(2))
def test_affine_maps_moments_and_the_characteristic_function(cube, seed, k):
    rng = np.random.default_rng(seed)
    A, b = turned(rng, k, D), rng.standard_normal(k)
    image = cube.affine(A, b)
    assert type(image) is type(cube)
    size = np.linalg.norm(A, axis=1)
    np.testing.assert_allclose(
        (np.asarray(image.mean()) - (A @ cube.mean() + b)) / (size + np.abs(b)), 0, atol=1e-13
    )
    np.testing.assert_allclose(
        (np.asarray(image.cov()) - A @ np.asarray(cube.cov()) @ A.T) / np.outer(size, size),
        0, atol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(image.var(), np.diagonal(image.cov()), rtol=1e-12)
    t = rng.standard_normal((4, k)) / size
    expected = np.exp(1j * t @ b) * np.asarray(cube.characteristic_function(t @ A))
    np.testing.assert_allclose(image.characteristic_function(t), expected, atol=1e-12)


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_affine_maps_compose(cube, seed):
    rng = np.random.default_rng(seed)
    A, b, B, c = turned(rng, D, D), rng.standard_normal(D), turned(rng, 2, D), np.zeros(2)
    assert cube.affine(A, b).affine(B, c).is_close(cube.affine(B @ A, B @ b + c), rtol=1e-9)


def test_affine_without_a_shift(cube):
    A = np.array([[1.0, 2.0, 0.0]])
    assert cube.affine(A).is_close(cube.affine(A, np.zeros(1)), rtol=0.0)


def test_affine_of_one_row_is_the_projection(cube):
    w = np.array([0.6, -0.8, 0.3])
    one, law = cube.affine(w[None, :]), cube.project(w)
    x = np.linspace(-3, 3, 4)
    assert_close(one.log_prob(x[:, None]), law.log_prob(np.tile(x, 2))[:4], 1e-12)
    for moment in ("mean", "var", "skewness", "kurtosis"):
        got, expected = getattr(one, moment)()[0], float(getattr(law, moment)())
        assert float(got) == pytest.approx(expected, rel=1e-11), moment


def test_affine_under_jit(cube):
    A = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    compiled = eqx.filter_jit(lambda model, A: model.affine(A))(cube, jnp.asarray(A))
    assert compiled.is_close(cube.affine(A), rtol=1e-14)


@pytest.mark.parametrize("indices", [*INDEX_SETS, [2, 0, 1]])
def test_marginal_is_the_affine_selection(cube, indices):
    found = cube.marginal(indices)
    assert type(found) is type(cube)
    assert found.dimension == len(indices)
    assert found.is_close(cube.affine(np.eye(D)[indices]), rtol=1e-14)
    np.testing.assert_allclose(found.mu, np.asarray(cube.mu)[indices])
    np.testing.assert_allclose(
        found.sigma, np.asarray(cube.sigma)[np.ix_(indices, indices)], rtol=1e-13, atol=1e-15
    )
    np.testing.assert_allclose(
        found.cov(), np.asarray(cube.cov())[np.ix_(indices, indices)], rtol=1e-12, atol=1e-14
    )


def test_marginal_counts_negative_indices_from_the_end(cube):
    assert cube.marginal([-1, 0]).is_close(cube.marginal([2, 0]), rtol=0.0)


@pytest.mark.parametrize("kept", [0, 1])
def test_marginal_integrates_the_other_component_out(model, kept):
    t, step = np.linspace(-14, 14, 1401, retstep=True)
    other, weight = np.sinh(t) + 0.1, np.cosh(t) * step
    at = np.array([-2.0, 0.3, 1.5, 30.0])
    points = np.empty((len(at), len(t), 2))
    points[..., kept], points[..., 1 - kept] = at[:, None], other[None, :]
    integral = np.exp(np.asarray(model.log_prob(points))) @ weight
    assert_close(model.marginal([kept]).log_prob(at[:, None]), np.log(integral), 1e-9)


@pytest.mark.parametrize("indices", INDEX_SETS)
def test_conditional_is_joint_over_marginal(cube, indices):
    rest = np.setdiff1d(np.arange(D), np.arange(D)[indices])
    for at in X[1:3]:
        points = X.copy()
        points[:, indices] = at[indices]
        found = cube.conditional(indices, at[indices])
        assert isinstance(found, GeneralizedHyperbolic)
        expected = cube.log_prob(points) - cube.marginal(indices).log_prob(points[:, indices])
        assert_close(found.log_prob(points[:, rest]), expected, 1e-11)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), far=st.floats(-2, 3))
def test_conditional_anywhere(cube, seed, far):
    """The differences of large log-densities are as good as these, ε |log f|."""
    rng = np.random.default_rng(seed)
    points = 10.0**far * rng.standard_normal((4, D))
    points[:, 1] = points[0, 1]
    joint = np.asarray(cube.log_prob(points))
    expected = joint - np.asarray(cube.marginal([1]).log_prob(points[:, [1]]))
    got = np.asarray(cube.conditional([1], points[0, [1]]).log_prob(points[:, [0, 2]]))
    assert np.all(np.abs(got - expected) <= 1e-11 * np.maximum(1, np.abs(joint)))


def test_conditional_in_steps(cube):
    """Given X2, then X0, is given both; the order of the indices goes with that of the values."""
    both = cube.conditional([0, 2], np.array([0.3, -1.0]))
    assert cube.conditional([2], np.array([-1.0])).conditional([0], np.array([0.3])).is_close(both)
    assert cube.conditional([2, 0], np.array([-1.0, 0.3])).is_close(both, rtol=1e-12)


def test_conditional_of_the_mean_over_a_thin_slice_of_a_sample(model):
    """E (X1 | X0) over |X0 - 0.6| < 0.1, where a parabola stands for the regression."""
    sample = np.asarray(model.sample(jax.random.key(5), (200_000,)))
    centre, half = 0.6, 0.1
    knots = centre + half * np.array([-1.0, 0.0, 1.0])
    means = [float(model.conditional([0], np.array([v])).mean()[0]) for v in knots]
    line = np.polyfit(knots - centre, means, 2)
    inside = sample[np.abs(sample[:, 0] - centre) < half]
    residuals = inside[:, 1] - np.polyval(line, inside[:, 0] - centre)
    assert len(inside) > 3000
    assert abs(residuals.mean()) < 5 * residuals.std() / np.sqrt(len(inside))


def test_conditional_of_a_symmetric_law_regresses_linearly(name, make):
    """For γ = 0 the regression is that of the normal law, and only the spread depends on x."""
    model = make(name, D)
    model = eqx.tree_at(lambda m: m.joint.gamma, model, jnp.zeros(D))
    mu, sigma = np.asarray(model.mu), np.asarray(model.sigma)
    for value in (-3.0, 5.0):
        found = model.conditional([1], np.array([value]))
        slope = sigma[[0, 2], 1] / sigma[1, 1]
        np.testing.assert_allclose(found.mean(), mu[[0, 2]] + slope * (value - mu[1]), rtol=1e-12)
        np.testing.assert_array_equal(found.gamma, 0)


def test_standardize(cube):
    found = cube.standardize()
    assert type(found) is type(cube)
    np.testing.assert_allclose(found.mean(), 0, atol=1e-14)
    np.testing.assert_allclose(found.var(), 1, rtol=1e-13)
    np.testing.assert_allclose(correlation(found.cov()), correlation(cube.cov()), atol=1e-13)
    np.testing.assert_allclose(found.skewness(), cube.skewness(), rtol=1e-11)
    mean, std = np.asarray(cube.mean()), np.sqrt(np.asarray(cube.var()))
    expected = np.asarray(cube.log_prob(X)) + np.log(std).sum()
    assert_close(found.log_prob((X - mean) / std), expected, 1e-11)


@pytest.mark.parametrize(("alpha", "gamma"), [(1.5, 0.5), (0.9, 0.0), (0.4, 0.0)])
def test_standardize_needs_variances(alpha, gamma):
    law = NormalInverseGamma.from_classical(
        np.zeros(2), np.array([0.0, gamma]), np.eye(2), alpha=alpha, beta=1.0
    )
    match = r"NormalInverseGamma\.standardize: the variances must be finite, got \["
    with pytest.raises(ValueError, match=match):
        law.standardize()


def test_posterior_is_bayes_rule(model):
    y = np.array([0.02, 0.4, 1.0, 7.0])
    for x in X[:, :2]:
        joint = np.asarray(model.joint.log_prob(model.joint.pack(np.tile(x, (4, 1)), y)))
        expected = joint - float(model.log_prob(x))
        assert_close(model.posterior(x).log_prob(y), expected, 1e-10)


def posterior_means(model, points):
    return eqx.filter_vmap(lambda x: model.posterior(x).expectation_params())(points)


def test_e_step_holds_the_moments_of_the_posterior(model):
    points = jnp.asarray(X[:, :2])
    found = model.e_step(points)
    got = np.stack([found.log_y, found.inverse_y, found.y], axis=1)
    np.testing.assert_allclose(got, posterior_means(model, points), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        got[1], model.posterior(points[1]).expectation_params(), rtol=1e-12, atol=1e-13
    )
    assert_close(found.log_prob, model.log_prob(points), 1e-13)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_fit_pieces_are_equivariant(model, seed):
    """X -> A X + b leaves the law of Y given a row alone, and goes through the M-step."""
    rng = np.random.default_rng(seed)
    A, b = turned(rng, 2, 2), 10 * rng.standard_normal(2)
    image, rows = model.affine(A, b), DATA @ A.T + b
    found, moved = model.e_step(DATA), image.e_step(rows)
    assert_close(moved.log_prob + np.linalg.slogdet(A)[1], found.log_prob, 1e-10)
    for one, two in zip(moved[1:], found[1:], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-10)
    expected = model.m_step(DATA, found).affine(A, b)
    assert image.m_step(rows, moved).is_close(expected, rtol=1e-7)


def test_data_far_from_the_origin_lose_nothing(model):
    """A shift of 1e6 at unit spread, exact in the data, which are multiples of 2⁻²⁰."""
    shift = np.array([1e6, -1e6])
    rows = np.round(DATA * 2**20) / 2**20
    far = model.rescaled(jnp.asarray(shift), jnp.ones(2))
    near, after = (m.m_step(x, m.e_step(x)) for m, x in ((model, rows), (far, rows + shift)))
    np.testing.assert_allclose(np.asarray(after.mu) - shift, near.mu, atol=1e-8)
    np.testing.assert_allclose(after.gamma, near.gamma, atol=1e-8)
    np.testing.assert_allclose(after.sigma, near.sigma, atol=1e-8)
    np.testing.assert_allclose(
        list(after.joint.subordinator_as_gig()), list(near.joint.subordinator_as_gig()),
        rtol=1e-8, atol=1e-8,
    )  # fmt: skip


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), far=st.floats(-3, 3))
def test_statistics_add_across_origins(seed, far):
    rng = np.random.default_rng(seed)
    n, d = 12, 2
    rows = jnp.asarray(rng.standard_normal((n, d)))
    moments = PosteriorMoments(*(jnp.asarray(rng.uniform(0.5, 2, n)) for _ in range(4)))
    weights = jnp.asarray(rng.uniform(0, 2, n))
    origins = [jnp.asarray(10.0**far * rng.standard_normal(d)) for _ in range(3)]

    def collected(part, origin):
        return MixtureStatistics.from_rows(
            rows[part], PosteriorMoments(*(m[part] for m in moments)), weights[part], origin
        )

    whole = collected(slice(None), origins[0])
    pieces = [
        collected(slice(i, i + 4), origin) for i, origin in zip((0, 4, 8), origins, strict=True)
    ]
    found = [
        collected(slice(None), origins[1]).moved(origins[0]),
        pieces[0] + pieces[1] + pieces[2],
        sum(pieces),
        pieces[0] + sum(pieces[1:]),
    ]
    size = max(1.0, 100.0**far)
    for statistics in found:
        np.testing.assert_array_equal(statistics.origin, origins[0])
        for one, two in zip(jax.tree.leaves(statistics), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12 * size)
    with pytest.raises(TypeError):
        whole + 1.0
    with pytest.raises(TypeError):
        1 + whole


def test_m_step_does_not_depend_on_the_origin(model):
    statistics = model.statistics(DATA)
    direct = model.m_step_from_statistics(statistics)
    for origin in (np.zeros(2), np.array([3.0, -8.0])):
        moved = statistics.moved(jnp.asarray(origin))
        assert model.m_step_from_statistics(moved).is_close(direct, rtol=1e-8)
