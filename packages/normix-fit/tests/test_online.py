"""`OnlineEMFitter`: its recursion by hand, weights, gauge and origin, refusals, clear errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam import Status
from normix_fit import FAMILIES, BatchEMFitter, OnlineEMFitter, OnlineState, UpdateStatus
from normix_fit._compilation import compile_spans
from normix_fit._data import DenseRows
from normix_fit._stream._update import _gauge_factor, _step, update_state
from normix_mixtures import MixtureStatistics, NormalInverseGaussian, PosteriorMoments

M, D = 64, 3  # one block shape, so that compiled updates are shared
TRUE = NormalInverseGaussian.from_classical(
    np.array([0.1, -0.2, 0.3]),
    np.array([0.3, -0.2, 0.1]),
    np.array([[1.0, 0.4, 0.2], [0.4, 1.0, -0.3], [0.2, -0.3, 2.0]]),
    mu_ig=1.0,
    lam=1.0,
)


def stream(n_blocks, seed=0, law=TRUE):
    """Draws of a law with p = -1/2, by NumPy: nothing is compiled for them."""
    rng = np.random.default_rng(seed)
    p, a, b = map(float, law.joint.subordinator_as_gig())
    assert p == -0.5
    y = rng.wald(np.sqrt(b / a), b, (n_blocks, M, 1))
    z = rng.standard_normal((n_blocks, M, law.dimension)) @ np.asarray(law.L_Sigma).T
    return np.asarray(law.mu) + np.asarray(law.gamma) * y + np.sqrt(y) * z


def mean_of_x(statistics):
    """The mean of the rows that the statistics weigh."""
    return np.asarray(statistics.origin + statistics.x / statistics.n)


def decay(kappa, t, before, delay=0.0, scale=1.0):
    """ρ of the blocks from `before` to t units: 1 - exp(-∫ scale (s + delay)^-kappa ds)."""
    power = 1 - kappa
    return -np.expm1(-scale * ((t + delay) ** power - (before + delay) ** power) / power)


def run(fitter, blocks, start, weights=None):
    state = fitter.init(start)
    for k, rows in enumerate(blocks):
        state = fitter.update(state, rows, None if weights is None else weights[k])
    return state


@pytest.fixture(scope="module")
def start():
    rows = stream(1, seed=99)[0]
    return NormalInverseGaussian.from_classical(
        rows.mean(axis=0), None, 3 * np.cov(rows.T), mu_ig=1.0, lam=1.0
    )


def normal_equations(s):
    """μ, γ and Σ of the M-step from mean statistics, no gauge involved."""
    inverse_y, y = float(s.inverse_y / s.n), float(s.y / s.n)
    x, over_y, square = (np.asarray(v / s.n) for v in (s.x, s.x_inverse_y, s.xx_inverse_y))
    mu, gamma = np.linalg.solve([[inverse_y, 1.0], [1.0, y]], np.stack([over_y, x]))
    sigma = square - np.outer(over_y, mu) - np.outer(mu, over_y) + inverse_y * np.outer(mu, mu)
    return mu + np.asarray(s.origin), gamma, sigma - y * np.outer(gamma, gamma)


SUBORDINATORS = {
    "gamma": lambda rng: rng.gamma(1.5, size=400),
    "inverse gamma": lambda rng: 1 / rng.gamma(1.5, size=400),
    "lognormal": lambda rng: np.exp(rng.standard_normal(400)),
}


def complete_statistics(kind, seed):
    """Statistics of rows whose Y is known."""
    rng = np.random.default_rng(seed)
    y = SUBORDINATORS[kind](rng)
    X = 1 + 0.3 * y[:, None] + np.sqrt(y)[:, None] * rng.standard_normal((400, D))
    found = PosteriorMoments(*(jnp.asarray(v) for v in (0 * y, np.log(y), 1 / y, y)))
    return MixtureStatistics.from_rows(jnp.asarray(X), found, None, jnp.ones(D))


@pytest.mark.parametrize("kind", SUBORDINATORS)
@pytest.mark.parametrize("name", FAMILIES)
def test_statistics_in_the_gauge_of_the_model_give_its_own_normal_part(name, kind):
    met = set()
    for seed in range(4):
        statistics = complete_statistics(kind, seed).rescaled_subordinator(jnp.asarray(7.0))
        start = FAMILIES[name].from_moments(np.zeros(D), np.eye(D), spread=1.0)
        model, solved = start.maximise(statistics)
        met.add(Status(int(solved)))
        factor = _gauge_factor(model, statistics)
        assert abs(float(factor) - 1) > 0.1, "there is something to move"
        mu, gamma, sigma = normal_equations(statistics.rescaled_subordinator(factor))
        np.testing.assert_allclose(model.mu, mu, rtol=0, atol=1e-8)
        np.testing.assert_allclose(model.gamma, gamma, rtol=0, atol=1e-8)
        np.testing.assert_allclose(model.sigma, sigma, rtol=0, atol=1e-8)
    if name == "gh":
        assert {
            "gamma": Status.GAMMA_LIMIT,
            "inverse gamma": Status.INVERSE_GAMMA_LIMIT,
            "lognormal": Status.CONVERGED,
        }[kind] in met


def test_rescaled_statistics_are_those_of_the_rescaled_subordinator(start):
    X = stream(1)[0]
    factor = jnp.asarray(3.0)
    moved = start._wrap(start.joint.rescaled_subordinator(factor)).statistics(X)
    for one, two in zip(
        jax.tree.leaves(moved),
        jax.tree.leaves(start.statistics(X).rescaled_subordinator(factor)),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


def test_the_path_is_that_of_models_kept_in_one_gauge(start):
    """By hand, nothing normalised: the statistics need not move, because no model does."""
    fitter = OnlineEMFitter(kappa=0.7, burn_in=1)
    blocks = stream(8)
    model, s = start, None
    for t, rows in enumerate(blocks, start=1):
        block = MixtureStatistics.from_rows(
            jnp.asarray(rows), model.e_step(rows), jnp.full(M, 1 / M), start.mu
        )
        rho = decay(0.7, t, t - 1)
        s = block if s is None else jax.tree.map(lambda a, b, r=rho: (1 - r) * a + r * b, s, block)
        fitted = model.m_step_from_statistics(s)
        shrink = jnp.asarray(fitted.sigma[0, 0] / normal_equations(s)[2][0, 0])
        model = fitted._wrap(fitted.joint.rescaled_subordinator(shrink))
    assert abs(float(jnp.log(shrink))) > 1e-3, "the gauge of the fitter has moved"
    state = run(fitter, blocks, start)
    assert UpdateStatus(int(state.status)) == UpdateStatus.MOVED
    assert bool(state.model.is_close(model, rtol=1e-8))


def filtered(blocks, steps):
    """The mean of x in the statistics, which no model enters."""
    value = np.zeros(D)
    for rows, step in zip(blocks, steps, strict=True):
        value = value + step * (rows.mean(axis=0) - value)
    return value


def test_steps_are_running_means_and_then_decay(start):
    blocks = stream(6)
    fitter = OnlineEMFitter(kappa=0.8, delay=2.0, scale=1.5, burn_in=3 * M)
    state = run(fitter, blocks, start)
    # the unit is the burn-in of three blocks
    steps = [1, 1 / 2, 1 / 3, *(decay(0.8, t / 3, (t - 1) / 3, 2.0, 1.5) for t in (4, 5, 6))]
    np.testing.assert_allclose(mean_of_x(state.statistics), filtered(blocks, steps), atol=1e-12)
    assert float(state.statistics.n) == pytest.approx(1, abs=1e-12)
    assert float(state.n_rows) == 6 * M
    assert int(state.n_updates) == 6
    assert float(state.n_averaged) == 4 * M  # the third block ends the burn-in


def test_the_model_rests_during_the_burn_in(start):
    fitter = OnlineEMFitter(burn_in=2 * M)
    first = run(fitter, stream(1), start)
    assert UpdateStatus(int(first.status)) == UpdateStatus.BURN_IN
    assert bool(first.model.is_close(start))
    second = run(fitter, stream(2), start)
    assert UpdateStatus(int(second.status)) == UpdateStatus.MOVED
    every_row = start.m_step_from_statistics(sum(start.statistics(rows) for rows in stream(2)))
    assert bool(second.model.is_close(every_row, rtol=1e-8)), "all rows weigh the same"
    assert not bool(second.model.is_close(start, rtol=1e-2))


def test_a_block_is_its_two_halves_under_one_model(start):
    fitter = OnlineEMFitter(burn_in=10**6)
    a, b = stream(2)
    halves = [np.concatenate([a[:32], b[:32]]), np.concatenate([a[32:], b[32:]])]
    one, two = run(fitter, (a, b), start), run(fitter, halves, start)
    for x, y in zip(jax.tree.leaves(one.statistics), jax.tree.leaves(two.statistics), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", [
    {}, {"kappa": 1.0}, {"kappa": 0.51, "delay": 3.0, "scale": 1.7}, {"forgetting": 300.0},
])  # fmt: skip
@pytest.mark.parametrize("before", [0.0, 7.0, 150.0, 1e6])
def test_what_is_kept_of_the_past_does_not_depend_on_the_pieces(options, before, dtype):
    settings = OnlineEMFitter(burn_in=100, **options).settings(D, np.dtype(dtype))
    per_row, per_block = jnp.asarray(1.0, dtype), jnp.asarray(20.0, dtype)
    pieces = jnp.asarray([1e-9, 3.0, 0.25, 100.0, 30.0], dtype)
    steps, seen = [], jnp.asarray(before, dtype)
    for m in pieces:
        steps.append(float(_step(seen, m, per_row, per_block, settings)))
        seen += m
    seen = jnp.asarray(before, dtype)
    whole = float(_step(seen, pieces.sum(), per_row, per_block, settings))
    tolerance = 50 * float(np.finfo(dtype).eps)
    assert 1 - whole == pytest.approx(np.prod(1 - np.array(steps)), rel=0, abs=tolerance)
    assert before == 0 or 0 < steps[0] < 1e-9
    # the step of next to nothing is its rate times its weight, with all digits
    if before:
        twice = float(_step(seen, 2 * pieces[0], per_row, per_block, settings))
        assert twice == pytest.approx(2 * steps[0], rel=tolerance)


def test_forgetting_halves_the_weight_in_a_half_life(start):
    fitter = OnlineEMFitter(forgetting=2.0 * M, burn_in=1)
    blocks = stream(5)
    state = run(fitter, blocks, start)
    weights = 2.0 ** (-np.arange(5)[::-1] / 2)
    expected = weights / weights.sum() @ blocks.mean(axis=1)
    np.testing.assert_allclose(mean_of_x(state.statistics), expected, rtol=0, atol=1e-12)


def test_forgetting_follows_a_change_of_law(start):
    other = TRUE.rescaled(jnp.array([3.0, -2.0, 0.0]), jnp.array([1.0, 2.0, 0.5]))
    blocks = np.concatenate([stream(20), stream(80, 1, other)])
    fresh = stream(12, 5, other).reshape(-1, D)
    best = float(jnp.mean(other.log_prob(fresh)))

    def loss(fitter):
        model = fitter.model(run(fitter, blocks, start))
        return best - float(jnp.mean(model.log_prob(fresh)))

    assert loss(OnlineEMFitter(forgetting=3.0 * M)) < 0.05
    assert loss(OnlineEMFitter(kappa=1.0)) > 0.5


def test_averaging_is_the_mean_of_the_statistics_in_one_gauge(start):
    fitter = OnlineEMFitter(burn_in=2 * M, averaging=True)
    blocks = stream(12)
    state, kept, factors = fitter.init(start), [], []
    for rows in blocks:
        before = state
        state = fitter.update(before, rows)
        kept.append(state)
        inside = before.model.statistics(rows, np.full(M, 1.0 / M))
        t = len(kept)
        step = 1.0 / t if t <= 2 else decay(0.6, t / 2, (t - 1) / 2)
        mixed = float(before.statistics.y * (1 - step) + step * inside.y)
        factors.append(float(state.statistics.y) / mixed)
    to_last = np.cumprod([1.0, *factors[:0:-1]])[::-1]
    y = [float(k.statistics.y) * f for k, f in zip(kept, to_last, strict=True)][1:]
    assert np.ptp(factors) > 1e-3
    weights = 2 * np.arange(1, len(y) + 1) - 1.0  # differences of squares
    weights = weights / np.sum(weights)
    assert float(state.averaged.y) == pytest.approx(weights @ y, rel=1e-9)
    x = weights @ np.stack([mean_of_x(k.statistics) for k in kept[1:]])
    np.testing.assert_allclose(mean_of_x(state.averaged), x, rtol=0, atol=1e-12)
    model = fitter.model(state)
    assert bool(model.is_close(model.m_step_from_statistics(state.averaged), rtol=1e-8))
    plain = OnlineEMFitter(burn_in=2 * M)
    assert bool(plain.model(state).is_close(state.model, rtol=0.0))
    assert not bool(model.is_close(state.model, rtol=1e-3))


def test_averaging_takes_off_noise(start):
    blocks = stream(200)
    rows = blocks.reshape(-1, D)
    state = run(OnlineEMFitter(), blocks, start)
    plain, averaged = (
        float(jnp.mean(OnlineEMFitter(averaging=averaging).model(state).log_prob(rows)))
        for averaging in (False, True)
    )
    assert averaged > plain
    assert averaged > float(jnp.mean(TRUE.log_prob(rows))) - 1e-3


def test_before_the_first_move_the_average_is_the_start(start):
    fitter = OnlineEMFitter(averaging=True)
    assert bool(fitter.model(fitter.init(start)).is_close(start))


def test_a_weight_is_a_number_of_rows(start):
    fitter = OnlineEMFitter(burn_in=1)
    first, rows = stream(2)
    twice = np.concatenate([rows[:32], rows[:32]])
    weights = np.repeat([2.0, 0.0], 32)
    one = run(fitter, (first, twice), start, np.ones((2, M)))
    two = run(fitter, (first, rows), start, [np.ones(M), weights])
    alike = eqx.tree_at(lambda s: s.weight_per_row, two, one.weight_per_row)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(alike), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)
    assert float(two.log_likelihood) == pytest.approx(
        2 * float(jnp.sum(run(fitter, (first,), start).model.log_prob(rows[:32])))
    )


def refused(state, before, status):
    assert UpdateStatus(int(state.status)) == status
    assert status.refused
    assert int(state.n_refused) == int(before.n_refused) + 1
    for x, y in zip(jax.tree.leaves(state.model), jax.tree.leaves(before.model), strict=True):
        np.testing.assert_array_equal(x, y)


def drifting(n_blocks, size, dtype):
    """Blocks whose mean moves by 0.1 a row."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((n_blocks * size, 2)) + 0.1 * np.arange(n_blocks * size)[:, None]
    return rows.reshape(n_blocks, size, 2).astype(dtype)


