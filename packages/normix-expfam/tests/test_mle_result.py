"""The account of a fit: standard errors, likelihood, criteria, status."""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from normix_expfam import (
    GIG,
    Exponential,
    FitResult,
    Gamma,
    InverseGamma,
    InverseGaussian,
    MLEResult,
    MultivariateNormal,
    Status,
)

N = 200
UNIVARIATE = [Gamma, InverseGamma, InverseGaussian, Exponential, GIG]
FAMILIES = [*UNIVARIATE, MultivariateNormal]
each_family = pytest.mark.parametrize("family", FAMILIES)
# a heavy left tail and a heavy right tail: the GIG fit is inside
SAMPLE = np.exp(0.6 * np.random.default_rng(7).normal(size=N))
PLANE = np.random.default_rng(8).normal(size=(N, 2)) @ np.array([[1.5, 0.0], [-0.7, 0.8]]).T + 2.0
WEIGHTS = np.random.default_rng(9).integers(0, 4, N).astype(float)
ONES = np.ones(N)

mle = {
    family: eqx.filter_jit(lambda x, weights, family=family: family.mle(x, weights, throw=False))
    for family in FAMILIES
}


def data_of(family):
    return PLANE if family is MultivariateNormal else SAMPLE


def entries(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def observed_errors(law, x, weights):
    """From the inverse of the second derivative of the log-likelihood; nan where it is fixed."""
    flat, unflatten = ravel_pytree(law)
    free = np.flatnonzero(entries(law.information.free(law)))

    def total(values):
        return weights @ unflatten(flat.at[free].set(values)).log_prob(x)

    information = -np.asarray(jax.jit(jax.hessian(total))(flat[free]))
    errors = np.full(flat.size, np.nan)
    errors[free] = np.sqrt(np.diagonal(np.linalg.inv(information)))
    return errors


@each_family
def test_standard_errors_are_those_of_the_observed_information(family):
    x = data_of(family)
    result = mle[family](x, WEIGHTS)
    assert result.status == Status.CONVERGED
    names = [field.name for field in dataclasses.fields(result.model)]
    errors = result.standard_errors()
    assert set(errors) == set(names)
    for name, error in errors.items():
        assert error.shape == getattr(result.model, name).shape
    got = np.concatenate([np.ravel(errors[name]) for name in names])
    expected = observed_errors(result.model, x, WEIGHTS)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert float(result.n_parameters) == np.count_nonzero(~np.isnan(expected))


@each_family
def test_likelihood_and_criteria_are_as_defined(family):
    x = data_of(family)
    result = mle[family](x, WEIGHTS)
    total = float(WEIGHTS @ np.asarray(result.model.log_prob(x)))
    n, k = WEIGHTS.sum(), float(result.n_parameters)
    assert result.n_observations == n
    np.testing.assert_allclose(result.log_likelihood, total, rtol=1e-12)
    np.testing.assert_allclose(result.aic, 2 * k - 2 * total, rtol=1e-12)
    np.testing.assert_allclose(result.bic, k * np.log(n) - 2 * total, rtol=1e-12)


@each_family
def test_a_fit_without_weights_has_weights_of_one(family):
    x = data_of(family)
    plain, weighted = family.mle(x), mle[family](x, ONES)
    assert isinstance(plain, MLEResult)
    assert plain.n_observations == weighted.n_observations == N
    np.testing.assert_allclose(plain.log_likelihood, weighted.log_likelihood, rtol=1e-12)
    expected = weighted.standard_errors()
    for name, error in plain.standard_errors().items():
        np.testing.assert_allclose(error, expected[name], rtol=1e-6)
    model = family.fit_mle(x)
    np.testing.assert_allclose(entries(model), entries(plain.model), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("family", UNIVARIATE)
def test_a_weight_shrinks_the_errors_as_repetitions_do(family):
    once, four = mle[family](SAMPLE, ONES), mle[family](SAMPLE, 4 * ONES)
    expected = four.standard_errors()
    for name, error in once.standard_errors().items():
        np.testing.assert_allclose(error, 2 * expected[name], rtol=1e-6)
    np.testing.assert_allclose(4 * once.log_likelihood, four.log_likelihood, rtol=1e-12)


def gamma_data():
    """A sample whose likelihood does not rise from b = 0 into the interior."""
    return np.random.default_rng(4).gamma(3.0, scale=2.0, size=N)


def test_at_the_gamma_limit_errors_are_those_of_the_gamma_family():
    x = gamma_data()
    result, gamma = mle[GIG](x, ONES), mle[Gamma](x, ONES)
    assert result.status == Status.GAMMA_LIMIT
    assert result.converged
    assert "on the boundary b = 0, where it is Gamma(p, a/2)" in result.message
    assert result.model.b == 0
    assert result.n_parameters == 2
    errors, expected = result.standard_errors(), gamma.standard_errors()
    assert np.isnan(errors["b"])
    np.testing.assert_allclose(errors["p"], expected["alpha"], rtol=1e-9)
    np.testing.assert_allclose(errors["a"], 2 * expected["beta"], rtol=1e-9)
    for name in ("log_likelihood", "aic", "bic"):
        np.testing.assert_allclose(getattr(result, name), getattr(gamma, name), rtol=1e-12)


def test_at_the_inverse_gamma_limit_errors_are_those_of_the_inverse_gamma_family():
    x = 1 / gamma_data()
    result, expected = mle[GIG](x, ONES), mle[InverseGamma](x, ONES).standard_errors()
    errors = result.standard_errors()
    assert result.status == Status.INVERSE_GAMMA_LIMIT
    assert result.model.a == 0
    assert np.isnan(errors["a"])
    assert result.n_parameters == 2
    np.testing.assert_allclose(errors["p"], expected["alpha"], rtol=1e-9)
    np.testing.assert_allclose(errors["b"], 2 * expected["beta"], rtol=1e-9)


def test_a_result_goes_through_jit_and_vmap_with_a_status_for_each_element():
    constant = np.full(N, 2.0)
    batch = np.stack([SAMPLE, gamma_data(), 1 / gamma_data(), constant])
    results = eqx.filter_jit(eqx.filter_vmap(lambda x: GIG.mle(x, throw=False)))(batch)
    expected = [
        Status.CONVERGED,
        Status.GAMMA_LIMIT,
        Status.INVERSE_GAMMA_LIMIT,
        Status.INFEASIBLE,
    ]
    np.testing.assert_array_equal(results.status, expected)
    converged = eqx.filter_vmap(lambda result: result.converged)(results)
    np.testing.assert_array_equal(converged, [True, True, True, False])
    for i in range(len(expected)):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], results)
        assert one.message == mle[GIG](batch[i], ONES).message
        alone = mle[GIG](batch[i], ONES)
        np.testing.assert_allclose(entries(one.model), entries(alone.model), rtol=1e-6)
        np.testing.assert_allclose(one.aic, alone.aic, rtol=1e-9)
    assert np.all(np.isnan(entries(jax.tree.map(lambda leaf: leaf[-1], results.model))))
    assert np.isnan(results.log_likelihood[-1])
    leaves, structure = jax.tree.flatten(results)
    assert isinstance(jax.tree.unflatten(structure, leaves), MLEResult)


