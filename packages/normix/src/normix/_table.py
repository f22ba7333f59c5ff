"""Reading a user's table of numbers: CSV text, plain or gzipped, with a strict opinion of it.

Nothing is dropped or filled in silently. What is recognised:

- a delimiter among comma, semicolon and tab; quoted fields; any line ending; a byte-order mark;
- a header, when no cell of the first line is a number (a file without one gets x1, x2, ...);
- an index in the first column: ISO dates or datetimes (also 20160425 when every cell is one),
  a column that holds no number at all (labels, dates written in another way), a column without a
  name (as other programs write row numbers), or one called date, datetime or timestamp.

Every other column must hold a finite number in every row. What does not fit raises `TableError`,
one sentence that names the file and the line, the column or both.
"""

import csv
import datetime as dt
import gzip
import io
import math
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from normix_mixtures import dependent_column

_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "?"})
_INDEX_NAMES = frozenset({"date", "datetime", "timestamp"})
_GZIP_MAGIC = b"\x1f\x8b"
_SNIFFED_LINES = 50

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


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a CSV file, gzipped or not.

    Raises:
        TableError: no such file, a folder, not readable, damaged gzip, not UTF-8, or anything that
            `parse_table` refuses.
    """
    source = os.fspath(path)
    return parse_table(_decode(_read_bytes(Path(path), source), source), source)


def parse_table(text: str, source: str) -> Table:
    """Make a `Table` of CSV text; `source` names it in the messages.

    Raises:
        TableError: empty, a blank or ragged line, names missing or repeated, no numeric column,
            a column without numbers that is not the first, or a cell that is empty, not a number
            or not finite.
    """
    if "\0" in text:
        raise TableError(f"{source}: not a text file (it holds NUL bytes); save it as UTF-8 CSV")
    records = _records_of(text, source)
    has_header = _has_header(records, source)
    header_line, first = records[0]
    header = first if has_header else [f"x{j + 1}" for j in range(len(first))]
    rows = records[1:] if has_header else records
    if not rows:
        raise TableError(f"{source}: a header but no row of data")
    for line, fields in rows:
        if len(fields) != len(header):
            raise TableError(
                f"{source}, line {line}: {_count(len(fields), 'field')} where line {header_line} "
                f"has {len(header)}"
            )
    cells = list(zip(*(fields for _, fields in rows), strict=True))
    lines = [line for line, _ in rows]

    index = _index_of(cells[0], header[0], has_header) if len(header) > 1 else None
    start = 0 if index is None else 1
    columns = (
        tuple(header[start:])
        if has_header
        else tuple(f"x{j + 1}" for j in range(len(header) - start))
    )
    _check_names(columns, start, source, header_line)
    return Table(
        source=source,
        values=_numbers(cells[start:], columns, lines, source),
        columns=columns,
        index=index,
        index_name=header[0] or None if index is not None and has_header else None,
        has_header=has_header,
    )


def check_sample(table: Table) -> None:
    """Refuse a table to which no normal mixture can be fitted.

    Raises:
        TableError: one row, rows no more than columns, a constant column, or a column that is a
            linear combination of those before it (to the precision of a float64 covariance).
    """
    n, d = table.values.shape
    if n == 1:
        raise TableError(f"{table.source}: one row of data; a fit needs more rows than columns")
    if n <= d:
        raise TableError(
            f"{table.source}: {n} rows and {_count(d, 'column')}; a fit needs more rows than "
            "columns"
        )
    values = table.values / np.maximum(np.abs(table.values).max(axis=0), np.finfo(float).tiny)
    constant = np.flatnonzero(values.max(axis=0) == values.min(axis=0))
    if constant.size:
        name = table.columns[constant[0]]
        value = table.values[0, constant[0]]
        raise TableError(
            f"{table.source}, column {name!r}: constant ({value:g} in every row); remove it"
        )
    dependent = dependent_column(values)
    if dependent is not None:
        name = table.columns[dependent]
        raise TableError(
            f"{table.source}, column {name!r}: a linear combination of the columns before it, so "
            "the likelihood has no maximum; remove it"
        )


def _read_bytes(path: Path, source: str) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingTableError(f"{source}: no such file") from None
    except IsADirectoryError:
        raise TableError(f"{source}: a folder, not a file") from None
    except OSError as error:
        raise TableError(f"{source}: {error.strerror or error}") from None
    if not (path.suffix.lower() == ".gz" or data.startswith(_GZIP_MAGIC)) or not data:
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise TableError(f"{source}: not a complete gzip file") from None


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"{source}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8 text; save the "
            "file as UTF-8 CSV"
        ) from None


def _records_of(text: str, source: str) -> list[_Record]:
    """The lines that hold data, with their numbers; blank ones only at the two ends."""
    records = list(_parse(text, _delimiter(text), source))
    while records and _is_blank(records[-1]):
        records.pop()
    first = next((i for i, record in enumerate(records) if not _is_blank(record)), len(records))
    records = records[first:]
    if not records:
        raise TableError(f"{source}: the file is empty")
    for record in records:
        if _is_blank(record):
            raise TableError(f"{source}, line {record[0]}: the line is blank")
    return records


def _parse(text: str, delimiter: str, source: str, *, strict: bool = False) -> Iterator[_Record]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=strict
    )
    line = 1
    try:
        for fields in reader:
            yield line, [field.strip() for field in fields]
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{source}, line {line}: not CSV ({error})") from None


def _is_blank(record: _Record) -> bool:
    return record[1] in ([], [""])


def _delimiter(text: str) -> str:
    """The tab or semicolon that splits every one of the first lines alike, else the comma.

    Comma comes last since it also stands for the decimal point. Where no candidate is consistent
    the one with most fields in the first line is taken, so that the message can name the ragged
    line.
    """
    head = "".join(io.StringIO(text, newline="").readlines(1 << 16)[:_SNIFFED_LINES])
    widths: dict[str, list[int]] = {}
    for delimiter in "\t;,":
        try:
            records = [r for r in _parse(head, delimiter, "", strict=True) if not _is_blank(r)]
        except TableError:
            records = []
        widths[delimiter] = [len(fields) for _, fields in records] or [0]
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


def _has_header(records: Sequence[_Record], source: str) -> bool:
    line, fields = records[0]
    kinds = [_kind(cell) for cell in fields]
    first, rest = kinds[0], kinds[1:]
    if "text" not in kinds:
        return False
    if first in ("text", "missing") and not {"number", "date"} & set(rest):
        return True
    if first == "text" and "text" not in rest:
        below = _kind(records[1][1][0]) if len(records) > 1 else "text"
        if below == "date":
            return True
        if below == "text":
            return False
    name = fields[kinds.index("text")]
    number = next(c for c, k in zip(fields, kinds, strict=True) if k in ("number", "date"))
    raise TableError(
        f"{source}, line {line}: holds both text ({name!r}) and numbers ({number!r}), so it is "
        "neither a header nor a row of data"
    )


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


def _index_of(cells: Sequence[str], name: str, has_header: bool) -> NDArray[Any] | None:
    dates = _dates(cells)
    if dates is not None:
        return dates
    named_as_index = has_header and (name == "" or name.casefold() in _INDEX_NAMES)
    kinds = {_kind(cell) for cell in cells}
    if named_as_index or (kinds & {"text", "date"} and "number" not in kinds):
        return np.array(cells, dtype=np.str_)
    return None


def _check_names(columns: Sequence[str], start: int, source: str, line: int) -> None:
    for j, name in enumerate(columns):
        if not name:
            raise TableError(f"{source}, line {line}: column {start + j + 1} has no name")
        if name in columns[:j]:
            raise TableError(
                f"{source}, line {line}: column name {name!r} stands twice; rename one"
            )


def _numbers(
    cells: Sequence[Sequence[str]], columns: Sequence[str], lines: Sequence[int], source: str
) -> NDArray[np.float64]:
    """The (n, d) values; the first bad cell, by line and then by column, is the error."""
    numbers = [[_number(cell) for cell in column] for column in cells]
    wordy = [
        j for j, column in enumerate(numbers) if all(x is None or math.isnan(x) for x in column)
    ]
    if len(wordy) == len(columns):
        raise TableError(f"{source}: no numeric column")
    if wordy:
        j = wordy[0]
        raise TableError(
            f"{source}, column {columns[j]!r}: holds no number (line {lines[0]}: "
            f"{cells[j][0]!r}); remove it, or put it first to label the rows"
        )
    values = np.array(
        [[math.nan if x is None else x for x in column] for column in numbers], dtype=np.float64
    ).T
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        i, j = (int(k) for k in bad[0])
        more = len(bad) - 1
        raise TableError(
            f"{source}, line {lines[i]}, column {columns[j]!r}: {_complaint(cells[j][i])}"
            + (f" ({_count(more, 'more bad cell')} after it)" if more else "")
        )
    values = np.ascontiguousarray(values)
    values.flags.writeable = False
    return values


def _complaint(cell: str) -> str:
    if cell == "":
        return "the cell is empty"
    if cell.casefold() in _MISSING:
        return f"{cell!r}, a missing value"
    if _number(cell) is not None:
        return f"{cell!r} is not finite"
    hint = ", write decimals with a point" if re.fullmatch(r"[+-]?\d+,\d+", cell) else ""
    return f"{cell!r} is not a number{hint}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
