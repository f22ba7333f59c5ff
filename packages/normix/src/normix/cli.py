"""The command `normix`: fit the families to a table, compare them, keep what was fitted.

Standard output carries the report and standard error every complaint, one sentence each. The exit
code is 0 with a model in hand, 1 when no family could be fitted, 2 for input that is wrong. Colours
and the progress bar appear on a terminal only. Models, picture and summary are on disk before
anything is printed.
"""

import argparse
import csv
import importlib.metadata
import io
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from normix_fit import FAMILIES, BatchEMFitter, EMResult, Status, fit_all
from normix_mixtures import NormalMixture

from . import datasets
from ._files import write_atomically
from ._parameters import subordinator_parameters
from ._table import MissingTableError, Table, TableError, check_sample, read_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

__all__ = ["main"]

_DEFAULT_DATA: Final = "ecb_fx"
_WIDE: Final = 10_000
_SIDE_FILES: Final = ("qq.png", "summary.csv", "summary.txt")
_SUMMARY_HEADER: Final = (
    "family",
    "log_likelihood",
    "n_parameters",
    "aic",
    "bic",
    "n_iter",
    "status",
    "seconds",
    "best",
)
_DENSITIES: Final[Mapping[str, str]] = {
    "GeneralizedInverseGaussian": "y^(p-1) exp(-(a y + b/y)/2)",
    "InverseGaussian": "y^(-3/2) exp(-lam (y - mu_ig)^2 / (2 mu_ig^2 y))",
    "Gamma": "y^(alpha-1) exp(-beta y)",
    "InverseGamma": "y^(-alpha-1) exp(-beta/y)",
}

# Where the likelihood grows without bound its value compares with nothing.
_NO_MAXIMUM: Final = frozenset({Status.UNBOUNDED, Status.SINGULAR_DISPERSION})

_Tick = Callable[[str, int, float], None]


