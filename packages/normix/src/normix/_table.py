"""Reading a user's table of numbers: CSV text, plain or gzipped, with a strict opinion of it.

Nothing is dropped or filled in silently. What is recognised:

- a delimiter among comma, semicolon and tab; quoted fields; any line ending; a byte-order mark;
- a header (a file without one gets x1, x2, ...): a first line in which no cell is a number, or
  numbers that the lines below show to be names (see `_has_header`);
- an index in the first column: ISO dates or datetimes (also 20160425 when every cell is one),
  a column that holds no number at all (labels, dates written in another way), a column without a
  name (as other programs write row numbers), or one called date, datetime or timestamp.

Every other column must hold a finite number in every row. What does not fit raises `TableError`,
one sentence that names the file and the line, the column or both.

The file is read line by line, so that the memory is that of its numbers.
"""

import csv
import datetime as dt
import gzip
import io
import itertools
import math
import os
import re
import unicodedata
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

_MISSING: Final = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "?"}
)
_INDEX_NAMES: Final = frozenset({"date", "datetime", "timestamp"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_SNIFFED_LINES: Final = 50  # from which the delimiter and the header are told
_SNIFFED_CHARACTERS: Final = 1 << 16  # of lines beyond the first few
_SNIFFED_AT_LEAST: Final = 5

# A few kilobytes of gzip hold any number of lines, so the size of a file is no limit.
_MAX_LINE: Final = 1 << 26
_MAX_BLANK_LINES: Final = 10_000
_MAX_NUMBERS: Final = 1 << 28  # 2 GiB of float64, of which a fit makes several copies

_WHOLE: Final = re.compile(r"[+-]?\d+")
_GROUPED: Final = re.compile(r"(?<=\d)[ _'\u2019\u00a0\u202f](?=\d{3}(?!\d))")
_EXPONENT_D: Final = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")

_Record = tuple[int, list[str]]


class TableError(ValueError):
    """A table that cannot be read or fitted; the message is one sentence that says where."""


class MissingTableError(TableError):
    """There is no file of that name."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table of finite numbers.

    Attributes:
        source: what the messages call it, usually the path as it was given.
        values: (n, d) float64, read-only.
        columns: the d names, all different.
        index: (n,) dates as datetime64[D], datetimes as datetime64[us] (in UTC where an offset
            was written), labels as str, or None.
        index_name: the header of the index, or None.
        has_header: whether the first line held names.
    """

    source: str
    values: NDArray[np.float64]
    columns: tuple[str, ...]
    index: NDArray[Any] | None
    index_name: str | None
    has_header: bool


@dataclass(frozen=True, eq=False)
class Sample:
    """What is fitted: (n, d) values with names, and a sentence on where they come from."""

    values: NDArray[np.float64]
    columns: tuple[str, ...]
    description: str


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a CSV file, gzipped or not.

    Raises:
        TableError: no such file, a folder, not readable, damaged gzip, not UTF-8, or anything that
            `parse_table` refuses.
    """
    source = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            packed = source.lower().endswith(".gz") or file.peek(2).startswith(_GZIP_MAGIC)
            if packed and file.peek(1):
                with gzip.open(file) as unpacked:
                    return _table(_lines(unpacked, source), source)
            return _table(_lines(file, source), source)
    except FileNotFoundError:
        raise MissingTableError(f"{source}: no such file") from None
    except IsADirectoryError:
        raise TableError(f"{source}: a folder, not a file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise TableError(f"{source}: not a complete gzip file") from None
    except OSError as error:
        raise TableError(f"{source}: {error.strerror or error}") from None


def parse_table(text: str, source: str) -> Table:
    """Make a `Table` of CSV text; `source` names it in the messages.

    Raises:
        TableError: empty, a blank or ragged line, names missing or repeated, no numeric column,
            a column without numbers that is not the first, a first column of numbers written in
            another way, a cell that is empty, not a number or not finite, or a first line that may
            be names or numbers.
    """
    return _table(io.StringIO(text, newline=""), source)


def _table(lines: Iterable[str], source: str) -> Table:
    records = _records_of(lines, source)
    head = [
        (line, [field.strip() for field in fields])
        for line, fields in itertools.islice(records, _SNIFFED_LINES)
    ]
    if not head:
        raise TableError(f"{source}: the file is empty")
    has_header = _has_header(head, source)
    header_line, first = head[0]
    header = first if has_header else [f"x{j + 1}" for j in range(len(first))]
    cells = _Cells(len(header))
    for line, fields in itertools.chain(head[int(has_header) :], records):
        if len(fields) != len(header):
            raise TableError(
                f"{source}, line {line}: {_count(len(fields), 'field')} where line {header_line} "
                f"has {len(header)}"
            )
        cells.add(line, fields)
        if len(cells.lines) * len(header) > _MAX_NUMBERS:
            raise TableError(f"{source}, line {line}: more than {_MAX_NUMBERS:,} numbers")
    if not cells.lines:
        raise TableError(f"{source}: a header but no row of data")

    index = None
    if len(header) > 1:
        index = _index_of(cells.first, header[0], has_header, source)
    start = 0 if index is None else 1
    columns = (
        tuple(header[start:])
        if has_header
        else tuple(f"x{j + 1}" for j in range(len(header) - start))
    )
    _check_names(columns, start, source, header_line)
    return Table(
        source=source,
        values=cells.numbers(columns, source),
        columns=columns,
        index=index,
        index_name=header[0] or None if index is not None and has_header else None,
        has_header=has_header,
    )


class _Cells:
    """The rows of a table as they are read: texts of the first column, numbers of the others."""

    def __init__(self, width: int) -> None:
        self.lines = array("q")
        self.first: list[str] = []
        self._rest = array("d")
        self._bad = [_Bad() for _ in range(width)]

    def add(self, line: int, fields: Sequence[str]) -> None:
        first, *rest = fields
        self.lines.append(line)
        self.first.append(first.strip())
        # float() reads 1_000 as Python source does; in a table it is no number.
        try:
            numbers = list(map(float, rest))
            plain = "_" not in "".join(rest) and math.isfinite(math.fsum(numbers))
        except (ValueError, OverflowError):
            plain = False
        if not plain:
            numbers = [self._number(j, line, cell.strip()) for j, cell in enumerate(rest, 1)]
        self._rest.extend(numbers)

    def _number(self, j: int, line: int, cell: str) -> float:
        number = _number(cell)
        if number is None or not math.isfinite(number):
            self._bad[j].add(line, cell, is_number=number is not None and not math.isnan(number))
        return math.nan if number is None else number

    def numbers(self, columns: Sequence[str], source: str) -> NDArray[np.float64]:
        """The (n, d) values of the last d columns, d that of the names.

        The first bad cell, by line and then by column, is the error.
        """
        n, width = len(self.lines), len(self._bad)
        values = np.asarray(self._rest).reshape(n, width - 1)
        if len(columns) == width:
            numbers = [
                self._number(0, line, cell)
                for line, cell in zip(self.lines, self.first, strict=True)
            ]
            values = np.column_stack([numbers, values])
        bad = self._bad[width - len(columns) :]
        wordy = [j for j, column in enumerate(bad) if column.words == n]
        if len(wordy) == len(columns):
            raise TableError(f"{source}: no numeric column")
        if wordy:
            j = wordy[0]
            raise TableError(
                f"{source}, column {columns[j]!r}: holds no number (line {self.lines[0]}: "
                f"{bad[j].cell!r}); remove it, or put it first to label the rows"
            )
        first = min((column.line, j) for j, column in enumerate(bad))
        if math.isfinite(first[0]):
            line, j = first
            more = sum(column.count for column in bad) - 1
            raise TableError(
                f"{source}, line {line}, column {columns[j]!r}: {_complaint(bad[j].cell)}"
                + (f" ({_count(more, 'more bad cell')} after it)" if more else "")
            )
        values.flags.writeable = False
        return values


@dataclass
class _Bad:
    """The cells of a column that hold no finite number: the first, and how many there are."""

    line: float = math.inf
    cell: str = ""
    count: int = 0
    words: int = 0

    def add(self, line: int, cell: str, *, is_number: bool) -> None:
        if not self.count:
            self.line, self.cell = line, cell
        self.count += 1
        self.words += not is_number


def check_sample(table: Table) -> None:
    """Refuse a table to which no normal mixture can be fitted.

    Raises:
        TableError: one row, rows no more than columns, or a constant column.
    """
    n, d = table.values.shape
    if n == 1:
        raise TableError(f"{table.source}: one row of data; a fit needs more rows than columns")
    if n <= d:
        raise TableError(
            f"{table.source}: {n} rows and {_count(d, 'column')}; a fit needs more rows than "
            "columns"
        )
    values = _of_size_1(table.values)
    constant = np.flatnonzero(values.max(axis=0) == values.min(axis=0))
    if constant.size:
        name = table.columns[constant[0]]
        value = table.values[0, constant[0]]
        raise TableError(
            f"{table.source}, column {name!r}: constant ({value:g} in every row); remove it"
        )


def check_independence(sample: Sample, source: str) -> None:
    """Refuse linearly dependent columns in what `check_sample` lets pass. This loads JAX.

    Raises:
        TableError: a column is a linear combination of those before it (to the precision of a
            float64 covariance).
    """
    from normix_mixtures.internal import dependent_column

    dependent = dependent_column(_of_size_1(sample.values))
    if dependent is not None:
        name = sample.columns[dependent]
        raise TableError(
            f"{source}, column {name!r}: a linear combination of the columns before it, so "
            "the likelihood has no maximum; remove it"
        )


def _of_size_1(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / np.maximum(np.abs(values).max(axis=0), np.finfo(float).tiny)


def _lines(file: io.BufferedIOBase, source: str) -> Iterator[str]:
    """The lines of UTF-8 bytes, with their endings."""
    number = 0
    while data := file.readline(_MAX_LINE):
        if len(data) == _MAX_LINE:
            raise TableError(f"{source}, line {number + 1}: longer than {_MAX_LINE:,} bytes")
        try:
            text = data.decode("utf-8" if number else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise TableError(
                f"{source}, line {number + 1}: byte 0x{data[error.start]:02x} is not UTF-8 text; "
                "save the file as UTF-8 CSV"
            ) from None
        # A carriage return alone ends a line too.
        for line in io.StringIO(text, newline=""):
            number += 1
            yield line


def _records_of(lines: Iterable[str], source: str) -> Iterator[_Record]:
    """The records that hold data, with the numbers of their lines; blank ones only at the ends."""
    lines = _text_of(lines, source)
    sniffed = list(_sniffed(lines))
    delimiter = _delimiter("".join(sniffed))
    blank: list[int] = []
    begun = False
    for line, fields in _parse(itertools.chain(sniffed, lines), delimiter, source):
        if len(fields) <= 1 and not "".join(fields).strip():
            blank.append(line)
            if len(blank) > _MAX_BLANK_LINES:
                raise TableError(f"{source}: more than {_MAX_BLANK_LINES:,} blank lines")
            continue
        if begun and blank:
            raise TableError(f"{source}, line {blank[0]}: the line is blank")
        begun = True
        blank.clear()
        yield line, fields


def _text_of(lines: Iterable[str], source: str) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            raise TableError(
                f"{source}: not a text file (it holds NUL bytes); save it as UTF-8 CSV"
            )
        yield line


def _sniffed(lines: Iterator[str]) -> Iterator[str]:
    """The first lines, fewer if they are long."""
    characters = 0
    for count, line in enumerate(itertools.islice(lines, _SNIFFED_LINES), 1):
        yield line
        characters += len(line)
        if characters > _SNIFFED_CHARACTERS and count >= _SNIFFED_AT_LEAST:
            return


def _parse(
    lines: Iterable[str], delimiter: str, source: str, *, strict: bool = False
) -> Iterator[_Record]:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{source}, line {line}: not CSV ({error})") from None


def _delimiter(head: str) -> str:
    """The tab or semicolon that splits every one of the first lines alike, else the comma.

    Comma comes last since it also stands for the decimal point. Where no candidate is consistent
    the one with most fields in the first line is taken, so that the message can name the ragged
    line.
    """
    widths: dict[str, list[int]] = {}
    for delimiter in "\t;,":
        lines = io.StringIO(head, newline="")
        try:
            records = [fields for _, fields in _parse(lines, delimiter, "", strict=True)]
        except TableError:
            records = []
        widths[delimiter] = [len(f) for f in records if f and (len(f) > 1 or f[0].strip())] or [0]
    for delimiter, counts in widths.items():
        if counts[0] > 1 and len(set(counts)) == 1:
            return delimiter
    return max(reversed(widths), key=lambda delimiter: widths[delimiter][0])


def _kind(cell: str) -> Literal["missing", "number", "date", "text"]:
    if cell.casefold() in _MISSING:
        return "missing"
    if _number(cell) is not None:
        return "number"
    return "text" if _date(cell) is None else "date"


def _has_header(head: Sequence[_Record], source: str) -> bool:
    """Whether the first line holds names, as far as the lines below it show.

    Names that are no numbers speak for themselves. Any names are recognised beside the name of an
    index: a text without a digit above dates. Names that are whole numbers are recognised

    - beside an empty cell above dates, labels or the numbers of rows, if they are 0, 1, 2, ... or
      stand above numbers of which none is whole;
    - as 0, 1, 2, ... above numbers of which none is whole.

    Raises:
        TableError: the line may be either, or can be neither.
    """
    line, fields = head[0]
    below = [cells for _, cells in head[1:]]
    corner = fields[0]
    kinds = [_kind(cell) for cell in fields]
    if (
        kinds[0] in ("text", "missing")
        and "text" in kinds
        and not {"number", "date"} & {*kinds[1:]}
    ):
        return True
    beside = [cells[0] for cells in below] if len(fields) > 1 else []
    dated = bool(beside) and _dates(beside) is not None
    # A text with digits above dates may be a date that is mistyped.
    if dated and kinds[0] == "text" and not any(c.isdigit() for c in corner):
        return True

    start = int(corner == "" or kinds[0] == "text")
    names = fields[start:]
    indexed = corner == "" and (dated or _is_labels(beside))
    counted = names == [str(j) for j in range(len(names))]
    named = bool(names and below) and all(map(_WHOLE.fullmatch, names))
    whole = any(_WHOLE.fullmatch(cell) for cells in below for cell in cells[start:])
    if named and ((counted and indexed) or (not whole and (indexed or (counted and names[1:])))):
        return True
    # Over whole numbers it takes three names in order to be no coincidence.
    if indexed or (named and (not whole or (counted and len(names) > 2))):
        shown = ", ".join(map(repr, fields[:3])) + (", ..." if fields[3:] else "")
        raise TableError(
            f"{source}, line {line}: may be a header or a row of data ({shown}); put a header of "
            "names that are no numbers in the first line"
        )
    labelled = kinds[0] == "text" and bool(beside) and _kind(beside[0]) == "text"
    if "text" not in kinds or (labelled and "text" not in kinds[1:]):
        return False
    name = fields[kinds.index("text")]
    number = next(c for c, k in zip(fields, kinds, strict=True) if k in ("number", "date"))
    raise TableError(
        f"{source}, line {line}: holds both text ({name!r}) and numbers ({number!r}), so it is "
        "neither a header nor a row of data"
    )


def _is_labels(cells: Sequence[str]) -> bool:
    """Whether cells are all text, or count rows from 0 or 1."""
    counts = ([str(i + start) for i in range(len(cells))] for start in (0, 1))
    return bool(cells) and (list(cells) in counts or {*map(_kind, cells)} == {"text"})


def _number(cell: str) -> float | None:
    # float() reads 1_000 as Python source does; in a table it is no number.
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _date(cell: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(cell)
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return moment


def _dates(cells: Sequence[str]) -> NDArray[np.datetime64] | None:
    moments = []
    for cell in cells:
        moment = _date(cell)
        if moment is None:
            return None
        moments.append(moment)
    whole_days = all(re.fullmatch(r"[0-9W-]+", cell) for cell in cells)
    return np.array(moments, dtype="datetime64[us]").astype(
        "datetime64[D]" if whole_days else "datetime64[us]"
    )


def _index_of(
    cells: Sequence[str], name: str, has_header: bool, source: str
) -> NDArray[Any] | None:
    dates = _dates(cells)
    if dates is not None:
        return dates
    named_as_index = has_header and (name == "" or name.casefold() in _INDEX_NAMES)
    kinds = {_kind(cell) for cell in cells}
    if not named_as_index and ("number" in kinds or not kinds & {"text", "date"}):
        return None
    if not named_as_index and all(_kind(c) == "missing" or _is_decorated(c) for c in cells):
        decorated = next(cell for cell in cells if _is_decorated(cell))
        raise TableError(
            f"{source}, first column: {decorated!r} may be a number or a label; write plain "
            "numbers, decimals with a point, or leave the name of the column empty if they are "
            "labels"
        )
    return np.array(cells, dtype=np.str_)


def _is_decorated(cell: str) -> bool:
    """Whether people read a number: 1%, $1, (1.5), 1,234.5, 12 000, 1.5D-3, a long minus."""
    if _number(cell) is not None:
        return False
    plain = "".join(
        "-" if c == "\N{MINUS SIGN}" else c
        for c in _GROUPED.sub("", _EXPONENT_D.sub("e", cell))
        if unicodedata.category(c) != "Sc" and c not in "%\N{PER MILLE SIGN}\N{DEGREE SIGN}(),"
    )
    return _number(plain.strip(" +-")) is not None


def _check_names(columns: Sequence[str], start: int, source: str, line: int) -> None:
    for j, name in enumerate(columns):
        if not name:
            raise TableError(f"{source}, line {line}: column {start + j + 1} has no name")
    repeated = next((name for name, count in Counter(columns).items() if count > 1), None)
    if repeated is not None:
        raise TableError(
            f"{source}, line {line}: column name {repeated!r} stands twice; rename one"
        )


def _complaint(cell: str) -> str:
    if cell == "":
        return "the cell is empty"
    if cell.casefold() in _MISSING:
        return f"{cell!r}, a missing value"
    if _number(cell) is not None:
        return f"{cell!r} is not finite"
    hint = ", write plain numbers, decimals with a point" if _is_decorated(cell) else ""
    return f"{cell!r} is not a number{hint}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
