"""A model comes back from disk as it was, and a damaged file says what is wrong with it."""

import json
import os
import socket
import stat
import time
import warnings
from pathlib import Path

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import normix
from normix.io import _checksum, load, load_columns, save
from normix_mixtures import FAMILIES


def _model(family: str, d: int = 3, seed: int = 0, dtype: type = np.float64):
    rng = np.random.default_rng(seed)
    factor = np.tril(rng.standard_normal((d, d)))
    np.fill_diagonal(factor, rng.uniform(0.1, 3.0, d))
    scale = 10.0 ** rng.integers(-6, 7, d)
    usual = FAMILIES[family].from_moments(jnp.zeros(1), jnp.eye(1), spread=0.3)
    return FAMILIES[family].from_classical(
        mu=jnp.asarray((scale * rng.standard_normal(d)).astype(dtype)),
        gamma=jnp.asarray((scale * rng.standard_normal(d)).astype(dtype)),
        L_Sigma=jnp.asarray((scale[:, None] * factor).astype(dtype)),
        **{name: x.astype(dtype) for name, x in usual.subordinator_parameters().items()},
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


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    (tmp_path / "other").touch()
    save(_model("gh"), tmp_path / "m.json")
    assert (tmp_path / "m.json").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o777])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "m.json"
    path.touch()
    path.chmod(mode)
    save(_model("gh"), path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may chown")
def test_a_file_that_is_replaced_keeps_its_owner(tmp_path):
    path = tmp_path / "m.json"
    path.touch()
    os.chown(path, 12345, 54321)
    save(_model("gh"), path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_a_file_without_permission_to_write_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "m.json"
    path.write_text("mine")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may always write
    with pytest.raises(PermissionError, match=r"m\.json"):
        save(_model("gh"), path)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkdir, "a folder"),
        pytest.param(getattr(os, "mkfifo", None), "not a regular file", id="fifo"),
        (_make_socket, "not a regular file"),
        (lambda path: path.symlink_to(path.name), "a link that leads to itself"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files")
def test_only_a_regular_file_is_replaced(tmp_path, monkeypatch, make, message, linked):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    path = Path("m.json")
    make(path)
    before = path.lstat()
    target = path
    if linked:
        target = Path("link.json")
        target.symlink_to(path)
    with pytest.raises(OSError, match=message) as caught:
        save(_model("gh"), target)
    assert str(target) in str(caught.value)
    assert path.lstat() == before
    assert len(list(tmp_path.iterdir())) == 1 + linked


def test_a_name_as_long_as_the_disk_allows_can_be_saved(tmp_path):
    path = tmp_path / ("m" * 250 + ".json")
    save(_model("gh"), path)
    _assert_same(load(path), _model("gh"))


def test_what_a_crash_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    scratch = []
    monkeypatch.setattr("os.fsync", lambda _: scratch.extend(tmp_path.iterdir()))
    save(_model("gh"), tmp_path / "m.json")
    (left,) = scratch
    running = left.with_name(left.name.replace(left.name[8:12], "0000"))
    others = [tmp_path / name for name in (".m.json.tmp", f"{left.name}.json", f"x{left.name}")]
    for path in (left, running, *others):
        path.write_text("half a model")
    two_hours_ago = time.time() - 7200
    for path in (left, *others):
        os.utime(path, (two_hours_ago, two_hours_ago))
    save(_model("gh"), tmp_path / "m.json")
    assert set(tmp_path.iterdir()) == {tmp_path / "m.json", running, *others}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a"], "columns must have 3 names, got 1"),
        ("abc", "columns must have 3 names, got 'abc'"),
        (3, "columns must have 3 names, got 3"),
        ([1, 2, 3], "columns must be names, .*got 1"),
        (["a", None, "c"], "columns must be names, .*got None"),
        (["a", "b", "a"], "columns must be different names, got 'a' twice"),
        (["a", "b", "\ud800"], "columns must be names, texts that UTF-8 can hold"),
    ],
)
def test_columns_that_are_no_names_are_not_saved(tmp_path, columns, message):
    with pytest.raises(ValueError, match=f"save: {message}"):
        save(_model("gh"), tmp_path / "m.json", columns=columns)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_a_dtype_that_load_does_not_know_is_not_saved(tmp_path, dtype):
    half = jax.tree.map(lambda leaf: leaf.astype(dtype), _model("vg", d=1))
    with pytest.raises(ValueError, match=r"save: parameters must be float32 or float64, got .*16"):
        save(half, tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"model must be one of .*got dict"):
        save({}, tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


def _outcome(path: Path):
    """The model and columns of a file, or the message with which it is refused."""
    try:
        columns = load_columns(path)
        return load(path), columns
    except ValueError as error:
        return str(error)


def _assert_refused_or_unchanged(path: Path, model, columns) -> bool:
    """Whether it loads."""
    outcome = _outcome(path)
    if isinstance(outcome, str):
        assert str(path) in outcome
        return False
    _assert_same(outcome[0], model)
    assert outcome[1] == columns
    return True


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "m.json"
    save(_model("gh"), path, columns=["a", "größe", "c"])
    return path


def test_a_flipped_bit_is_an_error_or_changes_nothing(saved):
    data, model, columns = saved.read_bytes(), load(saved), load_columns(saved)
    rng = np.random.default_rng(0)
    loaded = 0
    for bit in rng.choice(8 * len(data), 1500, replace=False).tolist():
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        saved.write_bytes(damaged)
        loaded += _assert_refused_or_unchanged(saved, model, columns)
    assert loaded < 5  # e for E in an exponent, or a digit beyond the last bit


def test_random_damage_is_an_error_or_changes_nothing(saved):
    data, model, columns = saved.read_bytes(), load(saved), load_columns(saved)
    rng = np.random.default_rng(1)

    def cut(i, j):
        return data[:i] + data[j:]

    def repeat(i, j):
        return data[:j] + data[i:]

    def swap(i, j):
        return data[:i] + data[j : j + 1] + data[i + 1 : j] + data[i : i + 1] + data[j + 1 :]

    def scramble(i, j):
        return data[:i] + rng.bytes(min(j - i, 4)) + data[j:]

    def move(i, j):
        return data[j:] + data[i:j] + data[:i]

    for n in range(1500):
        i, j = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        damage = (cut, repeat, swap, scramble, move)[n % 5]
        saved.write_bytes(damage(i, i + 1 + (j - i) % 9 if n % 2 else j))
        _assert_refused_or_unchanged(saved, model, columns)


def test_another_layout_of_the_same_model_loads(saved):
    model, document = load(saved), json.loads(saved.read_text())
    for indent in (None, 4):
        saved.write_text(json.dumps(document, indent=indent, sort_keys=True))
        _assert_same(load(saved), model)


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
        (_changed(version=True), "version must be 1, got True"),
        (_changed(version=10**400), "version must be 1, got inf"),
        (_without("version"), "version must be 1, got None"),
        (_changed(family="cauchy"), f"family must be one of {', '.join(FAMILIES)}, got 'cauchy'"),
        (_changed(family=["gh"]), "family must be one of"),
        (_changed(dtype="int8"), "dtype must be one of float32, float64, got 'int8'"),
        (_without("mu"), "key missing: 'mu'"),
        (_without("subordinator"), "key missing: 'subordinator'"),
        (_without("sha256"), "key missing: 'sha256'"),
        (_changed(note="mine"), "key unknown: 'note'"),
        (_changed(mu=[1, 2, 3]), "the contents do not have the checksum"),
        (_changed(sha256=None), "the contents do not have the checksum"),
        (_changed(mu=[1, 10**400, 3]), "mu must be a 1-d list of finite numbers"),
        (_changed(columns=[1, 2, 3]), "columns must be names, .*got 1"),
        (_changed(columns=["a", "b"]), "columns must have 3 names, got 2"),
        (_changed(columns={"a": 1}), "columns must have 3 names"),
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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JSON text"),
        (b"{", "not a JSON text"),
        (b"\xff\xfe", "not a JSON text"),
        (b"date,a\n", "not a JSON text"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"format": "normix-model", "format": "normix-model"}', "key 'format' stands twice"),
        (b'{"format": "normix-model", "version": ' + b"1" * 10_000 + b"}", "version must be 1"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value[:9]),
)
def test_a_file_that_is_no_model_is_named(tmp_path, data, message):
    path = tmp_path / "m.json"
    path.write_bytes(data)
    for read in (load, load_columns):
        with pytest.raises(ValueError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_model_that_the_family_refuses_is_named(saved):
    document = json.loads(saved.read_text())
    document["subordinator"]["a"] = -1.0
    document["sha256"] = _checksum(json.loads(json.dumps(document), parse_int=float))
    saved.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="a must be") as caught:
        load(saved)
    assert str(saved) in str(caught.value)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.json")