@pytest.mark.filterwarnings("ignore:OnlineEMFitter.init runs in float32")
def test_single_precision_follows_a_drift_as_double_does():
    law = NormalInverseGaussian.from_moments(np.zeros(2), np.eye(2), spread=1.0)
    one, two = (
        run(
            OnlineEMFitter(forgetting=50.0),
            drifting(600, 20, dtype),
            jax.tree.map(lambda leaf, to=dtype: leaf.astype(to), law),
        )
        for dtype in (np.float64, np.float32)
    )
    assert int(one.n_refused) == int(two.n_refused) == 0
    np.testing.assert_allclose(one.model.mean(), two.model.mean(), rtol=0, atol=0.05)
    np.testing.assert_allclose(one.model.cov(), two.model.cov(), rtol=0.02)
    # a row is on average 50 / log 2 rows old, and the last half a block
    assert float(two.model.mean()[0]) == pytest.approx(0.1 * (12_000 - 50 / np.log(2)), abs=2)


@pytest.mark.filterwarnings("ignore:OnlineEMFitter.init runs in float32")
@pytest.mark.parametrize(("dtype", "far", "d"), [
    (np.float64, 1e100, 3), (np.float32, 1e15, 1),
    pytest.param(np.float64, 1e100, 1, marks=pytest.mark.slow),
    pytest.param(np.float32, 1e15, 3, marks=pytest.mark.slow),
])  # fmt: skip
@pytest.mark.parametrize("name", ["nig", pytest.param("gh", marks=pytest.mark.slow)])
@pytest.mark.parametrize("place", ["first", "later", "single"])
def test_one_extreme_row_does_not_end_a_stream(name, d, dtype, far, place):
    law = FAMILIES[name].from_moments(np.zeros(d), np.eye(d), spread=1.0)
    law = jax.tree.map(lambda leaf: leaf.astype(dtype), law)
    blocks = [*stream(12, 3, law).astype(dtype)]
    fitter = OnlineEMFitter()
    clean = run(fitter, blocks, law)
    if place == "single":
        blocks.insert(0, np.full((1, d), far, dtype))
    else:
        k = 0 if place == "first" else 5
        blocks[k] = blocks[k].copy()
        blocks[k][7, 0] = far
    state = run(fitter, blocks, law)
    assert UpdateStatus(int(state.status)) == UpdateStatus.MOVED
    assert int(state.n_refused) == (0 if place == "single" else 1)
    off = np.asarray(state.model.mean() - clean.model.mean()) / np.sqrt(np.diag(clean.model.cov()))
    assert np.all(np.abs(off) < 0.5)


