"""At the ends of the family: poles of the density, nearly normal distributions, extreme arguments.

References are closed forms, or integrals over log y with mpmath in 30 digits.
"""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    UnivariateNormalMixture,
    VarianceGamma,
)


def padded(x, size=8):
    """One shape in all files, one compilation of what the methods of a law share."""
    return np.concatenate([x, np.full(size - len(x), x[-1])])


def values(law, x):
    at = padded(x)
    found = (
        law.log_prob(at), law.log_cdf(at), law.log_sf(at), law.mean_above(at), law.mean_below(at),
    )  # fmt: skip
    return tuple(np.asarray(value)[: len(x)] for value in found)


PARTS = np.array([0.0, 1.0]), np.array([0.6, -0.3]), np.array([[1.0, 0.4], [0.4, 2.0]])


def quantiles(law, q):
    return np.asarray(law.ppf(padded(q)))[: len(q)]


@jax.jit
def slopes(law, x):
    """Of the cdf at one x, in x and in the parameters."""
    by_law, by_x = jax.grad(lambda law, x: law.cdf(x), argnums=(0, 1))(law, x)
    return by_x, by_law.mu, by_law.gamma, by_law.sigma, by_law.p, by_law.a


def shortfall(law, level):
    at = padded([level])
    return law.expected_shortfall(at)[0], law.expected_shortfall(at, of="loss")[0]


def variance_gamma(p, gamma, a=2.0, b=0.0):
    return UnivariateNormalMixture(0.0, gamma, 1.0, p, a, b)


def mp_log_prob(law, x):
    p, a, b, g = (mp.mpf(float(v)) for v in (law.p, law.a, law.b, law.gamma))
    x = mp.mpf(float(x))

    def psi(p, a, b):
        if b == 0:
            return mp.loggamma(p) - p * mp.log(a / 2)
        return mp.log(2 * mp.besselk(p, mp.sqrt(a * b))) + p / 2 * mp.log(b / a)

    half = mp.mpf(1) / 2
    return psi(p - half, a + g * g, b + x * x) - psi(p, a, b) + g * x - mp.log(2 * mp.pi) / 2


def mp_above(law, x):
    """E max(X - x, 0) and P(X > x) of a variance gamma distribution."""
    p, a, g = (mp.mpf(float(v)) for v in (law.p, law.a, law.gamma))
    x = mp.mpf(float(x))
    scale = mp.exp(mp.loggamma(p) - p * mp.log(a / 2))
    # for Y below e^low the sign of X - x is known, or that of X is even, to e^-70000 and e^-75
    low = 2 * mp.log(abs(x)) - 12 if x else mp.mpf(-150)
    below, mean = (
        mp.gammainc(p + k, 0, a * mp.exp(low) / 2, regularized=True) * (p * 2 / a) ** k
        for k in (0, 1)
    )
    share = (1 - mp.sign(x)) / 2

    def term(v):
        root = mp.exp(v / 2)
        z = x / root - g * root
        tail = mp.erfc(z / mp.sqrt(2)) / 2
        density = mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
        weight = mp.exp(p * v - a * mp.exp(v) / 2) / scale
        return mp.mpc(weight * root * (density - z * tail), weight * tail)

    ends = mp.linspace(low, 5, 2 + int((5 - low) / 5))
    found = mp.quad(term, ends, method="gauss-legendre", maxdegree=4)
    return found.real + share * (g * mean - x * below), found.imag + share * below


