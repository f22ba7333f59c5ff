"""Compiled programs on disk, so that the next process need not compile them again.

JAX writes an entry in place, where another process, or the next one after a crash, could meet half
of it; its own bound on the size needs one more package and two more files an entry. Here each
process works on a folder of hard links to the entries that there are, and hands its new entries
over, whole, when it ends. A file that is removed meanwhile stays with those who have it open.
"""

import atexit
import contextlib
import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

__all__ = ["use_compilation_cache"]

_VARIABLE: Final = "NORMIX_CACHE"
_MOST_BYTES: Final = 1 << 28
_SHRUNK_TO: Final = 0.75  # of that, so that not every process has something to remove
_UNUSED_SECONDS: Final = 30 * 86400.0  # after which another version's programs go
_ABANDONED_SECONDS: Final = 7 * 86400.0  # after which a run that added nothing has crashed
_KEY: Final = re.compile(r"jax-[\w.+-]+-[0-9a-f]{16}")
_RUN: Final = "run-"
_PACKAGES: Final = ("normix", "normix-fit", "normix-mixtures", "normix-expfam", "normix-bessel")

# The defaults of JAX, which leave out every program that is small or quick to compile.
_THRESHOLDS: Final = {
    "jax_persistent_cache_min_compile_time_secs": (1.0, 0.0),
    "jax_persistent_cache_min_entry_size_bytes": (0, -1),
}


@dataclass(frozen=True)
class _Run:
    """The folder of this process, and the one that it shares with others."""

    own: Path
    shared: Path
    linked: frozenset[str]
    process: int


_runs: Final[list[_Run]] = []  # one at most