class _UsageError(Exception):
    """Input that is wrong; the message is the one sentence to print."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


@dataclass(frozen=True, eq=False)
class _Data:
    """What is fitted: (n, d) values with names, and a sentence on where they come from."""

    values: np.ndarray[Any, np.dtype[np.float64]]
    columns: tuple[str, ...]
    description: str


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
        _complain(str(error))
        return 2
    except KeyboardInterrupt:
        _complain("interrupted")
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
    out = _console(sys.stdout)
    for name in datasets.names():
        data = datasets.load(name)
        n, d = data.values.shape
        _say(out, f"{name}: {n} x {d}, {data.description}; source: {data.source}")
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    import jax

    data = _read(arguments.data)
    families = tuple(FAMILIES) if arguments.family == "all" else (arguments.family,)
    out: Path | None = arguments.out
    if out is not None:
        _prepare(out, families, overwrite=arguments.overwrite)

    jax.config.update("jax_enable_x64", True)
    with _progress(families, arguments.max_iter) as tick:
        results = fit_all(
            data.values,
            families,
            callback=tick,
            max_iter=arguments.max_iter,
            tol=arguments.tol,
        )
    best = next((name for name, result in _by_aic(results) if _is_usable(result)), None)

    written: list[str] = []
    failure = None
    if out is not None:
        try:
            written = _write(out, data, results, best)
        except OSError as error:
            failure = f"--out {out}: {error.strerror or error}"
    _report(_console(sys.stdout), data, results, best)
    if failure is not None:
        raise _UsageError(failure)
    if out is not None:
        _say(_console(sys.stdout), f"\nwritten to {out}: {', '.join(written)}")
    for name, result in results.items():
        if not result.converged:
            _complain(
                f"{name} did not converge ({_label(result)}): {result.status.message}",
                level="warning",
            )
    return 1 if best is None else 0


def _read(name: str) -> _Data:
    if name in datasets.names():
        bundled = datasets.load(name)
        return _Data(
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
    return _Data(table.values, table.columns, _describe(table))


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


def _write(out: Path, data: _Data, results: Mapping[str, EMResult], best: str | None) -> list[str]:
    """Models first, then what is made of them. Returns the names of the files."""
    from .io import save
    from .plotting import qq_plot

    picture, table, text = _SIDE_FILES
    written = []
    for name, result in results.items():
        if _is_usable(result):
            written.append(f"{name}.json")
            save(result.model, out / written[-1], columns=data.columns)
    if best is not None:
        written.append(picture)
        qq_plot(results[best].model, data.values, columns=data.columns, path=out / picture)
    report = io.StringIO()
    _report(_console(report), data, results, best)
    write_atomically(out / table, _summary_csv(results, best).encode())
    write_atomically(out / text, report.getvalue().encode())
    return [*written, table, text]


def _summary_csv(results: Mapping[str, EMResult], best: str | None) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_SUMMARY_HEADER)
    for name, result in _by_aic(results):
        numbers = (float(x) for x in (result.aic, result.bic))
        writer.writerow(
            [
                name,
                repr(float(result.log_likelihood)),
                result.n_parameters,
                *map(repr, numbers),
                int(result.n_iter),
                _label(result),
                f"{result.elapsed:.3f}",
                int(name == best),
            ]
        )
    return text.getvalue()


def _is_usable(result: EMResult) -> bool:
    """Whether model and likelihood are finite and mean something, converged or not."""
    if result.status in _NO_MAXIMUM:
        return False
    model = result.model
    arrays = (result.log_likelihood, model.mu, model.gamma, model.L_Sigma)
    return all(bool(np.all(np.isfinite(np.asarray(array)))) for array in arrays)


def _by_aic(results: Mapping[str, EMResult]) -> list[tuple[str, EMResult]]:
    """In order of AIC: fits at or on the way to a maximum, then broken-off ones, then unusable."""

    def key(item: tuple[str, EMResult]) -> tuple[int, float]:
        result = item[1]
        if not _is_usable(result):
            return 2, 0.0
        sound = result.converged or result.status == Status.MAX_ITER
        return (0 if sound else 1), float(result.aic)

    return sorted(results.items(), key=key)


def _label(result: EMResult) -> str:
    return result.status.name.lower().replace("_", " ")


def _report(
    console: "Console", data: _Data, results: Mapping[str, EMResult], best: str | None
) -> None:
    from rich.text import Text

    n, d = data.values.shape
    _say(console, f"{data.description}\n{n} rows, {d} column{'s' * (d != 1)}\n")
    table = _table("family", "log-likelihood", "params", "AIC", "BIC", "iter.", "status", "seconds")
    for name, result in _by_aic(results):
        table.add_row(
            name,
            f"{float(result.log_likelihood):.3f}",
            str(result.n_parameters),
            f"{float(result.aic):.2f}",
            f"{float(result.bic):.2f}",
            str(int(result.n_iter)),
            Text(_label(result), style="" if result.converged else "bold red"),
            f"{result.elapsed:.2f}",
            style="bold" if name == best else "",
        )
    _print_table(console, table)
    for name, result in _by_aic(results):
        if result.converged and result.status != Status.CONVERGED:
            _say(console, f"{name}: {result.status.message}")
    if best is None:
        _say(console, "\nno family could be fitted")
        return
    caveat = "" if results[best].converged else ", not converged"
    _say(console, f"\nbest by AIC: {best} ({type(results[best].model).__name__}){caveat}\n")
    _report_model(console, data.columns, results[best].model)


def _report_model(console: "Console", columns: Sequence[str], model: NormalMixture) -> None:
    factor = np.asarray(model.L_Sigma)
    scale = np.sqrt((factor**2).sum(axis=1))
    decimals = _decimals(scale)
    table = _table("column", "location", "skewness", "scale")
    for name, *numbers in zip(
        columns, np.asarray(model.mu), np.asarray(model.gamma), scale, strict=True
    ):
        table.add_row(
            name, *(f"{x:.4e}" if decimals is None else f"{x:.{decimals}f}" for x in numbers)
        )
    _print_table(console, table)
    kind = type(model.subordinator).__name__
    values = ", ".join(
        f"{name} = {float(getattr(model, name)):.6g}"
        for name in subordinator_parameters(type(model))
    )
    _say(
        console,
        f"\nsubordinator Y: {kind}, {values}\n"
        f"  density proportional to {_DENSITIES[kind]}\n"
        "  X = location + skewness Y + scale sqrt(Y) Z, Z normal with variances 1\n"
        "  location, skewness and scale have the units of the data; Y has none,\n"
        "  its scale is fixed by the mode of log Y at 0",
    )


def _decimals(scale: np.ndarray[Any, np.dtype[Any]]) -> int | None:
    """Decimals that give every scale five digits, or None where the columns differ too much."""
    low, high = float(scale.min()), float(scale.max())
    if not 0 < high < 1e3 * low:
        return None
    decimals = max(0, 4 - math.floor(math.log10(low)))
    return decimals if decimals <= 9 and high < 1e7 else None


def _console(stream: IO[str]) -> "Console":
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


def _table(first: str, *others: str) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, no_wrap=True, justify="left" if name == "status" else "right")
    return table


def _print_table(console: "Console", table: "RichTable") -> None:
    """Print at the table's own width: a terminal too narrow wraps it, but cuts no number."""
    from rich.measure import Measurement

    wide = console.options.update(width=_WIDE)
    width = console.width
    console.width = max(width, Measurement.get(console, wide, table).maximum)
    console.print(table)
    console.width = width


def _say(console: "Console", text: str) -> None:
    console.print(text)


def _complain(message: str, level: str = "error") -> None:
    sys.stderr.write(f"normix: {level}: {' '.join(message.split())}\n")


@contextmanager
def _progress(families: Sequence[str], max_iter: int) -> Iterator[_Tick | None]:
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
        console=_console(sys.stderr),
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
