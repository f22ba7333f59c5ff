"""The command `normix` as a process: its streams, interruptions and exit codes.

Neither an interruption nor a stream that fails ends in a traceback. That is why this module, and
`normix` itself, import nothing that takes time: an interruption has to find `main` at work.
"""

import os
import sys
from collections.abc import Sequence

from ._console import OutputError, complain, discard
from ._interrupt import INTERRUPTED, end_on_interrupt

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments (those of the process by default).

    Turns 64-bit floats on in JAX, as an application may.

    Returns:
        The exit code: 0 done; 1 no family could be fitted; 2 wrong input, or output that cannot be
        written; 130 interrupted; 141 the reader of standard output is gone, as after ``| head``.
    """
    if argv is None:
        end_on_interrupt()
    try:
        _prepare_streams()
        from ._command import run

        return run(argv)
    except OutputError as error:
        complain(str(error))
        if sys.stdout is not None:
            discard(sys.stdout)
        return 2
    except BrokenPipeError:
        discard(sys.stdout)
        return 141
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED


def _prepare_streams() -> None:
    """Streams that take any text, and none that a file opened later could be mistaken for."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if sys.stdout is None:
        raise OutputError("standard output is closed; send it to a file or to /dev/null")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
