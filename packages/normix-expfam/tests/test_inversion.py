"""η -> θ for GIG laws: the whole box of parameters, the boundary, and what is no mean at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from normix_expfam import (
    GIG,
    InverseGamma,
    Status,
    gig_log_partition,
    gig_moments,
    solve_gig,
    solve_gig_of_order,
)
from normix_expfam.internal import has_converged

SIZE = 10_000  # every call is padded to this many problems, so that each function compiles once
SOME_ETA = (0.0, 2.0, 2.0)
NO_START = (0.0, 0.0, 0.0)  # a start on the boundary is replaced by the default

_solve = jax.jit(jax.vmap(lambda eta, start: solve_gig(eta, tuple(start))))
_moments = jax.jit(gig_moments)
_psi = jax.jit(gig_log_partition)


def padded(rows, row):
    rows = np.asarray(rows, np.float64)
    return np.concatenate([rows, np.broadcast_to(row, (SIZE - len(rows), len(row)))])


def solve(eta, start=()):
    """Parameters (n, 3) and statuses (n,) for η (n, 3), from starts (n, 3) or none."""
    start = padded(start, NO_START) if len(start) else np.zeros((SIZE, 3))
    p, a, b, status, _ = (np.asarray(x)[: len(eta)] for x in _solve(padded(eta, SOME_ETA), start))
    return np.stack([p, a, b], axis=-1), status


def moments(laws):
    """η (n, 3) of parameters (n, 3)."""
    found = _moments(*padded(laws, (1.0, 1.0, 1.0)).T)
    return np.stack([np.asarray(x)[: len(laws)] for x in found[1:]], axis=-1)


def likelihood(laws, eta):
    """θ·η - ψ, the mean log-likelihood, of parameters (n, 3) at η (n, 3) or (3,)."""
    laws = np.asarray(laws)
    psi = np.asarray(_psi(*padded(laws, (1.0, 1.0, 1.0)).T))[: len(laws)]
    theta = np.stack([laws[:, 0] - 1, -laws[:, 2] / 2, -laws[:, 1] / 2], axis=-1)
    return np.sum(theta * eta, axis=-1) - psi


def relative_error(got, expected):
    return np.max(np.abs(got / expected - 1), axis=-1)


@pytest.fixture(scope="module")
def box():
    """Laws with p in ±50, a and b in 10^±6."""
    rng = np.random.default_rng(20240)
    p, a, b = rng.uniform(-50, 50, SIZE), *10 ** rng.uniform(-6, 6, (2, SIZE))
    return np.stack([p, a, b], axis=-1)


def test_solutions_over_the_box_have_the_mean_statistics_asked_for(box):
    eta = moments(box)
    laws, status = solve(eta)
    assert np.all(np.isfinite(laws))
    assert np.all(has_converged(status))
    assert np.quantile(relative_error(moments(laws), eta), 0.999) < 1e-9


def test_a_start_leads_to_the_same_law(box):
    eta = moments(box)
    noise = np.random.default_rng(11).normal(size=(SIZE, 3))
    start = box * np.exp(noise * (0, 1, 1)) + noise * (1, 0, 0)
    laws, status = solve(eta, start)
    assert np.all(np.isfinite(laws))
    np.testing.assert_array_equal(status, solve(eta)[1])
    assert np.quantile(relative_error(moments(laws), eta), 0.999) < 1e-9


def test_no_problem_of_the_box_holds_up_its_batch(box):
    steps = np.asarray(_solve(moments(box), np.zeros((SIZE, 3))).steps)
    assert np.median(steps) <= 7
    assert np.max(steps) <= 30


@pytest.mark.parametrize("change", [1e-6, 1e-2, 1.0])
def test_concentrated_laws_are_reached_from_nearby_starts(change):
    # differences of the objective are rounding here: the decrement has to decide
    rng = np.random.default_rng(4)
    p, z = rng.uniform(-50, 50, SIZE), 10 ** rng.uniform(3, 5, SIZE)
    ratio = 10 ** rng.uniform(-2, 2, SIZE)
    laws = np.stack([p, z * ratio, z / ratio], axis=-1)
    eta = moments(laws)
    found = _solve(eta, laws * np.exp(change * np.array([0, 1, -1])))
    np.testing.assert_array_equal(found.status, Status.CONVERGED)
    assert np.max(np.asarray(found.steps)) <= (8 if change < 1e-3 else 60)
    back = moments(np.stack(found[:3], axis=-1))
    sd_of_log = 1 / np.sqrt(z)[:, None]
    assert np.max(np.abs(back - eta) / np.maximum(np.abs(eta), [1, 0, 0] * sd_of_log)) < 1e-8


exponents = st.floats(-2, 2)


@settings(max_examples=40)
@given(st.floats(-8, 8), exponents, exponents, st.integers(-300, 300))
def test_the_solution_is_equivariant_under_a_change_of_scale(p, log_a, log_b, power):
    c = 2.0**power
    (log_y, inverse_y, y) = eta = moments([(p, 10**log_a, 10**log_b)])[0]
    scaled = np.array([log_y + np.log(c), inverse_y / c, y * c])
    laws, status = solve([eta, scaled])
    assert status[0] == status[1]
    assert np.max(np.abs(laws[1] * (1, c, 1 / c) - laws[0]) / (1 + np.abs(laws[0]))) < 1e-6
    back = moments(laws)
    np.testing.assert_allclose(back[1, 1:], scaled[1:], rtol=1e-9)
    np.testing.assert_allclose(back[:, 0], [eta[0], scaled[0]], rtol=1e-9, atol=1e-9)


def gamma_shape(c):
    return optimize.brentq(
        lambda alpha: np.log(alpha) - special.digamma(alpha) - c, 0.5 / c, 1 / c, rtol=1e-14
    )


def gamma_margin(eta):
    """E 1/Y against that of the gamma law fitted to (E log Y, E Y); negative for α <= 1."""
    log_y, inverse_y, y = eta
    alpha = gamma_shape(np.log(y) - log_y)
    return inverse_y * (alpha - 1) * y / alpha - 1 if alpha > 1 else -1.0


def boundary_cases():
    """Mean statistics of gamma samples and their margins; about half are on the boundary."""
    rng = np.random.default_rng(5)
    rows = []
    for shape in (1.5, 3.0, 12.0, 80.0):
        for scale in (1e-5, 1.0, 1e4):
            for _ in range(5):
                x = scale * rng.gamma(shape, size=400)
                rows.append([np.mean(np.log(x)), np.mean(1 / x), np.mean(x)])
    margins = np.array([gamma_margin(row) for row in rows])
    assert np.min(np.abs(margins)) > 1e-9
    return np.array(rows), margins >= 0


@pytest.mark.parametrize("mirrored", [False, True])
def test_maxima_on_the_boundary_are_exact_gamma_and_inverse_gamma_laws(mirrored):
    eta, on_boundary = boundary_cases()
    assert 10 <= np.count_nonzero(on_boundary) <= 50
    limit, zero = Status.GAMMA_LIMIT, 2
    if mirrored:  # Y -> 1/Y
        eta = eta[:, [0, 2, 1]] * (-1, 1, 1)
        limit, zero = Status.INVERSE_GAMMA_LIMIT, 1
    laws, status = solve(eta)
    np.testing.assert_array_equal(status == limit, on_boundary)
    assert np.all(has_converged(status))
    np.testing.assert_array_equal(laws[:, zero] == 0, on_boundary)
    own = laws[on_boundary]
    np.testing.assert_allclose(
        moments(own)[:, [0, zero]], eta[on_boundary][:, [0, zero]], rtol=1e-9
    )


@pytest.mark.parametrize("mirrored", [False, True])
def test_no_interior_law_near_a_boundary_maximum_is_more_likely(mirrored):
    eta, on_boundary = boundary_cases()
    eta = eta[on_boundary]
    if mirrored:
        eta = eta[:, [0, 2, 1]] * (-1, 1, 1)
    best, _ = solve(eta)
    rng = np.random.default_rng(8)
    zero, other = (1, 2) if mirrored else (2, 1)
    for spread in (1e-3, 1e-2, 0.1, 0.5):
        near = best * np.exp(spread * rng.normal(size=best.shape))
        # the product a b has no unit
        near[:, zero] = spread**2 * np.exp(rng.normal(size=len(near))) / best[:, other]
        assert np.all(near[:, 1:] > 0)
        allowed = 1e-13 * np.abs(best[:, 0]) * (1 + np.abs(eta[:, 0]))
        assert np.all(likelihood(best, eta) >= likelihood(near, eta) - allowed)


INFEASIBLE = {
    "E log Y = log E Y": (np.log(2.0), 1.0, 2.0),
    "E log Y > log E Y": (1.0, 1.0, 2.0),
    "E log Y < -log E 1/Y": (-1.0, 1.0, 2.0),
    "E Y E 1/Y < 1": (0.0, 0.5, 1.5),
    "E Y E 1/Y = 1": (0.0, 1.0, 1.0),
    "nan": (np.nan, 2.0, 2.0),
    "nan mean": (0.0, 2.0, np.nan),
    "negative mean": (0.0, 2.0, -2.0),
    "negative inverse mean": (0.0, -2.0, 2.0),
    "both negative": (0.0, -2.0, -2.0),
    "zero": (0.0, 0.0, 2.0),
    "infinite": (0.0, np.inf, 2.0),
    "infinite log": (-np.inf, 2.0, 2.0),
}


def test_what_is_no_mean_of_the_statistics_is_infeasible():
    laws, status = solve(list(INFEASIBLE.values()))
    np.testing.assert_array_equal(status, Status.INFEASIBLE)
    assert np.all(np.isnan(laws))


@pytest.mark.parametrize("backend", ["jax", "cpu"])
@pytest.mark.parametrize("eta", INFEASIBLE.values(), ids=INFEASIBLE)
def test_infeasible_eta_is_an_error_naming_it(eta, backend):
    with pytest.raises(ValueError, match=r"GeneralizedInverseGaussian.*: eta must .*, got .*; "):
        GIG.from_expectation(np.array(eta), backend=backend)


def test_degenerate_eta_gives_a_finite_concentrated_law():
    mean, log_s = np.sqrt(1 + 1e-13), np.array([0.0, -9.0, 20.0])
    eta = np.stack([log_s, mean / np.exp(log_s), mean * np.exp(log_s)], axis=-1)
    laws, status = solve(eta)
    np.testing.assert_array_equal(status, Status.DEGENERATE)
    assert np.all(np.isfinite(laws))
    np.testing.assert_allclose(moments(laws), eta, rtol=1e-9, atol=1e-9)


@pytest.mark.cpu
def test_the_cpu_solver_reaches_the_same_likelihood():
    rng = np.random.default_rng(3)
    laws = np.stack([rng.uniform(-6, 6, 10), *10 ** rng.uniform(-1, 1, (2, 10))], axis=-1)
    eta = moments(laws)
    reached = {}
    for backend in ("jax", "cpu"):
        found = [GIG.from_expectation(row, backend=backend) for row in eta]
        reached[backend] = likelihood([[law.p, law.a, law.b] for law in found], eta)
    assert np.max(np.abs(reached["cpu"] - reached["jax"])) < 1e-9


@pytest.mark.cpu
@pytest.mark.parametrize("law", [(-8.5, 650.0, 340.0), (25.8, 1.4, 1.4e5), (-50.0, 1e6, 1e6)])
def test_the_cpu_solver_does_not_stop_short_at_concentrated_laws(law):
    eta = moments([law])[0]
    found = GIG.from_expectation(eta, backend="cpu")
    reached, best = likelihood([[found.p, found.a, found.b], law], eta)
    assert abs(reached - best) <= 1e-11 * max(1, law[1] + law[2])


def test_the_solver_calls_nothing_on_the_host():
    text = str(jax.make_jaxpr(solve_gig)(jnp.asarray(SOME_ETA)))
    assert "while" in text
    assert "callback" not in text


def test_every_status_has_a_message_of_its_own():
    messages = {status.message for status in Status}
    assert len(messages) == len(Status)
    assert all(messages)


@pytest.mark.parametrize("alpha", [0.2, 0.9, 3.0])
def test_an_infinite_mean_puts_the_maximum_on_the_inverse_gamma_limit(alpha):
    law = InverseGamma(alpha, 2.0)
    log_y, inverse_y = (float(x) for x in law.expectation_params())
    eta = jnp.array([log_y, inverse_y, jnp.inf])
    for found in (solve_gig(eta), solve_gig(eta, (jnp.asarray(-1.0), *jnp.ones(2)))):
        assert int(found.status) == Status.INVERSE_GAMMA_LIMIT
        np.testing.assert_allclose(found[:3], [-alpha, 0.0, 4.0], rtol=1e-12)
    held = solve_gig_of_order(jnp.asarray(-alpha), eta[1], eta[2])
    assert int(held.status) == Status.INVERSE_GAMMA_LIMIT
    np.testing.assert_allclose(held[:3], [-alpha, 0.0, 4.0], rtol=1e-12)