@pytest.mark.filterwarnings("ignore:OnlineEMFitter.init runs in float32")
def test_statistics_start_anew_where_no_row_is_like_those_before():
    law = NormalInverseGaussian.from_moments(np.zeros(2), np.eye(2), spread=1.0)
    law = jax.tree.map(lambda leaf: leaf.astype(np.float32), law)
    rows = stream(5, 3, law).reshape(40, 8, 2).astype(np.float32)
    fitter = OnlineEMFitter()
    state = run(fitter, rows[:10], law)
    met = []
    for block in np.float32(1e9) * (3 + rows[10:]):
        state = fitter.update(state, block)
        met.append(UpdateStatus(int(state.status)).name)
    # 30 rows are refused, 30 more are the burn-in
    assert met == ["EXTREME_ROWS"] * 4 + ["BURN_IN"] * 3 + ["MOVED"] * 23
    np.testing.assert_allclose(np.asarray(state.model.mean()) / 1e9, 3, atol=0.5)


def test_statistics_that_give_no_model_are_given_up(start):
    fitter = OnlineEMFitter(burn_in=1)
    flat = np.broadcast_to([1.0, 2.0, 3.0], (1, M, D))
    state = run(fitter, [*flat, *flat], start)
    assert UpdateStatus(int(state.status)) == UpdateStatus.SINGULAR_DISPERSION
    assert int(state.n_stuck) == M
    state = fitter.update(state, stream(1)[0])
    assert UpdateStatus(int(state.status)) == UpdateStatus.MOVED
    assert float(state.n_rows) == M
    assert int(state.n_stuck) == 0
    assert isinstance(state, OnlineState)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (np.nan, UpdateStatus.NON_FINITE),
        (np.inf, UpdateStatus.NON_FINITE),
        (1e200, UpdateStatus.EXTREME_ROWS),
    ],
)
def test_a_block_without_finite_statistics_is_left_out(start, value, status):
    fitter = OnlineEMFitter(burn_in=1, averaging=True)
    blocks = stream(3)
    before = run(fitter, blocks[:2], start)
    bad = blocks[2].copy()
    bad[7, 1] = value
    state = fitter.update(before, bad)
    refused(state, before, status)
    for x, y in zip(
        jax.tree.leaves((state.statistics, state.averaged, state.n_rows, state.n_updates)),
        jax.tree.leaves((before.statistics, before.averaged, before.n_rows, before.n_updates)),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)
    following = fitter.update(state, blocks[2])
    if status == UpdateStatus.NON_FINITE:
        assert bool(following.model.is_close(run(fitter, blocks, start).model))
    else:  # so many rows were left out that the statistics start anew
        assert not UpdateStatus(int(following.status)).refused


