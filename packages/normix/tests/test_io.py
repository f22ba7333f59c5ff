"""A model comes back from disk as it was, and a damaged file says what is wrong with it."""

import json
import warnings

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import normix
from normix.io import load, load_columns, save
from normix_fit import FAMILIES

_SUBORDINATORS = {
    "gh": {"p": -0.7, "a": 0.1, "b": 1 / 3},
    "nig": {"mu_ig": 1.1, "lam": 0.7},
    "vg": {"alpha": 2.3, "beta": 1.3},
    "ninvg": {"alpha": 2.3, "beta": 3.3},
}


def _model(family: str, d: int = 3, seed: int = 0, dtype: type = np.float64):
    rng = np.random.default_rng(seed)
    factor = np.tril(rng.standard_normal((d, d)))
    np.fill_diagonal(factor, rng.uniform(0.1, 3.0, d))
    scale = 10.0 ** rng.integers(-6, 7, d)
    return FAMILIES[family].from_classical(
        mu=jnp.asarray((scale * rng.standard_normal(d)).astype(dtype)),
        gamma=jnp.asarray((scale * rng.standard_normal(d)).astype(dtype)),
        L_Sigma=jnp.asarray((scale[:, None] * factor).astype(dtype)),
        **{name: jnp.asarray(x, dtype) for name, x in _SUBORDINATORS[family].items()},
    )


def _leaves(model):
    return [np.asarray(leaf) for leaf in jax.tree_util.tree_leaves(model)]


def _assert_same(one, other):
    assert type(one) is type(other)
    for a, b in zip(_leaves(one), _leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", list(FAMILIES))
@given(d=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_model_comes_back_to_the_last_bit(tmp_path, family, dtype, d, seed):
    model = _model(family, d, seed, dtype)
    save(model, tmp_path / "m.json")
    _assert_same(load(tmp_path / "m.json"), model)


def test_the_everyday_names_are_these():
    assert normix.save is save
    assert normix.load is load


def test_columns_are_kept(tmp_path):
    save(_model("nig"), tmp_path / "m.json", columns=["a", "größe", 'say "c"'])
    assert load_columns(tmp_path / "m.json") == ("a", "größe", 'say "c"')
    save(_model("nig"), tmp_path / "m.json")
    assert load_columns(tmp_path / "m.json") is None


def test_the_file_is_plain_json(tmp_path):
    save(_model("gh"), tmp_path / "m.json")
    document = json.loads((tmp_path / "m.json").read_text())
    assert document["format"] == "normix-model"
    assert document["version"] == 1
    assert document["family"] == "gh"
    assert set(document["subordinator"]) == {"p", "a", "b"}
    assert np.shape(document["L_Sigma"]) == (3, 3)


def test_float64_in_a_float32_session_warns(tmp_path):
    save(_model("vg"), tmp_path / "m.json")
    old = not hasattr(jax, "enable_x64")
    enable_x64 = jax.experimental.enable_x64 if old else jax.enable_x64
    with enable_x64(False), pytest.warns(UserWarning, match="holds float64 parameters"):
        model = load(tmp_path / "m.json")
    assert np.asarray(model.mu).dtype == np.float32


def test_float32_in_a_float64_session_is_silent(tmp_path):
    save(_model("vg", dtype=np.float32), tmp_path / "m.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path / "m.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "m.json"
    save(_model("gh"), path)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save(_model("gh", seed=1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saving_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "m.json")
    save(_model("gh"), tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    _assert_same(load(tmp_path / "m.json"), _model("gh"))


def test_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"model must be one of .*got dict"):
        save({}, tmp_path / "m.json")
    with pytest.raises(ValueError, match="columns must have 3 names, got 1"):
        save(_model("gh"), tmp_path / "m.json", columns=["a"])
    assert list(tmp_path.iterdir()) == []


def _changed(**changes):
    def change(document):
        return {**document, **changes}

    return change


def _without(key):
    def change(document):
        return {k: v for k, v in document.items() if k != key}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: [1, 2], "not a normix model"),
        (_without("format"), "not a normix model"),
        (_changed(format="other"), "not a normix model"),
        (_changed(version=2), "version must be 1, got 2"),
        (_without("version"), "version must be 1, got None"),
        (_changed(family="cauchy"), "family must be one of gh, nig, vg, ninvg, got 'cauchy'"),
        (_changed(family=["gh"]), "family must be one of"),
        (_changed(dtype="int8"), "dtype must be one of float32, float64, got 'int8'"),
        (_without("mu"), "key missing: mu"),
        (_without("subordinator"), "key missing: subordinator"),
        (_changed(mu=[1, 2]), r"gamma must have shape \(2,\), has \(3,\)"),
        (_changed(mu=1.0), "mu must be a 1-d list"),
        (_changed(mu=[1, "2", 3]), "mu must be a 1-d list of finite numbers"),
        (_changed(mu=[1, True, 3]), "mu must be a 1-d list of finite numbers"),
        (_changed(gamma=[1, float("nan"), 3]), "gamma must be a 1-d list of finite numbers"),
        (_changed(L_Sigma=[[1, 0], [0, 1]]), r"L_Sigma must have shape \(3, 3\), has \(2, 2\)"),
        (_changed(L_Sigma=[[1], [0, 1]]), "L_Sigma must have rows of one length"),
        (_changed(L_Sigma=[1, 2, 3]), "L_Sigma must be a 2-d list"),
        (_changed(L_Sigma=[[1, 2, 0], [0, 1, 0], [0, 0, 1]]), "lower triangular"),
        (_changed(L_Sigma=[[1, 0, 0], [0, -1, 0], [0, 0, 1]]), "positive diagonal"),
        (_changed(mu=[], gamma=[], L_Sigma=[]), "L_Sigma"),
        (_changed(subordinator={"p": 1, "a": 1}), "subordinator of gh .* p, a, b"),
        (_changed(subordinator={"p": 1, "a": 1, "b": None}), "subordinator of gh"),
        (_changed(subordinator=[1, 2, 3]), "subordinator of gh"),
    ],
)
def test_a_wrong_document_is_named(tmp_path, change, message):
    path = tmp_path / "m.json"
    save(_model("gh"), path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"date,a\n"])
def test_a_file_that_is_not_json_is_named(tmp_path, data):
    path = tmp_path / "m.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="not a JSON text") as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.json")


def test_columns_that_are_no_names_are_refused(tmp_path):
    path = tmp_path / "m.json"
    save(_model("gh"), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "columns": [1, 2, 3]}))
    with pytest.raises(ValueError, match="columns must be a list of names"):
        load_columns(path)
