"""`EMResult.standard_errors`: against finite differences, laws of scale, and coverage."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import FAMILIES, BatchEMFitter, EMResult, Status
from normix_fit._observe import observe
from normix_fit._result._standard_errors import (
    _information,
    _log_likelihood,
    _origin,
)
from normix_mixtures import Held, NormalInverseGaussian, to_generalized_hyperbolic
from normix_mixtures._e_step import whitened
from normix_mixtures.internal import Slice

N, D = 200, 2  # one shape, so that compiled functions are shared
LAWS = {
    "gh": {"p": 1.0, "a": 1.0, "b": 1.0},
    "nig": {"mu_ig": 1.0, "lam": 1.0},
    "vg": {"alpha": 4.0, "beta": 4.0},
    "ninvg": {"alpha": 2.0, "beta": 2.0},
}


def truth(name):
    mu, gamma, sigma = np.array([1.0, -1.0]), np.array([0.5, 0.0]), [[1.0, 0.3], [0.3, 2.0]]
    return FAMILIES[name].from_classical(mu, gamma, np.array(sigma), **LAWS[name])


def account(model, X, fixed=()):
    """The result of a fit that ended at this model."""
    value = float(jnp.sum(model.log_prob(X)))
    return EMResult(
        model, Status.CONVERGED, 0, value, np.array([value]), np.zeros(0), len(X), held=Held(fixed)
    )


@pytest.fixture(scope="module")
def fits():
    """A tight fit per family with its data."""
    found = {}
    for seed, name in enumerate(LAWS):
        X = np.asarray(truth(name).sample(jax.random.key(seed), (N,)))
        fitter = BatchEMFitter(max_iter=5000, tol=1e-6, gain_tol=1e-9)
        found[name] = fitter.fit(FAMILIES[name].default_init(X), X), X
    return found


@pytest.fixture(params=LAWS)
def fitted(request, fits):
    return fits[request.param]


def differences(gradient, u, step):
    """The derivative of a gradient by central differences of fourth order, shape (k, k)."""

    def along(e):
        near = gradient(u + step * e) - gradient(u - step * e)
        far = gradient(u + 2 * step * e) - gradient(u - 2 * step * e)
        return (8 * near - far) / (12 * step)

    return np.stack([along(e) for e in np.eye(u.size)])


# the full family inside, and a boundary on which b = 0
@pytest.mark.parametrize(
    "fitted",
    ["gh", "vg", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nig", "ninvg"))],
    indirect=True,
)
def test_the_information_agrees_with_differences_of_the_gradient(fitted):
    result, X = fitted
    model = result.model
    part, origin = Slice.through(model.joint, Held()), _origin(model)
    w = jnp.ones(N)
    Z, skew = whitened(model.joint, jnp.asarray(X))
    gradient = jax.jit(jax.grad(lambda u: _log_likelihood(part, skew, u, Z, w)))
    found = np.asarray(_information(part, model, observe("fit", X), origin))
    expected = -differences(gradient, np.asarray(origin), 1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.max(np.abs(found)))
    constant = N * float(model.joint.dispersion.half_log_det())
    value = float(_log_likelihood(part, skew, origin, Z, w))
    assert value - constant == pytest.approx(result.log_likelihood, rel=1e-12)


def scalar_nig(v):
    """(μ, γ, Σ, μ_Y, λ) in the gauge b = a + 1 from (μ, γ, log σ, log a)."""
    a = jnp.exp(v[3])
    return jnp.stack([v[0], v[1], jnp.exp(2 * v[2]), jnp.sqrt((a + 1) / a), a + 1])


def scalar_model(v):
    mu, gamma, variance, mu_ig, lam = scalar_nig(v)
    root = jnp.sqrt(variance)
    return NormalInverseGaussian.from_classical(
        mu[None], gamma[None], None, mu_ig=mu_ig, lam=lam, L_Sigma=root[None, None]
    )


@pytest.fixture(scope="module")
def scalar_fit():
    """Maximum of the likelihood by Newton's method, its coordinates, -∇² log L, and the data."""
    start = jnp.array([1.0, 0.5, 0.0, -1.0])
    X = scalar_model(start).sample(jax.random.key(12), (400,))
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(scalar_model(v).log_prob(X))))
    v = np.asarray(start)
    for _ in range(12):
        information = -differences(gradient, v, 1e-3)
        v = v + np.clip(np.linalg.solve(information, np.asarray(gradient(v))), -0.5, 0.5)
    assert np.max(np.abs(gradient(v))) < 1e-6
    return scalar_model(jnp.asarray(v)), v, information, np.asarray(X)


