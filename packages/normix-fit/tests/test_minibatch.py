"""`MiniBatchEMFitter`: the batch optimum from arrays and chunks, in any units; clear errors."""

import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import BatchEMFitter, MiniBatchEMFitter, OnlineEMFitter, Status
from normix_fit._observe import observe
from normix_fit._stream._chunks import ChunkedRows, _checksum, in_blocks, read_head
from normix_mixtures import NormalInverseGaussian, VarianceGamma

N, D, B = 100_000, 3, 256
SMALL = 4096 + 100  # no multiple of B
TRUE = NormalInverseGaussian.from_classical(
    np.array([0.1, -0.2, 0.3]),
    np.array([0.3, -0.2, 0.1]),
    np.array([[1.0, 0.4, 0.2], [0.4, 1.0, -0.3], [0.2, -0.3, 2.0]]),
    mu_ig=1.0,
    lam=1.0,
)


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(3)  # compiles nothing
    y = rng.wald(1.0, 1.0, (N, 1))
    z = rng.standard_normal((N, D)) @ np.asarray(TRUE.L_Sigma).T
    return np.asarray(TRUE.mu) + np.asarray(TRUE.gamma) * y + np.sqrt(y) * z


@pytest.fixture(scope="module")
def optimum(X):
    """Log-likelihood of the batch optimum, to about a nat."""
    fitter = BatchEMFitter(tol=1e-2, gain_tol=1.0, acceleration=None)
    return fitter.fit(NormalInverseGaussian.default_init(X), X).log_likelihood


@pytest.fixture
def small(X):
    return X[:SMALL]


def start_of(X):
    return NormalInverseGaussian.from_classical(
        X.mean(axis=0), None, 3 * np.cov(X.T), mu_ig=1.0, lam=1.0
    )


def total(model, X):
    return float(jnp.sum(model.log_prob(X)))


@pytest.mark.parametrize(("n_passes", "gap"), [(1, 1e-3), (10, 1e-5)])
def test_the_batch_optimum_is_reached(X, optimum, n_passes, gap):
    result = MiniBatchEMFitter(n_passes=n_passes).fit(start_of(X), X)
    assert optimum - result.log_likelihood < gap * N
    assert optimum - result.log_likelihoods[0] > 5e-3 * N, "the start is no optimum"
    assert result.n_iter == n_passes
    assert result.log_likelihoods.shape == (n_passes + 1,)
    assert result.param_changes.shape == (n_passes,)
    assert result.n_observations == N
    assert result.log_likelihood == pytest.approx(total(result.model, X), rel=1e-10)
    assert result.log_likelihoods[0] == pytest.approx(total(start_of(X), X), rel=1e-10)
    assert result.status == (Status.CONVERGED if n_passes == 10 else Status.MAX_ITER)


def test_an_iterator_of_chunks_reaches_it_in_one_pass(X, optimum):
    pieces = (piece for piece in np.array_split(X, 7))
    result = MiniBatchEMFitter(n_passes=1).fit(start_of(X[:2000]), pieces)
    assert optimum - total(result.model, X) < 1e-3 * N
    assert result.n_iter == 1
    assert result.n_observations == N
    assert result.log_likelihoods[0] == pytest.approx(total(start_of(X[:2000]), X), rel=1e-10)
    # each row is seen by a model that has not used it, the first ones by a bad one
    assert result.log_likelihoods[0] < result.log_likelihood < optimum
    assert optimum - result.log_likelihood < 1e-2 * N


def test_the_chunks_do_not_matter(small):
    """Left-over rows of a chunk begin the next batch, and those of a pass the next pass."""
    fitter = MiniBatchEMFitter(n_passes=3)
    lengths = [700, 30, 1000, 256, 1, 1500]
    pieces = np.split(small, np.cumsum(lengths))
    start = start_of(small)
    one = fitter.fit(start, [small[:700], small[700:]])
    two = fitter.fit(start, pieces)
    np.testing.assert_allclose(two.log_likelihoods, one.log_likelihoods, rtol=1e-10)
    assert bool(two.model.is_close(one.model))
    assert one.n_iter == 3
    assert one.n_observations == SMALL
    assert one.log_likelihood == pytest.approx(total(one.model, small), rel=1e-10)
    single = MiniBatchEMFitter(n_passes=1).fit(start, pieces)
    once = MiniBatchEMFitter(n_passes=1).fit(start, iter(pieces))
    assert bool(once.model.is_close(single.model))
    assert once.log_likelihood != single.log_likelihood
    anew = fitter.fit(start, lambda: (piece for piece in pieces))
    np.testing.assert_array_equal(anew.log_likelihoods, two.log_likelihoods)


