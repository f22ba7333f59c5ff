"""Named members and limits against SciPy and closed forms; each docstring is the map."""

import math

import numpy as np
import pytest
from scipy import special, stats

from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    VarianceGamma,
)

POINTS = np.array([-40.0, -3.1, -0.7, 0.2, 0.45, 1.9, 8.0, 60.0])
CLOUD = np.random.default_rng(8).standard_normal((8, 2)) * np.array([3.0, 10.0])
MU2, GAMMA2 = np.array([0.1, -0.2]), np.array([0.4, -0.1])
SIGMA2 = np.array([[1.0, 0.3], [0.3, 2.0]])
MU, GAMMA, S = 0.3, 0.5, 1.4


def line(family, gamma=GAMMA, **subordinator):
    return family.from_classical(np.full(1, MU), np.full(1, gamma), np.full((1, 1), S**2),
                                 **subordinator)  # fmt: skip


def assert_log_density(model, x, expected, tolerance=1e-12):
    x = x[:, None] if x.ndim == 1 else x
    got = np.asarray(model.log_prob(x))
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    assert np.max(error) <= tolerance, (got, expected)


def log_kv(order, x):
    return np.log(special.kve(order, x)) - x


@pytest.mark.parametrize("df", [0.6, 1.0, 4.5, 300.0])
def test_student_t(df):
    """NormalInverseGamma.skewed_t(mu, sigma=Σ, df=ν) = multivariate_t(loc=μ, shape=Σ, df=ν).

    α = β = ν/2, γ = 0; in one dimension t(ν, loc=μ, scale=σ).
    """
    model = NormalInverseGamma.skewed_t(MU2, sigma=SIGMA2, df=df)
    assert_log_density(model, CLOUD, stats.multivariate_t(MU2, SIGMA2, df=df).logpdf(CLOUD))
    one = NormalInverseGamma.skewed_t(np.full(1, MU), sigma=np.full((1, 1), S**2), df=df)
    assert_log_density(one, POINTS, stats.t(df, MU, S).logpdf(POINTS))
    assert float(one.df) == pytest.approx(df, rel=1e-15)


@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 2.0), (2.5, 0.3)])
def test_student_t_in_any_gauge(alpha, beta):
    """NormalInverseGamma(μ, 0, Σ, α, β) = multivariate_t(loc=μ, shape=(β/α) Σ, df=2α)."""
    model = NormalInverseGamma.from_classical(MU2, None, SIGMA2, alpha=alpha, beta=beta)
    law = stats.multivariate_t(MU2, beta / alpha * SIGMA2, df=2 * alpha)
    assert_log_density(model, CLOUD, law.logpdf(CLOUD))


def test_cauchy():
    """NormalInverseGamma.skewed_t(mu, sigma=[[σ²]], df=1) = cauchy(loc=μ, scale=σ)."""
    model = NormalInverseGamma.skewed_t(np.full(1, MU), sigma=np.full((1, 1), S**2), df=1.0)
    law = stats.cauchy(MU, S)
    assert_log_density(model, POINTS, law.logpdf(POINTS))
    np.testing.assert_allclose(model.project(np.ones(1)).cdf(POINTS), law.cdf(POINTS), rtol=1e-11)


@pytest.mark.parametrize("beta", [1.0, 3.7])
def test_laplace(beta):
    """VarianceGamma(μ, 0, [[σ²]], α=1, β) = laplace(loc=μ, scale=σ/√(2β))."""
    model = line(VarianceGamma, gamma=0.0, alpha=1.0, beta=beta)
    assert_log_density(model, POINTS, stats.laplace(MU, S / math.sqrt(2 * beta)).logpdf(POINTS))


@pytest.mark.parametrize(("gamma", "beta"), [(0.5, 1.0), (-2.0, 1.0), (0.8, 2.9)])
def test_asymmetric_laplace(gamma, beta):
    """VarianceGamma(μ, γ, [[σ²]], α=1, β) = laplace_asymmetric(κ, loc=μ, scale=s).

    s = σ/√(2β), g = γ/(β s), κ = 2/(g + √(g² + 4)); back γ = β s (1/κ - κ), σ² = 2 β s².
    """
    scale = S / math.sqrt(2 * beta)
    g = gamma / (beta * scale)
    kappa = 2 / (g + math.sqrt(g * g + 4))
    model = line(VarianceGamma, gamma=gamma, alpha=1.0, beta=beta)
    law = stats.laplace_asymmetric(kappa, MU, scale)
    assert_log_density(model, POINTS, law.logpdf(POINTS))
    assert beta * scale * (1 / kappa - kappa) == pytest.approx(gamma, rel=1e-14)


def scalar_prause(gamma, a, b):
    """α = √(a + γ²/σ²)/σ, β = γ/σ², δ = σ√b."""
    return math.sqrt(a + (gamma / S) ** 2) / S, gamma / S**2, S * math.sqrt(b)


