"""A fit that says it converged is at a maximum: L-BFGS in other coordinates gains nothing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from normix_fit import FAMILIES, BatchEMFitter, Status, fit
from normix_fit._standardisation import units_of_columns
from normix_mixtures import Held

SHORT = 1e-5  # nats


@eqx.filter_jit
def value_and_gradient(build, u, X):
    return jax.value_and_grad(lambda u: jnp.sum(build(u).log_prob(X)))(u)


class ByEntries(eqx.Module):
    """The model with μ, γ and the entries of L moved by u, what is positive in logarithms."""

    model: eqx.Module
    scale: jax.Array

    def __call__(self, u):
        joint, (d,) = self.model.joint, self.scale.shape
        T = jnp.zeros((d, d)).at[np.tril_indices(d)].set(u[2 * d : -2])
        L = joint.dispersion.L_Sigma
        L = jnp.tril(L + self.scale[:, None] * jnp.tril(T, -1), -1) + jnp.diag(
            jnp.diagonal(L) * jnp.exp(jnp.diagonal(T))
        )
        p, a, b = joint.subordinator_as_gig()
        law = joint.subordinator
        if len(jax.tree.leaves(law)) == 3:
            order = jnp.where((a > 0) & (b > 0), p + u[-1], p * jnp.exp(u[-1]))
            rates = jnp.exp(u[-2]) * jnp.stack([a, b])
            law = joint.subordinator_family.from_gig(order, *rates)
        else:
            first, second = jax.tree.leaves(law)
            law = jax.tree.unflatten(
                jax.tree.structure(law), [first * jnp.exp(u[-2]), second * jnp.exp(u[-1])]
            )
        return eqx.tree_at(
            lambda m: (m.joint.mu, m.joint.gamma, m.joint.dispersion.L_Sigma, m.joint.subordinator),
            self.model,
            (joint.mu + self.scale * u[:d], joint.gamma + self.scale * u[d : 2 * d], L, law),
        )


def gain_of_lbfgs(model, X):
    """What L-BFGS still gains, with μ, γ and L in standard deviations of the columns."""
    d = X.shape[1]
    build = ByEntries(model.normalize(), jnp.std(jnp.asarray(X), axis=0))
    zero = np.zeros(2 * d + d * (d + 1) // 2 + 2)
    start = float(value_and_gradient(build, jnp.asarray(zero), X)[0])

    def fallen(u):
        value, slope = value_and_gradient(build, jnp.asarray(u), X)
        if not np.isfinite(value):
            return 1e3, np.zeros_like(u)
        return start - float(value), -np.asarray(slope)

    options = {"maxiter": 500, "maxcor": 30, "ftol": 1e-14, "gtol": 1e-8}
    found = scipy.optimize.minimize(
        fallen, zero, jac=True, method="L-BFGS-B", options=options, bounds=[(-4, 4)] * len(zero)
    )
    return -found.fun


def gamma_mixture(g):
    y = g.gamma(1.2, size=(300, 1))
    return 2 * y + np.sqrt(y) * g.standard_normal((300, 2))


KINDS = {
    "poisson": lambda g: g.poisson(0.7, (500, 3)).astype(float),
    "exponential": lambda g: g.exponential(size=(300, 2)),
    "lognormal": lambda g: np.exp(g.standard_normal((300, 2))),
    "walk": lambda g: np.cumsum(g.standard_normal((300, 2)), axis=0),
    "t": lambda g: g.standard_t(3, (300, 2)),
    "rounded": lambda g: np.round(g.standard_t(4, (300, 2)), 1),
    "skewed": gamma_mixture,
}


def rows(kind, seed):
    return KINDS[kind](np.random.default_rng(seed))


def assert_at_a_maximum(result, X):
    if result.status in (Status.CONVERGED, Status.INVERSE_GAMMA_LIMIT, Status.GAMMA_LIMIT):
        assert gain_of_lbfgs(result.model, X) < SHORT


@pytest.mark.parametrize(
    ("kind", "seed", "name", "known"),
    [
        # the values that L-BFGS reaches, in these coordinates and from other starts
        ("poisson", 11, "nig", -1638.946522),
        ("poisson", 12, "nig", -1656.934875),
        ("exponential", 1, "nig", -697.895969),
        ("walk", 0, "nig", -1928.784159),
    ],
)
def test_where_em_crawls_the_fit_goes_on_to_the_maximum(kind, seed, name, known):
    X = rows(kind, seed)
    start = FAMILIES[name].default_init(X)
    result = BatchEMFitter().fit(start, X)
    assert result.status == Status.CONVERGED
    assert result.log_likelihood > known - SHORT
    assert np.all(np.diff(result.log_likelihoods) >= 0)
    assert result.n_evaluations < 300
    assert_at_a_maximum(result, X)
    short = BatchEMFitter(max_iter=result.n_evaluations - 20).fit(start, X)
    assert short.status == Status.MAX_ITER or short.log_likelihood > known - SHORT
    assert short.n_evaluations <= result.n_evaluations - 19


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_says_it_converged_did(kind, name):
    for seed in range(20, 25):
        X = rows(kind, seed)
        assert_at_a_maximum(fit(X, name), X)


@pytest.mark.parametrize("held", [("mu",), ("subordinator",)])
def test_an_ascent_holds_what_is_held(held):
    X = rows("poisson", 11)
    start = FAMILIES["nig"].default_init(X)
    result = BatchEMFitter(fixed=held, max_iter=200).fit(start, X)
    symmetric = BatchEMFitter(symmetric=True).fit(start, X)
    if held == ("mu",):
        np.testing.assert_allclose(result.model.mu, start.mu, rtol=1e-12)
    else:
        laws = [m.normalize().joint.subordinator_as_gig() for m in (result.model, start)]
        np.testing.assert_allclose(*laws, rtol=1e-10)
    assert not np.any(symmetric.model.gamma)


@pytest.mark.parametrize(
    ("skewed", "held"),
    [
        (True, ()),
        pytest.param(False, (), marks=pytest.mark.slow),
        pytest.param(True, ("mu",), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_the_gradient_is_that_of_the_likelihood(name, skewed, held):
    """Fisher's identity, against differentiation of the density, at 0 and elsewhere."""
    X = jnp.asarray(rows("skewed", 2))
    model = FAMILIES[name].default_init(X).normalize()
    model = model if skewed else model.without_skewness()
    frame = model.frame(Held(held))
    free = frame.free
    assert bool(model.moved(frame, np.zeros(len(free))).is_close(model))
    for u in (np.zeros(len(free)), 0.2 * np.random.default_rng(3).standard_normal(len(free))):
        u[~free] = 0
        at = model.moved(frame, u)
        expected = jax.grad(lambda u: jnp.mean(model.moved(frame, u).log_prob(X)))(jnp.asarray(u))
        got = frame.gradient(u, at.expect(X).statistics)
        np.testing.assert_allclose(got[free], np.asarray(expected)[free], atol=1e-12)


