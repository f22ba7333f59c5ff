"""Writing files so that an interruption leaves either the old contents or the new."""

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SCRATCH: Final = re.compile(r"\.normix-[0-9a-f]{16}\.tmp")
_STALE_SECONDS: Final = 3600.0  # no write takes that long; what is older was left by a crash


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, as `write_together` does for several files."""
    write_together({Path(path): data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write all files to scratch files in the same folders, then rename them in one go.

    Files that were there stay whole until all the new ones are complete on disk. They keep their
    mode, and their owner where the process may give files away. A symbolic link stays a link: the
    file it points at is written. Scratch files that a crash left in the same folders are removed.

    Raises:
        OSError: a path is not a regular file or not writable, or a folder is missing, not writable
            or full; nothing is changed and no scratch file is left behind.
    """
    targets = {path: checked_target(path) for path in files}
    scratch: dict[Path, Path] = {}
    try:
        for path, target in targets.items():
            scratch[path] = target.with_name(f".normix-{secrets.token_hex(8)}.tmp")
            _write(scratch[path], files[path], like=target)
        for path, target in targets.items():
            scratch[path].replace(target)
    finally:
        for left in scratch.values():
            left.unlink(missing_ok=True)
    for folder in {target.parent for target in targets.values()}:
        _remove_stale_scratch(folder)


def checked_target(path: str | os.PathLike[str]) -> Path:
    """The file that a write to `path` replaces: links followed, a regular file or none yet.

    Raises:
        OSError: there is something else of that name, or a file without permission to write.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file", os.fspath(path))
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "a link that leads to itself", os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    # A rename asks for the permission of the folder only.
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    return target


def _write(scratch: Path, data: bytes, like: Path) -> None:
    """Write a new file to disk, with the mode and the owner of `like` if that exists."""
    try:
        old = like.stat()
    except FileNotFoundError:
        old = None
    # Until the old mode is set, nobody else may read what the old file kept private.
    descriptor = os.open(
        scratch,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0),
        0o666 if old is None else 0o600,
    )
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if old is not None:
            _copy_owner_and_mode(old, scratch)
        file.flush()
        os.fsync(file.fileno())


def _copy_owner_and_mode(old: os.stat_result, scratch: Path) -> None:
    if hasattr(os, "chown"):
        # Only root may give a file to another user, its owner to another of his groups.
        for user, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with contextlib.suppress(PermissionError):
                os.chown(scratch, user, group)
    scratch.chmod(stat.S_IMODE(old.st_mode))


def _remove_stale_scratch(folder: Path) -> None:
    # A folder that may not be listed, a file that another process removes first: no matter.
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            if _SCRATCH.fullmatch(file.name) and _age(file) > _STALE_SECONDS:
                file.unlink()


def _age(file: Path) -> float:
    return time.time() - file.lstat().st_mtime
