"""Pictures: what is in them, and that they leave no trace in the process."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from normix._marginal_quantiles import marginals
from normix.plotting import _grid, _positions, qq_plot
from normix_mixtures import (
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    VarianceGamma,
)


def _model(d: int):
    return NormalInverseGaussian.from_classical(
        mu=jnp.zeros(d), gamma=jnp.zeros(d), L_Sigma=jnp.eye(d), mu_ig=1.0, lam=1.0
    )


def _data(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(0).standard_t(5, (n, d))


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("plot") / "qq.png"
    figure = qq_plot(_model(2), _data(300, 2), columns=["a", "b"], path=path)
    return figure, path


def test_one_panel_a_column_with_its_name(picture):
    figure, _ = picture
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_xlim() == axes.get_ylim()
    assert figure.axes[0].get_ylabel()
    assert "units" in figure.get_suptitle()


def test_points_pair_order_statistics_with_quantiles_of_the_marginal(picture):
    figure, _ = picture
    data = np.sort(_data(300, 2)[:, 1])
    diagonal, _, points = figure.axes[1].lines
    x, y = points.get_data()
    assert y[0] == data[0]
    assert y[-1] == data[-1]
    ranks = np.searchsorted(data, y)
    law = _model(2).project(np.array([0.0, 1.0]))
    exact = np.asarray(law.ppf((ranks + 0.5) / 300))
    np.testing.assert_allclose(x, exact, rtol=0, atol=1e-3 * np.ptp(exact))
    np.testing.assert_array_equal(*diagonal.get_data())


_SHAPES = [
    (GeneralizedHyperbolic, {"p": -0.7, "a": 1.2, "b": 0.4}),
    (GeneralizedHyperbolic, {"p": 0.3, "a": 1e6, "b": 1e6}),
    (NormalInverseGaussian, {"mu_ig": 1.0, "lam": 0.3}),
    (VarianceGamma, {"alpha": 0.2, "beta": 0.7}),
    (VarianceGamma, {"alpha": 3.0, "beta": 0.7}),
    (NormalInverseGamma, {"alpha": 0.6, "beta": 0.7}),
    (NormalInverseGamma, {"alpha": 3.6, "beta": 0.7}),
]


@pytest.mark.parametrize(
    ("gamma", "tolerance"),
    [((0.0, 0.0), 1e-7), ((0.5, -1.0), 1e-3), ((8.0, -30.0), 1e-3)],
    ids=["symmetric", "skewed", "very skewed"],
)
def test_quantiles_on_the_host_are_those_of_the_marginals(gamma, tolerance):
    q = 1 / (1 + np.exp(-np.linspace(-14, 14, 65)))
    mu, factor = np.array([0.1, -2.0]), np.array([[1.0, 0.0], [0.3, 2.0]])
    for family, shape in _SHAPES:
        model = family.from_classical(mu, np.array(gamma), L_Sigma=factor, **shape)
        for j, law in enumerate(marginals(model, [0, 1])):
            exact = np.asarray(model.project(np.eye(2)[j]).ppf(q))
            error = np.max(np.abs(law.ppf(q) - exact)) / np.ptp(exact)
            assert error < tolerance, (family, shape, j)


def test_the_png_is_one(picture):
    _, path = picture
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 10_000
    assert list(path.parent.iterdir()) == [path]


def test_many_columns_are_cut_to_those_of_largest_kurtosis():
    data = np.random.default_rng(0).uniform(size=(400, 32))
    data[0, 2:] = 9.0
    figure = qq_plot(_model(32), data)
    shown = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert shown == [f"x{j}" for j in range(3, 33)]
    assert "30 of 32 columns" in figure.get_suptitle()


def test_there_is_room_for_every_panel():
    for n in range(1, 31):
        rows, columns = _grid(n)
        assert rows * columns >= n > (rows - 1) * columns


@pytest.mark.parametrize("n", [2, 3, 199, 200, 201, 2552, 10**6])
def test_positions_hold_both_ends_and_are_few(n):
    at = _positions(n, 200)
    assert at[0] == 0
    assert at[-1] == n - 1
    assert np.all(np.diff(at) > 0)
    assert len(at) <= 200


@pytest.mark.parametrize(
    ("data", "columns", "message"),
    [
        (_data(10, 3), None, r"X must have shape \(n, 2\)"),
        (_data(1, 2), None, "n >= 2"),
        (np.full((5, 2), np.nan), None, "finite"),
        (_data(10, 2), ["a"], "columns must have 2 names, got 1"),
    ],
)
def test_what_does_not_suit_the_model_is_refused(data, columns, message):
    with pytest.raises(ValueError, match=message):
        qq_plot(_model(2), data, columns=columns)


def test_pyplot_is_never_loaded():
    code = (
        "import sys, numpy as np, jax.numpy as jnp\n"
        "from normix.plotting import qq_panel\n"
        "from matplotlib.figure import Figure\n"
        "class Law:\n    def ppf(self, q): return q\n"
        "qq_panel(Figure().subplots(), Law(), np.arange(9.0))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