@pytest.mark.parametrize("p", [0.0158, 0.1, 0.268, 0.5, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("gamma", [0.0, -0.6])
def test_tail_means_at_and_next_to_the_pole(p, gamma):
    law = variance_gamma(p, gamma)
    x = np.array([0.0, 1e-20, -1e-20, 1e-6, -1e-6, 0.3])
    got = np.asarray(values(law, x))
    with mp.workdps(30):
        for i, point in enumerate(x):
            loss, upper = mp_above(law, point)
            mean = mp.mpf(gamma) * 2 * mp.mpf(p) / 2
            below = point - (loss - (mean - point)) / (1 - upper)
            assert got[3, i] == pytest.approx(float(point + loss / upper), rel=1e-10), point
            assert got[4, i] == pytest.approx(float(below), rel=1e-10), point
            if point or p > 0.5:
                expected = mp_log_prob(law, point or mp.mpf(10) ** -400)
                assert got[0, i] == pytest.approx(float(expected), rel=1e-11), point


def test_tail_mean_of_half_a_variance_gamma():
    """E |X| = E √Y √(2/π) = Γ(1)/Γ(1/2) √(2/π) for Y ~ Gamma(1/2, 1)."""
    law = variance_gamma(0.5, 0.0)
    expected = np.sqrt(2) / np.pi
    assert float(values(law, np.zeros(6))[3][0]) == pytest.approx(expected, rel=1e-14)
    assert float(shortfall(law, 0.5)[0]) == pytest.approx(expected, rel=1e-13)


def test_shortfall_of_a_sharp_peak():
    """E |X| = E √Y √(2/π), at the median 0."""
    law = variance_gamma(0.268, 0.0, 0.0158)
    mean = mp.gamma(0.768) / mp.gamma(0.268) / mp.sqrt(mp.mpf("0.0079")) * mp.sqrt(2 / mp.pi)
    assert float(shortfall(law, 0.5)[0]) == pytest.approx(float(mean), rel=1e-13)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("x", [1e-20, -1e-6, 1e-6])
def test_slopes_of_the_cdf_next_to_the_pole(p, x):
    law = variance_gamma(p, 0.2)
    by_x, by_mu, by_gamma, by_sigma, *_ = (float(value) for value in slopes(law, x))
    with mp.workdps(30):
        density = float(mp.exp(mp_log_prob(law, x)))
        # f(x) E(Y | X = x) = E Y times the density for p + 1
        tilted = variance_gamma(p + 1, 0.2)
        edge = float(mp.exp(mp_log_prob(tilted, x))) * p
    assert by_x == pytest.approx(density, rel=1e-11)
    assert by_mu == pytest.approx(-density, rel=1e-11)
    assert by_gamma == pytest.approx(-edge, rel=1e-11)
    assert by_sigma == pytest.approx(0.2 * edge - x * density, rel=1e-10)


def test_slopes_of_the_cdf_at_the_pole():
    """Infinite in x and μ only."""
    by_x, by_mu, by_gamma, by_sigma, by_p, by_a = slopes(variance_gamma(0.3, 0.0), 0.0)
    assert by_x == np.inf
    assert by_mu == -np.inf
    edge = np.exp(float(variance_gamma(1.3, 0.0).log_prob(0.0))) * 0.3
    assert float(by_gamma) == pytest.approx(-edge, rel=1e-12)
    assert np.abs([by_sigma, by_p, by_a]).max() < 1e-15


def test_slopes_of_the_shortfall_at_the_pole():
    """E |X| = σ √(2/π) Γ(p + 1/2) / Γ(p) √(2/a) at the median; in the level (ES - VaR)/(1 - level)

    by Leibniz' rule.
    """
    law = variance_gamma(0.3, 0.0)

    def of_law(law, level):
        return law.expected_shortfall(level, of="loss")

    by_law, by_level = jax.jit(jax.grad(of_law, argnums=(0, 1)))(law, 0.5)
    value = float(shortfall(law, 0.5)[1])
    assert float(by_law.sigma) == pytest.approx(value, rel=1e-12)
    assert float(by_law.mu) == pytest.approx(1.0, rel=1e-12)
    assert float(by_law.a) == pytest.approx(-value / 4, rel=1e-11)
    digamma = float(mp.digamma(0.8) - mp.digamma(0.3))
    assert float(by_law.p) == pytest.approx(value * digamma, rel=1e-11)
    assert float(by_level) == pytest.approx(value / 0.5, rel=1e-12)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.7])
def test_density_of_points_whose_squares_underflow(p):
    x = np.array([1e-100, 1e-160, -1e-200, 1e-250, -1e-20, 1e-6])
    for b in (0.0, 1e-200, 1e-30):
        law = variance_gamma(p, 0.3, b=b)
        got = values(law, x)[0]
        with mp.workdps(40):
            expected = [float(mp_log_prob(law, point)) for point in x]
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def student(df):
    return UnivariateNormalMixture(0.0, 0.0, 1.0, -df / 2, 0.0, df)


POINTS = np.array([-3.0, -1.0, -0.2, 0.5, 1.0, 2.0, 8.0, 30.0])


@pytest.mark.parametrize("df", [1e16, 1e20, 1e30, 1e62, 1e150, 1e300])
def test_t_with_many_degrees_of_freedom_is_normal(df):
    log_prob, log_cdf, log_sf, above, _ = values(student(df), POINTS)
    normal = stats.norm
    np.testing.assert_allclose(
        log_prob, normal.logpdf(POINTS), rtol=3e-13, atol=2e-11 * (1e16 / df)
    )
    np.testing.assert_allclose(log_cdf, normal.logcdf(POINTS), rtol=3e-13 + 2.5e5 / df)
    np.testing.assert_allclose(log_sf, normal.logsf(POINTS), rtol=3e-13 + 2.5e5 / df)
    mills = np.exp(normal.logpdf(POINTS) - normal.logsf(POINTS))
    np.testing.assert_allclose(above, mills, rtol=3e-13)
    q = np.array([1e-12, 0.3, 0.75])
    np.testing.assert_allclose(quantiles(student(df), q), normal.ppf(q), rtol=1e-13)