class Loader:
    """Chunks that a function makes for every pass."""

    def __init__(self, chunks):
        self.chunks = chunks
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        return iter(self.chunks(self.passes))


def test_what_can_be_passed_once_is_never_called_converged(small):
    """256 rows are one block: no row is seen by the model after its M-step."""
    start = start_of(small)
    fit = MiniBatchEMFitter(n_passes=1).fit(start, iter([small[:100], small[100:256]]))
    assert fit.log_likelihoods[0] == pytest.approx(fit.log_likelihoods[1], rel=1e-12)
    assert fit.status == Status.MAX_ITER
    shared = iter([small[:300]])
    for once, kind in (
        (iter([small[:300]]), "list_iterator"),
        ((piece for piece in [small[:300]]), "generator"),
        (Loader(lambda _: shared), "list_iterator"),
        (lambda: shared, "list_iterator"),
    ):
        message = f"X must allow 5 passes, got one {kind}.*a function that returns.*OnlineEMFitter"
        with pytest.raises(ValueError, match=message):
            MiniBatchEMFitter().fit(start, once)


def test_passes_in_another_order_are_the_same_rows(small):
    def shuffled(number):
        return np.array_split(np.random.default_rng(number).permutation(small), number)

    loader = Loader(shuffled)
    result = MiniBatchEMFitter(n_passes=2).fit(start_of(small), loader)
    assert result.n_observations == SMALL
    assert loader.passes >= 5


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (lambda X, k: [X[:600], X[600 : 2000 - k]], "1997 rows in one pass and 1996 in"),
        (lambda X, k: [X[:600], X[600:2000] + 1e-12 * k], "other values in the 2000 rows"),
        (lambda X, k: [X[k : 1000 + k]], "other values in the 1000 rows"),
    ],
)
def test_passes_that_bring_other_rows_are_an_error(small, chunks, message):
    with pytest.raises(
        ValueError, match=f"X must bring the same rows in every pass, got {message}"
    ):
        MiniBatchEMFitter(n_passes=2).fit(start_of(small), Loader(lambda k: chunks(small, k)))


def test_a_source_that_is_used_up_behind_the_iterators_is_an_error(small):
    source = iter(np.array_split(small, 4))
    with pytest.raises(ValueError, match="rows in one pass and 0 in another"):
        MiniBatchEMFitter().fit(start_of(small), lambda: (piece for piece in source))


def test_a_checksum_is_that_of_the_rows_in_any_order_and_chunks():
    for dtype in (np.float64, np.float32):
        X = np.random.default_rng(0).standard_normal((50, 3)).astype(dtype)
        whole = _checksum(X)
        assert _checksum(X[::-1]) == whole
        assert (_checksum(X[:20]) + _checksum(X[20:])) % 2**64 == whole
        others = [X[:, ::-1], -X, X[:49], np.concatenate([X[:1], X[:49]])]
        moved = X.copy()
        moved[[3, 7], 1] = moved[[7, 3], 1]
        nudged = X.copy()
        nudged[5, 2] = np.nextafter(nudged[5, 2], dtype(np.inf))
        assert whole not in {_checksum(other) for other in (*others, moved, nudged)}


@pytest.mark.parametrize("n_passes", [1, 2])
def test_first_chunks_may_be_empty_short_or_constant(small, n_passes):
    flat = small[:300].copy()
    flat[:, 1] = 2.5
    X = np.concatenate([flat, small[300:]])
    pieces = [X[:0], X[:1], X[1:3], X[3:300], X[300:1000], X[1000:]]
    start = start_of(X)
    fitter = MiniBatchEMFitter(n_passes=n_passes)
    result = fitter.fit(start, iter(pieces) if n_passes == 1 else pieces)
    assert result.n_observations == SMALL
    assert result.log_likelihoods[0] == pytest.approx(total(start, X), rel=1e-10)
    assert bool(result.model.is_close(fitter.fit(start, [X[:1000], X[1000:]]).model))


