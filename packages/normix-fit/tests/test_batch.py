"""`BatchEMFitter` on synthetic data: monotone, honest, one loop on the device, clear errors."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam.internal import to_host
from normix_fit import FAMILIES, BatchEMFitter, EMResult, Status, fit
from normix_fit._compilation import compile_spans
from normix_fit._em._evaluation import Plan
from normix_fit._em._loop import Rules, advance, init, loop_on_device, loop_on_host
from normix_fit._observe import observe
from normix_fit._result._em_result import message_for
from normix_mixtures import Held, NormalInverseGaussian

N, D = 120, 3  # one shape, so that compiled loops are shared
KINDS = ("heavy", "near-normal", "normal", "cauchy", "outlier", "repeated", "zeros", "skewed")


def synthetic(kind, seed=0, n=N, d=D):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ np.array([[1.0, 0.3, 0.0], [0.0, 1.0, -0.5], [0.0, 0.0, 2.0]])
    if kind == "heavy":
        X = X / np.sqrt(rng.gamma(2.0, size=(n, 1)))
    elif kind == "near-normal":
        X = X / np.sqrt(rng.gamma(50.0, 1 / 50, size=(n, 1)))
    elif kind == "cauchy":
        X = X / np.abs(rng.standard_normal((n, 1)))
    elif kind == "outlier":
        X = 0.01 * X
        X[0] = 100.0
    elif kind == "repeated":
        X[n // 2 :] = X[: n - n // 2]
    elif kind == "zeros":
        X = 0.01 * X / np.sqrt(rng.gamma(1.0, size=(n, 1)))
        X[: n // 4] = 0
    elif kind == "skewed":
        y = rng.gamma(1.5, size=(n, 1))
        X = 2 * y + np.sqrt(y) * X
    return X


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


@pytest.mark.parametrize("seeds", [[0], pytest.param([1, 2, 3], marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_fit_is_monotone_and_says_how_it_ended(kind, name, seeds):
    for seed in seeds:
        X = synthetic(kind, seed)
        result = fit(X, name)
        assert np.all(np.diff(result.log_likelihoods) >= 0)
        assert np.all(np.isfinite(result.log_likelihoods))
        leaves = jax.tree.leaves(eqx.filter(result.model, eqx.is_inexact_array))
        assert all(np.all(np.isfinite(leaf)) for leaf in leaves)
        total = float(np.sum(result.model.log_prob(X)))
        assert total == pytest.approx(result.log_likelihood, rel=1e-9, abs=1e-6)
        assert isinstance(result.status, Status)
        assert result.converged == result.status.converged
        assert result.status not in (Status.NON_FINITE, Status.SOLVER_STALLED), seed
        if result.status == Status.UNBOUNDED:
            p, _, b = result.model.joint.subordinator_as_gig()
            assert float(b) < 1e-6
            # at b = 0, in its successor, which was not taken, a cusp or worse at μ
            assert float(p) <= D / 2 + 1.25
        if result.converged and result.status != Status.NORMAL_LIMIT:
            assert_stationary(result, X)


def assert_stationary(result, X):
    """Fresh steps from the result gain next to nothing, as far as a crawling EM can tell."""
    again = BatchEMFitter(max_iter=3, tol=1e-30, gain_tol=1e-30).fit(result.model, X)
    assert again.log_likelihood <= result.log_likelihood + 1e-3


def test_variance_gamma_with_zero_rows_is_unbounded_and_says_so():
    result = fit(synthetic("zeros"), "vg")
    assert result.status == Status.UNBOUNDED
    assert not result.converged
    assert "repeated rows" in result.message


@pytest.mark.cpu
def test_device_and_host_loops_give_the_same_iterates(name):
    X = synthetic("heavy")[:60, :2]
    start = FAMILIES[name].default_init(X)
    device = BatchEMFitter(max_iter=8, backend="jax").fit(start, X)
    host = BatchEMFitter(max_iter=8, backend="cpu").fit(start, X)
    mixed = BatchEMFitter(max_iter=8, backend="jax", e_step_backend="cpu").fit(start, X)
    for other in (host, mixed):
        assert other.n_iter == device.n_iter
        np.testing.assert_allclose(other.log_likelihoods, device.log_likelihoods, rtol=1e-10)
        np.testing.assert_allclose(other.model.mu, device.model.mu, rtol=0, atol=1e-8)


def test_the_python_loop_and_the_device_loop_are_one_iteration():
    rows = observe("fit", synthetic("heavy"))
    units = rows.units()
    data = rows.standardised(units)
    start = units.to_standard(NormalInverseGaussian.default_start(rows))
    state = init(start)
    rules = Rules(jnp.asarray(1e-5), jnp.asarray(1e-7), jnp.asarray(-jnp.inf), "anderson")
    plan = Plan("jax", "jax", "em", Held())
    host = loop_on_host(init(to_host(start)), data, np.int32(501), plan, to_host(rules))
    (device,) = advance([state], data, [501], plan, rules)
    assert int(host.status) == int(device.status) == Status.CONVERGED
    assert int(host.evaluated) == int(device.evaluated)
    for got, expected in (
        (host.log_likelihoods, device.log_likelihoods),
        (host.model.mu, device.model.mu),
        (host.model.sigma, device.model.sigma),
        (host.model.joint.subordinator_as_gig(), device.model.joint.subordinator_as_gig()),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.cpu
def test_backends_reach_one_optimum(name):
    X = synthetic("heavy")[:60, :2]
    ends = [
        fit(X, name, gain_tol=1e-10, tol=1e-7, **backends).log_likelihood
        for backends in ({"backend": "jax"}, {"backend": "cpu"})
    ]
    assert ends[1] == pytest.approx(ends[0], rel=1e-8)


def test_a_second_fit_of_the_same_shape_compiles_nothing():
    first, second = synthetic("heavy", 10), synthetic("cauchy", 11)
    fit(first, "gh")
    with compile_spans() as compiled:
        jax.jit(lambda x: x * 3.25 + 1)(jnp.ones(3)).block_until_ready()
        assert compiled, "compilations are heard"
        compiled.clear()
        fit(second, "gh")
        assert compiled == []


def test_no_callback_in_the_loop():
    rows = observe("fit", synthetic("heavy"))
    model = rows.units().to_standard(FAMILIES["gh"].default_start(rows))
    rules = Rules(jnp.asarray(1e-5), jnp.asarray(1e-7), jnp.asarray(-jnp.inf), "anderson")
    arguments = init(model), rows, jnp.int32(11), Plan("jax", "jax", "em", Held())
    text = str(eqx.filter_make_jaxpr(loop_on_device)(*arguments, rules)[0])
    assert "while" in text
    assert "callback" not in text


def test_the_result_is_a_pytree_with_right_counts(name):
    X = synthetic("heavy")
    result = fit(X, name)
    assert isinstance(result, EMResult)
    doubled = jax.tree.map(lambda leaf: leaf, result)
    assert doubled.log_likelihood == result.log_likelihood
    assert doubled.status is result.status
    k = 2 * D + D * (D + 1) // 2 + {"gh": 2, "nig": 1, "vg": 1, "ninvg": 1}[name]
    assert result.n_parameters == k
    assert result.aic == pytest.approx(2 * k - 2 * result.log_likelihood)
    assert result.bic == pytest.approx(k * np.log(N) - 2 * result.log_likelihood)
    assert result.log_likelihoods.shape == (result.n_iter + 1,)
    assert result.param_changes.shape == (result.n_iter,)
    assert np.all(result.param_changes >= 0)
    assert result.log_likelihood == result.log_likelihoods[-1]
    assert result.elapsed > 0
    assert result.n_observations == N


def test_both_tests_must_hold():
    """Plain EM, whose steps shrink one after the other; tolerances are no part of the program."""
    X = synthetic("heavy")
    start = FAMILIES["gh"].default_init(X)

    def iterations(**options):
        return BatchEMFitter(acceleration=None, **options).fit(start, X).n_iter

    by_gain, by_change = iterations(convergence="likelihood"), iterations(convergence="parameters")
    assert iterations() == max(by_gain, by_change)
    assert by_gain != by_change
    assert by_gain == iterations(tol=1e9)
    assert by_change == iterations(gain_tol=1e9)


def test_one_test_alone_stops_too_early():
    """The example of docs/fit.md."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2)) / np.sqrt(rng.gamma(4.0, size=(300, 1)))
    end = fit(X, "gh", tol=1e-9, gain_tol=1e-10)

    def plain(**options):
        result = fit(X, "gh", acceleration=None, **options)
        scale = np.sqrt(np.diagonal(end.model.sigma))
        off = np.max(np.abs(result.model.gamma - end.model.gamma) / scale)
        return result.n_iter, end.log_likelihood - result.log_likelihood, off

    both, parameters = plain(), plain(convergence="parameters")
    assert parameters[0] < both[0]
    assert both[1] < 1.2e-7
    assert parameters[1] > 5e-7
    both, likelihood = plain(tol=1e-6), plain(tol=1e-6, convergence="likelihood")
    assert likelihood[0] < both[0]
    assert both[2] < likelihood[2] / 2


