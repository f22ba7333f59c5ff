"""Writing a file so that an interruption leaves either the old contents or the new."""

import os
import secrets
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`: a temporary file in the same folder, then one rename.

    A file that was there stays whole until the new one is complete on disk.

    Raises:
        OSError: the folder is missing, not writable or full; nothing is left behind.
    """
    target = Path(path).resolve()
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
