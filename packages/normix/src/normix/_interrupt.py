"""Ctrl-C in the process of a command.

Python raises KeyboardInterrupt wherever it happens to be. Within the import of a compiled module
that has crashed the process, and within a callback of the garbage collector, of which JAX has one,
it is printed and forgotten. A command needs nothing undone, so it ends on the spot.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

INTERRUPTED = 130  # 128 + SIGINT, as shells count

_SHOW_CURSOR = "\N{ESCAPE}[?25h\n"  # that a progress bar has hidden


def end_on_interrupt() -> None:
    """From now on Ctrl-C ends the process, with one sentence and its exit code.

    Where the caller ignores interruptions or handles them, nothing is changed.
    """
    if _in_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> None:
    # The stream may be in use at this moment, its descriptor may always be.
    with contextlib.suppress(OSError, AttributeError):
        start = _SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(2, f"{start}normix: error: interrupted\n".encode())
    os._exit(INTERRUPTED)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold an interruption back until the end of the block."""
    if not _in_main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if held:
            signal.raise_signal(signal.SIGINT)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
