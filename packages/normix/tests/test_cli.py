"""The command `normix`, as its user meets it."""

import csv
import dataclasses
import gzip
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import normix
import normix_fit
from normix import _command, cli, datasets
from normix._interrupt import uninterrupted
from normix.io import load_columns
from normix_fit import FAMILIES, BatchEMFitter, EMResult, Status

_ROWS = "\n".join(f"{i},{i * i % 7},{(5 * i) % 11}" for i in range(20))
_GOOD = f"a,b,c\n{_ROWS}\n"
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?")


def _run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "normix", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


# ---------------------------------------------------------------------- wrong input


_BAD_FILES = [
    ("empty.csv", "", ["empty"]),
    ("header.csv", "a,b\n", ["no row"]),
    ("text.csv", "a,b\nx,y\nz,w\n", ["no numeric column"]),
    ("nan.csv", _GOOD + "1,nan,2\n", ["line 22", "column 'b'", "'nan'"]),
    ("gap.csv", _GOOD + "1,,2\n", ["line 22", "column 'b'", "empty"]),
    ("word.csv", _GOOD + "1,2,oops\n", ["line 22", "column 'c'", "'oops'"]),
    ("infinite.csv", _GOOD + "-inf,1,2\n", ["line 22", "column 'a'", "'-inf'"]),
    ("ragged.csv", _GOOD + "1,2\n", ["line 22", "2 fields"]),
    ("twice.csv", _GOOD.replace("a,b,c", "a,b,a"), ["'a'", "twice"]),
    ("label.csv", "a,who\n1,x\n2,y\n3,z\n", ["column 'who'", "no number"]),
    ("one.csv", "a\n1\n", ["one row"]),
    ("constant.csv", "a,b\n1,5\n2,5\n4,5\n", ["column 'b'", "constant"]),
    ("wide.csv", "a,b,c\n1,2,3\n4,5,7\n", ["2 rows and 3 columns"]),
    ("dependent.csv", "a,b\n1,2\n2,4\n3,6\n", ["column 'b'", "linear combination"]),
    ("latin.csv", "a,ü\n1,2\n".encode("latin-1"), ["line 1", "UTF-8"]),
    ("broken.csv.gz", gzip.compress(_GOOD.encode(), mtime=0)[:-12], ["gzip"]),
    ("folder", None, ["a folder"]),
]


def _assert_one_sentence(stderr: str, parts: list[str], level: str = "error") -> None:
    assert stderr.startswith(f"normix: {level}: ")
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    for part in parts:
        assert part in stderr


@pytest.mark.parametrize(("name", "content", "parts"), _BAD_FILES, ids=[b[0] for b in _BAD_FILES])
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, capsys, name, content, parts):
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["fit", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    _assert_one_sentence(captured.err, [str(path), *parts])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["fit", "absent.csv"], ["absent.csv", "no such file", "bundled", "ecb_fx"]),
        (["fit", "ecb_gx"], ["ecb_gx", "no such file", "bundled", "ecb_fx"]),
        (["fit", "a" * 5000], ["name too long"]),
        (["fit", "--family", "cauchy"], ["--family", "'cauchy'", "ninvg", "all"]),
        (["fit", "--max-iter", "0"], ["--max-iter", "'0'", "positive whole number"]),
        (["fit", "--max-iter", "2.5"], ["--max-iter", "'2.5'"]),
        (["fit", "--tol", "-1"], ["--tol", "'-1'", "positive"]),
        (["fit", "--tol", "nan"], ["--tol", "'nan'", "positive"]),
        (["fit", "--frobnicate"], ["--frobnicate"]),
        (["frobnicate"], ["frobnicate", "datasets"]),
        ([], ["fit", "datasets"]),
    ],
)
def test_wrong_arguments_are_one_sentence_and_exit_code_2(capsys, arguments, parts):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    _assert_one_sentence(captured.err, parts)


def test_the_process_ends_with_the_same_code_and_no_traceback(tmp_path):
    done = _run("fit", tmp_path / "absent.csv")
    assert done.returncode == 2
    assert done.stdout == ""
    _assert_one_sentence(done.stderr, ["absent.csv"])


# ---------------------------------------------------------------------- with fits that cost nothing


