"""The pieces of EM: additive statistics, E-step, M-step, and what they guarantee."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from normix_expfam import Status, gig_moments
from normix_expfam.internal import to_host
from normix_mixtures import (
    GeneralizedHyperbolic,
    Held,
    MixtureStatistics,
    NormalInverseGamma,
    VarianceGamma,
)
from normix_mixtures._frame import _moved
from normix_mixtures._layout import parts_of
from normix_mixtures._normal_part import normal_part

# Not compiled as a whole: the compiled parts are shared by families, steps and files.


def e_step(model, X):
    return model.e_step(X)


def em_step(model, X):
    """The likelihood before and after one step."""
    expectations = model.e_step(X)
    after = model.m_step(X, expectations)
    return jnp.sum(expectations.log_prob), after, jnp.sum(after.log_prob(X))


def m_step(model, X, expectations):
    return model.m_step(X, expectations)


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


@pytest.mark.cpu
def test_backends_agree(model, X, log_prob):
    for jax_value, cpu_value in zip(e_step(model, X), model.e_step(X, backend="cpu"), strict=True):
        np.testing.assert_allclose(jax_value, cpu_value, rtol=1e-10, atol=1e-11)
    expectations = e_step(model, X)
    on_jax = m_step(model, X, expectations)
    on_cpu = model.m_step(X, expectations, backend="cpu")
    np.testing.assert_allclose(log_prob(on_jax, X), log_prob(on_cpu, X), rtol=1e-6, atol=1e-6)


def test_statistics_add(model, X, log_prob):
    whole = statistics(model, X, None)
    parts = statistics(model, X[:30], None) + statistics(model, X[30:], None)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    from_parts = model.m_step_from_statistics(parts)
    direct = m_step(model, X, e_step(model, X))
    np.testing.assert_allclose(log_prob(from_parts, X), log_prob(direct, X), rtol=1e-9)


def test_weights_are_repetitions(model, X):
    whole, again = statistics(model, X, None), statistics(model, X[:30], None)
    weights = np.where(np.arange(len(X)) < 30, 2.0, 1.0)
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


SHAPES = {1: 60, 2: 12, 4: 60}  # few, so that compiled functions are shared


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


def test_default_init_follows_kurtosis_and_skewness(make):
    """Y ~ Gamma(2, 2), γ = 1: excess kurtosis and skewness are far from those of a normal law."""
    rng = np.random.default_rng(3)
    y = rng.gamma(2.0, 0.5, (4000, 1))
    X = y + np.sqrt(y) * rng.standard_normal((4000, 2))
    start = type(make("nig", 2)).default_init(X)
    assert np.all(start.gamma > 0.1)
    light = type(make("nig", 2)).default_init(rng.standard_normal((4000, 2)))
    assert float(light.kurtosis()[0]) < 0.1 < float(start.kurtosis()[0])


def test_a_gross_outlier_does_not_spoil_default_init(make):
    """Scales are those of the other rows, and weights of 0 leave rows out."""
    family = type(make("nig", 2))
    X = np.random.default_rng(4).standard_normal((200, 2))
    clean = family.default_init(X)
    for size in (1e2, 1e4, 1e6):
        spoilt = X.copy()
        spoilt[7] = size
        start = family.default_init(spoilt)
        ratio = np.sqrt(np.diagonal(start.sigma) / np.diagonal(clean.sigma))
        assert np.all((ratio > 0.5) & (ratio < 2)), size
        np.testing.assert_allclose(start.mean(), X.mean(0), rtol=0, atol=0.3)
        weights = np.where(np.arange(200) == 7, 0.0, 1.0)
        kept = family.default_init(spoilt, weights)
        expected = family.default_init(np.delete(X, 7, axis=0))
        np.testing.assert_allclose(kept.sigma, expected.sigma, rtol=1e-6)


def test_default_init_is_off_the_rows(name, make):
    """The middle of symmetric rows is one of them, at which a density may be infinite."""
    x = np.random.default_rng(5).standard_t(3, (29, 2))
    X = np.r_[x, np.zeros((2, 2)), -x] + 0.25
    start = type(make(name, 2)).default_init(X)
    assert np.all(np.isfinite(start.log_prob(X)))
    assert np.all(start.e_step(X).inverse_y < 1e6)


def test_default_init_of_a_column_that_is_half_one_value(name, make):
    """The scale of that half, which is 0, is none to start from."""
    X = np.zeros((300, 2))
    X[:100] = np.random.default_rng(6).standard_normal((100, 2))
    X[0] = 1e6
    start = type(make(name, 2)).default_init(X)
    np.testing.assert_allclose(start.cov(), np.cov(X.T, bias=True), rtol=1e-9)


def test_default_init_in_units_whose_square_is_no_number(name, make, X):
    family = type(make(name, 2))
    expected = family.default_init(X)
    for scale in (2.0**-600, 2.0**600):
        start = family.default_init(scale * X)
        np.testing.assert_array_equal(start.mu / scale, expected.mu)
        np.testing.assert_array_equal(start.L_Sigma / scale, expected.L_Sigma)


def test_an_infinite_mean_of_y_is_the_limit_of_a_large_one():
    """γ -> 0, and μ and Σ are those of the symmetric M-step."""
    rng = np.random.default_rng(7)
    x, w = rng.standard_normal((50, 2)), rng.gamma(1.0, size=50)
    parts = [[0.1, w.mean()], x.mean(0), w @ x / 50, (x.T @ (x * w[:, None]) / 50).ravel()]

    def at(y):
        return np.concatenate([parts[0], [y], *parts[1:]])

    for xp in (np, jnp):
        infinite, large = (parts_of(xp.asarray(at(y))) for y in (np.inf, 1e30))
        found = normal_part(infinite, xp)
        for other in (normal_part(large, xp), normal_part(infinite, xp, symmetric=True)):
            for one, two in zip(found, other, strict=True):
                np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-20)
    held, expected = (
        normal_part(parts_of(jnp.asarray(at(y))), jnp, mu=jnp.array([0.1, 0.2]))
        for y in (np.inf, 1e30)
    )
    np.testing.assert_allclose(held.sigma, expected.sigma, rtol=1e-10)


def test_a_row_of_weight_0_leaves_no_trace():
    """At μ of a variance gamma model E 1/Y is infinite, given rows of a t law E Y."""
    X = np.r_[np.zeros((1, 1)), np.random.default_rng(8).standard_normal((60, 1))]
    weights = np.r_[0.0, np.ones(60)]
    for model in (
        VarianceGamma.from_classical(np.zeros(1), None, np.eye(1), alpha=0.3, beta=1.0),
        NormalInverseGamma.skewed_t(np.zeros(1), sigma=np.eye(1), df=0.5),
    ):
        found = model.statistics(X, weights).mean_statistics()
        np.testing.assert_array_equal(found, model.statistics(X[1:]).mean_statistics())


def test_default_init_with_a_given_spread(name, make, X):
    start = type(make(name, 2)).default_init(X, spread=0.25)
    found = start.subordinator
    assert float(found.var() / found.mean() ** 2) == pytest.approx(0.25, rel=1e-12)
    with pytest.raises(ValueError, match=r"default_init: spread must be finite and > 0, got -1"):
        type(start).default_init(X, spread=-1.0)


def test_models_from_moments_have_them(name, make):
    mean, cov, gamma = np.array([1.0, -2.0]), np.array([[2.0, 0.3], [0.3, 0.5]]), np.array([0.3, 0])
    model = type(make(name, 2)).from_moments(mean, cov, spread=0.8, gamma=gamma)
    np.testing.assert_allclose(model.mean(), mean, rtol=1e-13)
    np.testing.assert_allclose(model.cov(), cov, rtol=1e-13)
    found = model.subordinator
    assert float(found.mean()) == pytest.approx(1, rel=1e-13)
    assert float(found.var()) == pytest.approx(0.8, rel=1e-12)
    symmetric = type(model).from_moments(mean, cov, spread=0.1)
    if name != "ninvg":
        np.testing.assert_allclose(symmetric.kurtosis(), 0.3, rtol=1e-9)
    with pytest.raises(ValueError, match="spread must be finite and > 0, got -1"):
        type(model).from_moments(mean, cov, spread=-1.0)
    with pytest.raises(ValueError, match="positive definite"):
        type(model).from_moments(mean, cov, spread=50.0, gamma=gamma)


@eqx.filter_jit
def complete_data_likelihood(joint, factor, found):
    """Mean of E log f(x, y) up to a constant, with `factor` · Y for Y."""
    eta = found.moved(jnp.zeros_like(joint.mu)).mean_statistics()
    law = joint.rescaled_subordinator(factor)
    return law.natural_params() @ eta - law.log_partition()


def in_the_gauge_of(joint, found):
    """The factor for which the likelihood is largest: an M-step ends in another gauge."""
    best = minimize_scalar(
        lambda log_factor: -float(complete_data_likelihood(joint, np.exp(log_factor), found)),
        bracket=(-0.1, 0.1), tol=1e-12,
    )  # fmt: skip
    return np.exp(best.x), -best.fun


@pytest.mark.parametrize("fixed", ["mu", "shape", "subordinator", "mu and shape"])
def test_m_steps_with_fixed_parameters_are_maxima(model, X, fixed):
    """They keep what is fixed, and no nearby model that keeps it is more likely."""
    shape = type(model).shape_parameter
    found = model.statistics(X)
    if "shape" in fixed and shape is None:
        with pytest.raises(ValueError, match="fixed must have names among mu, subordinator, got"):
            model.m_step_from_statistics(found, fixed=("p",))
        return
    names = tuple({"shape": shape}.get(word, word) for word in fixed.split(" and "))
    got = model.m_step_from_statistics(found, fixed=names)
    if "mu" in names:
        np.testing.assert_allclose(got.mu, model.mu, rtol=1e-13)
    if shape in names:
        assert float(getattr(got, shape)) == pytest.approx(float(getattr(model, shape)), rel=1e-14)
    joint = got.joint
    factor, best = in_the_gauge_of(joint, found)
    if "subordinator" in names:
        # Y is what it was: only the M-step's own gauge may differ
        factor = np.array(model.joint.normalize().dispersion.diagonal()[0] / model.sigma[0, 0])
        best = float(complete_data_likelihood(joint, factor, found))
    _, free = in_the_gauge_of(model.m_step_from_statistics(found).joint, found)
    assert best <= free + 1e-10
    assert float(complete_data_likelihood(model.joint, np.array(1.0), found)) <= best + 1e-10
    normal = joint.mu, joint.gamma, joint.dispersion
    p, a, b = joint.subordinator_as_gig()
    for step in (1e-3, -1e-3):
        others = [joint._assemble(normal[0], normal[1] + step, normal[2], joint.subordinator)]
        if "mu" not in names:
            others.append(joint._assemble(normal[0] + step, *normal[1:], joint.subordinator))
        if "subordinator" not in names:
            for one, other in ((1 + step, 1.0), (1.0, 1 + step)):
                law = joint.subordinator_family.from_gig(p, a * one, b * other)
                # a gamma law has no b and an inverse gamma law no a to move
                if float(jnp.sum(a * one + b * other)) != float(jnp.sum(a + b)):
                    others.append(joint._assemble(*normal, law))
        for law in others:
            assert float(complete_data_likelihood(law, factor, found)) < best


def test_with_fixed_moves_shape_and_location(make):
    model = make("gh", 2)
    moved = model.with_fixed(p=-0.5, mu=np.array([1.0, 2.0]))
    assert float(moved.p) == -0.5
    np.testing.assert_array_equal(moved.mu, [1.0, 2.0])
    before, after = model.subordinator, moved.subordinator
    np.testing.assert_allclose(after.mean(), before.mean(), rtol=1e-12)
    assert float(make("ninvg", 2).with_fixed(alpha=4.0).alpha) == 4.0
    with pytest.raises(ValueError, match="alpha must be in the domain"):
        make("vg", 2).with_fixed(alpha=-1.0)
    with pytest.raises(ValueError, match="fixed must have names among mu, subordinator, alpha"):
        make("vg", 2).with_fixed(p=1.0)


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.8), (0.8, 0.0)])
@pytest.mark.parametrize("to", [lambda model: model, to_host], ids=["jax", "host"])
def test_the_shape_moves_where_a_mean_of_y_is_infinite(to, a, b):
    """The finite mean stays, the other is twice the least; to the shape it has, nothing moves."""
    p = 0.4 if b == 0 else -0.4
    start = GeneralizedHyperbolic.from_classical(np.zeros(1), None, np.eye(1), p=p, a=a, b=b)
    here, there = (to(start).with_fixed(p=value).subordinator for value in (p, -3 * p))
    for one, other in zip(jax.tree.leaves(here), jax.tree.leaves(start.subordinator), strict=True):
        assert float(one) == float(other)
    assert float(there.p) == -3 * p
    found, before = (gig_moments(law.p, law.a, law.b) for law in (there, start.subordinator))
    kept = "y" if b == 0 else "inverse_y"
    np.testing.assert_allclose(getattr(found, kept), getattr(before, kept), rtol=1e-12)
    np.testing.assert_allclose(found.inverse_y * found.y, 2, rtol=1e-12)


def test_without_skewness_keeps_the_mean(model):
    got = model.without_skewness()
    np.testing.assert_array_equal(got.gamma, 0)
    np.testing.assert_allclose(got.mean(), model.mean(), rtol=1e-13)


def test_statistics_go_to_means_and_back(model, X):
    found = model.statistics(X)
    again = type(found).from_mean_statistics(found.mean_statistics(), found.n, found.origin)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


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


def test_expect_is_the_e_step_in_sums(model, X):
    """In any number of blocks, rows of weight 0 left out, whichever the origin."""
    weights = jnp.asarray(np.r_[0.0, np.linspace(0.5, 2.0, len(X) - 1)])
    found = model.expect(jnp.asarray(X), weights, origin=model.mu)
    each = model.e_step(X)
    expected = MixtureStatistics.from_rows(jnp.asarray(X), each, weights, model.mu)
    for one, other in zip(
        jax.tree.leaves(found.statistics), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found.log_likelihood, weights @ each.log_prob, rtol=1e-13)
    halves = [model.expect(jnp.asarray(part), w) for part, w in zip(
        np.array_split(X, 2), np.array_split(weights, 2), strict=True)]  # fmt: skip
    total = jax.tree.map(jnp.add, *halves)
    np.testing.assert_allclose(total.log_likelihood, found.log_likelihood, rtol=1e-13)
    np.testing.assert_allclose(
        total.statistics.mean_statistics(),
        found.statistics.moved(jnp.zeros_like(model.mu)).mean_statistics(),
        rtol=1e-11, atol=1e-12,
    )  # fmt: skip
    assert [int(flag) for flag in found.flags] == [0, 0]


def test_expect_counts_rows_that_a_fit_cannot_go_on_with():
    model = VarianceGamma.from_classical(np.zeros(1), None, np.eye(1), alpha=0.3, beta=0.3)
    model = model.normalize()
    X = jnp.asarray([[0.0], [1.0], [0.0], [jnp.nan]])
    assert [int(flag) for flag in model.expect(X).flags] == [3, 2]
    counted = model.expect(X, jnp.asarray([1.0, 1.0, 0.0, 0.0]))
    assert [int(flag) for flag in counted.flags] == [1, 1]


def test_a_mask_of_what_is_held_tells_what_an_m_step_moves(model, X):
    """Where it is True the number stays, and elsewhere it moves, but for the gauge of Y."""
    start = model.normalize()
    shape = type(model).shape_parameter
    options = [(), ("mu",), ("subordinator",), ("mu", "subordinator"), *([(shape,)] * bool(shape))]
    for names, symmetric in itertools.product(options, (False, True)):
        held = Held.of(type(model), names, symmetric=symmetric)
        begin = start.without_skewness() if symmetric else start
        after, status = begin.maximise(begin.statistics(X), held)
        assert Status(int(status)).converged
        mask = jax.tree.leaves(held.mask(begin))
        for kept, one, two in zip(
            mask, jax.tree.leaves(begin), jax.tree.leaves(after), strict=True
        ):
            np.testing.assert_allclose(np.asarray(one)[kept], np.asarray(two)[kept], rtol=1e-12)
        gone = sum(int(jnp.sum(leaf)) for leaf in jax.tree.leaves(held.mask(begin)))
        in_gauge = 1 if held.subordinator else 0
        left = model.n_parameters - gone + in_gauge
        assert model.count_parameters(held) == left


def test_change_is_that_of_the_normal_part_in_its_own_units(model):
    start = model.normalize()
    scale = jnp.sqrt(start.joint.dispersion.diagonal())
    moved = eqx.tree_at(lambda m: m.joint.mu, start, start.mu + 1e-3 * scale)
    np.testing.assert_allclose(start.change(moved), 1e-3, rtol=1e-9)
    units = jnp.arange(1.0, 1.0 + start.dimension)
    zero = jnp.zeros_like(units)
    rescaled = start.rescaled(zero, units).change(moved.rescaled(zero, units))
    np.testing.assert_allclose(rescaled, 1e-3, rtol=1e-9)
    assert float(start.change(start)) == 0


def test_flags_tell_a_singular_or_broken_model(model):
    start = model.normalize()
    flags = start.flags()
    assert bool(flags.is_finite)
    assert 0 < float(flags.least_pivot) <= 1
    broken = eqx.tree_at(lambda m: m.joint.gamma, start, start.gamma * jnp.nan)
    assert not bool(broken.flags().is_finite)
    cov = np.array([[1.0, 1.0 - 1e-8], [1.0 - 1e-8, 1.0]])
    near = type(model).from_moments(np.zeros(2), cov, spread=1e-3)
    flags = near.normalize().flags()
    np.testing.assert_allclose(flags.least_pivot, np.sqrt(2e-8), rtol=1e-6)
    assert float(flags.concentration) > 500


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_gradient_of_a_frame_is_that_of_the_likelihood(model, X, symmetric):
    """Fisher's identity, against automatic differentiation of the log-likelihood."""
    held = Held.of(type(model), (), symmetric=symmetric)
    start = model.normalize()
    start = start.without_skewness() if symmetric else start
    frame = start.frame(held)
    u = np.where(frame.free, 0.05 * np.cos(np.arange(len(frame.free))), 0.0)
    here = start.moved(frame, u)
    found = frame.gradient(u, here.statistics(X))

    def likelihood(u):
        return jnp.mean(type(model)(_moved(frame, start.joint, u)).log_prob(X))

    expected = jax.grad(likelihood)(jnp.asarray(u))
    np.testing.assert_allclose(found[frame.free], expected[frame.free], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(start.moved(frame, 0 * u).sigma, start.sigma, rtol=1e-12)