@pytest.mark.parametrize("family", [Gamma, InverseGamma, InverseGaussian, GIG])
def test_a_traced_fit_of_constant_data_is_infeasible(family):
    result = mle[family](np.full(N, 2.0), ONES)
    assert result.status == Status.INFEASIBLE
    assert not result.converged
    assert f"which must {family.eta_rule}" in result.message
    assert "observations of the support that are not all equal" in result.message
    assert all(np.all(np.isnan(error)) for error in result.standard_errors().values())


@pytest.mark.cpu
@pytest.mark.parametrize("family", [Gamma, InverseGamma, InverseGaussian, GIG, MultivariateNormal])
def test_a_fit_of_constant_data_is_infeasible_on_the_cpu_too(family):
    x = np.full((N, 2), 2.0) if family is MultivariateNormal else np.full(N, 2.0)
    result = family.mle(x, backend="cpu", throw=False)
    assert result.status == Status.INFEASIBLE
    assert not np.all(np.isfinite(entries(result.model)))


@pytest.mark.cpu
def test_both_backends_report_the_limit_that_the_maximum_is():
    for x, status in ((gamma_data(), Status.GAMMA_LIMIT),
                      (1 / gamma_data(), Status.INVERSE_GAMMA_LIMIT)):  # fmt: skip
        assert GIG.mle(x, backend="cpu").status == mle[GIG](x, ONES).status == status


