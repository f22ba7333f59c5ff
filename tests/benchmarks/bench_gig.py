"""The GIG law beside its peers: ratios of medians taken one after the other in one run.

Peers are scipy.stats.geninvgauss and the CPU solver of normix-expfam, L-BFGS-B over scipy's
Bessel functions. They are timed on fewer points, and ratios are per point.
"""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from normix_expfam import GIG, InversionStatus, gig_moments, sample_gig, solve_gig

ROUNDS = 7
N = 10_000
PEER_POINTS = 200
PEER_PROBLEMS = 40


def box(n: int, seed: int = 0) -> np.ndarray:
    """Random laws, p in ±50, a and b in 10^±6, shape (n, 3)."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(-50, 50, n), *10 ** rng.uniform(-6, 6, (2, n))], axis=-1)


def seconds(f: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Median seconds of a call, after one that warms the cache."""
    jax.block_until_ready(f())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(f())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def measured(benchmark: Any, f: Callable[[], Any], n: int) -> Any:
    """Benchmark f, of n points; store its first call; give its result and seconds per point."""
    start = time.perf_counter()
    jax.block_until_ready(f())
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    benchmark.extra_info["n"] = n
    return benchmark(lambda: jax.block_until_ready(f())), seconds(f) / n


@jax.jit
def means(p, a, b):
    return jnp.stack(gig_moments(p, a, b)[1:], axis=-1)


@jax.jit
def likelihood(law, eta):
    """θ·η - ψ, the mean log-likelihood of data with mean statistics η."""
    return law.natural_params() @ eta - law.log_partition()


solve = jax.jit(jax.vmap(solve_gig))


@pytest.mark.benchmark(group="gig: eta to theta")
def test_inversion_of_ten_thousand_problems(benchmark):
    laws = box(N)
    eta = means(*laws.T)
    solution, each = measured(benchmark, lambda: solve(eta), N)
    error = np.max(np.abs(np.asarray(means(*solution[:3]) / eta) - 1), axis=-1)
    assert np.mean(error < 1e-9) >= 0.999
    assert np.max(solution.status) <= InversionStatus.INVERSE_GAMMA_LIMIT

    some = np.asarray(eta[:PEER_PROBLEMS])
    start = time.perf_counter()
    found = [GIG.from_expectation(row, backend="cpu") for row in some]
    peer = (time.perf_counter() - start) / PEER_PROBLEMS
    ours = [GIG(*(float(field[i]) for field in solution[:3])) for i in range(PEER_PROBLEMS)]
    gain = [
        likelihood(a, row) - likelihood(b, row) for a, b, row in zip(ours, found, some, strict=True)
    ]
    assert np.min(gain) > -1e-9
    benchmark.extra_info["times_faster_than_cpu_solver"] = peer / each
    benchmark.extra_info["us_each"] = each * 1e6
    benchmark.extra_info["cpu_ms_each"] = peer * 1e3
    benchmark.extra_info["share_below_1e-9"] = float(np.mean(error < 1e-9))


@pytest.mark.benchmark(group="gig: eta to theta")
def test_one_warm_inversion(benchmark):
    eta = jnp.asarray(GIG(-0.7, 2.0, 0.5).expectation_params())
    solution, each = measured(benchmark, lambda: solve_gig(eta), 1)
    np.testing.assert_allclose(solution[:3], [-0.7, 2.0, 0.5], rtol=1e-9)
    benchmark.extra_info["ms"] = each * 1e3


@pytest.fixture(scope="module")
def law():
    return GIG(1.5, 2.0, 3.0)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).gamma(2.0, 2.0, N)


@eqx.filter_jit
def cdf(law, x):
    return law.cdf(x)


@eqx.filter_jit
def ppf(law, q):
    return law.ppf(q)


