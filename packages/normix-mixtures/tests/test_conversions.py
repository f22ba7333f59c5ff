"""Conversions between families, and the parameters of R's ghyp and of Prause."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from normix_expfam import GeneralizedInverseGaussian
from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    UnivariateNormalMixture,
    VarianceGamma,
    to_family,
    to_generalized_hyperbolic,
)

X = np.array([[0.1, -0.2], [0.7, -1.1], [-9.0, 14.0], [40.0, 3.0]])
MEMBERS = (VarianceGamma, NormalInverseGamma, NormalInverseGaussian)
NORMAL = {"mu": np.array([0.1, -0.2]), "sigma": np.array([[1.0, 0.3], [0.3, 2.0]])}
GAMMA = np.array([0.4, -0.1])


def assert_same_density(one, two, tolerance=1e-12):
    one, two = np.asarray(one.log_prob(X)), np.asarray(two.log_prob(X))
    assert np.all(np.abs(one - two) <= tolerance * np.maximum(1, np.abs(two)))


def mean_of_y(lambda_, chi, psi):
    return float(GeneralizedInverseGaussian(lambda_, psi, chi).mean())


def test_every_member_is_generalized_hyperbolic(model):
    image = to_generalized_hyperbolic(model)
    assert type(image) is GeneralizedHyperbolic
    assert_same_density(image, model)
    np.testing.assert_allclose(image.mean(), model.mean(), rtol=1e-14)
    np.testing.assert_allclose(image.cov(), model.cov(), rtol=1e-14)


def test_to_family_and_back(model):
    image = to_generalized_hyperbolic(model)
    back = to_family(image, type(model))
    assert type(back) is type(model)
    assert back.is_close(model)
    assert to_family(model, type(model)).is_close(model, rtol=1e-15)
    assert to_family(model, GeneralizedHyperbolic).is_close(model, rtol=1e-14)


@eqx.filter_jit
def fit(eta, joint):
    """-KL up to a constant, from the mean statistics of the other law."""
    return joint.natural_params() @ eta - joint.log_partition()


@pytest.mark.parametrize("family", MEMBERS)
def test_to_family_is_the_closest_member(family, make):
    """Its own mean statistics are matched, and every small change is further away."""
    model = make("gh", 2)
    found = to_family(model, family)
    eta = model.joint.expectation_params()
    own = np.array(family.joint_family.subordinator_family.gig_statistics)
    np.testing.assert_allclose(found.joint.expectation_params()[own], eta[own], rtol=1e-9)
    best = float(fit(eta, found.joint))
    rng = np.random.default_rng(1)
    leaves, structure = jax.tree.flatten(found.joint)
    for _ in range(40):
        size = 10.0 ** rng.uniform(-3.5, -1)
        moved = [leaf * (1 + size * rng.standard_normal(leaf.shape)) for leaf in leaves]
        assert float(fit(eta, jax.tree.unflatten(structure, moved))) < best + 1e-13


@pytest.mark.parametrize("family", MEMBERS)
def test_to_family_from_any_member(model, family):
    found = to_family(model, family)
    assert type(found) is family
    np.testing.assert_array_equal(found.mu, model.mu)
    np.testing.assert_array_equal(found.gamma, model.gamma)
    assert found.is_close(to_family(to_generalized_hyperbolic(model), family), rtol=1e-8)


def test_to_family_needs_the_mean_statistics():
    heavy = NormalInverseGamma.skewed_t(**NORMAL, df=1.5)  # E Y is infinite
    with pytest.raises(ValueError, match="inf"):
        to_family(heavy, VarianceGamma)


@settings(max_examples=10)
@given(
    lambda_=st.floats(-4, 4), chi=st.floats(0.05, 20), psi=st.floats(0.05, 20),
    exponent=st.floats(-6, 6),
)  # fmt: skip
def test_ghyp_and_back(lambda_, chi, psi, exponent):
    """In any gauge: (χ, ψ) and Σ, γ in units of Y."""
    factor = 10.0**exponent
    model = GeneralizedHyperbolic.from_classical(**NORMAL, gamma=GAMMA, p=lambda_, a=psi, b=chi)
    other = GeneralizedHyperbolic.from_ghyp(
        lambda_, chi * factor, psi / factor,
        mu=NORMAL["mu"], sigma=NORMAL["sigma"] / factor, gamma=GAMMA / factor,
    )  # fmt: skip
    assert other.is_close(model, rtol=1e-11)
    found = other.to_ghyp()
    assert mean_of_y(*found[:3]) == pytest.approx(1, rel=1e-12)
    assert float(found.alpha_bar) == pytest.approx(math.sqrt(chi * psi), rel=1e-12)
    back = GeneralizedHyperbolic.from_ghyp(
        found.lambda_, found.chi, found.psi, mu=found.mu, sigma=found.sigma, gamma=found.gamma
    )
    assert back.is_close(model, rtol=1e-10)
    again = GeneralizedHyperbolic.from_ghyp(
        found.lambda_, alpha_bar=found.alpha_bar, mu=found.mu, sigma=found.sigma, gamma=found.gamma
    )
    assert again.is_close(model, rtol=1e-10)


def test_to_ghyp_of_every_family(model):
    found = model.to_ghyp()
    assert mean_of_y(*found[:3]) == pytest.approx(1, rel=1e-12)
    back = GeneralizedHyperbolic.from_ghyp(
        found.lambda_, found.chi, found.psi, mu=found.mu, sigma=found.sigma, gamma=found.gamma
    )
    assert back.is_close(model, rtol=1e-12)
    # E Y = 1: the mean is μ + γ
    np.testing.assert_allclose(found.mu + found.gamma, model.mean(), rtol=1e-12)


@settings(max_examples=10)
@given(lambda_=st.floats(-5, 5), exponent=st.floats(-2, 2.5))
def test_alpha_bar(lambda_, exponent):
    """√(χψ) = ᾱ and E Y = 1."""
    bar = 10.0**exponent
    model = GeneralizedHyperbolic.from_ghyp(lambda_, alpha_bar=bar, **NORMAL, gamma=GAMMA)
    assert math.sqrt(float(model.a) * float(model.b)) == pytest.approx(bar, rel=1e-12)
    assert float(model.subordinator.mean()) == pytest.approx(1, rel=1e-11)
    law = UnivariateNormalMixture.from_ghyp(lambda_, alpha_bar=bar, mu=1.0, sigma=2.0, gamma=-0.5)
    assert float(law.mean()) == pytest.approx(0.5, rel=1e-10)


@pytest.mark.parametrize("lambda_", [0.3, 2.0, -1.4, -3.0])
def test_alpha_bar_of_zero_is_the_limit(lambda_):
    """The gamma law with ψ = 2λ for λ > 0, the inverse gamma law with χ = -2(λ + 1) below -1."""
    limit = GeneralizedHyperbolic.from_ghyp(lambda_, alpha_bar=0.0, **NORMAL, gamma=GAMMA)
    if lambda_ > 0:
        member = VarianceGamma.from_classical(**NORMAL, gamma=GAMMA, alpha=lambda_, beta=lambda_)
    else:
        member = NormalInverseGamma.from_classical(
            **NORMAL, gamma=GAMMA, alpha=-lambda_, beta=-lambda_ - 1
        )
    assert limit.is_close(member, rtol=1e-13)
    np.testing.assert_allclose(limit.mean(), NORMAL["mu"] + GAMMA, rtol=1e-13)
    near = GeneralizedHyperbolic.from_ghyp(lambda_, alpha_bar=1e-14, **NORMAL, gamma=GAMMA)
    np.testing.assert_allclose(near.mean(), NORMAL["mu"] + GAMMA, rtol=1e-12)
    assert_same_density(near, limit, 1e-4 if lambda_ == 0.3 else 1e-5)


def test_ghyp_in_one_dimension():
    """There sigma is the number that multiplies √Y, in R and here."""
    law = UnivariateNormalMixture.from_ghyp(0.7, 0.9, 1.4, mu=0.1, sigma=1.5, gamma=0.4)
    model = GeneralizedHyperbolic.from_ghyp(
        0.7, 0.9, 1.4, mu=np.full(1, 0.1), sigma=np.full((1, 1), 1.5**2), gamma=np.full(1, 0.4)
    )
    np.testing.assert_allclose(law.log_prob(X[:, 0]), model.log_prob(X[:, :1]), rtol=1e-12)
    one, many = law.to_ghyp(), model.to_ghyp()
    assert float(one.sigma) ** 2 == pytest.approx(float(many.sigma[0, 0]), rel=1e-12)
    for field in ("lambda_", "chi", "psi"):
        assert float(getattr(one, field)) == pytest.approx(float(getattr(many, field)), rel=1e-12)


def log_prause(x, lambda_, alpha, beta, delta, mu, Delta):
    """Log-density of GH(λ, α, β, δ, μ, Δ) as Prause (1999) writes it."""
    d, z = len(mu), x - mu
    kappa = math.sqrt(alpha**2 - beta @ Delta @ beta)
    square = delta**2 + np.sum(z * np.linalg.solve(Delta, z.T).T, axis=1)
    order, argument = lambda_ - d / 2, alpha * np.sqrt(square)
    constant = lambda_ * math.log(kappa / delta) - d / 2 * math.log(2 * math.pi)
    constant -= (
        order * math.log(alpha) + np.log(special.kve(lambda_, delta * kappa)) - delta * kappa
    )
    bessel = np.log(special.kve(order, argument)) - argument
    return constant + order / 2 * np.log(square) + bessel + z @ beta


@pytest.mark.parametrize("lambda_", [-2.3, -0.5, 0.0, 1.5])
def test_prause(lambda_):
    Delta = NORMAL["sigma"] / math.sqrt(np.linalg.det(NORMAL["sigma"]))
    beta = np.array([0.3, -0.4])
    parts = (lambda_, 1.7, beta, 0.8, NORMAL["mu"], Delta)
    model = GeneralizedHyperbolic.from_prause(*parts)
    expected = log_prause(X, *parts)
    np.testing.assert_allclose(model.log_prob(X), expected, rtol=1e-12)
    for one, two in zip(model.to_prause(), parts, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)


def test_to_prause_has_determinant_one_in_every_gauge(model):
    image = to_generalized_hyperbolic(model)
    for factor in (1e-6, 1.0, 1e7):
        joint = image.joint.rescaled_subordinator(jnp.asarray(factor))
        found = GeneralizedHyperbolic(joint).to_prause()
        assert np.linalg.det(found.Delta) == pytest.approx(1, rel=1e-12)
        back = GeneralizedHyperbolic.from_prause(
            found.lambda_, found.alpha, found.beta, found.delta, found.mu, found.Delta
        )
        # α² - βᵀΔβ cancels where a is 0, for the skewed t law
        assert back.is_close(model, rtol=1e-9)


def test_prause_in_one_dimension():
    law = UnivariateNormalMixture.from_prause(0.7, 1.9, -0.6, 1.1, 0.2)
    expected = log_prause(
        X[:, :1], 0.7, 1.9, np.full(1, -0.6), 1.1, np.full(1, 0.2), np.ones((1, 1))
    )
    np.testing.assert_allclose(law.log_prob(X[:, 0]), expected, rtol=1e-12)
    for one, two in zip(law.to_prause()[:5], (0.7, 1.9, -0.6, 1.1, 0.2), strict=True):
        assert float(one) == pytest.approx(two, rel=1e-14)


@pytest.mark.parametrize("df", [0.8, 5.0])
def test_skewed_t(df):
    model = NormalInverseGamma.skewed_t(**NORMAL, gamma=GAMMA, df=df)
    half = df / 2
    other = NormalInverseGamma.from_classical(**NORMAL, gamma=GAMMA, alpha=half, beta=half)
    assert model.is_close(other, rtol=1e-15)
    assert float(model.df) == df
    root = np.linalg.cholesky(NORMAL["sigma"])
    by_root = NormalInverseGamma.skewed_t(NORMAL["mu"], GAMMA, L_Sigma=root, df=df)
    assert by_root.is_close(model, rtol=1e-14)


def test_without_gamma_a_law_is_symmetric(name, make):
    like = make(name, 2)
    names = {
        "vg": ("alpha", "beta"), "ninvg": ("alpha", "beta"), "nig": ("mu_ig", "lam"),
        "gh": ("p", "a", "b"),
    }[name]  # fmt: skip
    parameters = {key: getattr(like, key) for key in names}
    model = type(like).from_classical(like.mu, sigma=like.sigma, **parameters)
    np.testing.assert_array_equal(model.gamma, np.zeros(2))
    mirrored = 2 * np.asarray(model.mu) - X
    np.testing.assert_allclose(model.log_prob(mirrored), model.log_prob(X), rtol=1e-13)
    np.testing.assert_allclose(model.mean(), model.mu, rtol=1e-15)
    np.testing.assert_allclose(model.skewness(), 0, atol=1e-15)