def test_scalar_nig_against_differences_in_other_coordinates(scalar_fit):
    model, v, information, X = scalar_fit
    found = account(model, X).standard_errors(X)
    slopes = np.asarray(jax.jacfwd(scalar_nig)(jnp.asarray(v)))
    expected = slopes @ np.linalg.inv(information) @ slopes.T
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-6)
    root = np.sqrt(np.diagonal(expected))
    names = found.mu[0], found.gamma[0], found.sigma[0, 0], *found.subordinator.values()
    np.testing.assert_allclose(np.stack(names), root, rtol=1e-6)
    assert list(found.subordinator) == ["mu_ig", "lam"]


def test_weights_count_rows_in_any_number_of_blocks(scalar_fit):
    model, _, _, X = scalar_fit
    index = np.arange(4099) % 400
    rows = X[index]
    one = account(model, rows).standard_errors(rows)
    weighted = dataclasses.replace(account(model, rows), n_observations=4099.0)
    two = weighted.standard_errors(X, np.bincount(index))
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-9)


def test_standard_errors_follow_units_and_ignore_shifts(fitted):
    result, X = fitted
    shift, scale = np.array([1e3, -5.0]), np.array([1e4, 1e-5])
    moved = account(
        result.model.rescaled(jnp.asarray(shift), jnp.asarray(scale)), shift + scale * X
    )
    before, after = result.standard_errors(X), moved.standard_errors(shift + scale * X)
    np.testing.assert_allclose(after.mu, scale * before.mu, rtol=1e-6)
    np.testing.assert_allclose(after.gamma, scale * before.gamma, rtol=1e-6)
    np.testing.assert_allclose(after.sigma, np.outer(scale, scale) * before.sigma, rtol=1e-6)
    for name, value in before.subordinator.items():
        np.testing.assert_allclose(after.subordinator[name], value, rtol=1e-6)


def test_the_gauge_of_the_model_does_not_matter(fits):
    result, X = fits["nig"]
    other = result.model._wrap(result.model.joint.rescaled_subordinator(jnp.asarray(7.0)))
    one, two = result.standard_errors(X), account(other, X).standard_errors(X)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-9)


def test_standard_errors_are_the_diagonal_of_the_covariance(fitted):
    result, X = fitted
    found = result.standard_errors(X)
    lower = found.sigma[np.tril_indices(D)]
    packed = [found.mu, found.gamma, lower, np.stack(list(found.subordinator.values()))]
    np.testing.assert_allclose(
        np.concatenate(packed) ** 2, np.diagonal(found.covariance), rtol=1e-12
    )
    np.testing.assert_array_equal(found.sigma, found.sigma.T)
    assert list(found.subordinator) in [list(law) for law in LAWS.values()]
    again = jax.tree.map(lambda leaf: leaf, found)
    np.testing.assert_array_equal(again.covariance, found.covariance)


def test_what_was_held_is_known_exactly(fits):
    result, X = fits["nig"]
    full = result.standard_errors(X)
    held = dataclasses.replace(result, held=Held(("mu",))).standard_errors(X)
    np.testing.assert_array_equal(held.mu, 0)
    # given μ the others have the inverse of their part of the information; mu_ig follows from lam
    free = [*range(7), 8]
    information = np.linalg.inv(full.covariance[np.ix_(free, free)])
    given = np.linalg.inv(information[D:, D:])
    np.testing.assert_allclose(held.gamma, np.sqrt(np.diagonal(given))[:D], rtol=1e-8)
    np.testing.assert_allclose(held.subordinator["lam"], np.sqrt(given[-1, -1]), rtol=1e-8)
    symmetric = dataclasses.replace(result, held=Held(("gamma",))).standard_errors(X)
    np.testing.assert_array_equal(symmetric.gamma, 0)
    assert np.all(symmetric.mu < full.mu)


def test_a_shape_that_was_held(fits):
    for name, parameter in (("vg", "alpha"), ("ninvg", "alpha")):
        result, X = fits[name]
        held = dataclasses.replace(result, held=Held((parameter,))).standard_errors(X)
        assert {float(value) for value in held.subordinator.values()} == {0.0}
        assert np.all(held.gamma > 0)
    for result, X in fits.values():
        held = dataclasses.replace(result, held=Held(("subordinator",))).standard_errors(X)
        assert {float(value) for value in held.subordinator.values()} == {0.0}
        assert np.all(held.gamma > 0)
    result, X = fits["nig"]
    full = account(to_generalized_hyperbolic(result.model), X, ("p",)).standard_errors(X)
    own = result.standard_errors(X)
    assert float(full.subordinator["p"]) == 0
    np.testing.assert_allclose(full.mu, own.mu, rtol=1e-8)
    for name in ("a", "b"):
        np.testing.assert_allclose(full.subordinator[name], own.subordinator["lam"], rtol=1e-8)