@pytest.mark.parametrize("n", [512, 600])
def test_passes_over_chunks_see_every_row_as_often(small, n):
    """No block comes twice: the states are those of online updates, block by block."""
    fitter = MiniBatchEMFitter(n_passes=3)
    start = start_of(small[:n])
    rows = np.concatenate([small[:n]] * 3)
    state = fitter.online.init(start)
    for block in range(0, len(rows) - len(rows) % 256, 256):
        state = fitter.online.update(state, rows[block : block + 256])
    _, head = read_head("fit", iter([small[:n]]), n)
    states = fitter._in_order(start, ChunkedRows("fit", lambda: [small[:n]], head))
    *_, last = states
    assert float(last.n_rows) == len(rows) - len(rows) % 256
    assert bool(fitter.online.model(last).is_close(fitter.online.model(state)))


def test_blocks_hold_every_row_once():
    rows = np.arange(40.0).reshape(20, 2)
    chunks = [rows[3:4], rows[4:15], rows[15:15], rows[15:]]
    blocks = list(in_blocks(chunks, 6, rows[:3]))
    assert [len(block) for block in blocks] == [6, 6, 6, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), rows)
    assert [len(block) for block in in_blocks(chunks[:3], 6, None)] == [6, 6]
    assert list(in_blocks([], 6, None)) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_units_do_not_matter(small, chunked):
    shift, scale = np.array([2.0, -50.0, 0.0]), np.array([1e-6, 1.0, 1e6])
    moved = shift + scale * small
    fitter = MiniBatchEMFitter(n_passes=1)
    results = []
    for data in (small, moved):
        pieces = np.array_split(data, 3) if chunked else data
        results.append(fitter.fit(start_of(data), pieces))
    one, two = results
    back = two.model.rescaled(jnp.asarray(-shift / scale), jnp.asarray(1 / scale))
    assert bool(back.is_close(one.model, rtol=1e-6))
    jacobian = SMALL * np.sum(np.log(scale))
    np.testing.assert_allclose(two.log_likelihoods + jacobian, one.log_likelihoods, atol=1e-4)


def test_a_seed_gives_its_own_order_and_passes_differ(small):
    start = start_of(small)
    one, again, other = (
        MiniBatchEMFitter(n_passes=1, seed=seed).fit(start, small) for seed in (0, 0, 1)
    )
    assert one.log_likelihood == again.log_likelihood
    assert one.log_likelihood != other.log_likelihood
    # 356 rows, of which 100 are left out of each pass: two passes see more than one does
    few = MiniBatchEMFitter(n_passes=2, online=OnlineEMFitter(burn_in=2 * B))
    states = few._shuffled(few.online.init(start), jnp.asarray(small[:356]))
    first, second = (np.asarray(state.statistics.x) for state in states)
    assert np.all(np.abs(second - first) > 1e-12)


def test_converged_is_a_pass_that_changes_little(small):
    start = start_of(small)
    fit = MiniBatchEMFitter(n_passes=2, gain_tol=1e-12).fit(start, small)
    assert fit.status == Status.MAX_ITER
    assert not fit.converged
    change = abs(fit.log_likelihoods[2] - fit.log_likelihoods[1]) / SMALL
    for tolerance, status in ((change * 1.01, Status.CONVERGED), (change * 0.99, Status.MAX_ITER)):
        again = MiniBatchEMFitter(n_passes=2, gain_tol=tolerance).fit(start, small)
        assert again.status == status


def test_integers_are_rows(small):
    whole = np.round(100 * small).astype(int)
    start = start_of(whole)
    result = MiniBatchEMFitter(n_passes=1).fit(start, whole)
    assert result.log_likelihood == pytest.approx(total(result.model, whole), rel=1e-10)