def _result(family: str, d: int, log_likelihood: float, status: Status) -> EMResult:
    return EMResult(
        model=FAMILIES[family].from_moments(jnp.zeros(d), jnp.eye(d), spread=0.5),
        status=status,
        n_iter=7,
        log_likelihood=log_likelihood,
        log_likelihoods=np.full(8, log_likelihood),
        param_changes=np.zeros(7),
        elapsed=0.25,
        n_observations=20,
    )


@pytest.fixture
def fits(monkeypatch):
    """Replace the fitters; `fits.log_likelihood` and `fits.status` say with which outcome."""
    outcome = SimpleNamespace(
        log_likelihood=dict.fromkeys(FAMILIES, -9.0)
        | {"gh": -4.5, "nig": -7.0, "vg": -4.0, "ninvg": -6.0},
        status=dict.fromkeys(FAMILIES, Status.CONVERGED),
        calls=[],
    )

    def fit_all(X, families, *, callback=None, **options):
        rows = X.X
        outcome.calls.append((np.asarray(rows), tuple(families), options))
        results = {}
        for name in families:
            if callback is not None:
                callback(name, 3, outcome.log_likelihood[name])
            results[name] = _result(
                name, rows.shape[1], outcome.log_likelihood[name], outcome.status[name]
            )
        return results

    monkeypatch.setattr("normix_fit.fit_all", fit_all)
    return outcome


