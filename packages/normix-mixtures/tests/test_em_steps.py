"""The pieces of EM: additive statistics, E-step, M-step, and what they guarantee."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normix_mixtures import MixtureStatistics


@eqx.filter_jit
def e_step(model, X):
    return model.e_step(X)


@eqx.filter_jit
def em_step(model, X):
    """The likelihood before and after one step."""
    expectations = model.e_step(X)
    after = model.m_step(X, expectations)
    return jnp.sum(expectations.log_prob), after, jnp.sum(after.log_prob(X))


@eqx.filter_jit
def m_step(model, X, expectations):
    return model.m_step(X, expectations)


@eqx.filter_jit
def statistics(model, X, weights):
    return model.statistics(X, weights)


@pytest.fixture
def X(model):
    return model.sample(jax.random.key(5), (60,))


def test_expectations_are_those_of_the_posterior(model, X):
    """E g(Y) | x by the ratio of integrals of the joint density over log y."""
    u, step = np.linspace(-18, 14, 1601, retstep=True)
    got = e_step(model, X)
    for i in range(3):
        points = model.joint.pack(np.tile(X[i], (len(u), 1)), np.exp(u))
        weight = np.exp(np.asarray(model.joint.log_prob(points)) + u) * step
        total = weight.sum()
        assert float(got.log_prob[i]) == pytest.approx(np.log(total), rel=1e-10)
        for value, g in ((got.log_y, u), (got.inverse_y, np.exp(-u)), (got.y, np.exp(u))):
            assert float(value[i]) == pytest.approx(weight @ g / total, rel=1e-9, abs=1e-10)


def test_backends_agree(model, X, log_prob):
    for jax_value, cpu_value in zip(e_step(model, X), model.e_step(X, backend="cpu"), strict=True):
        np.testing.assert_allclose(jax_value, cpu_value, rtol=1e-10, atol=1e-11)
    expectations = e_step(model, X)
    on_jax = m_step(model, X, expectations)
    on_cpu = model.m_step(X, expectations, backend="cpu")
    np.testing.assert_allclose(log_prob(on_jax, X), log_prob(on_cpu, X), rtol=1e-6, atol=1e-6)


def test_statistics_add(model, X, log_prob):
    whole = statistics(model, X, None)
    parts = statistics(model, X[:13], None) + statistics(model, X[13:], None)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    from_parts = model.m_step_from_statistics(parts)
    direct = m_step(model, X, e_step(model, X))
    np.testing.assert_allclose(log_prob(from_parts, X), log_prob(direct, X), rtol=1e-9)


def test_weights_are_repetitions(model, X):
    whole, again = statistics(model, X, None), statistics(model, X[:13], None)
    weights = np.where(np.arange(len(X)) < 13, 2.0, 1.0)
    found = statistics(model, X, weights)
    for a, b in zip(jax.tree.leaves(whole + again), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_m_step_maximises_the_complete_data_likelihood(model, X):
    """η̂ · θ - ψ(θ) falls for every small change of every parameter, before the gauge is set."""
    expectations = e_step(model, X)
    eta = np.asarray(MixtureStatistics.from_rows(jnp.asarray(X), expectations).mean_statistics())
    best = type(model.joint).from_expectation(eta)

    @eqx.filter_jit
    def objective(candidate):
        return candidate.natural_params() @ eta - candidate.log_partition()

    top = float(objective(best))
    rng = np.random.default_rng(0)
    leaves, structure = jax.tree.flatten(best)
    for _ in range(60):
        size = 10.0 ** rng.uniform(-4, -1)
        moved = [
            leaf * (1 + size * rng.standard_normal(leaf.shape))
            + (size * rng.standard_normal(leaf.shape) if leaf.ndim == 1 else 0.0)
            for leaf in leaves
        ]
        assert float(objective(jax.tree.unflatten(structure, moved))) <= top + 1e-13


SHAPES = {1: 40, 2: 12, 4: 60}  # few, so that compiled functions are shared


@settings(max_examples=15)
@given(
    d=st.sampled_from(sorted(SHAPES)),
    seed=st.integers(0, 2**32 - 1),
    tail=st.sampled_from(["normal", "t", "cauchy", "repeated", "outlier"]),
    log_scale=st.floats(-3, 3),
)
def test_a_step_never_lowers_the_likelihood(name, make, d, seed, tail, log_scale):
    rng = np.random.default_rng(seed)
    n = SHAPES[d]
    X = rng.standard_normal((n, d))
    if tail == "t":
        X = X / np.sqrt(rng.gamma(1.5, size=(n, 1)))
    elif tail == "cauchy":
        X = X / np.abs(rng.standard_normal((n, 1)))
    elif tail == "repeated":
        X[n // 2 :] = X[: n - n // 2]
    elif tail == "outlier":
        X[0] = 1e4
    X = X * 10.0**log_scale
    model = type(make(name, 2)).default_init(X)
    for _ in range(3):
        before, model, after = em_step(model, X)
        if not np.isfinite(after) or after > 1e6:  # the density is unbounded at a repeated row
            assert name == "vg"
            return
        assert after >= before - 1e-10 * (1 + abs(before))


def test_default_init_has_the_moments_of_the_data(model, X):
    start = type(model).default_init(X)
    np.testing.assert_allclose(start.mean(), X.mean(0), rtol=1e-12)
    np.testing.assert_allclose(start.cov(), np.cov(X.T, bias=True), rtol=1e-12)


def test_hot_paths_call_no_host(model, X):
    """No callback primitive in the jaxprs of log_prob, E-step and M-step."""
    dynamic, static = eqx.partition(model, eqx.is_array)

    def names(function):
        found = set()

        def walk(jaxpr):
            for equation in jaxpr.eqns:
                found.add(equation.primitive.name)
                for value in jax.tree.leaves(
                    list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")
                ):
                    inner = getattr(value, "jaxpr", value)
                    if hasattr(inner, "eqns"):
                        walk(inner)

        walk(jax.make_jaxpr(function)(dynamic, X).jaxpr)
        return found

    def model_of(arrays):
        return eqx.combine(arrays, static)

    primitives = names(lambda m, x: model_of(m).log_prob(x))
    primitives |= names(lambda m, x: tuple(model_of(m).e_step(x)))
    primitives |= names(
        lambda m, x: eqx.filter(model_of(m).m_step(x, model_of(m).e_step(x)), eqx.is_array)
    )
    assert "dot_general" in primitives
    assert not [primitive for primitive in primitives if "callback" in primitive]
