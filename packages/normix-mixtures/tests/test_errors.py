"""Bad input raises errors that name argument, rule and value."""

import numpy as np
import pytest

from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    VarianceGamma,
)

RNG = np.random.default_rng(0)
DATA = RNG.standard_normal((50, 3))


def gh(mu=(0.0, 0.0), gamma=(0.0, 0.0), sigma=((1.0, 0.0), (0.0, 1.0)), p=1.0, a=1.0, b=1.0, **k):
    mu, gamma = np.asarray(mu), np.asarray(gamma)
    sigma = None if sigma is None else np.asarray(sigma)
    return GeneralizedHyperbolic.from_classical(mu, gamma, sigma, p=p, a=a, b=b, **k)


LINE = (np.zeros(1), np.zeros(1), np.eye(1))


@pytest.mark.parametrize(
    ("build", "parts"),
    [
        (lambda: gh(mu=0.0), ["mu", "shape (d,)", "()"]),
        (lambda: gh(mu=[0.0, np.nan]), ["mu", "finite", "nan"]),
        (lambda: gh(gamma=[1.0]), ["gamma", "(2,)", "(1,)"]),
        (lambda: gh(gamma=[1.0, np.inf]), ["gamma", "finite", "inf"]),
        (lambda: gh(sigma=np.eye(3)), ["sigma", "(2, 2)", "(3, 3)"]),
        (lambda: gh(sigma=[[1.0, 0.5], [0.0, 1.0]]), ["sigma", "symmetric", "0.5"]),
        (lambda: gh(sigma=[[1.0, 2.0], [2.0, 1.0]]), ["sigma", "positive definite", "2."]),
        (lambda: gh(sigma=[[1.0, np.nan], [np.nan, 1.0]]), ["sigma", "nan"]),
        (lambda: gh(sigma=None), ["sigma, L_Sigma", "one of the two", "neither"]),
        (lambda: gh(L_Sigma=np.eye(2)), ["sigma, L_Sigma", "one of the two", "both"]),
        (
            lambda: gh(sigma=None, L_Sigma=np.array([[1.0, 1.0], [0.0, 1.0]])),
            ["L_Sigma", "lower triangular"],
        ),
        (lambda: gh(sigma=None, L_Sigma=np.diag([1.0, -1.0])), ["L_Sigma", "positive"]),
        (lambda: gh(a=-1.0), ["a", ">= 0", "-1.0"]),
        (lambda: gh(p=1.0, a=0.0), ["a", "p < 0", "0.0"]),
        (lambda: gh(p=-1.0, b=0.0), ["b", "p > 0", "0.0"]),
        (lambda: gh(p=np.nan), ["p", "finite", "nan"]),
        (
            lambda: VarianceGamma.from_classical(*LINE, alpha=0.0, beta=1.0),
            ["alpha", "> 0", "0.0"],
        ),
        (
            lambda: NormalInverseGamma.from_classical(*LINE, alpha=1.0, beta=-1.0),
            ["beta", "> 0", "-1.0"],
        ),
        (
            lambda: NormalInverseGaussian.from_classical(*LINE, mu_ig=1.0, lam=np.inf),
            ["lam", "finite", "inf"],
        ),
    ],
)
def test_construction(build, parts):
    with pytest.raises(ValueError, match="must") as error:
        build()
    for part in parts:
        assert part in str(error.value)


def changed(row, column, value):
    X = DATA.copy()
    X[row, column] = value
    return X


@pytest.mark.parametrize(
    ("X", "parts"),
    [
        (DATA[0], ["(n, d)", "(3,)"]),
        (DATA[:3], ["more rows than columns", "(3, 3)"]),
        (changed(7, 2, np.nan), ["finite", "nan", "row 7", "column 2"]),
        (changed(7, 2, -np.inf), ["finite", "-inf", "row 7", "column 2"]),
        (np.column_stack([DATA, np.full(50, 4.5)]), ["vary", "4.5", "column 3"]),
        (np.column_stack([DATA, DATA @ [1, 2, 3] + 5]), ["independent", "column 3"]),
    ],
)
def test_data(X, parts, name, make):
    family = type(make(name, 2))
    with pytest.raises(ValueError, match=f"{family.__name__}.default_init.* X ") as error:
        family.default_init(X)
    for part in parts:
        assert part in str(error.value)


def test_evaluation(make):
    model = make("gh", 2)
    with pytest.raises(ValueError, match=r"log_prob: x must have 2 components .*\(4, 3\)"):
        model.log_prob(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"log_prob: x must have 2 components .*\(\)"):
        model.log_prob(0.0)
    with pytest.raises(ValueError, match=r"project: w must have shape \(2,\), got \(3,\)"):
        model.project(np.zeros(3))
    with pytest.raises(ValueError, match=r"e_step: X must have shape \(n, 2\), got \(4, 3\)"):
        model.e_step(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"ppf: q must be in \[0, 1\], got 1.5"):
        model.project(np.array([1.0, 0.0])).ppf(1.5)


def test_unknown_backend(make):
    """Without the type checker of these tests it is the ValueError that says the same."""
    model, X = make("gh", 2), np.ones((3, 2))
    with pytest.raises((ValueError, TypeError), match="backend"):
        model.e_step(X, backend="gpu")
    with pytest.raises((ValueError, TypeError), match="backend"):
        model.m_step(X, model.e_step(X), backend="gpu")


def test_a_projection_on_nothing(make):
    with pytest.raises(ValueError, match="project: w must not be zero"):
        make("gh", 2).project(np.array([0.0, 0.0]))
