"""How fits end: what may be called normal, an infinite E Y, and whose likelihood is returned."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jaxtyping import Array, Float
from scipy.special import gammaln

from normix_fit import BatchEMFitter, Status, fit
from normix_fit._em._batch import _end_at
from normix_fit._em._termination import limit_of
from normix_fit._result._em_result import message_for
from normix_mixtures import (
    Dispersion,
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
)

N = 201  # one shape, so that compiled loops are shared
QUANTILES = np.tan(np.pi * ((np.arange(1, N + 1) - 0.5) / N - 0.5))[:, None]  # of Cauchy's law
HEAVY = np.sign(QUANTILES) * QUANTILES**2
LAST = np.r_[np.zeros(N - 2), 1.0, 1.0][:, None]


def rows(seed):
    return np.random.default_rng(seed).standard_normal((N, 1))


def normal_log_likelihood(X):
    n, d = X.shape
    return -n / 2 * (np.linalg.slogdet(np.cov(X.T, bias=True).reshape(d, d))[1] + d * 2.8378770664)


SLOW = pytest.mark.slow  # one compilation each

WILD = {
    "one outlier": np.r_[rows(0)[1:], [[1e12]]],
    "two rows alike": LAST * LAST,
    "two rows": LAST * np.arange(N)[:, None],
    "a t law with 0.3 degrees": np.random.default_rng(0).standard_t(0.3, (N, 1)),
}


@pytest.mark.parametrize("name", ["vg", pytest.param("nig", marks=SLOW)])
@pytest.mark.parametrize("kind", WILD)
def test_rows_far_from_normal_never_end_at_the_normal_distribution(kind, name):
    X = WILD[kind]
    result = fit(X, name)
    assert result.status != Status.NORMAL_LIMIT
    assert result.status == Status.UNBOUNDED or name == "nig"
    assert result.log_likelihood > normal_log_likelihood(X) + 100
    assert np.all(np.diff(result.log_likelihoods) >= 0)


def test_the_message_of_an_unbounded_fit_names_families_whose_density_is_bounded():
    assert "fit nig or ninvg" in message_for(Status.UNBOUNDED)
    assert "gh" not in message_for(Status.UNBOUNDED)


ENDS = {
    Status.CONVERGED: (HEAVY, "ninvg", {}),
    Status.NORMAL_LIMIT: (rows(5), "nig", {}),
    Status.MAX_ITER: (HEAVY, "nig", {"max_iter": 3}),
    Status.UNBOUNDED: (HEAVY, "vg", {}),
    Status.SINGULAR_DISPERSION: (LAST * rows(2), "ninvg", {"max_iter": 4000}),
}


@pytest.mark.parametrize("shift", [1000.0, *(pytest.param(x, marks=SLOW) for x in (0.0, 1e-3))])
@pytest.mark.parametrize("status", ENDS)
def test_the_log_likelihood_is_that_of_the_model_returned(status, shift):
    X, name, options = ENDS[status]
    X = X + shift
    result = fit(X, name, **options)
    assert result.status == status
    total = float(np.sum(result.model.log_prob(X)))
    assert result.log_likelihood == pytest.approx(total, rel=1e-10, abs=1e-8)
    assert result.log_likelihoods[-1] == result.log_likelihood
    assert np.all(np.diff(result.log_likelihoods) >= 0)


def test_a_history_ends_at_what_the_model_has_and_does_not_fall():
    assert _end_at(np.array([1.0, 3.0, 4.0]), 2.0).tolist() == [1.0, 2.0, 2.0]
    assert _end_at(np.array([1.0, 3.0]), 5.0).tolist() == [1.0, 5.0]


def test_nearly_equal_columns_do_not_cost_digits_of_the_normal_likelihood():
    """X is a linear image of other columns, whose likelihood has all its digits."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((11, 10))
    X[:, 9] = X[:, 0] + 1e-7 * rng.standard_normal(11)
    plain = np.column_stack([X[:, :9], (X[:, 9] - X[:, 0]) / 1e-7])  # the difference is exact
    expected = normal_log_likelihood(plain) - 11 * np.log(1e-7)
    result = fit(X, "nig")
    assert result.status == Status.NORMAL_LIMIT
    assert result.log_likelihood == pytest.approx(expected, abs=1e-5)