@pytest.mark.parametrize(("gamma", "a", "b"), [(0.5, 1.4, 0.9), (-1.2, 0.1, 5.0), (0.0, 3.0, 2.0)])
def test_hyperbolic(gamma, a, b):
    """GeneralizedHyperbolic(μ, γ, [[σ²]], p=1, a, b) has the log-density of a hyperbola.

    f(x) = κ/(2αδ K₁(δκ)) exp(-α√(δ² + (x - μ)²) + β(x - μ)), κ = √(α² - β²), with
    α = √(a + γ²/σ²)/σ, β = γ/σ², δ = σ√b; then κ = √a/σ.
    """
    alpha, beta, delta = scalar_prause(gamma, a, b)
    kappa = math.sqrt((alpha - beta) * (alpha + beta))
    assert kappa == pytest.approx(math.sqrt(a) / S, rel=1e-13)
    constant = kappa / (2 * alpha * delta * special.k1(delta * kappa))
    z = POINTS - MU
    expected = np.log(constant) - alpha * np.hypot(delta, z) + beta * z
    assert_log_density(line(GeneralizedHyperbolic, gamma, p=1.0, a=a, b=b), POINTS, expected)


def test_hyperbolic_in_more_dimensions():
    """GeneralizedHyperbolic with p = (d + 1)/2: the log-density is a hyperboloid.

    f(x) = (κ/δ)^p / ((2π)^((d-1)/2) 2α K_p(δκ)) exp(-α√(δ² + Q(x)) + βᵀ(x - μ)) √|Σ|⁻¹, with
    Q(x) = (x - μ)ᵀΣ⁻¹(x - μ), β = Σ⁻¹γ, α = √(a + γᵀΣ⁻¹γ), δ = √b, κ = √a.
    """
    a, b, d, p = 1.4, 0.9, 2, 1.5
    model = GeneralizedHyperbolic.from_classical(MU2, GAMMA2, SIGMA2, p=p, a=a, b=b)
    beta = np.linalg.solve(SIGMA2, GAMMA2)
    alpha, delta, kappa = math.sqrt(a + GAMMA2 @ beta), math.sqrt(b), math.sqrt(a)
    z = CLOUD - MU2
    square = np.sum(z * np.linalg.solve(SIGMA2, z.T).T, axis=1)
    constant = p * math.log(kappa / delta) - (d - 1) / 2 * math.log(2 * math.pi)
    constant -= math.log(2 * alpha) + log_kv(p, delta * kappa)
    constant -= np.linalg.slogdet(SIGMA2)[1] / 2
    assert_log_density(model, CLOUD, constant - alpha * np.sqrt(b + square) + z @ beta)


@pytest.mark.parametrize(("gamma", "mu_ig", "lam"), [(0.5, 1.3, 1.8), (-1.0, 4.0, 0.3), (0, 1, 1)])
def test_normal_inverse_gaussian(gamma, mu_ig, lam):
    """NormalInverseGaussian(μ, γ, [[σ²]], μ_Y, λ) = norminvgauss(αδ, βδ, loc=μ, scale=δ).

    α = √(λ/μ_Y² + γ²/σ²)/σ, β = γ/σ², δ = σ√λ; it is GeneralizedHyperbolic with p = -1/2,
    a = λ/μ_Y², b = λ.
    """
    alpha, beta, delta = scalar_prause(gamma, lam / mu_ig**2, lam)
    model = line(NormalInverseGaussian, gamma, mu_ig=mu_ig, lam=lam)
    law = stats.norminvgauss(alpha * delta, beta * delta, MU, delta)
    assert_log_density(model, POINTS, law.logpdf(POINTS))
    full = line(GeneralizedHyperbolic, gamma, p=-0.5, a=lam / mu_ig**2, b=lam)
    assert model.is_close(full, rtol=1e-13)


@pytest.mark.parametrize(("alpha", "beta"), [(3.5, 1.2), (0.3, 2.0), (1.7, 0.4)])
def test_variance_gamma(alpha, beta):
    """VarianceGamma(μ, γ, Σ, α, β), and GeneralizedHyperbolic with p = α, a = 2β, b = 0.

    f(x) = 2 β^α exp((x - μ)ᵀΣ⁻¹γ) / ((2π)^(d/2) √|Σ| Γ(α)) (Q/c)^(ν/2) K_ν(√(Q c)), ν = α - d/2,
    Q = (x - μ)ᵀΣ⁻¹(x - μ), c = 2β + γᵀΣ⁻¹γ.
    """
    model = VarianceGamma.from_classical(MU2, GAMMA2, SIGMA2, alpha=alpha, beta=beta)
    order, z = alpha - 1, CLOUD - MU2
    skew = np.linalg.solve(SIGMA2, GAMMA2)
    square = np.sum(z * np.linalg.solve(SIGMA2, z.T).T, axis=1)
    c = 2 * beta + GAMMA2 @ skew
    expected = math.log(2) + alpha * math.log(beta) + z @ skew - math.log(2 * math.pi)
    expected += -np.linalg.slogdet(SIGMA2)[1] / 2 - math.lgamma(alpha)
    expected += order / 2 * np.log(square / c) + log_kv(order, np.sqrt(square * c))
    assert_log_density(model, CLOUD, expected)
    full = GeneralizedHyperbolic.from_classical(MU2, GAMMA2, SIGMA2, p=alpha, a=2 * beta, b=0.0)
    assert_log_density(full, CLOUD, expected)
    assert model.is_close(full, rtol=1e-13)