@pytest.mark.parametrize("empty", [False, True])
def test_a_block_without_rows_that_count_changes_nothing(start, empty):
    fitter = OnlineEMFitter(burn_in=1)
    before = run(fitter, stream(1), start, np.ones((1, M)))
    rows, weights = (np.zeros((0, D)), None) if empty else (np.full((M, D), np.nan), np.zeros(M))
    state = fitter.update(before, rows, weights)
    assert float(state.log_likelihood) == 0.0
    same(eqx.tree_at(lambda s: s.log_likelihood, state, before.log_likelihood), before)


def same(one, two):
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e100])
def test_a_row_of_weight_0_may_hold_anything(start, value):
    fitter = OnlineEMFitter(burn_in=1, averaging=True)
    blocks, weights = stream(2), np.ones(M)
    weights[5] = 0.0
    spoilt = blocks[1].copy()
    spoilt[5] = value
    one, two = (
        run(fitter, [blocks[0], rows], start, [np.ones(M), weights]) for rows in (blocks[1], spoilt)
    )
    assert UpdateStatus(int(two.status)) == UpdateStatus.MOVED
    same(one, two)


@pytest.mark.parametrize("options", [{}, {"forgetting": 200.0}, {"averaging": True}])
def test_a_block_moves_the_model_by_its_weight(start, options):
    fitter = OnlineEMFitter(**options)
    before = run(fitter, stream(3), start)
    rows = stream(1, 4)[0] + 1.0
    moves = []
    for weight in (1e-12, 1e-6, 1e-3, 1.0):
        state = fitter.update(before, rows, np.full(M, weight))
        assert UpdateStatus(int(state.status)) == UpdateStatus.MOVED
        moves.append(mean_of_x(state.statistics) - mean_of_x(before.statistics))
        if weight == 1e-12:
            assert bool(fitter.model(state).is_close(fitter.model(before), rtol=1e-7))
    moves = np.array(moves)
    np.testing.assert_allclose(moves[1] / moves[0], 1e6, rtol=1e-3)
    np.testing.assert_allclose(moves[2] / moves[1], 1e3, rtol=1e-3)
    assert np.all(moves[3] > 0.1), "1 is not negligible"