@pytest.mark.parametrize(("name", "zero", "other"), [("vg", "b", "a"), ("ninvg", "a", "b")])
def test_on_the_boundary_the_others_are_those_of_the_special_family(fits, name, zero, other):
    result, X = fits[name]
    own = result.standard_errors(X)
    found = account(to_generalized_hyperbolic(result.model), X).standard_errors(X)
    np.testing.assert_allclose(found.mu, own.mu, rtol=1e-8)
    np.testing.assert_allclose(found.gamma, own.gamma, rtol=1e-8)
    np.testing.assert_allclose(found.sigma, own.sigma, rtol=1e-8)
    assert np.isnan(found.subordinator[zero])
    np.testing.assert_allclose(found.subordinator["p"], own.subordinator["alpha"], rtol=1e-8)
    np.testing.assert_allclose(found.subordinator[other], 2 * own.subordinator["beta"], rtol=1e-8)


@pytest.mark.parametrize("status", [Status.NORMAL_LIMIT, Status.UNBOUNDED])
def test_no_standard_errors_without_a_determined_maximum(fits, status):
    result, X = fits["nig"]
    with pytest.raises(ValueError, match=f"status must be that of a maximum .* {status.name}"):
        dataclasses.replace(result, status=status).standard_errors(X)


def test_a_point_that_is_no_maximum(fits):
    result, X = fits["nig"]
    far = result.model.rescaled(jnp.zeros(D), jnp.full(D, 20.0))
    with pytest.raises(ValueError, match=r"positive definite, .* not a maximum of the likelihood"):
        account(far, X).standard_errors(X)


@pytest.mark.parametrize(
    ("change", "weights", "message"),
    [
        (lambda X: X[:-1], None, "have 200 rows, or weights of that sum, .* got 199"),
        (lambda X: X[:, 0], None, r"X must have shape \(n, 2\), got \(200,\)"),
        (lambda X: X, np.full(N, 0.5), "weights of that sum, .* got 100"),
        (lambda X: X * np.nan, None, "X must be finite"),
        (lambda X: X, np.full(4, 50.0), r"weights must have shape \(200,\), got \(4,\)"),
        (lambda X: X, np.r_[-1.0, 3.0, np.ones(N - 2)], "weights must be finite and non-negative"),
    ],
)
def test_bad_data(fits, change, weights, message):
    result, X = fits["nig"]
    with pytest.raises(ValueError, match=message):
        result.standard_errors(change(X), weights)


def test_other_data_than_those_of_the_fit_are_refused(fits):
    """The same number of rows, and weights of the same sum; the order of rows does not matter."""
    result, X = fits["nig"]
    other = np.asarray(truth("nig").sample(jax.random.key(99), (N,)))
    message = r"X, weights must have the log-likelihood .* of the fit .*; pass the rows of the fit"
    with pytest.raises(ValueError, match=message):
        result.standard_errors(other)
    with pytest.raises(ValueError, match=message):
        result.standard_errors(X, np.tile([0.5, 1.5], N // 2))
    one, two = result.standard_errors(X), result.standard_errors(X[::-1], np.ones(N))
    np.testing.assert_allclose(one.mu, two.mu, rtol=1e-9)


@pytest.mark.slow
def test_intervals_cover_the_truth_at_their_level():
    """Each figure of 200 has a standard deviation of 1.5 % at a coverage of 95 %."""
    model = truth("nig").normalize()
    hits = []
    for seed in range(200):
        X = np.asarray(model.sample(jax.random.key(1000 + seed), (1000,)))
        result = BatchEMFitter(max_iter=2000).fit(NormalInverseGaussian.default_init(X), X)
        assert result.converged
        width = result.standard_errors(X)
        hits.append([
            *(np.abs(result.model.mu - model.mu) <= 1.96 * width.mu),
            *(np.abs(result.model.gamma - model.gamma) <= 1.96 * width.gamma),
            np.abs(result.model.sigma - model.sigma)[0, 0] <= 1.96 * width.sigma[0, 0],
        ])  # fmt: skip
    coverage = np.mean(hits, axis=0)
    print("coverage of mu, gamma, sigma_11:", coverage)
    assert np.all((coverage >= 0.90) & (coverage <= 0.99)), coverage
