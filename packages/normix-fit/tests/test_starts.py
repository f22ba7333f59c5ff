"""Several starts: side by side and in turn the same fits, of which the best is returned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import FAMILIES, BatchEMFitter, fit
from normix_fit._compilation import compiled
from normix_fit._em._evaluation import Plan
from normix_fit._em._loop import Rules, advance, init, several_on_device
from normix_fit._em._starts import default_starts
from normix_fit._observe import observe
from normix_mixtures import Held

N, D = 200, 2  # a shape that other files use too


def skewed(seed=3):
    rng = np.random.default_rng(seed)
    y = rng.gamma(1.2, size=(N, 1))
    return 2 * y + np.sqrt(y) * rng.standard_normal((N, D))


@pytest.fixture(scope="module")
def problem():
    rows = observe("fit", skewed())
    units = rows.units()
    starts = [units.to_standard(m) for m in default_starts(FAMILIES["nig"], rows, 3)]
    rules = Rules(jnp.asarray(1e-5), jnp.asarray(1e-7), jnp.asarray(-jnp.inf), "anderson")
    return starts, rows.standardised(units), 31, Plan("jax", "jax", "em", Held()), rules


def test_each_of_several_is_the_fit_by_itself(problem):
    starts, data, *rest = problem
    limit, *rest = rest
    states = [init(start) for start in starts]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    limits = jnp.full(len(starts), limit, jnp.int32)
    every = compiled(several_on_device)(stacked, data, limits, *rest)
    for i, state in enumerate(states):
        (alone,) = advance([state], data, [limit], *rest)
        assert int(every.status[i]) == int(alone.status)
        assert int(every.evaluated[i]) == int(alone.evaluated)
        np.testing.assert_allclose(
            every.log_likelihoods[i], alone.log_likelihoods, rtol=1e-10, equal_nan=True
        )


@pytest.mark.cpu
def test_the_best_is_returned():
    X = skewed()
    starts = default_starts(FAMILIES["nig"], observe("fit", X), 3)
    fitter = BatchEMFitter(max_iter=3)
    ends = [fitter.fit(start, X).log_likelihood for start in starts]
    assert len(set(ends)) == 3
    together = fit(X, "nig", max_iter=3, n_starts=3)
    assert together.log_likelihood == pytest.approx(max(ends), abs=1e-9)
    assert together.log_likelihood > min(ends)
    host = BatchEMFitter(max_iter=3, e_step_backend="cpu").fit(starts, X)
    assert host.log_likelihood == pytest.approx(max(ends), abs=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_starts_have_the_moments_of_the_data_and_other_tails(name):
    X = skewed()
    starts = default_starts(FAMILIES[name], observe("fit", X), 5)
    laws = [start.joint.subordinator_as_gig() for start in starts]
    assert len(starts) == len({tuple(map(float, law)) for law in laws}) == 5
    # a change of p keeps the means of Y that the family has, and so the mean of X
    for start in starts:
        np.testing.assert_allclose(start.mean(), X.mean(0), rtol=1e-6)


@pytest.mark.parametrize("n_starts", [0, 2.5])
def test_bad_numbers_of_starts(n_starts):
    with pytest.raises((ValueError, TypeError), match="n_starts"):
        fit(skewed(), "nig", n_starts=n_starts)


def test_bad_starts():
    X = skewed()
    mixed = [FAMILIES[name].default_init(X) for name in ("nig", "vg")]
    with pytest.raises(ValueError, match="model must be of one family, got NormalInverse"):
        BatchEMFitter().fit(mixed, X)
    with pytest.raises(ValueError, match="model must be of one family, got none"):
        BatchEMFitter().fit([], X)


@pytest.mark.parametrize(
    ("name", "fixed"), [("gh", ("p",)), ("vg", ("alpha",)), ("nig", ("mu", "subordinator"))]
)
def test_what_is_held_by_name_is_that_of_the_first_start(name, fixed):
    X = skewed()
    first, *others = default_starts(FAMILIES[name], observe("fit", X), 4)
    others = [start.rescaled(jnp.ones(D), jnp.ones(D)) for start in others]
    for max_iter in (1, 50):
        result = BatchEMFitter(fixed=fixed, max_iter=max_iter).fit([first, *others], X)
        for parameter in fixed:
            found, held = (getattr(model.normalize(), parameter) for model in (result.model, first))
            for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(held), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-10)


def test_several_starts_answer_the_question_of_one():
    X = skewed()
    one, several = (fit(X, "gh", fixed=("p",), n_starts=n) for n in (1, 4))
    assert float(several.model.p) == float(one.model.p) == -0.5
    assert several.log_likelihood >= one.log_likelihood - 1e-6


@pytest.mark.parametrize(("name", "known"), [("nig", -552.216835), ("ninvg", -560.053998)])
def test_two_clusters_are_not_left_in_a_poor_maximum(name, known):
    """Two clusters with rows between them: EM crawls while Σ collapses against γ² Var Y.

    Known is the best of n_starts=8 with a thousand times the iterations.
    """
    g = np.random.default_rng(3)
    x = np.r_[g.normal(56, 2, 60), g.normal(142, 12, 45), g.uniform(60, 130, 12)][:, None]
    result = fit(x, name)
    assert result.converged
    assert result.log_likelihood > known - 1e-3
    assert ("best of" in result.summary()) == (result.n_starts == 8)


def test_one_start_is_enough_for_skewed_rows():
    result = fit(skewed(), "nig")
    assert result.n_starts == 1
    assert "best of" not in result.summary()
