"""What the command `normix` does: fit the families to a table, compare them, keep the models.

Standard output carries the report and standard error every complaint, one sentence each. Colours
and the progress bar appear on a terminal only. Models, picture and summary are on disk before
anything is printed. JAX is loaded once the input has been found right; only the last test of a
table, for linear dependence, comes with the packages that need JAX.
"""

import argparse
import errno
import io
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from . import datasets
from ._console import complain, console_on, progress_bar, put
from ._files import checked_target, write_together
from ._interrupt import uninterrupted
from ._table import (
    MissingTableError,
    Sample,
    Table,
    TableError,
    check_independence,
    check_sample,
    read_table,
)

if TYPE_CHECKING:
    from normix_fit import EMResult

_DEFAULT_DATA: Final = "ecb_fx"

# As in normix_mixtures and BatchEMFitter, which take JAX to import; a test compares them.
_FAMILIES: Final = {
    "gh": "GeneralizedHyperbolic",
    "ninvg": "NormalInverseGamma",
    "nig": "NormalInverseGaussian",
    "vg": "VarianceGamma",
}
_MAX_ITER: Final = 500
_TOL: Final = 1e-5

_SIDE_FILES: Final = ("qq.png", "summary.csv", "summary.txt")

# What computing raises: for data, in LAPACK, with jax_debug_nans, in XLA and for want of memory.
_FAILURES: Final = (ValueError, ArithmeticError, RuntimeError, MemoryError)


class _UsageError(Exception):
    """Input that is wrong; the message is the one sentence to print."""


class _FitError(Exception):
    """No family could be fitted; the message is the one sentence to print."""


