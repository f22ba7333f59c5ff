"""A family is one class pair: what is written once for all of them works for a fifth."""

import io
from typing import ClassVar, Self, final

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, ArrayLike, Float

from normix import _command, _console, _report, _table
from normix.io import load, save
from normix_expfam import Exponential, GIGMember
from normix_fit import FAMILIES, fit, fit_all
from normix_mixtures import (
    Dispersion,
    JointNormalMixture,
    NormalMixture,
    VarianceGamma,
    _registry,
    register_family,
    to_family,
    to_generalized_hyperbolic,
)


@final
class JointLaplace(JointNormalMixture):
    """f(x, y) with Y ~ Exponential(rate)."""

    subordinator_family: ClassVar[type[GIGMember]] = Exponential

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    dispersion: Dispersion
    subordinator: Exponential


@final
class Laplace(NormalMixture):
    """The asymmetric Laplace distribution: X | Y ~ N(μ + γ Y, Σ Y), Y ~ Exponential(rate)."""

    joint_family: ClassVar[type[JointNormalMixture]] = JointLaplace
    subordinator_density: ClassVar[str] = "exp(-rate y)"

    joint: JointLaplace

    @classmethod
    def from_classical(
        cls, mu: ArrayLike, gamma: ArrayLike | None = None,
        sigma: ArrayLike | Dispersion | None = None, *, rate: ArrayLike,
        L_Sigma: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        return cls._from_parts(mu, gamma, sigma, L_Sigma, Exponential(rate))

    @classmethod
    def _subordinator_of_spread(cls, spread: Array) -> GIGMember:
        del spread  # it is 1
        return Exponential(jnp.ones(()), check=False)


PARTS = np.array([0.1, -0.2]), np.array([0.4, -0.1]), np.array([[1.0, 0.3], [0.3, 2.0]])
X = np.array([[0.3, -0.4], [1.0, 2.0], [-2.0, 0.5]])


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The name is gone afterwards: other tests go through all families."""
    assert register_family("laplace")(Laplace) is Laplace
    yield
    del _registry._families["laplace"]


@pytest.fixture(scope="module")
def law():
    return Laplace.from_classical(*PARTS, rate=2.0)


@pytest.fixture(scope="module")
def same():
    """The same distribution in another family."""
    return VarianceGamma.from_classical(*PARTS, alpha=1.0, beta=2.0)


@pytest.fixture(scope="module")
def result(law):
    # the density is infinite at μ, which must not meet a row
    X = law.sample(jax.random.key(1), (200,))
    return fit(X, "laplace", fixed={"mu": law.mu})


def test_density_and_moments_are_those_of_the_variance_gamma_member(law, same):
    np.testing.assert_allclose(law.log_prob(X), same.log_prob(X), rtol=1e-12)
    np.testing.assert_allclose(law.cov(), same.cov(), rtol=1e-12)
    assert to_generalized_hyperbolic(law).is_close(to_generalized_hyperbolic(same))
    assert to_family(same, Laplace).is_close(law)


def test_draws_have_the_mean_of_the_family(law):
    draws = law.sample(jax.random.key(0), (20_000,))
    assert draws.shape == (20_000, 2)
    np.testing.assert_allclose(draws.mean(axis=0), law.mean(), atol=0.03)


def test_the_scalar_distribution_takes_the_parameter_by_its_name(law):
    mu, gamma, sigma = 0.1, 0.4, 1.0
    scalar = Laplace.univariate(mu, gamma, sigma, rate=2.0)
    projected = law.project(jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(scalar.log_prob(X[:, 0]), projected.log_prob(X[:, 0]), rtol=1e-12)
    with pytest.raises(TypeError, match=r"Laplace.univariate: .* must be rate, got lam"):
        Laplace.univariate(mu, gamma, sigma, lam=2.0)
    with pytest.raises(ValueError, match="Exponential: rate must be finite and > 0"):
        Laplace.univariate(mu, gamma, sigma, rate=-2.0)


def test_the_parameters_of_the_subordinator_have_names(law):
    assert Laplace.subordinator_names() == ("rate",)
    assert {name: float(x) for name, x in law.subordinator_parameters().items()} == {"rate": 2.0}


def test_it_is_fitted_by_its_name(result):
    assert type(result.model) is Laplace
    assert result.converged, result.status
    assert result.n_parameters == 5  # 2 of γ, 3 of Σ, none of Y but the gauge
    summary = result.summary()
    assert summary.startswith("Laplace\n")
    assert "Exponential(rate = " in summary


def test_standard_errors_know_that_nothing_of_the_subordinator_is_free(law, result):
    found = result.standard_errors(law.sample(jax.random.key(1), (200,)))
    assert float(found.subordinator["rate"]) == 0
    assert np.all(np.asarray(found.gamma) > 0)


def test_fits_of_all_families_include_it():
    assert "laplace" in FAMILIES
    with pytest.raises(ValueError, match=r"family must be one of .*, laplace, got 'normal'"):
        fit_all(X, ["normal"])


def test_models_are_saved_and_loaded(law, tmp_path):
    save(law, tmp_path / "model.json")
    back = load(tmp_path / "model.json")
    assert type(back) is Laplace
    assert all(map(np.array_equal, jax.tree.leaves(back), jax.tree.leaves(law)))
    assert '"family": "laplace"' in (tmp_path / "model.json").read_text()


def test_the_command_lists_and_reports_it(result):
    assert "laplace: Laplace" in _command._describe_families()
    data = _table.Sample(X, ("a", "b"), "three rows")
    console = _console.console_on(io.StringIO())
    with console.capture() as captured:
        _report.report_fits(console, data, {"laplace": result}, "laplace")
    assert "subordinator Y: Exponential, rate = " in captured.get()
    assert "density proportional to exp(-rate y)" in captured.get()


@pytest.mark.parametrize("name", ["all", "", "two words", "../up"])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="short_name must be an identifier other than 'all'"):
        register_family(name)


def test_a_name_belongs_to_one_family():
    with pytest.raises(ValueError, match="got 'vg', that of VarianceGamma"):
        register_family("vg")(Laplace)
    assert register_family("laplace")(Laplace) is Laplace  # defined again, as in a notebook
    with pytest.raises(TypeError):
        register_family("joint")(JointLaplace)
    assert "joint" not in FAMILIES


def test_the_registry_changes_by_registration_alone():
    with pytest.raises(TypeError):
        FAMILIES["other"] = Laplace