def test_max_iter_is_said():
    result = fit(synthetic("heavy"), "gh", max_iter=1)
    assert result.status == Status.MAX_ITER
    assert result.n_iter == 1
    assert not result.converged
    assert "try several starts" in result.message
    assert "larger max_iter" in result.message


def test_every_status_has_a_message():
    assert len({message_for(status) for status in Status}) == len(Status)


# every family goes through the session float32
@pytest.mark.parametrize(
    "name",
    ["nig", *(pytest.param(x, marks=pytest.mark.slow) for x in ("gh", "vg", "ninvg"))],
    indirect=True,
)
def test_single_precision_warns_once_and_works(name):
    X = synthetic("heavy")
    with pytest.warns(UserWarning, match="float32") as record:
        result = fit(X.astype(np.float32), name, backend="jax")
    assert len(record) == 1
    assert result.model.mu.dtype == jnp.float32
    assert result.log_likelihood == pytest.approx(fit(X, name).log_likelihood, rel=1e-4)
    assert np.all(np.diff(result.log_likelihoods) >= 0)


def test_a_start_of_another_precision_is_brought_to_that_of_the_data():
    X = synthetic("heavy")
    start = NormalInverseGaussian.default_init(X.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = BatchEMFitter().fit(start, X)
    assert result.model.mu.dtype == jnp.float64
    assert result.log_likelihood == pytest.approx(fit(X, "nig").log_likelihood, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": 0}, "max_iter must be an integer >= 1, got 0"),
        ({"max_iter": 2.5}, "max_iter"),
        ({"tol": 0.0}, "tol must be > 0, got 0.0"),
        ({"tol": float("nan")}, "tol must be > 0, got nan"),
        ({"gain_tol": -1.0}, "gain_tol must be > 0, got -1.0"),
        ({"backend": "gpu"}, "backend"),
        ({"e_step_backend": "gpu"}, "e_step_backend"),
        ({"m_step_backend": "gpu"}, "m_step_backend"),
        ({"convergence": "gain"}, "convergence"),
    ],
)
def test_bad_settings(options, message):
    """A TypeError comes from the type checker of these tests, where it is first."""
    with pytest.raises((ValueError, TypeError), match=message):
        BatchEMFitter(**options)


