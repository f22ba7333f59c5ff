"""What the command says on its two streams: text, tables, complaints, and a bar while it fits."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_WIDE: Final = 10_000

Tick = Callable[[str, int, float], None]


class OutputError(Exception):
    """Standard output takes no more; the message is the one sentence to print."""


def put(text: str) -> None:
    """Write text to standard output, at once.

    Raises:
        BrokenPipeError: its reader is gone.
        OutputError: it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror or error}") from None


def console_on(stream: IO[str]) -> "Console":
    """A console that is plain, and as wide as it takes, wherever `stream` is no terminal."""
    from rich.console import Console

    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        force_jupyter=False,
        width=None if terminal else _WIDE,
        highlight=False,
        markup=False,
        emoji=False,
    )


def table_of(first: str, *others: str) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, no_wrap=True, justify="left" if name == "status" else "right")
    return table


def print_table(console: "Console", table: "RichTable") -> None:
    """Print at the table's own width: a terminal too narrow wraps it, but cuts no number."""
    from rich.measure import Measurement

    wide = console.options.update(width=_WIDE)
    width = console.width
    console.width = max(width, Measurement.get(console, wide, table).maximum)
    console.print(table)
    console.width = width


def say(console: "Console", text: str) -> None:
    console.print(text)


def complain(message: str, level: str = "error") -> None:
    """Write one sentence to standard error, if that takes it."""
    try:
        sys.stderr.write(f"normix: {level}: {' '.join(message.split())}\n")
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def discard(stream: IO[str]) -> None:
    """Send what a stream still holds, which nobody takes, where Python can flush it at its end."""
    # A stream in memory has no descriptor.
    with contextlib.suppress(AttributeError, OSError), Path(os.devnull).open("wb") as null:
        os.dup2(null.fileno(), stream.fileno())


@contextlib.contextmanager
def progress_bar(families: Sequence[str], max_iter: int) -> Iterator[Tick | None]:
    """A bar on standard error that follows the fits, where both streams are terminals."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()) or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("iteration {task.fields[n_iter]}, log-likelihood {task.fields[value]}"),
        TimeElapsedColumn(),
        console=console_on(sys.stderr),
        transient=True,
    )
    task = progress.add_task("compiling", total=len(families), n_iter=0, value="...")
    done = 0.0

    def tick(name: str, n_iter: int, log_likelihood: float) -> None:
        nonlocal done
        done = max(done, families.index(name) + n_iter / max_iter)
        progress.update(
            task,
            description=f"fitting {name} ({families.index(name) + 1} of {len(families)})",
            completed=done,
            n_iter=n_iter,
            value=f"{log_likelihood:.3f}",
        )

    with progress:
        yield tick
