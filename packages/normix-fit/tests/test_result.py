"""`EMResult`: criteria, the account as text, for rich and as a picture; a pytree."""

import dataclasses
import io
import sys

import jax
import numpy as np
import pytest

from normix_fit import EMResult, Status
from normix_fit._result._em_result import message_for
from normix_mixtures import GeneralizedHyperbolic, Held, NormalInverseGaussian, VarianceGamma

N, D = 50, 3


def account(model=None, **changes):
    fields = {
        "model": nig() if model is None else model,
        "status": Status.CONVERGED,
        "n_iter": 4,
        "log_likelihood": -1234.56789,
        "log_likelihoods": np.array([-1300.0, -1250.0, -1235.0, -1234.6, -1234.56789]),
        "param_changes": np.array([0.5, 0.1, 0.0, 1e-4]),
        "elapsed": 3.25,
        "n_observations": N,
    }
    return EMResult(**fields | changes)


def nig(d=D):
    return NormalInverseGaussian.from_classical(
        np.arange(1.0, d + 1), 0.5 * np.ones(d), 4 * np.eye(d), mu_ig=1.5, lam=2.0
    )


def vg():
    return VarianceGamma.from_classical(np.zeros(D), None, np.eye(D), alpha=2.5, beta=10.0)


def gh():
    return GeneralizedHyperbolic.from_classical(np.zeros(D), None, np.eye(D), p=0.5, a=1.0, b=2.0)


@pytest.mark.parametrize(
    ("model", "fixed", "k"),
    [
        (nig(), (), 13),
        (nig(), ("gamma",), 10),
        (nig(), ("mu", "gamma"), 7),
        (vg(), ("alpha",), 12),
        (gh(), (), 14),
        (gh(), ("p",), 13),
        (gh(), ("p", "mu"), 10),
        (gh(), ("subordinator",), 12),
        (gh(), ("subordinator", "p"), 12),
        (nig(), ("subordinator", "gamma"), 9),
    ],
)
def test_what_was_held_is_not_counted(model, fixed, k):
    result = account(model, held=Held(fixed))
    assert result.n_parameters == k
    assert result.aic == pytest.approx(2 * k + 2 * 1234.56789, rel=1e-14)
    assert result.bic == pytest.approx(k * np.log(N) + 2 * 1234.56789, rel=1e-14)


def test_a_result_knows_its_data_or_asks_for_them():
    with pytest.raises(ValueError, match="X must be given, this result does not know its data"):
        account().standard_errors()


def test_the_added_fields_have_defaults():
    result = account()
    assert (result.n_evaluations, result.compile_seconds, result.held.names) == (0, 0.0, ())


def test_a_result_is_a_pytree():
    result = account(n_evaluations=7, compile_seconds=1.5, held=Held(("gamma",)))
    leaves, structure = jax.tree.flatten(result)
    again = jax.tree.unflatten(structure, leaves)
    for field in dataclasses.fields(EMResult):
        if field.name != "model":
            np.testing.assert_array_equal(getattr(again, field.name), getattr(result, field.name))
    assert bool(again.model.is_close(result.model))
    assert again.fixed == ("gamma",)
    assert again.summary() == result.summary()


def test_summary_tells_everything():
    result = account(n_evaluations=7, compile_seconds=1.5, held=Held(("gamma",)))
    lines = dict(line.split(None, 1) for line in result.summary().splitlines() if line[:2] == "  ")
    assert result.summary().startswith("NormalInverseGaussian\n")
    wanted = {
        "status": "converged",
        "observations": "50",
        "components": "3",
        "parameters": "10",
        "held": "gamma",
        "log-likelihood": "-1234.56789",
        "AIC": f"{result.aic:.10g}",
        "BIC": f"{result.bic:.10g}",
        "iterations": "4",
        "evaluations": "7",
        "seconds": "3.25 (1.5 of them compiling)",
    }
    assert {name: lines[name].strip() for name in wanted} == wanted
    assert lines["per"].split() == ["row", "-24.69"]
    model = result.model.normalize()
    assert (
        f"mu_ig = {float(model.mu_ig):.6g}, lam = {float(model.lam):.6g}" in lines["subordinator"]
    )
    scale = float(np.sqrt(model.sigma[1, 1]))
    expected = [2.0, float(model.gamma[1]), scale]
    assert [float(x) for x in lines["2"].split()] == pytest.approx(expected, rel=1e-5)


def test_summary_shows_the_gauge_and_not_the_model_as_it_is_held():
    text = account(vg()).summary()
    assert "alpha = 2.5, beta = 2.5" in text


@pytest.mark.parametrize(("d", "listed"), [(12, True), (13, False)])
def test_summary_lists_up_to_twelve_components(d, listed):
    text = account(nig(d)).summary()
    assert ("gamma" in text) == listed
    assert (text.splitlines()[-1].split()[0] == str(d)) == listed


@pytest.mark.parametrize("status", Status)
def test_summary_says_the_status_in_words_within_a_screen(status):
    text = account(status=status).summary()
    assert message_for(status, NormalInverseGaussian) in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_rich_shows_the_account():
    shown = dict(account().__rich_repr__())
    assert shown["family"] == "NormalInverseGaussian"
    assert shown["log-likelihood"] == -1234.56789
    console = pytest.importorskip("rich.console", reason="rich is no dependency of normix-fit")
    out = io.StringIO()
    console.Console(file=out, width=80).print(account())
    assert "log-likelihood=-1234.56789" in out.getvalue()


def test_a_picture_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'normix-fit\[plot\]'"):
        account().plot()


def test_the_picture_shows_distances_and_changes():
    pytest.importorskip("matplotlib", reason="the extra plot of normix-fit is not installed")
    result = account()
    figure = result.plot()
    (axes,) = figure.axes
    gains, changes = axes.lines
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(gains.get_xdata(), [0, 1, 2, 3])
    np.testing.assert_allclose(
        gains.get_ydata(), [65.43211, 15.43211, 0.43211, 0.03211], rtol=0, atol=1e-9
    )
    # the third iteration changed nothing
    np.testing.assert_array_equal(changes.get_xdata(), [1, 2, 4])
    np.testing.assert_array_equal(changes.get_ydata(), [0.5, 0.1, 1e-4])
    figure.savefig(io.BytesIO(), format="png")


def test_the_picture_is_drawn_on_axes_that_are_given():
    figures = pytest.importorskip(
        "matplotlib.figure", reason="the extra plot of normix-fit is not installed"
    )
    figure = figures.Figure()
    axes = figure.add_subplot()
    assert account().plot(axes) is figure
    assert len(axes.lines) == 2


def test_a_fit_without_iterations_has_an_empty_picture():
    pytest.importorskip("matplotlib", reason="the extra plot of normix-fit is not installed")
    result = account(n_iter=0, log_likelihoods=np.array([-2.0]), param_changes=np.zeros(0))
    (axes,) = result.plot().axes
    assert len(axes.lines) == 0