NEARLY_NORMAL = {
    "vg": lambda w: UnivariateNormalMixture(0.1, 0.3, 1.0, w, 2 * w, 0.0),
    "nig": lambda w: UnivariateNormalMixture(0.1, 0.3, 1.0, -0.5, w, w),
    "gh": lambda w: UnivariateNormalMixture(0.1, 0.3, 1.0, 0.3 * w, 1.3 * w, 0.7 * w),
    "t": lambda w: UnivariateNormalMixture(0.1, 0.3, 1.0, -w, 0.0, 2 * w),
}


@pytest.mark.parametrize("name", NEARLY_NORMAL)
def test_handover_to_the_normal_distribution(name):
    """To first order in κ3 and κ4 the density is that of Edgeworth; the next order is 1/w²."""
    for w in (1e12, 1e15, 1e18):
        law = NEARLY_NORMAL[name](w)
        mean, std = float(law.mean()), float(law.std())
        z = (POINTS - mean) / std
        skew, excess = float(law.skewness()), float(law.kurtosis())
        correction = skew / 6 * (z**3 - 3 * z) + excess / 24 * (z**4 - 6 * z**2 + 3)
        log_prob, _, log_sf, *_ = values(law, POINTS)
        expected = stats.norm.logpdf(z) - np.log(std) + correction
        np.testing.assert_allclose(log_prob, expected, rtol=1e-13, atol=1e-13)
        step = np.exp(stats.norm.logpdf(z) - stats.norm.logsf(z))
        tail = step * (skew / 6 * (z**2 - 1) + excess / 24 * (z**3 - 3 * z))
        np.testing.assert_allclose(log_sf, stats.norm.logsf(z) + tail, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", NEARLY_NORMAL)
def test_no_seam_where_the_expansion_begins(name):
    """Both forms of the mass are analytic: a cubic through neighbours meets the value."""
    w = 400.0 * (1 + np.array([-6e-3, -2e-3, 2e-3, 6e-3]))
    offset = {"vg": 1.0, "nig": 1.0, "gh": 1.0, "t": 1.0}[name]
    rows = [np.stack(values(NEARLY_NORMAL[name](value * offset), POINTS)) for value in w]
    third = rows[3] - 3 * rows[2] + 3 * rows[1] - rows[0]
    assert np.abs(third / (1 + np.abs(rows[0]))).max() < 1e-7
    below, above = (
        np.stack(values(NEARLY_NORMAL[name](400.0 * (1 + side)), POINTS))
        for side in (-1e-13, 1e-13)
    )
    np.testing.assert_allclose(above, below, rtol=5e-11)


@jax.jit
def df_slopes(df, x):
    def cdf(df):
        return student(df).cdf(x)

    def log_prob(df):
        return student(df).log_prob(x)

    def above(df):
        return student(df).mean_above(x)

    return [jax.grad(f)(df) for f in (log_prob, cdf, above)]


@pytest.mark.parametrize("df", [1e5, 1e8, 1e10, 1e12])
def test_slopes_in_the_degrees_of_freedom(df):
    """The terms in 1/ν of Fisher's expansion (Johnson, Kotz & Balakrishnan 1995, 28.4)."""
    x = 2.0
    density, tail = stats.norm.pdf(x), stats.norm.sf(x)
    by_log_prob, by_cdf, by_mean = (float(value) * df * df for value in df_slopes(df, x))
    tolerance = 50 / df + 2e-16 * df * 10
    assert by_log_prob == pytest.approx(-(x**4 - 2 * x**2 - 1) / 4, rel=tolerance)
    assert by_cdf == pytest.approx(density * (x**3 + x) / 4, rel=tolerance)
    # E (X; X > x) = φ (1 + (x⁴ + 2 x² + 3)/(4 ν)), P = Q + φ (x³ + x)/(4 ν)
    mean = density / tail
    expected = -mean * ((x**4 + 2 * x**2 + 3) / 4 - mean * (x**3 + x) / 4)
    assert by_mean == pytest.approx(expected, rel=3 * tolerance)


def test_infinite_degrees_of_freedom():
    law = UnivariateNormalMixture.from_scipy(stats.t(np.inf, 1.0, 2.0))
    np.testing.assert_allclose(law.cdf(POINTS), stats.norm(1.0, 2.0).cdf(POINTS), rtol=1e-13)
    assert law.to_scipy().args == (np.inf,)
    model = NormalInverseGamma.skewed_t(
        np.array([0.0, 1.0]), np.array([0.5, 0.0]), sigma=np.eye(2), df=np.inf
    )
    x = np.array([[0.3, -0.8], [4.0, 2.0], [0.0, 1.0], [-30.0, 0.5]])
    expected = stats.multivariate_normal([0.5, 1.0], np.eye(2)).logpdf(x)
    np.testing.assert_allclose(model.log_prob(x), expected, rtol=1e-13)
    np.testing.assert_allclose(model.e_step(x).log_prob, expected, rtol=1e-13)
    for df in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=r"skewed_t: df must be > 0"):
            NormalInverseGamma.skewed_t(np.zeros(1), sigma=np.eye(1), df=df)