def changed(value):
    X = synthetic("heavy")
    X[7, 1] = value
    return X


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((3, 3)), r"X must have more rows than columns, got \(3, 3\)"),
        (np.ones(5), r"X must have shape \(n, d\), got \(5,\)"),
        (changed(np.nan), "X must be finite, got nan in row 7, column 1"),
        (changed(np.inf), "X must be finite, got inf in row 7, column 1"),
        (synthetic("heavy")[:, :2], "X must have the 3 columns of the model, got 2"),
        (synthetic("heavy")[:, [0, 1, 1]], "linearly independent, got column 2"),
    ],
)
def test_bad_data(X, message):
    start = NormalInverseGaussian.default_init(synthetic("heavy"))
    with pytest.raises(ValueError, match=message):
        BatchEMFitter().fit(start, X)


def test_unknown_family():
    with pytest.raises(
        ValueError, match=f"family must be one of {', '.join(FAMILIES)}, got 'normal'"
    ):
        fit(synthetic("heavy"), "normal")


def test_a_start_without_finite_likelihood():
    X = synthetic("heavy")
    X = np.r_[X[:59], -X[:59], np.zeros((2, 3))]  # of median 0, so that no rounding moves the rows
    start = FAMILIES["vg"].from_classical(np.zeros(3), np.zeros(3), np.eye(3), alpha=0.5, beta=1.0)
    with pytest.raises(ValueError, match="model must give the data a finite likelihood"):
        BatchEMFitter().fit(start, X)
