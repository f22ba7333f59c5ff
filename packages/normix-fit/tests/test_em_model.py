"""The loop knows no mixture: a model of another kind runs through it, on device and host."""

from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from normix_expfam import Status
from normix_fit._data import DenseRows
from normix_fit._em._evaluation import Plan
from normix_fit._em._loop import Rules, init, loop_on_device, loop_on_host
from normix_fit._em._model import EMModel, Expectation, Statistics
from normix_mixtures import Held, NormalInverseGaussian


class Sums(eqx.Module):
    """Σ r, Σ r x and Σ r x² for the probabilities r that a number is of either kind."""

    count: Array
    first: Array
    second: Array

    def mean(self) -> Self:
        return jax.tree.map(lambda leaf: leaf / jnp.sum(self.count), self)

    def lengths(self) -> Array:
        return jnp.concatenate([self.count, self.first, self.second])


class Counts(NamedTuple):
    not_finite: Array
    at_pole: Array


class Found(NamedTuple):
    statistics: Sums
    log_likelihood: Array
    flags: Counts


class Flags(NamedTuple):
    is_finite: Array
    least_pivot: Array
    concentration: Array


class TwoNormals(eqx.Module):
    """A number is N(centre_k, variance_k) with probability share_k, k = 1, 2."""

    share: Array
    centre: Array
    variance: Array

    def expect(self, X, weights=None, *, backend="jax"):
        del backend
        share, centre, variance = (part[None, :] for part in jax.tree.leaves(self))
        each = jnp.log(share) - ((X - centre) ** 2 / variance + jnp.log(variance)) / 2
        total = jax.nn.logsumexp(each, axis=1)
        r = jnp.exp(each - total[:, None]) * weights[:, None]
        sums = Sums(jnp.sum(r, 0), jnp.sum(r * X, 0), jnp.sum(r * X**2, 0))
        value = weights @ (total - jnp.log(2 * jnp.pi) / 2)
        lost = jnp.sum(~jnp.isfinite(total), dtype=jnp.int32)
        return Found(sums, value, Counts(lost, jnp.int32(0)))

    def maximise(self, statistics, held, *, backend):
        del held, backend
        centre = statistics.first / statistics.count
        variance = statistics.second / statistics.count - centre**2
        share = statistics.count / jnp.sum(statistics.count)
        return TwoNormals(share, centre, variance), jnp.int32(Status.CONVERGED)

    def no_statistics(self):
        zero = jnp.zeros_like(self.share)
        return Sums(zero, zero, zero)

    def change(self, other):
        return jnp.max(jnp.abs(other.centre - self.centre) / jnp.sqrt(self.variance))

    def flags(self):
        leaves = jnp.concatenate(jax.tree.leaves(self))
        good = jnp.all(jnp.isfinite(leaves)) & jnp.all(self.variance > 0) & jnp.all(self.share > 0)
        return Flags(good, jnp.min(jnp.sqrt(self.variance)), jnp.zeros(()))


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-1.0, 0.7, 300), rng.normal(1.5, 1.0, 200)])
    X = jnp.asarray(x[:, None])
    start = TwoNormals(jnp.array([0.5, 0.5]), jnp.array([-2.0, 2.0]), jnp.array([1.0, 1.0]))
    return DenseRows(X, jnp.ones(len(x))), start


def run(problem, loop, acceleration):
    rows, start = problem
    none = jnp.asarray(-jnp.inf)
    rules = Rules(jnp.asarray(1e-7), jnp.asarray(1e-9), none, acceleration)
    plan = Plan("jax", "jax", "em", Held())
    return loop(init(start), rows, jnp.int32(250), plan, rules)


@pytest.mark.parametrize("acceleration", ["anderson", "squarem", None])
@pytest.mark.parametrize("loop", [loop_on_host, eqx.filter_jit(loop_on_device)])
def test_a_mixture_of_two_normals_is_fitted_by_the_loop(problem, loop, acceleration):
    state = run(problem, loop, acceleration)
    history = np.asarray(state.log_likelihoods)[: int(state.taken)]
    assert int(state.status) == Status.CONVERGED
    assert np.all(np.diff(history) >= 0)
    rows, _ = problem

    def likelihood(leaves):
        return rows.reduce(lambda X, w, m: m.expect(X, w).log_likelihood, TwoNormals(*leaves))

    slope = jax.grad(likelihood)((state.model.share, state.model.centre, state.model.variance))
    # of the shares, which sum to 1, the difference alone is free
    np.testing.assert_allclose(slope[0][0] - slope[0][1], 0, atol=2e-2)
    np.testing.assert_allclose(jnp.concatenate(slope[1:]), 0, atol=2e-2)
    assert history[-1] == pytest.approx(float(likelihood(jax.tree.leaves(state.model))), rel=1e-12)


def test_extrapolation_saves_evaluations_here_too(problem):
    counts = {kind: int(run(problem, loop_on_host, kind).evaluated) for kind in ("anderson", None)}
    assert counts["anderson"] < counts[None] / 2


def test_models_and_statistics_satisfy_the_protocols(problem):
    rows, toy = problem
    mixture = NormalInverseGaussian.default_init(np.asarray(rows.X))
    for model in (toy, mixture):
        assert isinstance(model, EMModel)
        found = rows.reduce(lambda X, w, m: m.expect(X, w), model)
        assert isinstance(found, Expectation)
        assert isinstance(found.statistics, Statistics)
        assert found.statistics.lengths().ndim == 1
