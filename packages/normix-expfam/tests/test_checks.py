"""Errors of traced values at run time, and that whoever asks for no check pays for none."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam import (
    GIG,
    Exponential,
    Gamma,
    InverseGamma,
    InverseGaussian,
    MultivariateNormal,
)
from normix_expfam._checks import as_floats, as_host_floats

POSITIVE = "be finite and > 0; check its sign and the parametrization"
FACTOR = np.array([[1.5, 0.0], [-0.7, 0.8]])
GIG_NAME = "GeneralizedInverseGaussian"
NORMAL_NAME = "MultivariateNormal"
# family, parameters of which one is wrong, and the error: class, argument, rule and remedy
MISTAKES = {
    "gamma alpha": (Gamma, (-1.0, 2.0), f"Gamma: alpha must {POSITIVE}"),
    "gamma beta": (Gamma, (1.0, np.nan), f"Gamma: beta must {POSITIVE}"),
    "inverse gamma alpha": (InverseGamma, (0.0, 2.0), f"InverseGamma: alpha must {POSITIVE}"),
    "inverse gamma beta": (InverseGamma, (1.0, np.inf), f"InverseGamma: beta must {POSITIVE}"),
    "inverse gaussian mu": (InverseGaussian, (-1.0, 2.0), f"InverseGaussian: mu must {POSITIVE}"),
    "inverse gaussian lam": (InverseGaussian, (1.0, 0.0), f"InverseGaussian: lam must {POSITIVE}"),
    "exponential rate": (Exponential, (-2.0,), f"Exponential: rate must {POSITIVE}"),
    "gig p": (GIG, (np.nan, 1.0, 1.0), f"{GIG_NAME}: p must be finite; pass a real number"),
    "gig a": (GIG, (1.0, -1.0, 1.0), f"{GIG_NAME}: a must be finite and >= 0; parameters are"),
    "gig b": (GIG, (1.0, 1.0, np.inf), f"{GIG_NAME}: b must be finite and >= 0; parameters are"),
    "gig a = 0": (GIG, (1.0, 0.0, 1.0), f"{GIG_NAME}: a must be > 0 unless p < 0 "),
    "gig b = 0": (GIG, (-1.0, 1.0, 0.0), f"{GIG_NAME}: b must be > 0 unless p > 0 "),
    "normal mu": (
        MultivariateNormal,
        (np.array([0.0, np.nan]), FACTOR),
        f"{NORMAL_NAME}: mu must be finite; check the data",
    ),
    "normal factor": (
        MultivariateNormal,
        (np.zeros(2), np.array([[1.0, 0.0], [np.inf, 1.0]])),
        f"{NORMAL_NAME}: L_Sigma must be finite; pass numpy.linalg.cholesky",
    ),
    "normal triangle": (
        MultivariateNormal,
        (np.zeros(2), FACTOR.T),
        f"{NORMAL_NAME}: L_Sigma must be lower triangular; pass numpy.linalg.cholesky",
    ),
    "normal diagonal": (
        MultivariateNormal,
        (np.zeros(2), -FACTOR),
        f"{NORMAL_NAME}: L_Sigma must have a positive diagonal; pass numpy.linalg.cholesky",
    ),
}
each_mistake = pytest.mark.parametrize(
    ("family", "parameters", "message"), MISTAKES.values(), ids=MISTAKES
)
LAWS = [
    Gamma(2.5, 0.7),
    InverseGamma(2.5, 0.7),
    InverseGaussian(1.5, 2.5),
    Exponential(0.3),
    GIG(1.5, 2.0, 3.0),
    MultivariateNormal(np.array([0.5, -1.0]), FACTOR),
]
each_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
UNIVARIATE = LAWS[:-1]
families = [type(law) for law in LAWS]
built = {family: jax.jit(lambda *x, family=family: family(*x)) for family in families}
filtered = {family: eqx.filter_jit(family) for family in families}


@each_mistake
def test_a_traced_mistake_raises_at_run_time_under_jit(family, parameters, message):
    with pytest.raises((ValueError, RuntimeError)) as error:
        jax.block_until_ready(built[family](*map(jnp.asarray, parameters)))
    assert message in str(error.value)


@each_mistake
def test_a_traced_mistake_raises_at_run_time_under_filter_jit(family, parameters, message):
    with pytest.raises(RuntimeError) as error:
        filtered[family](*map(jnp.asarray, parameters))
    assert message in str(error.value)


@each_law
def test_what_is_right_passes_the_same_compiled_functions(law):
    parameters = jax.tree.leaves(law)
    for function in (built[type(law)], filtered[type(law)]):
        for got, given in zip(jax.tree.leaves(function(*parameters)), parameters, strict=True):
            np.testing.assert_array_equal(got, given)


@each_mistake
def test_without_check_a_traced_mistake_passes_and_nothing_calls_back(family, parameters, message):
    def unchecked(*x):
        return family(*x, check=False)

    arrays = tuple(map(jnp.asarray, parameters))
    assert "callback" not in str(jax.make_jaxpr(unchecked)(*arrays)), message
    for got, given in zip(jax.tree.leaves(jax.jit(unchecked)(*arrays)), arrays, strict=True):
        np.testing.assert_array_equal(got, given)


@each_law
def test_with_check_the_check_is_in_the_program(law):
    jaxpr = jax.make_jaxpr(lambda *x: type(law)(*x))(*jax.tree.leaves(law))
    assert "callback" in str(jaxpr)


@each_mistake
def test_a_concrete_mistake_raises_at_once_inside_jit(family, parameters, message):
    rule = message.split(";")[0]

    def traced(x):
        return x * family(*parameters).natural_params()[0]

    with pytest.raises(ValueError, match="must") as error:
        jax.make_jaxpr(traced)(1.0)
    assert rule in str(error.value)
    assert ", got " in str(error.value)


@each_mistake
def test_without_check_nothing_is_looked_at(family, parameters, message):
    del message
    law = family(*parameters, check=False)
    assert isinstance(law, family)


def program(function, *arguments):
    return str(eqx.filter_make_jaxpr(function)(*arguments)[0])


def point_of(law):
    return jnp.ones(law.mu.shape) if isinstance(law, MultivariateNormal) else jnp.asarray(1.5)


@each_law
def test_no_method_of_a_law_calls_back(law):
    family, other = type(law), jax.tree.map(lambda leaf: 1.25 * leaf, law)
    x = law.sample(jax.random.key(1), (20,))
    eta = jnp.asarray(law.expectation_params())
    programs = {
        "log_prob": program(lambda law, x: law.log_prob(x), law, point_of(law)),
        "sample": program(lambda law, key: law.sample(key, (3,)), law, jax.random.key(0)),
        "entropy": program(lambda law: law.entropy(), law),
        "kl_divergence": program(lambda p, q: p.kl_divergence(q), law, other),
        "from_expectation": program(lambda eta: family.from_expectation(eta, throw=False), eta),
        "mle": program(lambda x: family.mle(x, throw=False), x),
        "fit_mle": program(lambda x: family.fit_mle(x, throw=False), x),
    }
    assert [name for name, text in programs.items() if "callback" in text] == []


@pytest.mark.parametrize("law", UNIVARIATE, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("method", ["cdf", "ppf"])
def test_no_distribution_function_calls_back(law, method):
    text = program(lambda law, x: getattr(law, method)(x), law, jnp.asarray(0.5))
    assert "callback" not in text


INFEASIBLE = {
    Gamma: (1.0, 2.0),
    InverseGamma: (0.0, 0.5),
    InverseGaussian: (0.5, 2.0),
    Exponential: (-1.0,),
    GIG: (0.0, 0.5, 1.5),
    MultivariateNormal: (1.0, 0.0, 0.5, 0.0, 1.0),
}


@pytest.mark.parametrize("family", INFEASIBLE)
def test_traced_infeasible_mean_statistics_raise_at_run_time(family):
    message = f"{family.__name__}.from_expectation: eta must {family.eta_rule}; pass the mean of"
    eta = np.array(INFEASIBLE[family])
    with pytest.raises(RuntimeError) as error:
        eqx.filter_jit(family.from_expectation)(jnp.asarray(eta))
    assert message in str(error.value)
    with pytest.raises(ValueError, match="eta must"):
        family.from_expectation(eta)


@pytest.mark.parametrize("family", INFEASIBLE)
def test_infeasible_mean_statistics_give_nan_without_throw(family):
    def found(eta):
        return family.from_expectation(eta, throw=False)

    for function in (found, jax.jit(found)):
        leaves = jax.tree.leaves(function(jnp.asarray(INFEASIBLE[family])))
        assert any(np.any(np.isnan(leaf)) for leaf in leaves)
        assert all(np.any(np.isnan(leaf)) for leaf in leaves[-1:])


def test_one_bad_element_of_a_batch_raises():
    p, a, b = jnp.array([1.0, -1.0, 2.0]), jnp.ones(3), jnp.array([1.0, 2.0, -3.0])
    for batch in (eqx.filter_vmap(GIG), eqx.filter_jit(eqx.filter_vmap(GIG))):
        with pytest.raises(RuntimeError, match=f"{GIG_NAME}: b must be finite and >= 0"):
            batch(p, a, b)
        assert batch(p, a, jnp.abs(b)).p.shape == (3,)


def test_an_array_is_copied_and_a_mask_is_not_lost():
    x = np.zeros(1000)
    (copy,) = as_floats("owner", x=x)
    x[:] = 1
    assert float(jnp.sum(copy)) == 0
    masked = np.ma.masked_equal([1.0, 2.0], 2.0)
    for floats in (as_floats, as_host_floats):
        with pytest.raises(TypeError, match=r"owner: x must be an array without a mask"):
            floats("owner", x=masked)