def test_a_factor_of_all_weights_does_not_matter(start):
    blocks = stream(6)
    weights = np.random.default_rng(0).lognormal(0, 1.5, (6, M))
    one, two = (
        run(OnlineEMFitter(averaging=True), blocks, start, factor * weights)
        for factor in (1.0, 1e-9)
    )
    assert UpdateStatus(int(one.status)) == UpdateStatus.MOVED
    assert bool(one.model.is_close(two.model, rtol=1e-6))
    assert float(one.n_refused) == float(two.n_refused) == 0


def test_one_row_that_outweighs_all_others_ends_no_burn_in(start):
    weights = np.ones((3, M))
    weights[2, 0] = 1e9
    state = run(OnlineEMFitter(), stream(3), start, weights)
    assert UpdateStatus(int(state.status)) == UpdateStatus.BURN_IN
    assert float(state.weight_per_row) == pytest.approx(1e9, rel=1e-6)


def test_single_rows_with_weights_come_close_to_the_batch_optimum():
    rows = stream(12, seed=1).reshape(-1, D)
    weights = 10.0 ** np.random.default_rng(1).uniform(-3, 3, len(rows))
    best = BatchEMFitter().fit(NormalInverseGaussian.default_init(rows, weights), rows, weights)
    fitter = OnlineEMFitter(averaging=True)
    state = fitter.init(NormalInverseGaussian.default_init(rows[:60]))
    for row, weight in zip(rows, weights, strict=True):
        state = fitter.update(state, row[None, :], weight[None])
    reached = weights @ np.asarray(fitter.model(state).log_prob(rows))
    assert (best.log_likelihood - reached) / weights.sum() < 0.05
    assert int(state.n_refused) == 0