def use_compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep the programs that JAX compiles in this process, and take those that others have kept.

    Call it once, before anything is computed. The first process of a kind compiles as ever; its
    programs are handed over when it ends, unless it is killed. Any number of processes may share a
    folder. It is bounded by 256 MiB, those used least recently go first, and by 30 days for
    programs of versions that are no longer used. Programs are code: use no folder in which someone
    you do not trust may write.

    Nothing is changed if a folder is set in JAX already (``JAX_COMPILATION_CACHE_DIR`` or
    ``jax.config``), if its cache is turned off, or if the variable ``NORMIX_CACHE`` is ``off``.

    Args:
        folder: where to; it is made if missing. If left out, the folder that the variable
            ``NORMIX_CACHE`` names, else ``normix`` in the user's folder of caches.

    Returns:
        The subfolder that holds the programs, one for each version of JAX and of these packages,
        Python and processor. None if nothing is kept: one of the settings above, or a folder, if
        not given as an argument, that cannot be used. A second call returns that of the first.

    Raises:
        OSError: the `folder` that is given cannot be used: it cannot be written, belongs to
            another user, or is on a file system without hard links.

    Examples:
        >>> import os
        >>> from unittest import mock
        >>> from normix import use_compilation_cache
        >>> with mock.patch.dict(os.environ, NORMIX_CACHE="off"):
        ...     print(use_compilation_cache())
        None
    """
    import jax

    setting = os.environ.get(_VARIABLE, "").strip()
    if setting.lower() == "off" or not _jax_setting("jax_enable_compilation_cache"):
        return None
    present = _jax_setting("jax_compilation_cache_dir")
    if _runs and present == str(_runs[0].own):
        return _runs[0].shared
    if present:
        return None
    try:
        root = _root(folder if folder is not None else setting or None)
        shared = _shared(root)
        _tidy(root, shared)
        run = _begin(shared)
    except (OSError, RuntimeError):  # expanduser finds no home
        if folder is None:
            return None
        raise
    _runs[:] = [run]
    atexit.register(_hand_over, run)
    jax.config.update("jax_compilation_cache_dir", str(run.own))
    # XLA's own folders would put the name of this one into the key of every program.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    for name, (default, all_of_them) in _THRESHOLDS.items():
        if _jax_setting(name) == default:
            jax.config.update(name, all_of_them)
    return shared


def _jax_setting(name: str) -> Any:
    import jax

    return getattr(jax.config, name)


def _root(folder: str | os.PathLike[str] | None) -> Path:
    if folder is not None:
        return Path(folder).expanduser().resolve()
    from platformdirs import user_cache_dir

    found = Path(user_cache_dir("normix", appauthor=False))
    if not found.is_absolute():
        raise OSError("this user has no folder for caches")
    return found


def _shared(root: Path) -> Path:
    """The subfolder for this installation and processor; nobody else may write there."""
    import jax

    made_for = [
        *(f"{name} {version(name)}" for name in _PACKAGES),
        *(f"jax {jax.__version__}", f"jaxlib {version('jaxlib')}", f"Python {sys.version}"),
        *(platform.system(), platform.machine(), _processor()),
    ]
    key = hashlib.sha256("\n".join(made_for).encode()).hexdigest()[:16]
    shared = root / f"jax-{jax.__version__}-{key}"
    root.mkdir(parents=True, exist_ok=True)
    shared.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "geteuid") and shared.stat().st_uid != os.geteuid():
        raise PermissionError(f"{shared} belongs to another user, whose programs are not run")
    return shared


def _processor() -> str:
    """The model and instructions of the processor: those of one may be illegal on another."""
    found: list[str] = []
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(errors="replace") as lines:
        for line in lines:
            if found and not line.strip():
                break  # the others are alike
            if line.startswith(("vendor_id", "model name", "flags", "Features", "CPU ")):
                found.append(line.strip())
    return "\n".join(found) or platform.processor()


def _begin(shared: Path) -> _Run:
    """A folder of this process with all entries, which others may remove from theirs."""
    own = Path(tempfile.mkdtemp(prefix=_RUN, dir=shared))
    linked = []
    try:
        for entry in _entries(shared):
            with contextlib.suppress(FileNotFoundError):
                os.link(entry, own / entry.name)
                linked.append(entry.name)
        # A file system without hard links is to be found out now.
        probe = own / ".probe"
        probe.touch()
        os.link(probe, own / ".probe-link")
        probe.unlink()
        (own / ".probe-link").unlink()
    except OSError:
        shutil.rmtree(own, ignore_errors=True)
        raise
    return _Run(own, shared, frozenset(linked), os.getpid())


def _hand_over(run: _Run) -> None:
    """Share the new entries; the first of two processes wins, their programs are the same."""
    if os.getpid() != run.process:
        return  # a fork, whose parent is still at work
    with contextlib.suppress(OSError):
        for entry in _entries(run.own):
            if entry.name not in run.linked:
                with contextlib.suppress(FileExistsError):
                    os.link(entry, run.shared / entry.name)
    shutil.rmtree(run.own, ignore_errors=True)


def _tidy(root: Path, shared: Path) -> None:
    """Remove what no version uses any more, what crashes left, and what is too much."""
    now = time.time()
    kept: list[os.DirEntry[str]] = []
    for version_folder in _folders(root):
        if not _KEY.fullmatch(version_folder.name):
            continue
        if version_folder.path != str(shared) and _age(version_folder, now) > _UNUSED_SECONDS:
            shutil.rmtree(version_folder.path, ignore_errors=True)
            continue
        for run in _folders(Path(version_folder.path)):
            if run.name.startswith(_RUN) and _age(run, now) > _ABANDONED_SECONDS:
                shutil.rmtree(run.path, ignore_errors=True)
        kept.extend(_entries(Path(version_folder.path)))
    # What another process removes first is no matter.
    with contextlib.suppress(FileNotFoundError):
        _shrink(kept)


def _shrink(entries: list[os.DirEntry[str]]) -> None:
    sizes = [entry.stat().st_size for entry in entries]
    total = sum(sizes)
    if total <= _MOST_BYTES:
        return
    used = [max(entry.stat().st_atime, entry.stat().st_mtime) for entry in entries]
    for _, size, path in sorted(
        zip(used, sizes, (entry.path for entry in entries), strict=True), key=lambda one: one[0]
    ):
        if total <= _SHRUNK_TO * _MOST_BYTES:
            return
        Path(path).unlink()
        total -= size


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return [entry for entry in found if entry.is_file(follow_symlinks=False)]


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return [entry for entry in found if entry.is_dir(follow_symlinks=False)]


def _age(entry: os.DirEntry[str], now: float) -> float:
    """Seconds since something was last added or removed; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return now - entry.stat(follow_symlinks=False).st_mtime
    return 0.0
