"""Static mistakes raise errors with class, argument, rule and value; densities mask."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from normix_expfam import GIG, Gamma, InverseGamma, InverseGaussian, gig_moments

ARGUMENTS = {
    Gamma: ("alpha", "beta"),
    InverseGamma: ("alpha", "beta"),
    InverseGaussian: ("mu", "lam"),
}
CASES = [(family, argument) for family, names in ARGUMENTS.items() for argument in names]
LAWS = [Gamma(2.0, 3.0), InverseGamma(2.0, 3.0), InverseGaussian(2.0, 3.0), GIG(1.0, 2.0, 3.0)]


@pytest.mark.parametrize("bad", [-1.5, 0.0, -0.0, np.nan, np.inf, -np.inf, 0, -2])
@pytest.mark.parametrize(("family", "argument"), CASES)
@pytest.mark.parametrize("kind", [lambda x: x, np.asarray, jnp.asarray], ids=["py", "np", "jnp"])
def test_parameters_must_be_finite_and_positive(family, argument, bad, kind):
    arguments = dict.fromkeys(ARGUMENTS[family], kind(1.0)) | {argument: kind(bad)}
    message = rf"^{family.__name__}: {argument} must be finite and > 0, got {bad}; check"
    with pytest.raises(ValueError, match=message):
        family(**arguments)


NAME = "GeneralizedInverseGaussian"


@pytest.mark.parametrize(
    ("p", "a", "b", "message"),
    [
        (np.nan, 1.0, 1.0, "p must be finite, got nan; "),
        (np.inf, 1.0, 1.0, "p must be finite, got inf; "),
        (-np.inf, 1.0, 1.0, "p must be finite, got -inf; "),
        (1.0, -1.5, 1.0, r"a must be finite and >= 0, got -1\.5; "),
        (1.0, np.nan, 1.0, "a must be finite and >= 0, got nan; "),
        (1.0, np.inf, 1.0, "a must be finite and >= 0, got inf; "),
        (1.0, 1.0, -1.5, r"b must be finite and >= 0, got -1\.5; "),
        (1.0, 1.0, np.nan, "b must be finite and >= 0, got nan; "),
        (1.0, 1.0, np.inf, "b must be finite and >= 0, got inf; "),
        (2.0, 0.0, 1.0, r"a must be > 0 unless p < 0 .*, got 0\.0; p is 2\.0"),
        (0.0, 0.0, 1.0, r"a must be > 0 unless p < 0 .*, got 0\.0; p is 0\.0"),
        (-2.0, 1.0, 0.0, r"b must be > 0 unless p > 0 .*, got 0\.0; p is -2\.0"),
        (0.0, 1.0, 0.0, r"b must be > 0 unless p > 0 .*, got 0\.0; p is 0\.0"),
        (2.0, 0.0, 0.0, r"a must be > 0 unless p < 0 .*, got 0\.0; p is 2\.0"),
        (0.0, 0.0, 0.0, r"a must be > 0 unless p < 0 .*, got 0\.0; p is 0\.0"),
        (-2.0, 0.0, 0.0, r"b must be > 0 unless p > 0 .*, got 0\.0; p is -2\.0"),
    ],
)
def test_parameters_of_gig_lie_in_its_domain(p, a, b, message):
    with pytest.raises(ValueError, match=f"^{NAME}: {message}"):
        GIG(p, a, b)


def test_each_concrete_parameter_is_checked_beside_a_traced_one():
    with pytest.raises(ValueError, match="Gamma: beta must be"):
        jax.jit(lambda alpha: Gamma(alpha, -1.0).log_partition())(2.0)


def test_a_batch_of_parameters_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"Gamma: beta must be a scalar, got shape \(2,\).*vmap"):
        Gamma.__init__.__wrapped__(Gamma.__new__(Gamma), 1.0, jnp.ones(2))


def test_complex_parameters_are_refused():
    with pytest.raises(TypeError, match=r"Gamma: alpha must be real.*; take its real part"):
        Gamma(np.complex128(1), 1.0)


@pytest.fixture
def unchecked_types():
    """Calls as users make them, without the type checker that answers first in these tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_an_unknown_backend_is_named_with_the_known_ones(law):
    family = type(law)
    eta = law.expectation_params()
    calls = {
        "expectation_params": lambda: law.expectation_params(backend="gpu"),
        "fisher_information": lambda: law.fisher_information(backend="gpu"),
        "from_expectation": lambda: family.from_expectation(eta, backend="gpu"),
    }
    for name, call in calls.items():
        message = rf"^{family.__name__}\.{name}: backend must be 'jax' or 'cpu', got 'gpu'"
        with pytest.raises(ValueError, match=message):
            call()


