"""The GIG law beside its peers.

Peers are scipy.stats.geninvgauss and the CPU solver of normix-expfam, L-BFGS-B over SciPy's
Bessel functions. Where they are slow they do a portion of the work, and their time is scaled.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from normix_expfam import (
    GIG,
    gig_log_partition,
    gig_moments,
    sample_gig,
    solve_gig,
)
from normix_expfam.internal import has_converged

N = 10_000
PEER_POINTS = 200
PEER_PROBLEMS = 20
SLOW = 5  # rounds beside a slow peer

pytestmark = pytest.mark.benchmark(group="gig")


def box(n: int) -> np.ndarray:
    """Random laws, p in ±50, a and b in 10^±6, shape (n, 3)."""
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-50, 50, n), *10 ** rng.uniform(-6, 6, (2, n))], axis=-1)


@jax.jit
def means(p, a, b):
    return jnp.stack(gig_moments(p, a, b)[1:], axis=-1)


@jax.jit
def likelihood(law, eta):
    """θ·η - ψ, the mean log-likelihood of data with mean statistics η."""
    return law.natural_params() @ eta - law.log_partition()


solve = jax.jit(jax.vmap(solve_gig))


def test_inversion_of_ten_thousand_problems(benchmark, beside):
    """From mean statistics η to the parameters, 10 000 problems"""
    eta = means(*box(N).T)
    some = np.asarray(eta[:PEER_PROBLEMS])
    solution, found = beside(
        lambda: solve(eta),
        rounds=3,
        portion=PEER_PROBLEMS / N,
        cpu_solver=lambda: [GIG.from_expectation(row, backend="cpu") for row in some],
    )
    error = np.max(np.abs(np.asarray(means(*solution[:3]) / eta) - 1), axis=-1)
    assert np.mean(error < 1e-9) >= 0.999
    assert np.all(has_converged(solution.status))
    ours = [GIG(*(float(field[i]) for field in solution[:3])) for i in range(PEER_PROBLEMS)]
    gain = [
        likelihood(a, row) - likelihood(b, row) for a, b, row in zip(ours, found, some, strict=True)
    ]
    assert np.min(gain) > -1e-9
    benchmark.extra_info["solved_to_1e-9"] = float(np.mean(error < 1e-9))


def test_one_inversion(beside):
    """From mean statistics η to the parameters, one problem"""
    eta = jnp.asarray(GIG(-0.7, 2.0, 0.5).expectation_params())
    solution, _ = beside(
        lambda: solve_gig(eta),
        cpu_solver=lambda: GIG.from_expectation(np.asarray(eta), backend="cpu"),
    )
    np.testing.assert_allclose(solution[:3], [-0.7, 2.0, 0.5], rtol=1e-9)


@pytest.fixture(scope="module")
def law():
    return GIG(1.5, 2.0, 3.0)


@eqx.filter_jit
def cdf(law, x):
    return law.cdf(x)


@eqx.filter_jit
def ppf(law, q):
    return law.ppf(q)


def test_cdf(beside, law):
    """Distribution function at 10 000 points"""
    x = np.random.default_rng(0).gamma(2.0, 2.0, N)
    some, frozen = x[:PEER_POINTS], law.to_scipy()
    got, theirs = beside(
        lambda: cdf(law, x),
        rounds=SLOW,
        portion=PEER_POINTS / N,
        scipy_geninvgauss=lambda: frozen.cdf(some),
    )
    np.testing.assert_allclose(got[:PEER_POINTS], theirs, rtol=1e-8)


def test_ppf(beside, law):
    """Quantiles at 10 000 levels"""
    q = np.random.default_rng(0).uniform(1e-3, 1 - 1e-3, N)
    some, frozen = q[:PEER_POINTS], law.to_scipy()
    got, theirs = beside(
        lambda: ppf(law, q),
        rounds=SLOW,
        portion=PEER_POINTS / N,
        scipy_geninvgauss=lambda: frozen.ppf(some),
    )
    np.testing.assert_allclose(cdf(law, got), q, rtol=1e-12)
    np.testing.assert_allclose(got[:PEER_POINTS], theirs, rtol=1e-6)


def test_sampling_with_arrays_of_parameters(beside):
    """10 000 draws, each from its own law"""
    rng = np.random.default_rng(0)
    p, a, b = rng.uniform(-5, 5, N), *10 ** rng.uniform(-1, 1, (2, N))
    key, some = jax.random.key(0), slice(PEER_POINTS)
    frozen = stats.geninvgauss(p[some], np.sqrt(a * b)[some], scale=np.sqrt(b / a)[some])
    got, theirs = beside(
        lambda: sample_gig(key, p, a, b),
        rounds=SLOW,
        portion=PEER_POINTS / N,
        scipy_geninvgauss=lambda: frozen.rvs(random_state=rng),
    )
    # log Y - E log Y has mean 0
    expected = np.asarray(means(p, a, b))
    centred = np.log(np.asarray(got)) - expected[:, 0]
    assert abs(centred.mean()) < 5 * centred.std() / np.sqrt(N)
    assert np.all(theirs > 0)


def test_sampling_of_one_law(beside, law):
    """10 000 draws from one law"""
    key, frozen, rng = jax.random.key(0), law.to_scipy(), np.random.default_rng(0)
    draw = jax.jit(lambda key: law.sample(key, (N,)))
    got, _ = beside(lambda: draw(key), scipy_geninvgauss=lambda: frozen.rvs(N, random_state=rng))
    assert abs(np.mean(got) - law.mean()) < 5 * law.std() / np.sqrt(N)


def fisher(p, a, b):
    return eqx.filter_vmap(lambda p, a, b: GIG(p, a, b, check=False).fisher_information())(p, a, b)


TRIAD = {"value": gig_log_partition, "mean": gig_moments, "covariance": fisher}


@pytest.mark.parametrize("what", TRIAD)
def test_log_partition(beside, what):
    """ψ, its gradient (mean) and its Hessian (covariance), 10 000 laws"""
    p, a, b = box(N).T
    f = jax.jit(TRIAD[what])

    def textbook():
        """What gradients by differences in the order take."""
        z = np.sqrt(a * b)
        return [np.log(special.kve(p + shift, z)) for shift in (0, 1e-4, -1e-4, 1, -1)]

    with np.errstate(over="ignore", divide="ignore"):
        got, _ = beside(lambda: f(p, a, b), five_scipy_kve=textbook)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))