FAR = np.array([1e155, -1e200, 1e300, 1e160, -1e250, 1e307])


def test_density_of_points_whose_squares_overflow():
    """Exponential tails fall with √(a + γ²) - γ, power tails with ν + 1."""
    for b in (0.0, 1.0):
        law = variance_gamma(0.5, 0.2, b=b)
        rate = np.sqrt(2.04) * np.abs(FAR) - 0.2 * FAR
        np.testing.assert_allclose(-values(law, FAR)[0], rate, rtol=1e-14)
    log_t = stats.t.logpdf(1e5, 4) - 5 * (np.log(np.abs(FAR)) - np.log(1e5))
    np.testing.assert_allclose(values(student(4.0), FAR)[0], log_t, rtol=1e-12)
    model = NormalInverseGamma.skewed_t(np.zeros(2), sigma=np.eye(2), df=4.0)
    for far in (FAR[:4], FAR[2:]):
        x = np.stack([far, np.ones(4)], axis=1)
        expected = -6 * np.log(np.abs(far)) + np.log(64) + np.log(1 / (2 * np.pi))
        np.testing.assert_allclose(model.log_prob(x), expected, rtol=1e-13)
        np.testing.assert_allclose(model.e_step(x).log_prob, expected, rtol=1e-13)


@jax.jit
def characteristic(law, t):
    return law.characteristic_function(t)


def test_characteristic_function_far_out():
    """Of variance gamma (1 - 2 s/a)^-p, of others 0."""
    t = np.array([0.0, 0.7, 1e4, 1e10, 1e100, 1e200])
    got = np.asarray(characteristic(variance_gamma(0.3, 0.2), t))
    with mp.workdps(40):
        terms = [mp.mpc(1 + mp.mpf(v) ** 2 / 2, -mp.mpf(0.2) * v) ** mp.mpf(-0.3) for v in t]
        expected = np.array([complex(value) for value in terms])
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    for law in (variance_gamma(0.3, 0.2, b=1.0), student(4.0), student(1e20)):
        np.testing.assert_array_equal(characteristic(law, t)[2:], 0)
    near = np.asarray(characteristic(student(1e20), t))[1]
    assert near == pytest.approx(np.exp(-0.245), rel=1e-13)


@pytest.mark.parametrize("alpha_bar", [1.0, 1e3, 1e6, 1e8, 1e12])
def test_from_ghyp_has_mean_one(alpha_bar):
    law = UnivariateNormalMixture.from_ghyp(1.5, alpha_bar=alpha_bar)
    assert float(law.subordinator.mean()) == pytest.approx(1.0, rel=4e-15)
    assert float(law.to_ghyp().alpha_bar) == pytest.approx(alpha_bar, rel=1e-14)


def test_rows_of_an_affine_map_whose_squares_underflow():
    model = NormalInverseGaussian.from_classical(*PARTS, mu_ig=1.0, lam=1.0)
    small = model.affine(np.diag([1e-200, 1e200]))
    expected = np.asarray(model.affine(np.eye(2)).L_Sigma) * [[1e-200], [1e200]]
    np.testing.assert_allclose(small.L_Sigma, expected, rtol=1e-14)
    assert float(model.project(np.array([1e-200, 0.0])).sigma) == pytest.approx(1e-200, rel=1e-14)
    assert float(model.project(np.array([1e200, 0.0])).sigma) == pytest.approx(1e200, rel=1e-14)
    x = np.array([0.7])
    plain = float(model.marginal([0]).log_prob(x))
    scaled = float(model.affine(np.array([[1e-200, 0.0]])).log_prob(x * 1e-200))
    assert scaled == pytest.approx(plain + 200 * np.log(10), rel=1e-13)