def test_an_unknown_backend_of_the_moments_is_named():
    with pytest.raises(ValueError, match=r"^gig_moments: backend must be 'jax' or 'cpu', got 'gp"):
        gig_moments.__wrapped__(1.0, 2.0, 3.0, backend="gpu")


@pytest.mark.parametrize(
    ("eta", "message"),
    [
        (np.ones((2, 3)), r"eta must have shape \(k,\), got \(2, 3\); pass one vector"),
        (np.array(1.0), r"eta must have shape \(k,\), got \(\); pass one vector"),
        (np.array([1.0, 2.0]), r"eta must satisfy E log Y < log E Y.*, got \[1\. 2\.\]; pass the"),
        (np.array([np.nan, 2.0]), r"eta must satisfy E log Y < log E Y.*, got \[nan +2\.\]; "),
    ],
)
def test_bad_mean_statistics_are_an_error_naming_them(eta, message):
    with pytest.raises(ValueError, match=rf"^Gamma\.from_expectation: {message}"):
        Gamma.from_expectation(eta)


@pytest.mark.usefixtures("unchecked_types")
def test_mean_statistics_of_another_family_are_an_error():
    message = r"^Gamma\.from_expectation: eta must have shape \(2,\), got \(3,\); pass the mean"
    with pytest.raises(ValueError, match=message):
        Gamma.from_expectation(np.array([0.0, 2.0, 1.0]))


@pytest.mark.parametrize(
    ("family", "eta"),
    [
        (Gamma, (0.0, -1.0)),
        (Gamma, (-np.inf, 1.0)),
        (Gamma, (0.0, np.inf)),
        (InverseGamma, (0.0, 0.5)),
        (InverseGamma, (0.0, -2.0)),
        (InverseGaussian, (0.5, 2.0)),
        (InverseGaussian, (0.4, 2.0)),
        (InverseGaussian, (-1.0, -2.0)),
        (InverseGaussian, (1.0, -2.0)),
        (InverseGaussian, (np.inf, 2.0)),
        (InverseGaussian, (1.0, np.inf)),
    ],
)
def test_unattainable_mean_statistics_are_an_error(family, eta):
    message = rf"^{family.__name__}\.from_expectation: eta must satisfy .*, got .*; pass the mean"
    with pytest.raises(ValueError, match=message):
        family.from_expectation(np.array(eta))


@pytest.mark.parametrize("law", [*LAWS, GIG(2.0, 1.0, 0.0), GIG(-2.0, 0.0, 1.0)])
def test_the_density_vanishes_outside_the_support_and_is_nan_at_nan(law):
    x = np.array([-1.0, -0.0, 0.0, -np.inf, np.inf, -1e-300])
    np.testing.assert_array_equal(law.log_prob(x), -np.inf)
    np.testing.assert_array_equal(law.prob(x), 0)
    assert np.isnan(law.log_prob(np.nan))
    mixed = np.asarray(law.log_prob(np.array([[1.0, np.nan], [-1.0, 2.0]])))
    assert np.array_equal(np.isfinite(mixed), [[True, False], [False, True]])


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("x", [-1.0, 0.0])
def test_gradients_in_parameters_are_finite_outside_the_support(law, x):
    slope = jax.grad(lambda theta: type(law).from_natural(theta).log_prob(x))(law.natural_params())
    assert np.all(np.isfinite(slope))