def test_an_outlier_costs_no_iterations():
    X = 0.01 * np.random.default_rng(0).standard_t(4, (300, 2))
    X[0, 0] = 1e6
    for name in ("nig", "ninvg"):
        result = fit(X, name)
        assert result.converged
        assert result.n_evaluations < 130, name


def test_units_are_those_of_the_bulk():
    g = np.random.default_rng(1)
    clean = g.standard_normal(1001)
    spoiled = np.append(clean, 1e9)
    rare = np.zeros(300)
    rare[:2] = [3.0, -3.0]
    X = jnp.asarray(np.stack([np.append(clean, 0.0), spoiled], axis=1))
    units = units_of_columns(X)
    assert np.asarray(units.scale) == pytest.approx([1.0, 1.0], rel=0.1)
    lonely = units_of_columns(jnp.asarray(rare[:, None]))
    assert float(lonely.shift[0]) == 0.0
    assert float(lonely.scale[0]) == pytest.approx(3 * 1.4826, rel=1e-4)
    counts = g.integers(1, 4, 60)
    few = g.standard_normal((60, 2))
    weighted = units_of_columns(jnp.asarray(few), jnp.asarray(counts, float))
    repeated = units_of_columns(jnp.asarray(np.repeat(few, counts, axis=0)))
    np.testing.assert_allclose(weighted.shift, repeated.shift, rtol=1e-12)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-12)


def test_histories_grow():
    """A limit of 2^31 - 1 iterations takes no memory of that size, and changes nothing."""
    X = rows("skewed", 2)
    start = FAMILIES["nig"].default_init(X)
    large, usual = (BatchEMFitter(max_iter=m).fit(start, X) for m in (2**31 - 1, 500))
    assert large.n_evaluations == usual.n_evaluations
    np.testing.assert_array_equal(large.log_likelihoods, usual.log_likelihoods)


def test_histories_longer_than_a_state_are_whole():
    X = rows("walk", 0)
    start = FAMILIES["nig"].default_init(X)
    fitter = BatchEMFitter(max_iter=700, acceleration=None, tol=1e-12)
    result = fitter.fit(start, X)
    seen = []
    again = BatchEMFitter(
        max_iter=700, acceleration=None, tol=1e-12, callback=lambda *pair: seen.append(pair)
    ).fit(start, X)
    assert len(result.log_likelihoods) == result.n_iter + 1 > 512
    assert len(result.param_changes) == result.n_iter
    assert np.all(np.diff(result.log_likelihoods) >= 0)
    np.testing.assert_array_equal(result.log_likelihoods, again.log_likelihoods)
    np.testing.assert_array_equal(result.param_changes, again.param_changes)
    assert seen[-1][0] == again.n_iter