class Diagonal(Dispersion):
    """Σ = diag(D)."""

    values: Float[Array, " d"]

    def whiten(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return x / jnp.sqrt(self.values)[None, :]

    def colour(self, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return z * jnp.sqrt(self.values)[None, :]

    def half_log_det(self) -> Float[Array, ""]:
        return jnp.sum(jnp.log(self.values)) / 2

    def matrix(self) -> Float[Array, "d d"]:
        return jnp.diag(self.values)

    def cholesky(self) -> Float[Array, "d d"]:
        return jnp.diag(jnp.sqrt(self.values))

    def diagonal(self) -> Float[Array, " d"]:
        return self.values

    def scaled(self, scale: Float[Array, " d"]) -> Self:
        return type(self)(self.values * scale**2)

    def fitted(self, scatter: Float[Array, "d d"]) -> Self:
        return type(self)(jnp.diagonal(scatter))

    def free(self) -> Any:
        return jax.tree.map(lambda leaf: np.ones(leaf.shape, bool), self)


def test_the_normal_limit_keeps_the_form_of_the_dispersion():
    """Uniform columns: the likelihood is that of normal columns, each by itself."""
    X = np.random.default_rng(5).uniform(size=(N, 2))
    start = NormalInverseGaussian.from_classical(
        X.mean(0), np.zeros(2), Diagonal(jnp.asarray(X.var(0))), mu_ig=1.0, lam=1.0
    )
    result = BatchEMFitter().fit(start, X)
    assert isinstance(result.model.joint.dispersion, Diagonal)
    assert result.status == Status.NORMAL_LIMIT
    expected = sum(normal_log_likelihood(X[:, [j]]) for j in range(2))
    assert result.log_likelihood == pytest.approx(expected, abs=1e-3)


def test_correlated_heavy_rows_keep_a_diagonal_form():
    """The normal distribution of the rows is far below, in the diagonal form too."""
    g = np.random.default_rng(8)
    root = np.linalg.cholesky([[1.0, 0.95], [0.95, 1.0]])
    X = g.standard_normal((300, 2)) @ root.T / np.sqrt(g.gamma(1.5, 1 / 1.5, size=(300, 1)))
    start = NormalInverseGaussian.from_classical(
        np.median(X, 0), np.zeros(2), Diagonal(jnp.asarray(X.var(0))), mu_ig=1.0, lam=1.0
    )
    result = BatchEMFitter().fit(start, X)
    assert isinstance(result.model.joint.dispersion, Diagonal)
    assert result.status == Status.CONVERGED
    expected = sum(normal_log_likelihood(X[:, [j]]) for j in range(2))
    assert result.log_likelihood > expected + 30
    again = BatchEMFitter(max_iter=3, tol=1e-30, gain_tol=1e-30).fit(result.model, X)
    assert again.log_likelihood <= result.log_likelihood + 1e-5


# the maximum over α and the scale of Student's t density by scipy.optimize on scipy.stats.t
HEAVY_MAXIMUM, HEAVY_ALPHA = -666.0974163, 0.17726


@pytest.mark.parametrize("options", [
    {},
    pytest.param({"acceleration": "squarem"}, marks=SLOW),
    pytest.param({"algorithm": "mcecm"}, marks=SLOW),
    pytest.param({"e_step_backend": "cpu", "m_step_backend": "cpu"}, marks=pytest.mark.cpu),
])  # fmt: skip
def test_a_symmetric_t_law_without_a_mean_is_fitted(options):
    """E Y given a row is infinite for α <= 1/2, and nothing that is fitted depends on it."""
    result = fit(HEAVY, "ninvg", symmetric=True, **options)
    assert result.status == Status.CONVERGED
    assert result.log_likelihood == pytest.approx(HEAVY_MAXIMUM, abs=1e-6)
    assert float(result.model.alpha) == pytest.approx(HEAVY_ALPHA, abs=1e-4)


def test_weights_are_rows_where_the_mean_is_infinite():
    weights = np.where(np.arange(N) % 2 == 0, 2.0, 1.0)
    weighted = fit(HEAVY, "ninvg", symmetric=True, weights=weights)
    repeated = fit(np.repeat(HEAVY, weights.astype(int), axis=0), "ninvg", symmetric=True)
    assert weighted.status == repeated.status == Status.CONVERGED
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-5)


@pytest.mark.parametrize("p", [300.0, -300.0])
def test_a_large_order_is_no_limit(p):
    """(ab/4)^|p| is beyond the largest number."""
    law = GeneralizedHyperbolic.from_classical(np.zeros(1), None, np.eye(1), p=p, a=1e3, b=1e3)
    assert limit_of(law.normalize()) == Status.CONVERGED


@pytest.mark.parametrize("symmetric", [True, pytest.param(False, marks=SLOW)])
def test_one_degree_of_freedom_may_be_held(symmetric):
    """Of the quantiles of Cauchy's law itself: by scipy.optimize over the scale."""
    result = fit(QUANTILES, "ninvg", fixed={"alpha": 0.5}, symmetric=symmetric)
    assert result.status == Status.CONVERGED
    assert result.log_likelihood == pytest.approx(-507.3495793, abs=1e-6)


@pytest.mark.parametrize("options", [
    {"symmetric": True},
    pytest.param({}, marks=SLOW),
    pytest.param({"symmetric": True, "fixed": ("p",)}, marks=SLOW),
])  # fmt: skip
def test_a_start_on_the_limit_without_a_mean_stays_there(options):
    """EM cannot leave a = 0, where E Y is infinite: the full family is fitted as a t law."""
    t = NormalInverseGamma.skewed_t(np.zeros(1), sigma=np.eye(1), df=0.8)
    start = GeneralizedHyperbolic.from_classical(
        np.zeros(1), None, t.sigma, p=-t.alpha, a=0.0, b=2 * t.beta
    )
    result = BatchEMFitter(**options).fit(start, HEAVY)
    if "fixed" in options:
        assert result.converged
        assert float(result.model.p) == pytest.approx(-0.4, rel=1e-12)
    else:
        assert result.status == Status.INVERSE_GAMMA_LIMIT
        assert result.log_likelihood == pytest.approx(HEAVY_MAXIMUM, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["nig", *(pytest.param(x, marks=SLOW) for x in ("gh", "vg", "ninvg"))]
)
@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_units_whose_square_is_no_number(name, scale):
    X = np.random.default_rng(0).standard_t(4, (N, 1))
    result, expected = fit(scale * X, name), fit(X, name)
    assert result.status == expected.status
    total = result.log_likelihood + N * np.log(scale)
    assert total == pytest.approx(expected.log_likelihood, abs=1e-5)


@pytest.mark.parametrize("name", ["nig", pytest.param("ninvg", marks=SLOW)])
def test_an_atom_of_equal_rows_is_no_maximum(name):
    """Half of the rows are equal: the density there grows without bound as Σ and γ shrink."""
    X = (np.random.default_rng(2).random((200, 2)) < 0.3).astype(float)
    result = fit(X, name)
    assert result.status == Status.SINGULAR_DISPERSION
    assert result.n_evaluations < 600


def test_a_small_scale_alone_is_no_collapse():
    """Of a t distribution with 0.0095 degrees of freedom, 1e-44 of the median distance.

    Expected is the maximum by scipy.optimize in the logarithms of the scale and of the distances.
    """
    X = np.sign(QUANTILES) * np.abs(QUANTILES) ** 25
    log_x = 25 * np.log(np.maximum(np.abs(QUANTILES[:, 0]), 1e-300))

    def fallen(u):
        df, log_scale = np.exp(u[0]), u[1]
        z = 2 * (log_x - log_scale) - np.log(df)
        at_1 = gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(df * np.pi) / 2
        return -np.sum(at_1 - log_scale - (df + 1) / 2 * np.logaddexp(0, z))

    expected = scipy.optimize.minimize(
        fallen, [-4.0, -100.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10}
    )
    result = fit(X, "ninvg", symmetric=True)
    assert result.status == Status.CONVERGED
    assert result.log_likelihood == pytest.approx(-expected.fun, abs=1e-5)
    assert 2 * float(result.model.alpha) == pytest.approx(np.exp(expected.x[0]), rel=1e-3)
