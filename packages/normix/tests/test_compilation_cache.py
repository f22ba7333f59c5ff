"""The cache of compiled programs, as processes that follow each other or run at once see it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from normix import _compilation_cache, cli

_COMPUTE = """
import json, sys
import jax
import normix

seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event.rpartition("/")[2]))
kept = normix.use_compilation_cache()
assert normix.use_compilation_cache() == kept
print(json.dumps({
    "value": float(jax.jit(lambda x: jax.numpy.sin(x) @ x)(jax.numpy.arange(3.0))),
    "kept": kept and str(kept),
    "hits": seen.count("cache_hits"),
    "misses": seen.count("cache_misses"),
}))
"""


def _environment(**variables: str) -> dict[str, str]:
    """That of the tests without any setting of a cache."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JAX_COMPILATION", "JAX_PERSISTENT", "NORMIX", "XDG_CACHE"))
    }
    return kept | variables


def _python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(**variables),
    )


def _compute(**variables: str) -> dict:
    done = _python(_COMPUTE, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def _entries(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")
            if p.is_file()}  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere caches lie in another folder")
def test_a_second_process_takes_what_the_first_compiled(tmp_path):
    first = _compute(HOME=str(tmp_path))
    kept = Path(first["kept"])
    assert kept.parent == tmp_path / ".cache" / "normix"
    assert first["misses"] > 0
    entries = _entries(tmp_path)
    assert len(entries) == first["misses"]
    second = _compute(HOME=str(tmp_path))
    assert second == first | {"hits": first["hits"] + first["misses"], "misses": 0}
    assert _entries(tmp_path) == entries


def test_processes_at_once_leave_whole_entries(folder):
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _COMPUTE],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(NORMIX_CACHE=str(folder)),
        )
        for _ in range(2)
    ]
    results = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], results
    assert [stderr for _, stderr in results] == [b"", b""]
    after = _compute(NORMIX_CACHE=str(folder))
    assert after["misses"] == 0
    assert not [path for path in Path(after["kept"]).iterdir() if path.is_dir()]


def test_a_process_that_is_killed_shares_nothing(folder):
    done = _python(_COMPUTE + "\nimport os; os._exit(3)", NORMIX_CACHE=str(folder))
    assert done.returncode == 3
    assert not list(folder.glob("*/*-cache"))
    assert _compute(NORMIX_CACHE=str(folder))["misses"] > 0


_REFUSALS = """
import os, pwd, sys
import jax
import normix

def settings():
    return {name: value for name, value in jax.config.values.items() if "cache" in name}

def check(expected=None, **environment):
    for name in ("NORMIX_CACHE", "HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    before = settings()
    assert normix.use_compilation_cache() is None, environment
    assert settings() == before, environment

folder, file = sys.argv[1:]
check(NORMIX_CACHE="off", HOME=folder)
check(NORMIX_CACHE=" OFF ", HOME=folder)
check(HOME=file)
check(NORMIX_CACHE=file)
check(NORMIX_CACHE="~nobody-of-this-name/cache")

def unknown(_):
    raise KeyError("no such user")

pwd.getpwuid = unknown
check()
jax.config.update("jax_enable_compilation_cache", False)
check(HOME=folder)
jax.config.update("jax_enable_compilation_cache", True)
jax.config.update("jax_compilation_cache_dir", folder)
check(HOME=folder)
jax.config.update("jax_compilation_cache_dir", None)
os.environ["HOME"] = folder
try:
    normix.use_compilation_cache(file)
except OSError as error:
    assert file in str(error), error
else:
    raise AssertionError("a file was taken for a folder")
"""