@pytest.mark.slow
def test_single_precision_warns_once_and_works(small):
    X = small.astype(np.float32)
    with pytest.warns(UserWarning, match=r"MiniBatchEMFitter.fit runs in float32") as record:
        result = MiniBatchEMFitter(n_passes=1).fit(start_of(small), X)
    assert len(record) == 1
    assert result.model.mu.dtype == jnp.float32
    double = MiniBatchEMFitter(n_passes=1).fit(start_of(small), small)
    assert result.log_likelihood == pytest.approx(double.log_likelihood, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"n_passes": 0}, "n_passes must be an integer >= 1, got 0"),
        ({"gain_tol": 0.0}, "gain_tol must be > 0, got 0.0"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        MiniBatchEMFitter(**options)


def with_nan(X):
    X = X.copy()
    X[700, 1] = np.nan
    return X


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:100], "batch_size must be at most the 100 rows of X, got 256"),
        (lambda X: X[:, :2], "X must have the 3 columns of model, got 2"),
        (with_nan, "X must be finite, got nan in row 700, column 1"),
        (lambda _: [], "X must have chunks, got none"),
        (lambda X: [X[:2]], "first chunks: X must have more rows than columns"),
        (lambda X: [X[:600], with_nan(X)], r"chunk 1 must be finite, got nan or inf in row \[700"),
        (lambda X: [X[:600], X[:, :2]], r"chunk 1 must have shape \(rows, 3\)"),
        (lambda X: [X[:9, 0]], r"first chunks: X must have shape \(n, d\)"),
        (lambda X: [with_nan(X), X], "first chunks: X must be finite"),
    ],
)
def test_bad_data(small, change, message):
    with pytest.raises(ValueError, match=message):
        MiniBatchEMFitter().fit(start_of(small), change(small))


def test_too_few_rows_for_a_batch(small):
    with pytest.raises(ValueError, match="fill batches of 256 rows beyond the burn-in, got 200"):
        MiniBatchEMFitter(n_passes=1).fit(start_of(small), [small[:200]])


def test_a_start_without_finite_likelihood(small):
    small = np.asarray(small)
    rows = np.r_[small, -small, np.zeros((1, 3))]  # of median 0, so that no rounding moves them
    pole = VarianceGamma.from_classical(np.zeros(3), None, np.eye(3), alpha=0.5, beta=1.0)
    with pytest.raises(ValueError, match="model must give the data a finite likelihood"):
        MiniBatchEMFitter().fit(pole, rows)


def test_rows_in_chunks_are_the_rows_of_one_array():
    """Sums, maxima, total and scatter, in blocks that chunks do not fill."""
    X = np.random.default_rng(11).standard_normal((50, 2)) * [1.0, 30.0] + [5.0, -2.0]
    _, head = read_head("fit", iter([X]), 50)
    chunked = ChunkedRows("fit", lambda: [X[:7], X[7:30], X[30:]], head)
    dense = observe("fit", X)
    assert chunked.n_observations == dense.n_observations == 50
    for rows in (chunked, chunked.standardised(chunked.units())):
        whole = dense if rows is chunked else dense.standardised(dense.units())
        mean = np.mean(np.asarray(whole.X), axis=0)
        for one, other in (
            (rows.reduce(lambda X, w: w @ X**2, most=16), whole.reduce(lambda X, w: w @ X**2)),
            (rows.reduce_max(lambda X, _: X.max(axis=0)), whole.reduce_max(lambda X, _: X.max(0))),
            (rows.scatter_factor(jnp.asarray(mean)), whole.scatter_factor(jnp.asarray(mean))),
            (rows.middle(), whole.middle()),
            (rows.total, whole.total),
        ):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_float32_start_holds_a_given_value_in_the_precision_of_the_data():
    X = np.random.default_rng(12).standard_normal((60, 2))
    start = NormalInverseGaussian.default_init(X.astype(np.float32))
    mu = np.array([0.1, 0.2])
    result = BatchEMFitter(fixed={"mu": mu}, max_iter=1).fit(start, X)
    np.testing.assert_allclose(result.model.mu, mu, rtol=1e-14)
