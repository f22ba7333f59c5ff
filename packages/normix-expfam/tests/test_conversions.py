"""The same law in another family, in scipy and in the conventions of other packages."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from normix_expfam import (
    GIG,
    Exponential,
    Gamma,
    InverseGamma,
    InverseGaussian,
    MultivariateNormal,
    project,
    to_gig,
)

SPECIAL = [
    Gamma(2.5, 0.7),
    InverseGamma(4.5, 0.7),
    InverseGaussian(1.5, 2.5),
    Exponential(0.3),
]
GIGS = [GIG(1.5, 2.0, 3.0), GIG(-2.5, 0.1, 40.0), GIG(2.5, 2.0, 0.0), GIG(-2.5, 0.0, 3.0)]
MEMBERS = [Exponential, Gamma, InverseGamma, InverseGaussian]
x = np.array([0.01, 0.3, 1.0, 1.7, 5.0, 20.0])


def name(value):
    if isinstance(value, type):
        return value.__name__
    return f"{type(value).__name__}-{'-'.join(f'{leaf:g}' for leaf in jax.tree.leaves(value))}"


each_special = pytest.mark.parametrize("law", SPECIAL, ids=name)
each_univariate = pytest.mark.parametrize("law", [*SPECIAL, *GIGS], ids=name)


def parameters(law):
    return [float(value) for value in jax.tree.leaves(law)]


@each_special
def test_a_special_law_as_gig_is_the_same_law(law):
    gig = to_gig(law)
    assert type(gig) is GIG
    # 1e-12 of the terms: θ·t and ψ are of the size of 20
    np.testing.assert_allclose(gig.log_prob(x), law.log_prob(x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gig.cdf(x), law.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(gig.sf(x), law.sf(x), rtol=1e-12)
    for method in ("mean", "var", "mode", "entropy"):
        expected = getattr(law, method)()
        np.testing.assert_allclose(getattr(gig, method)(), expected, rtol=1e-12, atol=1e-13)


def test_the_parameters_as_gig_are_the_documented_ones():
    assert parameters(to_gig(Gamma(2.5, 0.7))) == [2.5, 1.4, 0.0]
    assert parameters(to_gig(InverseGamma(4.5, 0.7))) == [-4.5, 0.0, 1.4]
    assert parameters(to_gig(InverseGaussian(2.0, 3.0))) == [-0.5, 0.75, 3.0]
    assert parameters(to_gig(Exponential(0.3))) == [1.0, 0.6, 0.0]
    law = GIG(1.5, 2.0, 3.0)
    assert parameters(to_gig(law)) == parameters(law)


STATISTICS = {
    Exponential: (2,),
    Gamma: (0, 2),
    InverseGamma: (0, 1),
    InverseGaussian: (1, 2),
}
GENERAL = [GIG(1.5, 2.0, 3.0), GIG(-2.5, 0.1, 40.0), Gamma(3.5, 0.7), InverseGaussian(1.5, 2.5)]
each_projection = pytest.mark.parametrize(
    ("law", "family"),
    [(law, family) for law in GENERAL for family in MEMBERS],
    ids=name,
)


@each_projection
def test_a_projection_matches_the_mean_statistics_of_its_family(law, family):
    projected = project(law, family)
    assert type(projected) is family
    eta = np.asarray(to_gig(law).expectation_params())[list(STATISTICS[family])]
    np.testing.assert_allclose(projected.expectation_params(), eta, rtol=1e-9, atol=1e-12)


class Rule(NamedTuple):
    points: np.ndarray
    weights: np.ndarray  # density times step


def quadrature(law):
    """The trapezoidal rule in log y for means under a law."""
    u = np.linspace(-16.0, 9.0, 1600)
    weights = np.exp(np.asarray(law.log_prob(np.exp(u))) + u) * (u[1] - u[0])
    assert abs(weights.sum() - 1) < 1e-12
    return Rule(np.exp(u), weights)


def divergence(rule, law, other):
    return rule.weights @ np.asarray(law.log_prob(rule.points) - other.log_prob(rule.points))


@each_projection
def test_no_member_nearby_has_a_smaller_divergence_than_the_projection(law, family):
    projected, rule = project(law, family), quadrature(law)
    least = divergence(rule, law, projected)
    if isinstance(law, family):
        assert least == 0
    values = np.array(parameters(projected))
    for i in range(len(values)):
        for factor in (0.9, 0.999, 1.001, 1.1):
            moved = values.copy()
            moved[i] *= factor
            assert divergence(rule, law, family(*moved)) > least


@each_univariate
def test_a_member_is_its_own_projection(law):
    assert project(law, type(law)) is law
    assert parameters(project(law, GIG)) == parameters(to_gig(law))


@pytest.mark.parametrize("law", SPECIAL, ids=name)
def test_the_projection_of_a_member_written_as_gig_is_the_member(law):
    projected = project(to_gig(law), type(law))
    np.testing.assert_allclose(parameters(projected), parameters(law), rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "family"),
    [
        (Gamma(0.7, 2.0), InverseGamma),
        (Gamma(1.0, 2.0), InverseGaussian),
        (Exponential(2.0), InverseGaussian),
        (InverseGamma(0.7, 2.0), Gamma),
        (InverseGamma(1.0, 2.0), Exponential),
        (GIG(-0.7, 0.0, 2.0), InverseGaussian),
    ],
    ids=name,
)
def test_a_law_with_an_infinite_mean_statistic_has_no_projection(law, family):
    with pytest.raises(ValueError, match=rf"{family.__name__}\.from_expectation: eta must satisfy"):
        project(law, family)


@pytest.mark.parametrize("family", [MultivariateNormal, dict])
def test_what_is_no_special_family_is_refused(family):
    message = r"^project: family must be GIG or one of Exponential, Gamma, .*, got <class"
    with pytest.raises(TypeError, match=message):
        project.__wrapped__(Gamma(2.0, 3.0), family)


@each_univariate
def test_the_law_in_scipy_is_the_same_law_and_comes_back(law):
    frozen = law.to_scipy()
    expected = frozen.logpdf(x)
    np.testing.assert_allclose(law.log_prob(x), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(law.mean(), frozen.mean(), rtol=1e-9)
    back = type(law).from_scipy(frozen)
    assert type(back) is type(law)
    np.testing.assert_allclose(parameters(back), parameters(law), rtol=1e-15)


def test_the_normal_law_in_scipy_is_the_same_law_and_comes_back():
    factor = np.array([[1.5, 0.0, 0.0], [-0.7, 0.8, 0.0], [0.2, 0.1, 3.0]])
    law = MultivariateNormal(np.array([0.5, -3.0, 1.0]), factor)
    frozen = law.to_scipy()
    points = np.random.default_rng(2).normal(size=(5, 3))
    np.testing.assert_allclose(law.log_prob(points), frozen.logpdf(points), rtol=1e-12)
    back = MultivariateNormal.from_scipy(frozen)
    np.testing.assert_array_equal(back.mu, law.mu)
    np.testing.assert_allclose(back.L_Sigma, factor, rtol=1e-14, atol=1e-14)


def test_scale_and_shapes_of_scipy_may_be_positional_or_named():
    for frozen in (
        stats.gamma(2.5, 0, 4.0),
        stats.gamma(2.5, scale=4.0),
        stats.gamma(a=2.5, loc=0.0, scale=4.0),
    ):
        assert parameters(Gamma.from_scipy(frozen)) == [2.5, 0.25]
        assert parameters(GIG.from_scipy(frozen)) == [2.5, 0.5, 0.0]
    assert parameters(GIG.from_scipy(stats.invgamma(2.5, scale=4.0))) == [-2.5, 0.0, 8.0]
    assert parameters(Exponential.from_scipy(stats.expon(0, 4.0))) == [0.25]
    assert parameters(Exponential.from_scipy(stats.expon())) == [1.0]


FROZEN = {
    Gamma: ("gamma", stats.gamma(2.5, 1.0), stats.invgamma(2.5)),
    InverseGamma: ("invgamma", stats.invgamma(2.5, 1.0), stats.gamma(2.5)),
    InverseGaussian: ("invgauss", stats.invgauss(2.5, 1.0), stats.gamma(2.5)),
    Exponential: ("expon", stats.expon(1.0), stats.gamma(1.0)),
    GIG: ("geninvgauss", stats.geninvgauss(0.5, 2.5, 1.0), stats.expon()),
}


@pytest.mark.parametrize("family", FROZEN)
def test_another_distribution_of_scipy_is_an_error_naming_it(family):
    expected, shifted, other = FROZEN[family]
    owner = "GIG" if family is GIG else family.__name__
    message = (
        rf"^{owner}\.from_scipy: frozen must be scipy\.stats\.{expected}.*, got {other.dist.name}"
    )
    with pytest.raises(ValueError, match=message):
        family.from_scipy(other)
    message = rf"^{owner}\.from_scipy: frozen must have loc = 0, got 1\.0; shift the data"
    with pytest.raises(ValueError, match=message):
        family.from_scipy(shifted)


@pytest.mark.parametrize("family", [*FROZEN, MultivariateNormal])
@pytest.mark.parametrize("given", [stats.gamma, 2.5, "gamma"], ids=["unfrozen", "number", "name"])
def test_what_is_not_frozen_is_an_error_saying_so(family, given):
    with pytest.raises(TypeError, match=r"\.from_scipy: frozen must be a frozen .*scipy\.stats"):
        family.from_scipy(given)


def test_an_unfrozen_or_univariate_normal_is_not_a_multivariate_one():
    for given in (stats.multivariate_normal, stats.norm(0, 1)):
        with pytest.raises(TypeError, match=r"MultivariateNormal\.from_scipy: frozen must be"):
            MultivariateNormal.from_scipy(given)


def test_a_singular_normal_law_of_scipy_is_an_error():
    frozen = stats.multivariate_normal(np.zeros(2), np.ones((2, 2)), allow_singular=True)
    with pytest.raises(ValueError, match="cov must be symmetric and positive definite"):
        MultivariateNormal.from_scipy(frozen)


def test_frozen_arrays_of_parameters_are_refused():
    with pytest.raises((TypeError, ValueError), match=r"Gamma\.from_scipy: frozen"):
        Gamma.from_scipy(stats.gamma(np.array([1.0, 2.0])))


def ghyp_density(lam, chi, psi):
    """The density of the generalized inverse Gaussian law in the manual of the R package ghyp."""
    root = np.sqrt(chi * psi)
    constant = (psi / chi) ** (lam / 2) / (2 * special.kv(lam, root))
    return constant * x ** (lam - 1) * np.exp(-(chi / x + psi * x) / 2)


def test_the_conventions_of_r_are_the_documented_ones():
    lam, chi, psi = -0.7, 3.0, 0.4
    law = GIG(lam, psi, chi)
    np.testing.assert_allclose(law.prob(x), ghyp_density(lam, chi, psi), rtol=1e-12)


def test_the_conventions_of_scipy_are_the_documented_ones():
    p, b, s, a, m = -0.7, 1.1, 2.5, 3.5, 0.8
    rows = [
        (stats.geninvgauss(p, b, scale=s), [GIG(p, b / s, b * s)]),
        (stats.gamma(a, scale=s), [Gamma(a, 1 / s), GIG(a, 2 / s, 0.0)]),
        (stats.invgamma(a, scale=s), [InverseGamma(a, s), GIG(-a, 0.0, 2 * s)]),
        (stats.invgauss(m, scale=s), [InverseGaussian(m * s, s), GIG(-0.5, 1 / (m**2 * s), s)]),
        (stats.expon(scale=s), [Exponential(1 / s), GIG(1.0, 2 / s, 0.0)]),
    ]
    for frozen, laws in rows:
        for law in laws:
            np.testing.assert_allclose(law.log_prob(x), frozen.logpdf(x), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(law.cdf(x), frozen.cdf(x), rtol=1e-8, atol=1e-50)
    law = GIG(p, b / s, b * s)
    assert jnp.sqrt(law.a * law.b) == pytest.approx(b, rel=1e-15)
    assert jnp.sqrt(law.b / law.a) == pytest.approx(s, rel=1e-15)