def test_a_singular_dispersion_is_refused_and_the_rows_are_kept(start):
    fitter = OnlineEMFitter(burn_in=1)
    before = fitter.init(start)
    flat = stream(2).copy()
    flat[0, :, 2] = 5.0
    state = fitter.update(before, flat[0])
    refused(state, before, UpdateStatus.SINGULAR_DISPERSION)
    assert int(state.n_updates) == 1
    assert "burn_in" in UpdateStatus(int(state.status)).message
    state = fitter.update(state, flat[1])
    assert UpdateStatus(int(state.status)) == UpdateStatus.MOVED


def test_every_status_has_a_message():
    assert len({status.message for status in UpdateStatus}) == len(UpdateStatus)


def test_a_second_stream_of_the_same_shape_compiles_nothing(start):
    first, second = stream(3, 10), stream(3, 11)
    run(OnlineEMFitter(burn_in=1), first, start)
    with compile_spans() as compiled:
        jax.jit(lambda x: x * 3.5 + 1)(jnp.ones(3)).block_until_ready()
        assert compiled, "compilations are heard"
        compiled.clear()
        run(OnlineEMFitter(kappa=0.9, delay=3.0, burn_in=100), second, start)
        assert compiled == []


def test_no_callback_in_an_update(start):
    fitter = OnlineEMFitter(forgetting=100.0)
    arguments = fitter.init(start), DenseRows(jnp.zeros((M, D)), jnp.ones(M))
    settings = fitter.settings(D, start.mu.dtype)
    text = str(eqx.filter_make_jaxpr(update_state)(*arguments, settings)[0])
    assert "cholesky" in text
    assert "callback" not in text


