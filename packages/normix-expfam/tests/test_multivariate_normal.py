"""The multivariate normal law against scipy and closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from normix_expfam import MultivariateNormal, Status
from normix_expfam._information import invert_information

NAME = "MultivariateNormal"
MEAN = np.array([0.5, -3.0, 100.0])
FACTOR = np.array([[1.5, 0.0, 0.0], [-0.7, 0.8, 0.0], [0.2, 0.1, 3.0]])
LAW = MultivariateNormal(MEAN, FACTOR)
COV = FACTOR @ FACTOR.T


def closed_form(x, weights):
    """Weighted mean and covariance in extended precision."""
    x, weights = np.asarray(x, np.longdouble), np.asarray(weights, np.longdouble)
    mean = weights @ x / weights.sum()
    centred = x - mean
    return mean.astype(float), ((weights[:, None] * centred).T @ centred / weights.sum()).astype(
        float
    )


def rows(n, mean=0.0, seed=5):
    return mean + np.random.default_rng(seed).normal(size=(n, 3)) @ FACTOR.T


def test_log_densities_are_those_of_scipy():
    x = MEAN + rows(50)
    expected = stats.multivariate_normal(MEAN, COV).logpdf(x)
    np.testing.assert_allclose(LAW.log_prob(x), expected, rtol=1e-12, atol=1e-12)


def test_log_densities_far_from_the_origin_are_those_of_scipy():
    law = MultivariateNormal(1e4 + MEAN, FACTOR)
    x = 1e4 + MEAN + rows(50)
    expected = stats.multivariate_normal(1e4 + MEAN, COV).logpdf(x)
    np.testing.assert_allclose(law.log_prob(x), expected, rtol=1e-12)


def test_densities_have_the_batch_shape_of_the_points():
    x = MEAN + rows(6).reshape(2, 3, 3)
    assert LAW.log_prob(x).shape == (2, 3)
    assert LAW.log_prob(MEAN).shape == ()
    assert LAW.sufficient_statistics(x).shape == (2, 3, 9)
    np.testing.assert_allclose(LAW.log_prob(x)[1, 2], LAW.log_prob(x[1, 2]), rtol=1e-14)
    outside = np.array([[np.inf, 0.0, 0.0], [0.0, -np.inf, 0.0]])
    np.testing.assert_array_equal(LAW.log_prob(outside), -np.inf)
    assert np.isnan(LAW.log_prob(np.array([np.nan, 0.0, 0.0])))


def test_a_point_without_axes_is_an_error():
    with pytest.raises(ValueError, match=rf"^{NAME}: x must have at least 1 axes, got shape \(\)"):
        LAW.log_prob(1.0)


def test_a_law_of_twenty_dimensions_agrees_with_scipy():
    rng = np.random.default_rng(1)
    cov = stats.wishart(40, np.eye(20)).rvs(random_state=2)
    law = MultivariateNormal.from_covariance(rng.normal(size=20), cov)
    np.testing.assert_allclose(law.cov(), cov, rtol=1e-13, atol=1e-13 * np.max(cov))
    frozen = stats.multivariate_normal(np.asarray(law.mu), cov)
    x = frozen.rvs(5, random_state=3)
    np.testing.assert_allclose(law.log_prob(x), frozen.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(law.entropy(), frozen.entropy(), rtol=1e-12)
    back = MultivariateNormal.from_expectation(law.expectation_params())
    np.testing.assert_allclose(back.cov(), cov, rtol=1e-9, atol=1e-10 * np.max(cov))
    fitted = MultivariateNormal.fit_mle(frozen.rvs(100, random_state=4))
    assert np.all(np.isfinite(fitted.L_Sigma))


def test_a_law_is_made_of_a_covariance_matrix():
    law = MultivariateNormal.from_covariance(MEAN, COV)
    np.testing.assert_allclose(law.L_Sigma, FACTOR, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(law.cov(), COV, rtol=1e-14, atol=1e-15)
    for got in (law.mean(), law.mode()):
        np.testing.assert_array_equal(got, MEAN)


SKEW = np.array([[0.0, 1e-3, 0.0], [0.0] * 3, [0.0] * 3])
BAD_COVARIANCES = {
    "not symmetric": COV + SKEW,
    "triangular": FACTOR,
    "indefinite": COV - 3 * np.eye(3),
    "negative": -COV,
    "singular": np.ones((3, 3)),
    "zero": np.zeros((3, 3)),
    "nan": COV * np.where(SKEW == 0, 1, np.nan),
    "infinite": COV * np.where(SKEW == 0, 1, np.inf),
}


@pytest.mark.parametrize("cov", BAD_COVARIANCES.values(), ids=BAD_COVARIANCES)
def test_what_is_no_covariance_matrix_is_an_error(cov):
    message = rf"^{NAME}\.from_covariance: cov must be symmetric and positive definite, got"
    with pytest.raises(ValueError, match=message):
        MultivariateNormal.from_covariance(MEAN, cov)


def test_a_traced_matrix_that_is_no_covariance_matrix_raises_at_run_time():
    made = eqx.filter_jit(MultivariateNormal.from_covariance)
    np.testing.assert_allclose(made(MEAN, COV).L_Sigma, FACTOR, rtol=1e-13, atol=1e-13)
    message = "from_covariance: cov must be symmetric and positive definite; check its eigenvalues"
    for name in ("not symmetric", "indefinite", "nan"):
        with pytest.raises(RuntimeError) as error:
            made(MEAN, BAD_COVARIANCES[name])
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("mu", "factor", "message"),
    [
        (np.zeros((2, 2)), np.eye(2), r"mu must have shape \(d,\) with d > 0, got \(2, 2\); pass"),
        (np.zeros(0), np.zeros((0, 0)), r"mu must have shape \(d,\) with d > 0, got \(0,\); pass"),
        (np.array(1.0), np.eye(1), r"mu must have shape \(d,\) with d > 0, got \(\); pass"),
        (np.zeros(3), np.eye(2), r"L_Sigma must have shape \(3, 3\), got \(2, 2\); pass the Chol"),
        (np.zeros(2), np.ones(2), r"L_Sigma must have shape \(2, 2\), got \(2,\); pass the Chol"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.5, 1.0]]), "L_Sigma must be lower triangular, got"),
        (np.zeros(2), np.diag([1.0, -1.0]), "L_Sigma must have a positive diagonal, got"),
        (np.zeros(2), np.diag([1.0, 0.0]), "L_Sigma must have a positive diagonal, got"),
        (np.zeros(2), np.diag([1.0, np.nan]), "L_Sigma must be finite, got"),
        (np.array([0.0, np.inf]), np.eye(2), "mu must be finite, got"),
    ],
)
def test_wrong_shapes_and_values_are_errors_naming_them(mu, factor, message):
    with pytest.raises(ValueError, match=f"^{NAME}: {message}"):
        MultivariateNormal(mu, factor)


@pytest.mark.parametrize("cov", [np.eye(2), np.ones((3, 2)), np.ones(3)])
def test_a_covariance_matrix_of_another_shape_is_a_value_error(cov):
    with pytest.raises(ValueError, match="must have shape"):
        MultivariateNormal.from_covariance(MEAN, cov)


mle = eqx.filter_jit(lambda x, weights: MultivariateNormal.mle(x, weights, throw=False))


@pytest.mark.parametrize("backend", ["jax", "cpu"])
@pytest.mark.parametrize("mean", [0.0, 1e8])
def test_the_fit_is_the_closed_form_wherever_the_data_lie(mean, backend):
    x = rows(40, mean)
    expected = closed_form(x, np.ones(40))
    law = MultivariateNormal.fit_mle(x, backend=backend)
    np.testing.assert_allclose(law.mu, expected[0], rtol=1e-14, atol=1e-14)
    error = np.asarray(law.cov()) - expected[1]
    sd = np.sqrt(np.diagonal(expected[1]))
    assert np.max(np.abs(error) / np.outer(sd, sd)) < (1e-7 if mean else 1e-13)


def test_weights_count_repetitions():
    x, counts = rows(12), np.array([1, 0, 2, 3, 1, 1, 0, 4, 1, 2, 1, 1])
    mean, cov = closed_form(x, counts)
    repeated = MultivariateNormal.mle(np.repeat(x, counts, axis=0))
    for scale in (1.0, 0.125):
        result = mle(x, scale * counts)
        for law in (result.model, repeated.model):
            np.testing.assert_allclose(law.mu, mean, rtol=1e-13)
            np.testing.assert_allclose(law.cov(), cov, rtol=1e-12, atol=1e-13)
        assert result.n_observations == scale * counts.sum()
        expected = scale * repeated.log_likelihood
        np.testing.assert_allclose(result.log_likelihood, expected, rtol=1e-12)


def test_standard_errors_are_those_of_a_mean_and_of_a_cholesky_factor():
    x = rows(12)
    result = mle(x, np.ones(12))
    sd = np.sqrt(np.diagonal(closed_form(x, np.ones(12))[1]))
    np.testing.assert_allclose(result.standard_errors()["mu"], sd / np.sqrt(12), rtol=1e-10)
    errors = np.asarray(result.standard_errors()["L_Sigma"])
    # L_11 is a standard deviation
    np.testing.assert_allclose(errors[0, 0], sd[0] / np.sqrt(2 * 12), rtol=1e-10)
    assert np.all(np.isnan(errors[np.triu_indices(3, 1)]))
    assert np.all(errors[np.tril_indices(3)] > 0)
    assert result.n_parameters == 9


def test_closed_form_standard_errors_are_those_of_the_information_matrix():
    law = MultivariateNormal.fit_mle(rows(12))
    expected = invert_information(law)
    found = law.information.deviations(law)
    np.testing.assert_allclose(found.mu, expected.mu, rtol=1e-10)
    low = np.tril_indices(3)
    np.testing.assert_allclose(found.L_Sigma[low], expected.L_Sigma[low], rtol=1e-10)


def test_two_hundred_columns_are_fitted_without_a_matrix_of_their_statistics():
    x = np.random.default_rng(5).normal(size=(300, 200))  # k = 20 300: ∇²ψ would take 3 GB
    result = MultivariateNormal.mle(x)
    assert result.converged
    assert result.n_parameters == 200 + 200 * 201 // 2
    spread = np.std(x, axis=0) / np.sqrt(300)
    np.testing.assert_allclose(result.standard_errors()["mu"], spread, rtol=1e-10)


LINE = np.linspace(-1, 1, 12)
DEGENERATE = {
    "fewer rows than dimensions": rows(3),
    "two rows": rows(2),
    "equal columns": np.stack([LINE, LINE**2, LINE], axis=1),
    "collinear columns": np.stack([LINE, LINE**2, 2 * LINE - 3 * LINE**2 + 1], axis=1),
    "collinear columns far away": np.stack([LINE, LINE**2, 2 * LINE - 3 * LINE**2 + 1e6], axis=1),
    "constant column": np.stack([LINE, LINE**2, np.full(12, 0.1)], axis=1),
}


@pytest.mark.parametrize("backend", ["jax", "cpu"])
@pytest.mark.parametrize("x", DEGENERATE.values(), ids=DEGENERATE)
def test_data_in_a_hyperplane_have_no_fit(x, backend):
    for method in ("fit_mle", "mle"):
        with pytest.raises(ValueError, match=rf"^{NAME}\.{method}: eta must have E x xᵀ - E x E"):
            getattr(MultivariateNormal, method)(x, backend=backend)
    result = MultivariateNormal.mle(x, backend=backend, throw=False)
    assert result.status == Status.INFEASIBLE
    assert not result.converged
    assert np.all(np.isnan(np.asarray(result.model.L_Sigma)[np.tril_indices(3)]))


def test_almost_collinear_data_have_a_fit():
    rng = np.random.default_rng(9)
    x = rows(40)
    x[:, 2] = x[:, 0] + 1e-5 * rng.normal(size=40)
    law = MultivariateNormal.fit_mle(x)
    np.testing.assert_allclose(law.cov(), closed_form(x, np.ones(40))[1], rtol=1e-12, atol=1e-14)


def test_draws_have_the_mean_and_the_covariance():
    n = 40_000
    x = np.asarray(LAW.sample(jax.random.key(3), (n // 2, 2)))
    assert x.shape == (n // 2, 2, 3)
    x = x.reshape(n, 3)
    sd = np.sqrt(np.diagonal(COV))
    assert np.max(np.abs(x.mean(0) - MEAN) / sd) < 4.5 / np.sqrt(n)
    error = (np.cov(x.T, bias=True) - COV) / np.outer(sd, sd)
    assert np.max(np.abs(error)) < 4.5 * np.sqrt(2 / n)
    whitened = np.linalg.solve(FACTOR, (x - MEAN).T)
    for row in whitened:
        assert stats.kstest(row, "norm").pvalue > 1e-4
    assert LAW.sample(jax.random.PRNGKey(3)).shape == (3,)


@pytest.mark.cpu
def test_the_cpu_backend_agrees():
    for method in ("expectation_params", "fisher_information"):
        got = getattr(LAW, method)(backend="cpu")
        assert isinstance(got, np.ndarray)
        np.testing.assert_allclose(got, getattr(LAW, method)(), rtol=1e-12, atol=1e-12)
    eta = LAW.expectation_params()
    for backend in ("jax", "cpu"):
        law = MultivariateNormal.from_expectation(eta, backend=backend)
        np.testing.assert_allclose(law.mu, MEAN, rtol=1e-14)
        # E x xᵀ is 1e4 times Σ
        np.testing.assert_allclose(law.cov(), COV, rtol=1e-10, atol=1e-10)


def test_the_mean_statistics_are_mean_and_second_moments():
    eta = np.asarray(LAW.expectation_params())
    np.testing.assert_allclose(eta[:3], MEAN, rtol=1e-12)
    second = (COV + np.outer(MEAN, MEAN))[np.tril_indices(3)]
    np.testing.assert_allclose(eta[3:], second, rtol=1e-12)


def test_batches_of_laws_go_through_vmap():
    laws = eqx.filter_vmap(MultivariateNormal, in_axes=(0, None))(jnp.eye(3), jnp.asarray(FACTOR))
    values = eqx.filter_vmap(lambda law, x: law.log_prob(x), in_axes=(eqx.if_array(0), None))(
        laws, jnp.zeros(3)
    )
    expected = [stats.multivariate_normal(mu, COV).logpdf(np.zeros(3)) for mu in np.eye(3)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("backend", ["jax", pytest.param("cpu", marks=pytest.mark.cpu)])
@pytest.mark.parametrize(
    ("power", "dtype"), [(-600, np.float64), (600, np.float64), (-75, np.float32), (75, np.float32)]
)
def test_a_fit_does_not_depend_on_the_units_of_the_data(power, dtype, backend):
    """Powers of 2, whose squares are no numbers, change no digit."""
    x = np.random.default_rng(5).normal(size=(40, 2)).astype(dtype)
    unit = dtype(2.0**power)
    law = MultivariateNormal.fit_mle(x, backend=backend)
    scaled = MultivariateNormal.fit_mle(x * unit, backend=backend)
    rtol = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(scaled.mu / unit, law.mu, rtol=rtol)
    np.testing.assert_allclose(scaled.L_Sigma / unit, law.L_Sigma, rtol=rtol)
