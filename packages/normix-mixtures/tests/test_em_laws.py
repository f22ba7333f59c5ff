"""What EM guarantees: in thousands of random cases, and against a numerical optimiser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from normix_expfam import mode_of_log
from normix_mixtures import DenseDispersion

CASES, ROWS, D, STEPS = 600, 30, 2, 4


@eqx.filter_jit
def climb(X, models):
    """Log-likelihoods of models and of `STEPS` EM steps from each, and the largest √(p² + ab)."""

    def one(X, model):
        def step(model, _):
            expectations = model.e_step(X)
            after = model.m_step(X, expectations)
            p, a, b = after.joint.subordinator_as_gig()
            return after, (jnp.sum(expectations.log_prob), jnp.hypot(p, jnp.sqrt(a * b)))

        model, (values, width) = jax.lax.scan(step, model, length=STEPS)
        return jnp.append(values, jnp.sum(model.log_prob(X))), jnp.max(width)

    return jax.vmap(one)(X, models)


def random_data(rng):
    """Rows of all kinds of tails, skewed or not, in all units."""
    X = rng.standard_normal((CASES, ROWS, D))
    weight = np.stack([
        np.ones((CASES, ROWS)), 1 / rng.gamma(1.5, size=(CASES, ROWS)),
        1 / rng.standard_normal((CASES, ROWS)) ** 2, rng.gamma(0.7, size=(CASES, ROWS)),
    ])[rng.integers(4, size=CASES), np.arange(CASES)][..., None]  # fmt: skip
    skew = rng.standard_normal((CASES, 1, D)) * rng.integers(0, 2, (CASES, 1, 1))
    X = X * np.sqrt(weight) + skew * weight
    X[:: CASES // 20, 0] *= 1e4  # an outlier
    mix = rng.standard_normal((CASES, D, D))
    return (X @ mix + 10 * rng.standard_normal((CASES, 1, D))) * 10 ** rng.uniform(
        -5, 5, (CASES, 1, 1)
    )


def of_sample_moments(family, X):
    """With outliers as they are: from a law in whose units they are 1e6 away steps lose digits."""
    return family.from_moments(jnp.mean(X, axis=0), jnp.cov(X.T), spread=0.5)


def random_models(family, X, rng):
    """Starts all over the family, at the scale of the data."""
    start = eqx.filter_vmap(of_sample_moments, in_axes=(None, 0))(family, X)
    scale = 10 ** rng.uniform(-1, 1, (2, CASES))
    leaves, structure = jax.tree.flatten(start.joint.subordinator)
    if len(leaves) == 3:  # p, a, b: all but p are scales
        leaves[0] = leaves[0] + rng.uniform(-4, 4, CASES)
    leaves[-2:] = [leaf * factor for leaf, factor in zip(leaves[-2:], scale, strict=True)]
    subordinator = jax.tree.unflatten(structure, leaves)
    spread = X.std(axis=1)
    parts = (
        start.joint.mu + spread * rng.standard_normal((CASES, D)),
        spread * rng.standard_normal((CASES, D)),
        subordinator,
    )
    return eqx.tree_at(lambda m: (m.joint.mu, m.joint.gamma, m.joint.subordinator), start, parts)


# of all families a few steps are tested in test_em_steps
@pytest.mark.parametrize(
    "name",
    ["gh", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vg", "ninvg", "nig"))],
    indirect=True,
)
def test_thousands_of_steps_never_lower_the_likelihood(name, make):
    family = type(make(name, D))
    rng = np.random.default_rng(17)
    X = random_data(rng)
    values, width = map(np.asarray, climb(jnp.asarray(X), random_models(family, X, rng)))
    assert np.isfinite(values[:, 0]).mean() > 0.99  # the starts are sound
    # a variance gamma density may become infinite when μ meets a row
    bounded = np.all(np.isfinite(values), axis=1)
    assert bounded.mean() > (0.95 if name in ("vg", "gh") else 0.999)
    values, width = values[bounded], width[bounded]
    fall = (values[:, :-1] - values[:, 1:]) / (1 + np.abs(values[:, 1:]) + ROWS)
    # from w = 1e8 on Y is a point mass to half the digits, and γ is known to w eps
    floor = np.where(width < 1e8, 1e-11, 1e-5)
    worst = np.unravel_index(np.argmax(fall / floor[:, None]), fall.shape)
    assert fall[worst] < floor[worst[0]], (worst, values[worst[0]], width[worst[0]])
    assert (width < 1e8).mean() > 0.9
    assert np.median(values[:, -1] - values[:, 0]) > 1  # and they do climb


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_m_step_is_the_maximum_that_an_optimiser_finds(name, make, symmetric):
    """The expected complete-data log-likelihood per row, by BFGS in unconstrained coordinates."""
    model = make(name, D)
    X = model.sample(jax.random.key(2), (ROWS,))
    statistics = model.statistics(X)
    eta = np.asarray(statistics.moved(jnp.zeros(D)).mean_statistics())
    found = model.m_step_from_statistics(statistics, symmetric=symmetric)
    if symmetric:
        np.testing.assert_array_equal(found.gamma, 0)
    start, structure = jax.tree.flatten(model.subordinator)
    signs = [1 if name == "gh" and k == 0 else 0 for k in range(len(start))]  # p is any real

    def law(flat):
        rates = flat[2 * D + 3 :]
        leaves = [r if free else jnp.exp(r) for r, free in zip(rates, signs, strict=True)]
        L = jnp.stack([
            jnp.stack([jnp.exp(flat[2 * D]), jnp.zeros_like(flat[0])]),
            jnp.stack([flat[2 * D + 1], jnp.exp(flat[2 * D + 2])]),
        ])  # fmt: skip
        gamma = jnp.zeros(D) if symmetric else flat[D : 2 * D]
        subordinator = jax.tree.unflatten(structure, leaves)
        return model.joint._assemble(flat[:D], gamma, DenseDispersion(L), subordinator)

    @jax.jit
    @jax.value_and_grad
    def loss(flat):
        joint = law(flat)
        return joint.log_partition() - joint.natural_params() @ eta

    L = np.asarray(model.L_Sigma)
    rates = [float(v) if free else np.log(float(v)) for v, free in zip(start, signs, strict=True)]
    flat = np.concatenate(
        [model.mu, model.gamma, [np.log(L[0, 0]), L[1, 0], np.log(L[1, 1])], rates]
    )
    best = optimize.minimize(
        lambda v: [np.asarray(part) for part in loss(v)], flat, jac=True, method="BFGS",
        options={"gtol": 1e-9, "maxiter": 2000},
    )  # fmt: skip
    theirs = type(model)._wrap(law(jnp.asarray(best.x)))
    assert bool(theirs.is_close(found, 1e-4))
    # the M-step ends in the gauge; the likelihood of (X, Y) is that of the scale of Y at hand
    scale = mode_of_log(*theirs.joint.subordinator_as_gig())
    joint = found.joint.rescaled_subordinator(scale)
    ours = float(joint.log_partition() - joint.natural_params() @ eta)
    assert ours == pytest.approx(best.fun, rel=1e-9, abs=1e-9)