@pytest.mark.benchmark(group="gig: distribution")
def test_cdf(benchmark, law, x):
    got, each = measured(benchmark, lambda: cdf(law, x), N)
    frozen, some = law.to_scipy(), x[:PEER_POINTS]
    np.testing.assert_allclose(got[:PEER_POINTS], frozen.cdf(some), rtol=1e-8)
    peer = seconds(lambda: frozen.cdf(some), 3) / PEER_POINTS
    benchmark.extra_info["times_faster_than_scipy"] = peer / each
    benchmark.extra_info["us_each"] = each * 1e6


@pytest.mark.benchmark(group="gig: distribution")
def test_ppf(benchmark, law):
    q = np.random.default_rng(0).uniform(1e-3, 1 - 1e-3, N)
    got, each = measured(benchmark, lambda: ppf(law, q), N)
    np.testing.assert_allclose(cdf(law, got), q, rtol=1e-12)
    frozen, some = law.to_scipy(), q[:PEER_POINTS]
    np.testing.assert_allclose(got[:PEER_POINTS], frozen.ppf(some), rtol=1e-6)
    peer = seconds(lambda: frozen.ppf(some), 3) / PEER_POINTS
    benchmark.extra_info["times_faster_than_scipy"] = peer / each
    benchmark.extra_info["us_each"] = each * 1e6


@pytest.mark.benchmark(group="gig: sampling")
def test_sampling_with_arrays_of_parameters(benchmark):
    rng = np.random.default_rng(0)
    p, a, b = rng.uniform(-5, 5, N), *10 ** rng.uniform(-1, 1, (2, N))
    key = jax.random.key(0)
    got, each = measured(benchmark, lambda: sample_gig(key, p, a, b), N)
    # log Y - E log Y has mean 0
    expected = np.asarray(means(p, a, b))
    centred = np.log(np.asarray(got)) - expected[:, 0]
    assert abs(centred.mean()) < 5 * centred.std() / np.sqrt(N)
    some = slice(PEER_POINTS)
    frozen = stats.geninvgauss(p[some], np.sqrt(a * b)[some], scale=np.sqrt(b / a)[some])
    assert np.all(frozen.rvs(random_state=rng) > 0)
    peer = seconds(lambda: frozen.rvs(random_state=rng), 3) / PEER_POINTS
    benchmark.extra_info["times_faster_than_scipy"] = peer / each
    benchmark.extra_info["us_each"] = each * 1e6


@pytest.mark.benchmark(group="gig: sampling")
def test_sampling_of_one_law(benchmark, law):
    key = jax.random.key(0)
    draw = jax.jit(lambda key: law.sample(key, (N,)))
    got, each = measured(benchmark, lambda: draw(key), N)
    frozen, rng = law.to_scipy(), np.random.default_rng(0)
    assert abs(np.mean(got) - law.mean()) < 5 * law.std() / np.sqrt(N)
    peer = seconds(lambda: frozen.rvs(N, random_state=rng), 3) / N
    benchmark.extra_info["times_faster_than_scipy"] = peer / each
    benchmark.extra_info["us_each"] = each * 1e6


@pytest.mark.benchmark(group="gig: log-partition triad")
@pytest.mark.parametrize("what", ["value", "mean", "covariance"])
def test_triad(benchmark, what):
    """On the box; the share is that of five scipy kve, the textbook's gradient."""
    from scipy import special

    from normix_expfam import gig_log_partition

    laws = box(N)
    p, a, b = laws.T

    def fisher(p, a, b):
        return eqx.filter_vmap(lambda p, a, b: GIG(p, a, b, check=False).fisher_information())(
            p, a, b
        )

    f = jax.jit({"value": gig_log_partition, "mean": gig_moments, "covariance": fisher}[what])
    got, each = measured(benchmark, lambda: f(p, a, b), N)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))

    def textbook():
        z = np.sqrt(a * b)
        return [np.log(special.kve(p + shift, z)) for shift in (0, 1e-4, -1e-4, 1, -1)]

    with np.errstate(over="ignore", divide="ignore"):
        peer = seconds(textbook) / N
    benchmark.extra_info["share_of_five_kve"] = each / peer
    benchmark.extra_info["us_each"] = each * 1e6