@pytest.fixture
def data(tmp_path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(_GOOD)
    return path


def test_options_reach_the_fit(fits, data):
    assert cli.main(["fit", str(data), "--family", "vg", "--max-iter", "9", "--tol", "1e-3"]) == 0
    ((X, families, options),) = fits.calls
    assert X.shape == (20, 3)
    assert families == ("vg",)
    assert options == {"max_iter": 9, "tol": 1e-3}


def test_the_default_is_all_families_on_the_bundled_data(fits):
    assert cli.main(["fit"]) == 0
    ((X, families, _),) = fits.calls
    np.testing.assert_array_equal(X, datasets.load("ecb_fx").values)
    assert families == tuple(FAMILIES)


def test_a_bundled_name_wins_over_a_file(fits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ecb_fx").write_text(_GOOD)
    assert cli.main(["fit", "ecb_fx"]) == 0
    assert cli.main(["fit", "./ecb_fx"]) == 0
    assert [call[0].shape[1] for call in fits.calls] == [27, 3]


@pytest.mark.usefixtures("fits")
def test_families_stand_in_order_of_aic(data, capsys):
    assert cli.main(["fit", str(data)]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^(gh|nig|vg|ninvg) ", out, re.MULTILINE) == ["vg", "gh", "ninvg", "nig"]
    assert "best by AIC: vg (VarianceGamma)" in out
    assert "alpha = 2, beta = 2" in out
    assert "20 rows, 3 columns" in out


def test_a_fit_that_did_not_converge_is_told_in_the_table_and_on_stderr(fits, data, capsys):
    fits.status["nig"] = Status.MAX_ITER
    assert cli.main(["fit", str(data)]) == 0
    captured = capsys.readouterr()
    assert re.search(r"^nig .* max iter ", captured.out, re.MULTILINE)
    _assert_one_sentence(
        captured.err,
        ["nig did not converge", "max_iter was reached before convergence"],
        level="warning",
    )


def test_a_fit_on_the_boundary_is_a_fit_with_a_note(fits, data, capsys):
    fits.status["gh"] = Status.INVERSE_GAMMA_LIMIT
    assert cli.main(["fit", str(data)]) == 0
    captured = capsys.readouterr()
    assert (
        "\ngh: converged on the boundary a = 0: the fit is a skewed t law (NormalInverseGamma)\n"
        in captured.out
    )
    assert captured.err == ""


@pytest.mark.parametrize(
    ("status", "log_likelihood"),
    [
        (Status.NON_FINITE, math.nan),
        (Status.UNBOUNDED, math.inf),
        (Status.UNBOUNDED, 1e6),
        (Status.SINGULAR_DISPERSION, 1e6),
    ],
)
def test_a_likelihood_without_maximum_is_never_the_best(
    fits, data, tmp_path, capsys, status, log_likelihood
):
    fits.log_likelihood["vg"] = log_likelihood
    fits.status["vg"] = status
    out = tmp_path / "out"
    assert cli.main(["fit", str(data), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "best by AIC: gh" in captured.out
    assert re.findall(r"^(gh|nig|vg|ninvg) ", captured.out, re.MULTILINE)[-1] == "vg"
    assert "normix: warning: vg" in captured.err
    assert not (out / "vg.json").exists()
    assert (out / "gh.json").exists()


def test_a_fit_that_broke_off_is_best_only_where_nothing_else_is(fits, data, capsys):
    fits.log_likelihood["vg"] = 1e6
    fits.status["vg"] = Status.SOLVER_STALLED
    fits.status["gh"] = Status.MAX_ITER
    assert cli.main(["fit", str(data)]) == 0
    out = capsys.readouterr().out
    assert "best by AIC: gh (GeneralizedHyperbolic), not converged\n" in out
    assert re.findall(r"^(gh|nig|vg|ninvg) ", out, re.MULTILINE) == ["gh", "ninvg", "nig", "vg"]
    assert cli.main(["fit", str(data), "--family", "vg"]) == 0
    assert "best by AIC: vg (VarianceGamma), not converged\n" in capsys.readouterr().out


def test_no_model_at_all_is_exit_code_1(fits, data, tmp_path, capsys):
    fits.log_likelihood.update(dict.fromkeys(FAMILIES, math.nan))
    fits.status.update(dict.fromkeys(FAMILIES, Status.NON_FINITE))
    assert cli.main(["fit", str(data), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "no family could be fitted" in captured.out
    assert captured.err.count("normix: warning: ") == len(FAMILIES)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["summary.csv", "summary.txt"]


@pytest.mark.parametrize(
    ("prepare", "parts"),
    [
        (lambda out: out.write_text("mine"), ["exists", "folder"]),
        (lambda out: out.parent.joinpath("out").mkdir() or (out / "gh.json").touch(), ["gh.json"]),
        (lambda out: out.mkdir() or (out / "qq.png").touch(), ["qq.png", "--overwrite"]),
    ],
)
def test_nothing_on_disk_is_lost(fits, data, tmp_path, capsys, prepare, parts):
    out = tmp_path / "out"
    prepare(out)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert cli.main(["fit", str(data), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    _assert_one_sentence(captured.err, [str(out), *parts])
    assert fits.calls == []
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.usefixtures("fits")
def test_other_files_in_the_folder_are_left_alone(data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "gh.json").write_text("old")
    assert cli.main(["fit", str(data), "--family", "vg", "--out", str(out)]) == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "gh.json").read_text() == "old"


@pytest.mark.usefixtures("fits")
def test_overwrite_replaces(data, tmp_path):
    out = tmp_path / "out"
    arguments = ["fit", str(data), "--family", "vg", "--out", str(out)]
    assert cli.main(arguments) == 0
    (out / "vg.json").write_text("old")
    assert cli.main(arguments) == 2
    assert (out / "vg.json").read_text() == "old"
    assert cli.main([*arguments, "--overwrite"]) == 0
    assert json.loads((out / "vg.json").read_text())["family"] == "vg"
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("name", ["file/out", "a" * 300])
def test_a_folder_that_cannot_be_written_is_one_sentence(fits, data, tmp_path, capsys, name):
    (tmp_path / "file").touch()
    assert cli.main(["fit", str(data), "--out", str(tmp_path / name)]) == 2
    _assert_one_sentence(capsys.readouterr().err, [str(tmp_path / name), "write"])
    assert fits.calls == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_folder_is_one_sentence(fits, data, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    assert cli.main(["fit", str(data), "--out", str(out)]) == 2
    _assert_one_sentence(capsys.readouterr().err, [str(out), "write"])
    assert fits.calls == []


@pytest.mark.usefixtures("fits")
def test_a_disk_that_fills_up_is_one_sentence_after_the_report(data, tmp_path, capsys, monkeypatch):
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    assert cli.main(["fit", str(data), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert "best by AIC: vg" in captured.out
    assert "written" not in captured.out
    _assert_one_sentence(captured.err, ["out", "No space left on device"])


def test_an_interruption_ends_in_one_line(data, capsys, monkeypatch):
    def fit_all(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("normix_fit.fit_all", fit_all)
    assert cli.main(["fit", str(data)]) == 130
    assert capsys.readouterr().err == "normix: error: interrupted\n"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the columns of X must be\nlinearly independent"),
        np.linalg.LinAlgError("Singular matrix"),
        FloatingPointError("invalid value (nan) encountered in jit(f)"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_fit_that_raises_is_one_sentence_and_exit_code_1(
    data, tmp_path, capsys, monkeypatch, error
):
    def fit_all(*_args, **_options):
        raise error

    monkeypatch.setattr("normix_fit.fit_all", fit_all)
    assert cli.main(["fit", str(data), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    reason = " ".join(str(error).split()) or "out of memory"
    _assert_one_sentence(captured.err, [str(data), "no family could be fitted", reason])
    assert list((tmp_path / "out").iterdir()) == []


def test_nearly_equal_columns_end_in_a_model_or_one_sentence(tmp_path, capsys):
    x = np.random.default_rng(0).standard_normal((3000, 2))
    values = np.column_stack([x[:, 0], x[:, 0] + 1e-7 * x[:, 1]])
    path = tmp_path / "near.csv"
    np.savetxt(path, values, fmt="%.17g", delimiter=",", header="a,b", comments="")
    code = cli.main(["fit", str(path), "--family", "vg", "--max-iter", "3"])
    captured = capsys.readouterr()
    assert code in (0, 1, 2)
    if code:
        _assert_one_sentence(captured.err, [str(path)])


@pytest.mark.usefixtures("fits")
def test_an_interruption_while_files_are_made_leaves_none(data, tmp_path, capsys, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("normix.plotting.drawn", interrupt)
    assert cli.main(["fit", str(data), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "normix: error: interrupted\n"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("fits")
def test_a_disk_that_fills_up_leaves_the_files_of_before(data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert cli.main(["fit", str(data), "--out", str(out)]) == 0
    before = {p: p.read_bytes() for p in out.iterdir()}
    fsync, calls = os.fsync, []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == len(before):
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", fail)
    arguments = ["fit", str(data), "--tol", "0.5", "--out", str(out), "--overwrite"]
    assert cli.main(arguments) == 2
    assert len(calls) == len(before)
    assert {p: p.read_bytes() for p in out.iterdir()} == before


@pytest.mark.usefixtures("fits")
def test_a_picture_that_cannot_be_drawn_costs_no_model(data, tmp_path, capsys, monkeypatch):
    def fail(*_args, **_options):
        raise ValueError("Axis limits cannot be NaN or Inf")

    monkeypatch.setattr("normix.plotting.qq_plot", fail)
    out = tmp_path / "out"
    assert cli.main(["fit", str(data), "--family", "vg", "--out", str(out)]) == 0
    _assert_one_sentence(capsys.readouterr().err, ["qq.png", "Axis limits"], level="warning")
    assert sorted(p.name for p in out.iterdir()) == ["summary.csv", "summary.txt", "vg.json"]


@pytest.mark.usefixtures("fits")
def test_overwrite_replaces_regular_files_only(data, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "qq.png").mkdir(parents=True)
    assert cli.main(["fit", str(data), "--out", str(out), "--overwrite"]) == 2
    _assert_one_sentence(capsys.readouterr().err, [str(out), "a folder, not a file"])
    assert [p.name for p in out.iterdir()] == ["qq.png"]


@pytest.mark.usefixtures("fits")
@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_that_is_no_text_is_reported(tmp_path, capsys):
    path = tmp_path / "\udcff.csv"
    path.write_text(_GOOD)
    assert cli.main(["fit", str(path), "--family", "vg", "--out", str(tmp_path / "out")]) == 0
    assert "20 rows" in capsys.readouterr().out
    assert r"\udcff.csv" in (tmp_path / "out" / "summary.txt").read_text()


# ---------------------------------------------------------------------- streams and signals

_POSIX = pytest.mark.skipif(os.name != "posix", reason="redirections of a POSIX shell")


def _shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script of sh in which `normix` is this command."""
    return subprocess.run(
        ["/bin/sh", "-c", f'normix() {{ "{sys.executable}" -m normix "$@"; }}\n{script}'],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@_POSIX
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("script", "code", "parts"),
    [
        ("normix --version > /dev/full", 2, ["standard output", "No space left"]),
        ("normix --help > /dev/full", 2, ["standard output", "No space left"]),
        ("normix datasets > /dev/full", 2, ["standard output", "No space left"]),
        ("normix datasets >&-", 2, ["standard output is closed"]),
        ("normix datasets 2> /dev/full", 0, None),
        ("normix datasets 2>&-", 0, None),
        ("normix datasets >&- 2>&-", 2, None),
        ("normix fit absent.csv 2>&-", 2, None),
        ("normix fit absent.csv 2> /dev/full", 2, None),
        ("normix fit absent.csv <&- >&- 2>&-", 2, None),
    ],
)
def test_streams_that_fail_end_in_an_exit_code(script, code, parts, unbuffered):
    if "/dev/full" in script and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    done = _shell(script, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == code, done.stderr
    if parts is None:
        assert done.stderr == ""
    else:
        _assert_one_sentence(done.stderr, parts)


@_POSIX
def test_a_reader_that_stops_reading_ends_the_command_quietly():
    # Standard output is a pipe whose other end is closed.
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "normix", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@_POSIX
def test_output_needs_no_unicode():
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = _shell("normix fit größe.csv", **environment)
    assert done.returncode == 2
    _assert_one_sentence(done.stderr, ["no such file"])


_WITHOUT_JAX = """
import json, sys
from normix import cli

for arguments, code in json.loads(sys.argv[1]):
    assert cli.main(arguments) == code, arguments
    loaded = {"jax", "matplotlib", "pandas", "rich", "scipy"} & set(sys.modules)
    assert not loaded, (arguments, loaded)
    if arguments != ["--version"]:
        assert "importlib.metadata" not in sys.modules, arguments
import normix
assert "numpy" in sys.modules and "jax" not in sys.modules
"""

# Whether columns are linearly dependent is found out by normix_mixtures, which takes JAX to import.
_FOUND_BY_JAX = {"dependent.csv"}


def test_what_is_wrong_is_found_without_loading_jax(tmp_path):
    good = tmp_path / "good.csv"
    good.write_text(_GOOD)
    cases = [
        *(([*arguments], 0) for arguments in (["--help"], ["fit", "--help"], ["datasets"])),
        *(
            (["fit", *arguments], 2)
            for arguments in (
                ["absent.csv"],
                ["--tol", "x"],
                ["--max-iter", "0"],
                ["--family", "cauchy"],
                ["--frobnicate"],
                [str(good), "--out", str(good)],
                [str(good), "--out", str(good / "out")],
            )
        ),
        ([], 2),
        (["frobnicate"], 2),
    ]
    for name, content, _ in _BAD_FILES:
        if name in _FOUND_BY_JAX:
            continue
        path = tmp_path / name
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        cases.append((["fit", str(path)], 2))
    cases.append((["--version"], 0))
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_JAX, json.dumps(cases)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_families_and_defaults_are_those_of_the_fitter():
    assert {name: cls.__name__ for name, cls in FAMILIES.items()} == _command._FAMILIES
    assert list(_command._FAMILIES) == list(FAMILIES)
    assert BatchEMFitter.max_iter == _command._MAX_ITER
    assert BatchEMFitter.tol == _command._TOL


_PROGRAMS = """
import sys
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
from normix import _command
from normix._table import Sample
from normix_fit import FAMILIES, EMResult, Status, rank

families = tuple(FAMILIES)
results = {
    name: EMResult(
        model=FAMILIES[name].from_moments(jnp.ones(2), jnp.eye(2), spread=0.5),
        status=Status.CONVERGED, n_iter=7, log_likelihood=-float(i),
        log_likelihoods=np.zeros(8), param_changes=np.zeros(7), elapsed=0.25, n_observations=40,
    )
    for i, name in enumerate(families)
}
for result in results.values():  # what every fit computes, before there is anything to report
    result.model.joint.subordinator_as_gig(), result.comparable, result.n_parameters
compiled = []

def listen(event, *_, fun_name=None, **__):
    if event.endswith("backend_compile_duration"):
        compiled.append(fun_name)

jax.monitoring.register_event_duration_secs_listener(listen)
data = Sample(np.random.default_rng(0).standard_normal((40, 2)), ("a", "b"), "noise")
for best in families:
    out = _command.Path(sys.argv[1]) / best
    out.mkdir()
    assert _command._account(data, results, best, out) == 0
assert not compiled, compiled
"""


def test_a_report_with_its_files_compiles_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAMS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.glob("*/qq.png"))) == len(FAMILIES)


def test_a_platform_that_is_not_there_is_one_sentence_and_exit_code_2():
    done = _run("fit", JAX_PLATFORMS="no_such_platform")
    assert (done.returncode, done.stdout) == (2, "")
    _assert_one_sentence(done.stderr, ["JAX_PLATFORMS=no_such_platform"])


def test_a_setting_that_jax_refuses_is_one_sentence_and_exit_code_2():
    done = _run("fit", JAX_ENABLE_X64="perhaps")
    assert (done.returncode, done.stdout) == (2, "")
    _assert_one_sentence(done.stderr, ["JAX cannot start", "perhaps"])


@pytest.fixture
def heeding_interrupts():
    """A shell starts a job in the background with interruptions ignored, and so its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


_AT = """
import os, signal, sys, threading
from normix import cli

def send(name):
    # Wait until the import has begun.
    while name not in sys.modules:
        pass
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=send, args=(sys.argv[1],), daemon=True).start()
sys.argv[1:] = sys.argv[2:]
raise SystemExit(cli.main())
"""


@_POSIX
@pytest.mark.usefixtures("heeding_interrupts")
@pytest.mark.parametrize("module", ["numpy", "csv", "jax._src.lib", "normix_mixtures"])
def test_an_interruption_while_modules_load_ends_in_one_line(tmp_path, module):
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", _AT, module, "fit", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "normix: error: interrupted\n"
    assert not out.exists()


@_POSIX
@pytest.mark.usefixtures("heeding_interrupts")
def test_an_interruption_during_the_fit_leaves_no_file(tmp_path):
    out = tmp_path / "out"
    running = subprocess.Popen(
        [sys.executable, "-m", "normix", "fit", "--tol", "1e-300", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not out.exists():
        assert running.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate()
    assert (running.returncode, stdout, stderr) == (130, "", "normix: error: interrupted\n")
    assert list(out.iterdir()) == []


@pytest.mark.usefixtures("heeding_interrupts")
def test_an_interruption_waits_for_the_files():
    finished = []

    def write() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            finished.append(True)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert finished
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Run the command with both streams on a terminal; gives what was shown on each."""
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, term: str = "xterm-256color", width: int = 100) -> tuple[str, str]:
        monkeypatch.setenv("TERM", term)
        monkeypatch.setenv("COLUMNS", str(width))
        with redirect_stdout(_Terminal()) as out, redirect_stderr(_Terminal()) as err:
            assert cli.main(arguments) == 0
        return out.getvalue(), err.getvalue()

    return run


def test_a_terminal_has_a_bar_and_bold_type(fits, data, on_terminal):
    out, err = on_terminal("fit", str(data))
    assert "\x1b[1m" in out
    last, n = [*FAMILIES][-1], len(FAMILIES)
    assert f"fitting {last} ({n} of {n})" in err
    assert "iteration 3" in err
    assert f"{fits.log_likelihood[last]:.3f}" in err


@pytest.mark.usefixtures("fits")
def test_a_dumb_terminal_has_no_bar(data, on_terminal):
    _, err = on_terminal("fit", str(data), term="dumb")
    assert err == ""


def test_a_narrow_terminal_cuts_no_number(fits, data, on_terminal):
    fits.log_likelihood["gh"] = -123456789.125
    out, _ = on_terminal("fit", str(data), "--family", "gh", width=40)
    assert "-123456789.125" in out
    assert "246913606.25" in out


@pytest.mark.usefixtures("fits")
def test_columns_of_very_different_scale_keep_their_digits(data, capsys, monkeypatch):
    original = normix_fit.fit_all

    def fit_all(X, families, **options):
        results = original(X, families, **options)
        cls = FAMILIES["vg"]
        model = cls.from_classical(
            mu=jnp.array([1e-7, 2.0, 3e5]),
            gamma=jnp.array([-1e-9, 0.0, 1.0]),
            L_Sigma=jnp.diag(jnp.array([1.25e-6, 1.0, 4e6])),
            alpha=2.0,
            beta=2.0,
        )
        return {"vg": dataclasses.replace(results["vg"], model=model)}

    monkeypatch.setattr("normix_fit.fit_all", fit_all)
    assert cli.main(["fit", str(data), "--family", "vg"]) == 0
    out = capsys.readouterr().out
    for text in ("1.0000e-07", "-1.0000e-09", "1.2500e-06", "4.0000e+06"):
        assert text in out


@pytest.mark.usefixtures("fits")
def test_column_names_need_no_care(tmp_path, capsys):
    path = tmp_path / "data.csv"
    path.write_text(_GOOD.replace("a,b,c", "[red]a,:smile:,größe"))
    assert cli.main(["fit", str(path)]) == 0
    out = capsys.readouterr().out
    for name in ("[red]a", ":smile:", "größe"):
        assert name in out


# ---------------------------------------------------------------------- other commands


def test_version_and_help_exit_0(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"normix {normix.__version__}\n"
    assert cli.main(["fit", "--help"]) == 0
    out = capsys.readouterr().out
    for name, cls in FAMILIES.items():
        assert f"{name}: {cls.__name__}" in " ".join(out.split())


def test_datasets_are_listed_with_their_source(capsys):
    assert cli.main(["datasets"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == len(datasets.names())
    assert "ecb_fx: 2552 x 27" in out
    assert "European Central Bank" in out


# ---------------------------------------------------------------------- the main job, for real


@pytest.fixture(scope="module")
def main_job(tmp_path_factory):
    out = tmp_path_factory.mktemp("job") / "fits"
    done = _run("fit", "--out", out, COLUMNS="40", FORCE_COLOR="1", TERM="xterm-256color")
    return done, out


def _summary(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open(newline="") as file:
        return {row["family"]: row for row in csv.DictReader(file)}


def test_the_main_job_succeeds_in_a_pipe(main_job):
    done, _ = main_job
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    assert "2552 rows, 27 columns" in done.stdout


def test_the_main_job_compares_every_family(main_job):
    done, out = main_job
    summary = _summary(out)
    assert set(summary) == set(FAMILIES)
    printed = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    for name, row in summary.items():
        assert row["status"] in ("converged", "inverse gamma limit")
        assert printed[name][1] == f"{float(row['log_likelihood']):.3f}"
        k, ll = int(row["n_parameters"]), float(row["log_likelihood"])
        assert float(row["aic"]) == pytest.approx(2 * k - 2 * ll)
        assert float(row["bic"]) == pytest.approx(k * math.log(2552) - 2 * ll)
    best = min(summary, key=lambda name: float(summary[name]["aic"]))
    assert [name for name, row in summary.items() if row["best"] == "1"] == [best]
    assert f"best by AIC: {best}" in done.stdout
    gh = float(summary["gh"]["log_likelihood"])
    for row in summary.values():
        assert gh >= float(row["log_likelihood"]) - 1e-6


def test_the_main_job_reports_every_column(main_job):
    done, _ = main_job
    for name in datasets.load("ecb_fx").columns:
        (line,) = (x for x in done.stdout.splitlines() if x.startswith(f"{name} "))
        numbers = line.split()[1:]
        assert len(numbers) == 3
        assert all(_NUMBER.fullmatch(number) for number in numbers)


def test_the_main_job_leaves_models_that_load(main_job):
    _, out = main_job
    X = datasets.load("ecb_fx").values
    for name, row in _summary(out).items():
        model = normix.load(out / f"{name}.json")
        assert type(model) is FAMILIES[name]
        assert load_columns(out / f"{name}.json") == datasets.load("ecb_fx").columns
        total = float(jnp.sum(model.log_prob(jnp.asarray(X))))
        assert total == pytest.approx(float(row["log_likelihood"]), rel=1e-9)


def test_the_main_job_leaves_a_picture_and_a_summary(main_job):
    done, out = main_job
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*(f"{name}.json" for name in FAMILIES), "qq.png", "summary.csv", "summary.txt"]
    )
    assert (out / "qq.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "qq.png").stat().st_size > 50_000
    assert done.stdout.startswith((out / "summary.txt").read_text())