def test_single_precision_warns(start):
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), start)
    with pytest.warns(UserWarning, match="float32") as record:
        state = OnlineEMFitter().init(single)
    assert len(record) == 1
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {
        np.dtype("float32"),
        np.dtype("int32"),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kappa": 0.5}, r"kappa must be in \(1/2, 1\], got 0.5"),
        ({"kappa": 1.1}, "kappa"),
        ({"kappa": float("nan")}, "kappa"),
        ({"delay": -1.0}, "delay must be finite and >= 0, got -1.0"),
        ({"scale": 0.0}, "scale must be finite and > 0, got 0.0"),
        ({"forgetting": 0.0}, "forgetting must be finite and > 0, got 0.0; pass a half-life"),
        ({"forgetting": 10.0, "averaging": True}, "averaging must be False with forgetting"),
        ({"burn_in": -1}, "burn_in must be an integer >= 0, got -1"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        OnlineEMFitter(**options)


@pytest.mark.parametrize(
    ("rows", "weights", "message"),
    [
        (np.zeros(D), None, r"rows must have shape \(n, 3\), got \(3,\); .*x\[None, :\]"),
        (np.zeros((M, 2)), None, r"got \(64, 2\)"),
        (np.zeros((M, D)), np.ones(3), r"weights must have shape \(64,\), got \(3,\)"),
        (np.zeros((M, D)), -np.ones(M), "weights must be finite and non-negative"),
    ],
)
def test_bad_blocks(start, rows, weights, message):
    fitter = OnlineEMFitter()
    with pytest.raises(ValueError, match=message):
        fitter.update(fitter.init(start), rows, weights)
