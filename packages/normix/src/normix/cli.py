"""The command `normix`: fit the families to a table, compare them, keep what was fitted.

Standard output carries the report and standard error every complaint, one sentence each. The exit
code is 0 with a model in hand, 1 when no family could be fitted, 2 for input that is wrong. Colours
and the progress bar appear on a terminal only. Models, picture and summary are on disk before
anything is printed.
"""

import argparse
import importlib.metadata
import io
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from normix_fit import FAMILIES, BatchEMFitter, EMResult, fit_all, rank

from . import datasets
from ._console import complain, console_on, progress_bar, say
from ._files import write_atomically
from ._report import Sample, label, report_fits, summary_csv
from ._table import MissingTableError, Table, TableError, check_sample, read_table

__all__ = ["main"]

_DEFAULT_DATA: Final = "ecb_fx"
_SIDE_FILES: Final = ("qq.png", "summary.csv", "summary.txt")


class _UsageError(Exception):
    """Input that is wrong; the message is the one sentence to print."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments (those of the process by default).

    Turns 64-bit floats on in JAX, as an application may.

    Returns:
        The exit code: 0 done, 1 no family could be fitted, 2 wrong input, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        if arguments.command == "fit":
            return _fit(arguments)
        if arguments.command == "datasets":
            return _list_datasets()
        raise _UsageError("name a command, fit or datasets; normix --help explains them")
    except (_UsageError, TableError) as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except SystemExit as error:
        # --help and --version end this way, and so does a reader that closed the pipe.
        return error.code if isinstance(error.code, int) else 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="normix", description="Heavy-tailed multivariate laws: fit, compare, keep."
    )
    parser.add_argument(
        "--version", action="version", version=f"normix {importlib.metadata.version('normix')}"
    )
    commands = parser.add_subparsers(dest="command", title="commands", metavar="")
    fit = commands.add_parser(
        "fit",
        help="fit the families to a table and compare them",
        description="Fit normal variance-mean mixtures to the columns of a table and compare them.",
    )
    fit.add_argument(
        "data",
        nargs="?",
        default=_DEFAULT_DATA,
        metavar="DATA",
        help="a CSV file (header and date column recognised, .gz too) or a bundled data set "
        f"({', '.join(datasets.names())}); a bundled name wins over a file, write ./NAME for the "
        "file (default: %(default)s)",
    )
    fit.add_argument(
        "--family",
        choices=[*FAMILIES, "all"],
        default="all",
        help="; ".join(f"{name}: {cls.__name__}" for name, cls in FAMILIES.items())
        + " (default: all)",
    )
    fit.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write FAMILY.json, qq.png, summary.csv and summary.txt there",
    )
    fit.add_argument(
        "--overwrite", action="store_true", help="let --out replace files of those names"
    )
    fit.add_argument(
        "--max-iter",
        type=_positive(int),
        default=BatchEMFitter.max_iter,
        metavar="N",
        help="EM iterations at most (default: %(default)s)",
    )
    fit.add_argument(
        "--tol",
        type=_positive(float),
        default=BatchEMFitter.tol,
        metavar="T",
        help="largest relative change of location, skewness and scale at the end "
        "(default: %(default)s)",
    )
    commands.add_parser("datasets", help="list the bundled data sets")
    return parser


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if not 0 < value < math.inf:
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"must be a positive {what}, got {text!r}")
        return value

    return parse


def _list_datasets() -> int:
    out = console_on(sys.stdout)
    for name in datasets.names():
        data = datasets.load(name)
        n, d = data.values.shape
        say(out, f"{name}: {n} x {d}, {data.description}; source: {data.source}")
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    import jax

    data = _read(arguments.data)
    families = tuple(FAMILIES) if arguments.family == "all" else (arguments.family,)
    out: Path | None = arguments.out
    if out is not None:
        _prepare(out, families, overwrite=arguments.overwrite)

    jax.config.update("jax_enable_x64", True)
    with progress_bar(families, arguments.max_iter) as tick:
        results = fit_all(
            data.values,
            families,
            callback=tick,
            max_iter=arguments.max_iter,
            tol=arguments.tol,
        )
    best = next((name for name in rank(results) if results[name].comparable), None)

    written: list[str] = []
    failure = None
    if out is not None:
        try:
            written = _write(out, data, results, best)
        except OSError as error:
            failure = f"--out {out}: {error.strerror or error}"
    report_fits(console_on(sys.stdout), data, results, best)
    if failure is not None:
        raise _UsageError(failure)
    if out is not None:
        say(console_on(sys.stdout), f"\nwritten to {out}: {', '.join(written)}")
    for name, result in results.items():
        if not result.converged:
            complain(
                f"{name} did not converge ({label(result)}): {result.status.message}",
                level="warning",
            )
    return 1 if best is None else 0


def _read(name: str) -> Sample:
    if name in datasets.names():
        bundled = datasets.load(name)
        return Sample(
            bundled.values, bundled.columns, f"{name}: {bundled.description} ({bundled.source})"
        )
    try:
        table = read_table(name)
    except MissingTableError as error:
        raise _UsageError(
            f"{error}, and no bundled data set of that name "
            f"(bundled: {', '.join(datasets.names())})"
        ) from None
    check_sample(table)
    return Sample(table.values, table.columns, _describe(table))


def _describe(table: Table) -> str:
    description = table.source
    if table.index is not None:
        title = "the first column" if table.index_name is None else repr(table.index_name)
        description += f": rows by {title}, {table.index[0]} to {table.index[-1]}"
    if not table.has_header:
        description += ": no header, so columns are called " + (
            "x1" if len(table.columns) == 1 else f"x1 to x{len(table.columns)}"
        )
    return description


def _prepare(out: Path, families: Sequence[str], *, overwrite: bool) -> None:
    """Make the folder, and find out before the fit what would keep it from being filled."""
    names = [*(f"{name}.json" for name in families), *_SIDE_FILES]
    try:
        if out.exists() and not out.is_dir():
            raise _UsageError(f"--out {out}: a file of that name exists; name a folder")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        present = [name for name in names if (out / name).exists()]
    except OSError as error:
        raise _UsageError(f"--out {out}: cannot write there ({error.strerror or error})") from None
    if present and not overwrite:
        raise _UsageError(
            f"--out {out}: already holds {', '.join(present)}; name another folder or pass "
            "--overwrite"
        )


def _write(out: Path, data: Sample, results: Mapping[str, EMResult], best: str | None) -> list[str]:
    """Models first, then what is made of them. Returns the names of the files."""
    from .io import save
    from .plotting import qq_plot

    picture, table, text = _SIDE_FILES
    written = []
    for name, result in results.items():
        if result.comparable:
            written.append(f"{name}.json")
            save(result.model, out / written[-1], columns=data.columns)
    if best is not None:
        written.append(picture)
        qq_plot(results[best].model, data.values, columns=data.columns, path=out / picture)
    report = io.StringIO()
    report_fits(console_on(report), data, results, best)
    write_atomically(out / table, summary_csv(results, best).encode())
    write_atomically(out / text, report.getvalue().encode())
    return [*written, table, text]