def test_one_value_is_enough_for_the_exponential_law():
    result = Exponential.mle(np.full(5, 2.0))
    assert result.converged
    assert result.model.rate == 0.5
    np.testing.assert_allclose(result.standard_errors()["rate"], 0.5 / np.sqrt(5), rtol=1e-12)


def test_standard_errors_of_a_batch_are_taken_within_filter_vmap():
    x = np.stack([SAMPLE, 2 * SAMPLE])
    results = eqx.filter_vmap(lambda x: Gamma.mle(x, throw=False))(x)
    errors = eqx.filter_vmap(lambda result: result.standard_errors())(results)
    alone = Gamma.mle(SAMPLE).standard_errors()
    for name, factor in (("alpha", 1.0), ("beta", 0.5)):
        np.testing.assert_allclose(errors[name], alone[name] * np.array([1, factor]), rtol=1e-9)
    for member in ("standard_errors", "message"):
        with pytest.raises(
            ValueError, match=rf"MLEResult\.{member}: status must be a scalar.*vmap"
        ):
            getattr(results, member)()


def test_a_result_is_what_every_fit_returns():
    result = Gamma.mle(SAMPLE)
    assert isinstance(result, FitResult)
    members = {name for name in vars(FitResult) if not name.startswith("_")}
    assert members == {
        "model", "status", "converged", "message", "log_likelihood", "n_observations",
        "n_parameters", "aic", "bic", "standard_errors",
    }  # fmt: skip
    assert not isinstance(result.model, FitResult)


@each_family
@pytest.mark.parametrize("status", Status)
def test_a_message_names_no_family_and_no_parameter_that_the_model_has_not(family, status):
    model = mle[family](data_of(family), ONES).model
    message = MLEResult(model, jnp.int32(status), *(jnp.zeros(()),) * 3).message
    assert message
    limits = {Gamma, InverseGamma} if family is GIG else set()
    foreign = set(FAMILIES) - {family} - limits
    words = set(re.findall(r"[A-Za-z_]+", message))
    assert not words & {other.__name__ for other in foreign}
    spelled = {"normal", "exponential", "gaussian", "subordinator", "dispersion"}
    if family is not GIG:
        spelled |= {"gamma"} if "limit" not in status.name.lower() else set()
    assert not words & spelled
    own = {field.name for field in dataclasses.fields(model)}
    others = {field.name for other in FAMILIES for field in dataclasses.fields(other)} - own
    assert not words & (others - {"a"})  # which is also an article
    assert set(re.findall(r"(\w+) = ", message)) <= own
    assert not status.converged or "converged" in message


@each_family
def test_what_cannot_be_fitted_is_said_in_terms_of_the_family(family):
    model = mle[family](data_of(family), ONES).model
    message = MLEResult(model, jnp.int32(Status.INFEASIBLE), *(jnp.zeros(()),) * 3).message
    assert family.__name__ in message
    assert family.eta_rule in message
    assert ("not all equal" in message or "vary" in message) != family.fits_constant_data


REPLICATIONS = 300


@pytest.mark.parametrize(
    ("law", "size"), [(Gamma(2.5, 0.7), 400), (GIG(0.5, 4.0, 3.0), 8000)], ids=["gamma", "gig"]
)
def test_intervals_of_two_standard_errors_cover_the_truth(law, size):
    family = type(law)

    def replication(key):
        result = family.mle(law.sample(key, (size,)), throw=False)
        return result.model, result.standard_errors(), result.status

    keys = jax.random.split(jax.random.key(11), REPLICATIONS)
    models, errors, status = jax.jit(jax.vmap(replication))(keys)
    np.testing.assert_array_equal(status, Status.CONVERGED)
    for name, error in errors.items():
        distance = jnp.abs(getattr(models, name) - getattr(law, name))
        coverage = np.mean(np.asarray(distance < 1.96 * error))
        assert 0.90 <= coverage <= 0.99, name