@pytest.mark.parametrize("scale", [1e-200, 1e-120, 1e120, 1e200])
def test_start_in_any_units(scale):
    rows = np.random.default_rng(0).standard_t(5, (300, 2))
    one = VarianceGamma.default_init(rows)
    other = VarianceGamma.default_init(rows * scale)
    np.testing.assert_allclose(other.L_Sigma / scale, one.L_Sigma, rtol=1e-12)
    np.testing.assert_allclose(other.gamma / scale, one.gamma, rtol=1e-11)
    with pytest.raises(ValueError, match="linear combination"):
        VarianceGamma.default_init(np.stack([rows[:, 0], 2 * rows[:, 0]], axis=1) * scale)


def mp_joint_entropy(model):
    """E of -log f_Y(Y) and of the entropy of N(μ + γ Y, Σ Y), by integrals over log y."""
    p, a, b = (mp.mpf(float(v)) for v in model.joint.subordinator_as_gig())
    psi = mp.loggamma(abs(p)) - abs(p) * mp.log((a + b) / 2)
    ends = [-120, -40, -20, -10, -5, -2, 0, 2, 5, 10, 20, 40, 120]

    def term(v):
        y = mp.exp(v)
        log_f = (p - 1) * v - (a * y + b / y) / 2 - psi
        return mp.exp(log_f + v) * (v - log_f)  # log y for d = 2

    determinant = mp.mpf(float(np.linalg.det(model.sigma)))
    return mp.quad(term, ends) + mp.log(determinant) / 2 + 1 + mp.log(2 * mp.pi)


def with_infinite_means():
    yield VarianceGamma.from_classical(*PARTS, alpha=0.5, beta=1.3)
    yield NormalInverseGamma.from_classical(*PARTS, alpha=0.5, beta=1.3)
    yield NormalInverseGamma.from_classical(*PARTS, alpha=1.0, beta=0.4)


def test_joint_entropy_with_an_infinite_mean():
    for model in with_infinite_means():
        with mp.workdps(25):
            expected = float(mp_joint_entropy(model))
        assert float(model.joint.entropy()) == pytest.approx(expected, rel=1e-10)


def test_joint_divergence_with_an_infinite_mean():
    """The same μ, γ and Y: that of the normal parts alone, ½ (tr R - log det R - d)."""
    for model in with_infinite_means():
        parts = model.joint.mu, model.joint.gamma
        dispersion = model.joint.dispersion.scaled(jnp.array([1.0, 2.0]))
        other = model.joint._assemble(*parts, dispersion, model.joint.subordinator)
        ratio = np.linalg.solve(dispersion.matrix(), model.sigma)
        expected = (np.trace(ratio) - np.log(np.linalg.det(ratio)) - 2) / 2
        got = float(model.joint.kl_divergence(other))
        assert got == pytest.approx(expected, rel=1e-12)
        cross = float(model.joint.cross_entropy(other))
        assert cross == pytest.approx(float(model.joint.entropy()) + expected, rel=1e-12)


def test_joint_divergence_by_sampling():
    one = GeneralizedHyperbolic.from_classical(*PARTS, p=1.5, a=2.0, b=1.0).joint
    two = GeneralizedHyperbolic.from_classical(
        np.array([0.3, 0.8]),
        np.array([0.1, 0.2]),
        np.array([[1.5, 0.1], [0.1, 1.4]]),
        p=0.7,
        a=1.5,
        b=1.4,
    ).joint
    draws = one.sample(jax.random.key(3), (200_000,))
    ratio = np.asarray(one.log_prob(draws) - two.log_prob(draws))
    error = ratio.std() / np.sqrt(len(ratio))
    assert float(one.kl_divergence(two)) == pytest.approx(ratio.mean(), abs=4 * error)


def test_student_t_to_and_from_scipy():
    law = UnivariateNormalMixture(0.5, 0.0, 2.0, -2.0, 0.0, 3.0)
    frozen = law.to_scipy()
    np.testing.assert_allclose(frozen.cdf(POINTS), law.cdf(POINTS), rtol=1e-12)
    np.testing.assert_allclose(frozen.logpdf(POINTS), law.log_prob(POINTS), rtol=1e-12)
    back = UnivariateNormalMixture.from_scipy(frozen)
    np.testing.assert_allclose(back.cdf(POINTS), law.cdf(POINTS), rtol=1e-14)
    with pytest.raises(ValueError, match="no skewed t"):
        UnivariateNormalMixture(0.5, 0.1, 2.0, -2.0, 0.0, 3.0).to_scipy()
    with pytest.raises(ValueError, match="scalar parameters"):
        UnivariateNormalMixture.from_scipy(stats.norminvgauss([1.0, 2.0], 0.0))