class _Parser(argparse.ArgumentParser):
    """A parser whose messages go where all others of the command go."""

    def __init__(
        self, *args: Any, describe: Callable[[], str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._describe = describe

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)

    def format_help(self) -> str:
        if self._describe is not None:
            self.epilog = self._describe()
        return super().format_help()

    def print_help(self, file: Any = None) -> None:
        if file is None:
            put(self.format_help())
        else:
            super().print_help(file)


def run(argv: Sequence[str] | None) -> int:
    """Do what the arguments say; returns the exit code 0, 1 or 2.

    Raises:
        OutputError, BrokenPipeError: standard output takes no more.
    """
    try:
        arguments = _parser().parse_args(argv)
        if arguments.version:
            return _print_version()
        if arguments.command == "fit":
            return _fit(arguments)
        if arguments.command == "datasets":
            return _list_datasets()
        raise _UsageError("name a command, fit or datasets; normix --help explains them")
    except (_UsageError, TableError) as error:
        complain(str(error))
        return 2
    except _FitError as error:
        complain(str(error))
        return 1
    except SystemExit:
        return 0  # --help ends this way


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="normix", description="Heavy-tailed multivariate laws: fit, compare, keep."
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="")
    fit = commands.add_parser(
        "fit",
        help="fit the families to a table and compare them",
        description="Fit normal variance-mean mixtures to the columns of a table and compare them.",
        describe=_describe_families,
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
        default="all",
        metavar="FAMILY",
        help="one of the families below (default: %(default)s)",
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
        default=_MAX_ITER,
        metavar="N",
        help="EM iterations at most (default: %(default)s)",
    )
    fit.add_argument(
        "--tol",
        type=_positive(float),
        default=_TOL,
        metavar="T",
        help="largest relative change of location, skewness and scale at the end "
        "(default: %(default)s)",
    )
    fit.add_argument(
        "--no-cache",
        action="store_true",
        help="compile everything, and keep no compiled program for the next run; the variable "
        "NORMIX_CACHE names the folder they are kept in, or is off",
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


def _families() -> Mapping[str, str]:
    """The names of the families and of their classes, without loading JAX for them."""
    loaded = sys.modules.get("normix_mixtures")
    if loaded is None:
        return _FAMILIES
    # An application that calls the command may have registered families of its own.
    return {name: cls.__name__ for name, cls in loaded.FAMILIES.items()}


def _describe_families() -> str:
    return "Families: " + "; ".join(f"{name}: {cls}" for name, cls in _families().items()) + "."


def _print_version() -> int:
    import normix

    put(f"normix {normix.__version__}\n")
    return 0


def _list_datasets() -> int:
    for name in datasets.names():
        data = datasets.load(name)
        n, d = data.values.shape
        put(f"{name}: {n} x {d}, {data.description}; source: {data.source}\n")
    return 0


def _load_jax() -> Any:
    with _setting_up_jax():
        import jax
    return jax


@contextmanager
def _setting_up_jax() -> Iterator[None]:
    """Errors of an installation or environment, which may be of any class, in one sentence."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        platforms = os.environ.get("JAX_PLATFORMS")
        where = "" if platforms is None else f" with JAX_PLATFORMS={platforms}"
        reason = str(error) or "it finds no such device; unset JAX_PLATFORMS, or install JAX for it"
        raise _UsageError(f"JAX cannot start{where}: {reason}") from None


def _fit(arguments: argparse.Namespace) -> int:
    known = tuple(_families())
    if arguments.family not in (*known, "all"):
        raise _UsageError(
            f"argument --family: must be one of {', '.join(known)} or all, got {arguments.family!r}"
        )
    families = known if arguments.family == "all" else (arguments.family,)
    data = _read(arguments.data)
    out: Path | None = arguments.out
    if out is not None:
        _check_folder(out, families, overwrite=arguments.overwrite)

    jax = _load_jax()
    check_independence(data, arguments.data)
    from normix_fit import fit_all, rank
    from normix_fit.internal import trust_rows

    from ._compilation_cache import use_compilation_cache

    jax.config.update("jax_enable_x64", True)
    if not arguments.no_cache:
        use_compilation_cache()
    with _setting_up_jax():
        jax.devices()
    if out is not None:
        _make_folder(out)
    try:
        with progress_bar(families, arguments.max_iter) as tick:
            results = fit_all(
                trust_rows(data.values),
                families,
                callback=tick,
                max_iter=arguments.max_iter,
                tol=arguments.tol,
            )
    except _FAILURES as error:
        raise _FitError(
            f"{arguments.data}: no family could be fitted ({str(error) or 'out of memory'})"
        ) from None
    best = next((name for name in rank(results) if results[name].comparable), None)
    return _account(data, results, best, out)


def _account(
    data: Sample, results: "Mapping[str, EMResult[Any]]", best: str | None, out: Path | None
) -> int:
    """Write the files, then print the report. Returns the exit code."""
    from ._report import label

    written: list[str] = []
    failure = None
    if out is not None:
        try:
            written = _write(out, data, results, best)
        except OSError as error:
            failure = f"--out {out}: {error.strerror or error}"
    put(_report(sys.stdout, data, results, best))
    if failure is not None:
        raise _UsageError(failure)
    if out is not None:
        put(f"\nwritten to {out}: {', '.join(written)}\n")
    for name, result in results.items():
        if not result.converged:
            complain(
                f"{name} did not converge ({label(result)}): {result.message}",
                level="warning",
            )
    return 1 if best is None else 0


def _report(
    stream: IO[str], data: Sample, results: "Mapping[str, EMResult[Any]]", best: str | None
) -> str:
    """The report in the form that suits the stream."""
    from ._report import report_fits

    console = console_on(stream)
    with console.capture() as captured:
        report_fits(console, data, results, best)
    return captured.get()


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


def _check_folder(out: Path, families: Sequence[str], *, overwrite: bool) -> None:
    """Find out before JAX is loaded what would keep the folder from being filled."""
    names = [*(f"{name}.json" for name in families), *_SIDE_FILES]
    with _writing_to(out):
        if out.exists() and not out.is_dir():
            raise _UsageError(f"--out {out}: a file of that name exists; name a folder")
        there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), there)
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), there)
        present = [name for name in names if checked_target(out / name).exists()]
    if present and not overwrite:
        raise _UsageError(
            f"--out {out}: already holds {', '.join(present)}; name another folder or pass "
            "--overwrite"
        )


def _make_folder(out: Path) -> None:
    with _writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _UsageError(f"--out {out}: cannot write there ({error.strerror or error})") from None


def _write(
    out: Path, data: Sample, results: "Mapping[str, EMResult[Any]]", best: str | None
) -> list[str]:
    """Models, picture and summaries: all are made before the first is written.

    Returns the names of the files.
    """
    from ._report import summary_csv
    from .io import to_json
    from .plotting import drawn, qq_plot

    picture, table, text = _SIDE_FILES
    contents = {
        f"{name}.json": to_json(result.model, data.columns).encode()
        for name, result in results.items()
        if result.comparable
    }
    if best is not None:
        try:
            figure = qq_plot(results[best].model, data.values, columns=data.columns)
            contents[picture] = drawn(figure, "png")
        except _FAILURES as error:
            complain(f"{picture} cannot be drawn: {error}", level="warning")
    contents[table] = summary_csv(results, best).encode()
    report = _report(io.StringIO(), data, results, best)
    # The name of a file may hold bytes that are not text.
    contents[text] = report.encode(errors="backslashreplace")
    with uninterrupted():
        write_together({out / name: data for name, data in contents.items()})
    return list(contents)
