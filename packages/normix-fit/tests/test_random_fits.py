"""Thousands of fits of random data, hard ones among them: each is monotone, finite and honest."""

import itertools

import equinox as eqx
import jax
import numpy as np
import pytest

from normix_fit import FAMILIES, Status, fit

SHAPES = ((30, 1), (3000, 1), (30, 2), (300, 2), (100, 5), (3000, 5), (30, 20), (300, 20))
KINDS = ("cauchy", "t", "near-normal", "skewed", "normal")
TROUBLES = ("none", "units", "repeated", "collinear", "outlier")
REPEATS = 3  # 4 families x 8 shapes x 25 combinations x 3 = 2400 fits
ILL_CONDITIONED = 1e8  # of correlations; Σ in float64 has no digits to spare beyond it


def random_rows(rng, n, d, kind):
    X = rng.standard_normal((n, d)) @ (np.eye(d) + rng.standard_normal((d, d)) / (2 * np.sqrt(d)))
    if kind == "normal":
        return X
    if kind == "skewed":
        y = rng.gamma(1.5, size=(n, 1))
        return rng.standard_normal((1, d)) * y + np.sqrt(y) * X
    dof = {"cauchy": 1.0, "t": 2.5, "near-normal": 100.0}[kind]
    return X / np.sqrt(rng.gamma(dof / 2, 2 / dof, size=(n, 1)))


def troubled(rng, X, trouble):
    n, d = X.shape
    if trouble == "repeated":
        X[: n // 10] = X[n // 10 : 2 * (n // 10)]
    elif trouble == "collinear" and d > 1:
        X[:, -1] = X[:, 0] + 1e-6 * np.std(X[:, 0]) * rng.standard_normal(n)
    elif trouble == "outlier":
        X[rng.integers(n)] = np.std(X, axis=0) * rng.standard_normal(d) * 10 ** rng.uniform(3, 6)
    return X if trouble == "none" else X * 10 ** rng.uniform(-6, 6, size=d)


def broken_laws(result, X):
    history, status = result.log_likelihoods, result.status
    n, d = X.shape
    ill = d > 1 and np.linalg.cond(np.corrcoef(X.T)) > ILL_CONDITIONED
    leaves = [*jax.tree.leaves(eqx.filter(result.model, eqx.is_inexact_array)), history]
    total = float(np.sum(result.model.log_prob(X)))
    same = np.isclose(total, result.log_likelihood, rtol=1e-8, atol=1e-6)
    laws = {
        "the likelihood never falls": np.all(np.diff(history) >= 0),
        "all is finite": all(np.all(np.isfinite(leaf)) for leaf in leaves),
        # where a row lies on the spike of a density, rounding decides how near
        "it is that of the model": same or ill or status == Status.SINGULAR_DISPERSION,
        "the status is a status": isinstance(status, Status),
        "the likelihood stays finite": status != Status.NON_FINITE,
        # with few rows a likelihood may have no maximum, and EM runs into the singularity
        "the solver is not at a loss": status != Status.SOLVER_STALLED or n < 2 * d,
    }
    return [law for law, holds in laws.items() if not holds]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("name", FAMILIES)
def test_random_fits_keep_every_law(name, shape):
    failures = []
    for case in itertools.product(KINDS, TROUBLES, range(REPEATS)):
        kind, trouble, repeat = case
        seed = (KINDS.index(kind), TROUBLES.index(trouble), repeat, *shape)
        rng = np.random.default_rng(seed)
        X = troubled(rng, random_rows(rng, *shape, kind), trouble)
        result = fit(X, name, max_iter=200)
        broken = broken_laws(result, X)
        if broken:
            failures.append((*case, result.status.name, *broken))
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[1] > 1])
def test_an_exactly_collinear_column_is_refused(shape):
    for seed in range(50):
        rng = np.random.default_rng((seed, *shape))
        X = random_rows(rng, *shape, KINDS[seed % len(KINDS)])
        X[:, -1] = X[:, :-1] @ rng.standard_normal(shape[1] - 1)
        X = X * 10 ** rng.uniform(-6, 6, size=shape[1])
        with pytest.raises(ValueError, match=f"linearly independent, got column {shape[1] - 1}"):
            fit(X, "nig")
