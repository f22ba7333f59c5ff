"""Bad input raises errors that name argument, rule and value."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    PosteriorMoments,
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


# Every message: "Class.method: argument must rule, got value; remedy"
MESSAGE = re.compile(r"^[\w.]+: .+ must .+, got .+; .+", re.DOTALL)
POINT, NAN = np.array([0.7, -1.1]), np.array([0.7, np.nan])
ROWS = np.tile(POINT, (4, 1))
MOMENTS = PosteriorMoments(*(jnp.ones(4) for _ in range(4)))
NAN_ROWS = np.array([[0.7, -1.1], [0.7, np.nan], [0.0, 0.0], [1.0, 1.0]])


def check(call, owner, *parts):
    with pytest.raises(ValueError, match=MESSAGE) as error:
        call()
    message = str(error.value)
    assert message.startswith(f"{owner}: "), message
    for part in parts:
        assert part in message, message


NORMAL_ERRORS = [
    ({"mu": np.zeros((2, 2))}, ("mu must have shape (d,)", "(2, 2)")),
    ({"mu": np.zeros(0)}, ("mu must have shape (d,), d >= 1", "(0,)")),
    ({"mu": NAN}, ("mu must be finite", "nan")),
    ({"gamma": np.zeros(3)}, ("gamma must have the shape (2,)", "(3,)")),
    ({"gamma": NAN}, ("gamma must be finite", "nan")),
    ({"sigma": np.ones(2)}, ("sigma must have shape (2, 2)", "(2,)")),
    ({"sigma": np.array([[1.0, 0.1], [0.2, 1.0]])}, ("sigma must be symmetric", "0.2")),
    ({"sigma": np.array([[1.0, 1.0], [1.0, 1.0]])}, ("sigma must be positive definite", "1.")),
    ({"sigma": np.diag([1.0, -4.0])}, ("sigma must be positive definite", "-4.")),
    ({"sigma": np.zeros((2, 2))}, ("sigma must be positive definite", "0.")),
    ({"sigma": np.diag(NAN)}, ("sigma must be finite", "nan")),
    ({"sigma": None}, ("sigma, L_Sigma must be given one of the two", "neither")),
    ({"L_Sigma": np.eye(2)}, ("sigma, L_Sigma must be given one of the two", "both")),
    ({"sigma": None, "L_Sigma": np.eye(3)}, ("L_Sigma must have shape (2, 2)", "(3, 3)")),
    ({"sigma": None, "L_Sigma": np.diag([1.0, 0.0])}, ("L_Sigma must be lower triangular", "0.")),
]


@pytest.mark.parametrize(("changes", "parts"), NORMAL_ERRORS)
def test_normal_part_of_every_family(changes, parts, name, make):
    model = make(name, 2)
    names = {
        "vg": ("alpha", "beta"), "ninvg": ("alpha", "beta"), "nig": ("mu_ig", "lam"),
        "gh": ("p", "a", "b"),
    }[name]  # fmt: skip
    arguments = {"mu": np.zeros(2), "gamma": np.zeros(2), "sigma": np.eye(2)}
    arguments |= {key: getattr(model, key) for key in names} | changes
    owner = f"{type(model).__name__}.from_classical"
    check(lambda: type(model).from_classical(**arguments), owner, *parts)


@pytest.mark.parametrize(
    ("parameters", "parts"),
    [
        ({"a": -1.0}, ("a must be", ">= 0", "-1.0")),
        ({"b": -2.0}, ("b must be", ">= 0", "-2.0")),
        ({"a": np.nan}, ("a must be", "nan")),
        ({"b": np.inf}, ("b must be", "inf")),
        ({"p": np.inf}, ("p must be finite", "inf")),
        ({"p": 1.0, "a": 0.0}, ("p < 0", "0.0")),
        ({"p": -1.0, "b": 0.0}, ("p > 0", "0.0")),
        ({"p": 0.0, "a": 0.0}, ("0.0",)),
        ({"p": 0.0, "b": 0.0}, ("0.0",)),
        ({"p": 1.0, "a": 0.0, "b": 0.0}, ("0.0",)),
        ({"p": -1.0, "a": 0.0, "b": 0.0}, ("0.0",)),
        ({"p": 0.0, "a": 0.0, "b": 0.0}, ("0.0",)),
    ],
)
def test_subordinator_of_the_full_family(parameters, parts):
    check(lambda: gh(**parameters), "GeneralizedInverseGaussian", *parts)
    arguments = {"p": 1.0, "a": 1.0, "b": 1.0} | parameters
    check(lambda: GeneralizedHyperbolic.univariate(0.0, 0.0, 1.0, **arguments),
          "GeneralizedInverseGaussian", *parts)  # fmt: skip


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan, np.inf])
def test_scale_of_a_univariate_law(sigma):
    check(lambda: VarianceGamma.univariate(0.0, 0.0, sigma, alpha=1.0, beta=1.0),
          "UnivariateNormalMixture", "sigma must be finite and > 0", str(sigma))  # fmt: skip


def test_other_constructors():
    owner = "NormalInverseGamma.skewed_t"
    for df in (0.0, -1.0, np.nan):
        check(lambda df=df: NormalInverseGamma.skewed_t(np.zeros(2), sigma=np.eye(2), df=df),
              owner, "df must be", str(df))  # fmt: skip

    def ghyp(*rates, lambda_=1.0, **bar):
        return GeneralizedHyperbolic.from_ghyp(lambda_, *rates, mu=np.zeros(1), sigma=np.eye(1),
                                               **bar)  # fmt: skip

    owner = "GeneralizedHyperbolic.from_ghyp"
    check(ghyp, owner, "chi, psi must be given both", "chi = None")
    check(lambda: ghyp(1.0), owner, "chi, psi must be given both", "psi = None")
    check(lambda: ghyp(1.0, 1.0, alpha_bar=1.0), owner, "alpha_bar must not be given beside", "1.0")
    check(lambda: ghyp(alpha_bar=-1.0), owner, "alpha_bar must be finite and >= 0", "-1.0")
    check(lambda: ghyp(alpha_bar=np.nan), owner, "alpha_bar must be finite and >= 0", "nan")
    check(lambda: ghyp(alpha_bar=0.0, lambda_=-0.5), owner, "alpha_bar must be > 0 for", "0.0")

    def prause(alpha=2.0, beta=(0.3, 0.1), delta=1.0, Delta=((1.0, 0.0), (0.0, 1.0))):
        beta, Delta = np.asarray(beta), np.asarray(Delta)
        return GeneralizedHyperbolic.from_prause(1.0, alpha, beta, delta, np.zeros(2), Delta)

    owner = "GeneralizedHyperbolic.from_prause"
    check(lambda: prause(alpha=0.1), owner, "alpha must be >= |beta|", "0.1")
    check(lambda: prause(delta=-1.0), owner, "delta must be >= 0", "-1.0")
    check(lambda: prause(Delta=2 * np.eye(2)), owner, "Delta must have determinant 1", "4.0")
    check(lambda: prause(Delta=np.eye(3)), owner, "Delta must have shape (2, 2)", "(3, 3)")
    check(lambda: prause(beta=NAN), owner, "beta must be finite", "nan")


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("log_prob", lambda m, x: m.log_prob(x)),
        ("prob", lambda m, x: m.prob(x)),
        ("characteristic_function", lambda m, x: m.characteristic_function(x)),
        ("e_step", lambda m, x: m.e_step(x)),
        ("statistics", lambda m, x: m.statistics(x)),
        ("m_step", lambda m, x: m.m_step(x, MOMENTS)),
    ],
)
def test_nan_in_rows(method, call, model):
    """The method that was called is named, with row and component."""
    owner, argument = f"{type(model).__name__}.{method}", "x"
    if method in ("e_step", "statistics", "m_step"):
        argument = "X"
    elif method == "characteristic_function":
        argument = "t"
    check(lambda: call(model, NAN_ROWS), owner, f"{argument} must not be nan",
          "row 1, component 1")  # fmt: skip
    check(lambda: call(model, np.zeros((4, 3))), owner, argument, "(4, 3)")


def test_nan_at_one_point(model):
    owner = type(model).__name__
    check(lambda: model.posterior(NAN), f"{owner}.posterior", "x must be finite", "nan")
    check(lambda: model.posterior(ROWS), f"{owner}.posterior", "x must have shape", "(4, 2)")
    check(lambda: model.posterior(np.zeros(3)), f"{owner}.posterior", "(2,)", "(3,)")
    check(lambda: model.conditional([0], np.array([np.nan])), f"{owner}.conditional",
          "values must be finite", "nan")  # fmt: skip


def test_nan_in_weights_of_a_projection(model):
    owner = f"{type(model).__name__}.project"
    check(lambda: model.project(NAN), owner, "w must be finite", "nan")
    check(lambda: model.project(np.array([1.0, np.inf])), owner, "w must be finite", "inf")


def test_traced_nan_gives_nan(model):
    got = np.asarray(jax.vmap(model.log_prob)(jnp.asarray(NAN_ROWS)))
    np.testing.assert_array_equal(np.isnan(got), [False, True, False, False])


def test_infinite_points_have_no_density(model):
    points = np.array([[np.inf, 0.0], [0.0, -np.inf], [np.inf, -np.inf], [-np.inf, -np.inf]])
    np.testing.assert_array_equal(model.log_prob(points), np.full(4, -np.inf))
    np.testing.assert_array_equal(model.prob(points), np.zeros(4))
    law = model.project(np.array([0.6, -0.8]))
    np.testing.assert_array_equal(law.log_prob(np.array([-np.inf, np.inf])), [-np.inf] * 2)


@pytest.mark.parametrize("method", ["e_step", "statistics"])
def test_pieces_of_em_take_finite_data(model, method):
    points = np.array([[0.7, -1.1], [np.inf, 0.0], [0.0, -np.inf]])
    with pytest.raises(ValueError, match=rf"{method}: X must be finite, got inf in row \[1\]"):
        getattr(model, method)(points)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        (np.ones(3), ("weights must have shape (4,)", "(3,)")),
        (np.ones((4, 1)), ("weights must have shape (4,)", "(4, 1)")),
        (np.array([1.0, -2.0, 1.0, 1.0]), ("weights must be finite and non-negative", "-2.")),
        (np.array([1.0, np.nan, 1.0, 1.0]), ("weights must be finite and non-negative", "nan")),
        (np.array([1.0, np.inf, 1.0, 1.0]), ("weights must be finite and non-negative", "inf")),
    ],
)
def test_weights(weights, parts, model):
    check(lambda: model.statistics(ROWS, weights), f"{type(model).__name__}.statistics", *parts)


def test_expectations_of_other_rows(model):
    """Without the type checker of these tests it is the ValueError that says the same."""
    with pytest.raises((ValueError, TypeError), match=r"n|shape"):
        model.m_step(ROWS[:3], MOMENTS)


@pytest.mark.parametrize(
    ("A", "b", "parts"),
    [
        (np.ones(2), None, ("A must have shape (k, 2)", "(2,)")),
        (np.ones((1, 3)), None, ("A must have shape (k, 2)", "(1, 3)")),
        (np.ones((3, 2)), None, ("A must have shape (k, 2) with 0 < k <= 2", "(3, 2)")),
        (np.ones((0, 2)), None, ("A must have shape (k, 2) with 0 < k <= 2", "(0, 2)")),
        (np.ones((2, 2)), None, ("A must have full row rank", "1.")),
        (np.zeros((1, 2)), None, ("A must have full row rank", "0.")),
        (np.array([[1e8, 0.0], [1.0, 0.0]]), None, ("A must have full row rank", "1.e+08")),
        (NAN[None, :], None, ("A must be finite", "nan")),
        (np.eye(2), np.zeros(3), ("b must have shape (2,)", "(3,)")),
        (np.eye(2), NAN, ("b must be finite", "nan")),
    ],
)
def test_affine(A, b, parts, model):
    check(lambda: model.affine(A, b), f"{type(model).__name__}.affine", *parts)


def test_rows_of_very_different_size_are_of_full_rank(model):
    A = np.diag([1e-12, 1e12])
    np.testing.assert_allclose(model.affine(A).mean(), A @ model.mean(), rtol=1e-12)


@pytest.mark.parametrize("method", ["marginal", "conditional"])
@pytest.mark.parametrize("indices", [[0, 0], [0, -2], [2], [-3], []])
def test_indices(method, indices, model):
    values = (np.zeros(len(indices)),) if method == "conditional" else ()
    check(lambda: getattr(model, method)(indices, *values), f"{type(model).__name__}.{method}",
          f"indices must be different integers from 0 to 1, got {indices}; ")  # fmt: skip


@pytest.mark.parametrize("indices", [[[0]], [0.0], "0"])
def test_indices_that_are_no_integers(indices, model):
    """Without the type checker of these tests it is the ValueError that says the same."""
    with pytest.raises((ValueError, TypeError), match="indices"):
        model.marginal(indices)
    with pytest.raises((ValueError, TypeError), match="indices"):
        model.conditional(indices, np.zeros(1))


def test_conditional(model):
    owner = f"{type(model).__name__}.conditional"
    check(lambda: model.conditional([0, 1], np.zeros(2)), owner, "indices must leave a component",
          "[0, 1]")  # fmt: skip
    check(lambda: model.conditional([0], np.zeros(2)), owner, "values must have shape (1,)", "(2,)")


def test_where_the_density_is_infinite():
    """b = 0 at x = μ: for the posterior with p <= d/2, for the conditional by what is given."""
    model = VarianceGamma.from_classical(POINT, None, np.eye(2), alpha=0.4, beta=1.0)
    assert model.log_prob(POINT) == np.inf
    check(lambda: model.posterior(POINT), "VarianceGamma.posterior", "x must not be μ", "0.7")
    check(lambda: model.conditional([1], POINT[1:]), "VarianceGamma.conditional",
          "values must not be μ", "-1.1")  # fmt: skip
    law = VarianceGamma.from_classical(POINT, None, np.eye(2), alpha=0.6, beta=1.0)
    assert np.all(np.isfinite(law.conditional([1], POINT[1:]).cov()))


@pytest.mark.parametrize("method", ["value_at_risk", "expected_shortfall"])
def test_levels(method, make):
    law = make("gh", 2).project(np.array([1.0, 0.0]))
    for level in (0.0, 1.0, 1.5, -0.1, np.nan, np.array([0.5, 2.0])):
        check(lambda level=level: getattr(law, method)(level),
              f"UnivariateNormalMixture.{method}", "level must be in (0, 1)", "got ")  # fmt: skip
    with pytest.raises((ValueError, TypeError), match="of"):
        getattr(law, method)(0.99, of="gain")
    for q in (-0.1, 1.1):
        check(lambda q=q: law.ppf(q), "UnivariateNormalMixture.ppf", "q must be in [0, 1]", str(q))


def test_moments_that_are_needed():
    cauchy = NormalInverseGamma.skewed_t(np.zeros(2), sigma=np.eye(2), df=1.0)
    check(cauchy.standardize, "NormalInverseGamma.standardize", "the variances must be finite")
    check(cauchy.to_ghyp, "NormalInverseGamma.to_ghyp", "E Y must be finite", "inf")
    law = cauchy.project(np.array([1.0, 0.0]))
    check(law.standardize, "UnivariateNormalMixture.standardize", "the variance must be finite")
    check(law.to_ghyp, "UnivariateNormalMixture.to_ghyp", "E Y must be finite", "inf")


def test_is_close_to_another_dimension(make):
    check(lambda: make("gh", 2).is_close(make("gh", 3)), "GeneralizedHyperbolic.is_close",
          "other must have dimension 2", "3")  # fmt: skip


def test_affine_maps_of_a_univariate_law(make):
    law = make("gh", 2).project(np.array([1.0, 0.0]))
    check(lambda: law.affine(0.0), "UnivariateNormalMixture.affine", "scale must not be 0", "0.0")
    with pytest.raises(ValueError, match=r"UnivariateNormalMixture.affine: scale .*\(2,\)"):
        law.affine(np.ones(2))