@pytest.mark.parametrize(("alpha", "beta"), [(3.2, 2.0), (0.4, 1.0)])
def test_skewed_t(alpha, beta):
    """NormalInverseGamma(μ, γ, Σ, α, β), and GeneralizedHyperbolic with p = -α, a = 0, b = 2β.

    f(x) = 2 β^α exp((x - μ)ᵀΣ⁻¹γ) / ((2π)^(d/2) √|Σ| Γ(α)) ((2β + Q)/c)^(-ν/2) K_ν(√((2β + Q) c)),
    ν = α + d/2, Q = (x - μ)ᵀΣ⁻¹(x - μ), c = γᵀΣ⁻¹γ.
    """
    model = NormalInverseGamma.from_classical(MU2, GAMMA2, SIGMA2, alpha=alpha, beta=beta)
    order, z = alpha + 1, CLOUD - MU2
    skew = np.linalg.solve(SIGMA2, GAMMA2)
    square = 2 * beta + np.sum(z * np.linalg.solve(SIGMA2, z.T).T, axis=1)
    c = GAMMA2 @ skew
    expected = math.log(2) + alpha * math.log(beta) + z @ skew - math.log(2 * math.pi)
    expected += -np.linalg.slogdet(SIGMA2)[1] / 2 - math.lgamma(alpha)
    expected += -order / 2 * np.log(square / c) + log_kv(order, np.sqrt(square * c))
    assert_log_density(model, CLOUD, expected)
    full = GeneralizedHyperbolic.from_classical(MU2, GAMMA2, SIGMA2, p=-alpha, a=0.0, b=2 * beta)
    assert_log_density(full, CLOUD, expected)
    assert model.is_close(full, rtol=1e-13)


@pytest.mark.parametrize("p", [-3.0, -0.5, 0.0, 1.0, 4.2])
def test_generalized_hyperbolic(p):
    """GeneralizedHyperbolic(μ, γ, [[σ²]], p, a, b) = genhyperbolic(p, αδ, βδ, loc=μ, scale=δ).

    α = √(a + γ²/σ²)/σ, β = γ/σ², δ = σ√b.
    """
    alpha, beta, delta = scalar_prause(GAMMA, 1.4, 0.9)
    law = stats.genhyperbolic(p, alpha * delta, beta * delta, MU, delta)
    model = line(GeneralizedHyperbolic, p=p, a=1.4, b=0.9)
    assert_log_density(model, POINTS, law.logpdf(POINTS))


NORMAL_LIMITS = {
    "gh": lambda w, *n: GeneralizedHyperbolic.from_classical(*n, p=0.7, a=w, b=w),
    "nig": lambda w, *n: NormalInverseGaussian.from_classical(*n, mu_ig=1.0, lam=w),
    "vg": lambda w, *n: VarianceGamma.from_classical(*n, alpha=w, beta=w),
    "ninvg": lambda w, *n: NormalInverseGamma.from_classical(*n, alpha=w, beta=w),
}


@pytest.mark.parametrize("family", NORMAL_LIMITS)
def test_normal(family):
    """N(μ + γ, Σ) as Y -> 1: a = b = w, λ = w with μ_Y = 1, α = β = w; the error is O(1/w).

    GeneralizedHyperbolic(p, a=w, b=w), NormalInverseGaussian(μ_Y=1, λ=w),
    VarianceGamma(α=w, β=w), NormalInverseGamma(α=w, β=w).
    """
    normal = stats.multivariate_normal(MU2 + GAMMA2, SIGMA2)
    x = MU2 + GAMMA2 + CLOUD / 4
    expected = normal.logpdf(x)
    errors = []
    for w in (1e4, 1e6, 1e8):
        model = NORMAL_LIMITS[family](w, MU2, GAMMA2, SIGMA2)
        errors.append(w * np.abs(np.asarray(model.log_prob(x)) - expected))
        np.testing.assert_allclose(model.mean(), MU2 + GAMMA2, atol=3 / w)
        np.testing.assert_allclose(model.cov(), SIGMA2, atol=5 / w)
    # the coefficient of 1/w settles
    assert np.max(errors[0]) < 200
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.02, atol=0.02)
    np.testing.assert_allclose(errors[2], errors[1], rtol=1e-3, atol=1e-3)