@pytest.mark.skipif(os.name != "posix", reason="homes of POSIX")
def test_where_nothing_can_or_may_be_kept_nothing_is_changed(tmp_path, monkeypatch):
    home, file = tmp_path / "home", tmp_path / "file"
    home.mkdir()
    file.touch()
    monkeypatch.chdir(tmp_path)
    done = _python(_REFUSALS, str(home), str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(tmp_path.rglob("*")) == [file, home]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_home_keeps_nothing(tmp_path):
    tmp_path.chmod(0o500)
    assert _compute(HOME=str(tmp_path))["kept"] is None


def test_settings_of_jax_are_left_alone(folder, tmp_path):
    own = tmp_path / "own"
    seen = _compute(
        NORMIX_CACHE=str(folder),
        JAX_COMPILATION_CACHE_DIR=str(own),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert (seen["kept"], folder.exists()) == (None, False)
    assert list(own.iterdir())
    seen = _compute(NORMIX_CACHE=str(folder), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="1000")
    assert (seen["misses"], list(folder.glob("*/*"))) == (0, [])


def test_the_folder_of_another_user_is_not_used(folder, monkeypatch):
    if not hasattr(os, "geteuid"):
        pytest.skip("no users of POSIX")
    monkeypatch.setattr("os.geteuid", lambda: folder.parent.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="another user"):
        _compilation_cache._shared(folder)


# ---------------------------------------------------------------------- size and age


def _used(path: Path, days_ago: float) -> None:
    then = time.time() - days_ago * 86400
    os.utime(path, (then, then))


@pytest.fixture
def versions(folder) -> tuple[Path, Path]:
    """The folders of two versions; the second is the one in use."""
    old, new = folder / f"jax-0.6.0-{'a' * 16}", folder / f"jax-0.7.0-{'b' * 16}"
    for version in (old, new):
        version.mkdir(parents=True)
        for i in range(3):
            (version / f"jit_f{i}-cache").write_bytes(bytes(100))
            _used(version / f"jit_f{i}-cache", 5 - i)
    return old, new


def test_versions_no_longer_used_are_removed_and_nothing_else(folder, versions):
    old, new = versions
    others = [folder / "mine", folder / "jax-notes", new / "run-now"]
    for other in [*others, new / "run-crashed"]:
        other.mkdir()
    _used(folder / "mine", 100)
    _used(new / "run-crashed", 8)
    _used(old, 29)
    _compilation_cache._tidy(folder, new)
    assert old.exists()
    assert not (new / "run-crashed").exists()
    _used(old, 31)
    _used(new, 31)
    _compilation_cache._tidy(folder, new)
    assert not old.exists()
    assert len(list(new.glob("*-cache"))) == 3
    assert all(other.exists() for other in others)


def test_the_least_recently_used_go_where_there_is_too_much(folder, versions, monkeypatch):
    old, new = versions
    written = (old / "jit_f0-cache").stat().st_mtime
    os.utime(old / "jit_f0-cache", (time.time(), written))  # it has just been read
    monkeypatch.setattr(_compilation_cache, "_MOST_BYTES", 600)
    _compilation_cache._tidy(folder, new)
    assert len(_entries(folder)) == 6
    monkeypatch.setattr(_compilation_cache, "_MOST_BYTES", 500)
    _compilation_cache._tidy(folder, new)
    left = sorted((path.parent, path.name) for path in folder.rglob("*-cache"))
    assert left == [(old, "jit_f0-cache"), (old, "jit_f2-cache"), (new, "jit_f2-cache")]


def test_an_entry_removed_by_others_stays_with_a_run(versions):
    _, new = versions
    run = _compilation_cache._begin(new)
    (new / "jit_f1-cache").unlink()
    (run.own / "jit_g-cache").write_bytes(b"g")
    (run.own / "jit_h-cache").write_bytes(b"h")
    (new / "jit_h-cache").write_bytes(b"first")
    assert (run.own / "jit_f1-cache").exists()
    _compilation_cache._hand_over(run)
    assert not run.own.exists()
    names = sorted(path.name for path in new.iterdir())
    assert names == ["jit_f0-cache", "jit_f2-cache", "jit_g-cache", "jit_h-cache"]
    assert (new / "jit_h-cache").read_bytes() == b"first"


# ---------------------------------------------------------------------- the command


def test_the_command_keeps_programs_unless_told_not_to(monkeypatch):
    calls = []

    def fit_all(*_args, **_options):
        raise ValueError("enough")

    monkeypatch.setattr("normix_fit.fit_all", fit_all)
    monkeypatch.setattr(_compilation_cache, "use_compilation_cache", lambda: calls.append("kept"))
    assert cli.main(["fit", "--no-cache"]) == 1
    assert calls == []
    assert cli.main(["fit"]) == 1
    assert calls == ["kept"]
