"""Laws of reading a table, and the sentence for each thing that can be wrong with one."""

import csv
import datetime as dt
import gzip
import io
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from normix._table import (
    Sample,
    Table,
    TableError,
    _kind,
    check_independence,
    check_sample,
    parse_table,
    read_table,
)
from normix_mixtures.internal import check_observations

_names = (
    st.text("abcXYZéΣ09 _-/%(),;.", min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: _kind(name) == "text")
)
_floats = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def _tables(draw: st.DrawFn) -> tuple[str, str, list[str], np.ndarray, list[str] | None]:
    """CSV text in one of its dialects, the kind of index, and what must be read from it."""
    d = draw(st.integers(1, 4))
    n = draw(st.integers(1, 12))
    names = draw(st.lists(_names, min_size=d, max_size=d, unique=True))
    rows = draw(st.lists(st.lists(_floats, min_size=d, max_size=d), min_size=n, max_size=n))
    kind = draw(st.sampled_from(["none", "date", "compact", "time", "label", "number"]))
    start = draw(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)))
    days = [start + dt.timedelta(days=i) for i in range(n)]
    index = {
        "none": None,
        "date": [day.date().isoformat() for day in days],
        "compact": [day.strftime("%Y%m%d") for day in days],
        "time": [day.isoformat(sep=draw(st.sampled_from("T "))) for day in days],
        "label": [f"row {i}" for i in range(n)],
        "number": [str(i) for i in range(n)],
    }[kind]
    table = [names, *([repr(x) for x in row] for row in rows)]
    if index is not None:
        corner = "" if kind == "number" else "day"
        table = [[head, *row] for head, row in zip([corner, *index], table, strict=True)]
    buffer = io.StringIO()
    csv.writer(
        buffer,
        delimiter=draw(st.sampled_from(",;\t")),
        quoting=csv.QUOTE_ALL,
        lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r"])),
    ).writerows(table)
    text = buffer.getvalue()
    if draw(st.booleans()) and not any(c in "".join(names) for c in ",; "):
        text = text.replace('"', "")
    return text, kind, names, np.array(rows), index


@given(table=_tables())
def test_every_dialect_reads_back_what_was_written(table):
    text, kind, names, values, index = table
    read = parse_table(text, "t.csv")
    assert read.columns == tuple(names)
    np.testing.assert_array_equal(read.values, values)
    assert read.values.dtype == np.float64
    assert not read.values.flags.writeable
    assert read.has_header
    if kind == "none":
        assert read.index is None
    elif kind in ("label", "number"):
        assert read.index.tolist() == index
    else:
        parsed = [dt.datetime.fromisoformat(cell) for cell in index]
        np.testing.assert_array_equal(read.index, np.array(parsed, dtype="datetime64[us]"))
        assert read.index.dtype == ("datetime64[us]" if kind == "time" else "datetime64[D]")


@given(table=_tables(), gzipped=st.booleans(), mark=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_file_reads_as_its_text_does(tmp_path, table, gzipped, mark):
    text = table[0]
    data = text.encode("utf-8-sig" if mark else "utf-8")
    path = tmp_path / "t.csv"
    path.write_bytes(gzip.compress(data) if gzipped else data)
    read, expected = read_table(path), parse_table(text, str(path))
    assert read.columns == expected.columns
    np.testing.assert_array_equal(read.values, expected.values)


@given(values=st.lists(st.lists(_floats, min_size=3, max_size=3), min_size=1, max_size=6))
def test_without_a_header_columns_are_numbered(values):
    text = "\n".join(",".join(map(repr, row)) for row in values)
    read = parse_table(text, "t.csv")
    assert read.columns == ("x1", "x2", "x3")
    assert not read.has_header
    np.testing.assert_array_equal(read.values, np.array(values))


def _outcome(read: Callable[[], Table]) -> Table | str:
    try:
        return read()
    except TableError as error:
        return str(error)


@given(text=st.one_of(st.text(max_size=60), st.text('a1,;\t\n\r"-. \0', max_size=60)))
@settings(max_examples=500)
def test_any_text_is_a_table_or_one_sentence(text):
    outcome = _outcome(lambda: parse_table(text, "t.csv"))
    if isinstance(outcome, str):
        assert outcome.startswith("t.csv")
        assert len(outcome.splitlines()) == 1
    else:
        assert np.all(np.isfinite(outcome.values))
        assert outcome.values.shape[1] == len(outcome.columns) >= 1


@given(data=st.binary(max_size=60), suffix=st.sampled_from([".csv", ".csv.gz"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_table_or_one_sentence(tmp_path, data, suffix):
    path = tmp_path / f"t{suffix}"
    path.write_bytes(data)
    outcome = _outcome(lambda: read_table(path))
    if isinstance(outcome, str):
        assert outcome.startswith(str(path))


@pytest.mark.parametrize(
    ("text", "columns", "index"),
    [
        ("date,1,2\n2020-01-01,0.5,0.25\n", ("1", "2"), ["2020-01-01"]),
        ("2020-01-01,0.5,0.25\n", ("x1", "x2"), ["2020-01-01"]),
        ("date,a\n31/12/2020,1\n01/01/2021,2\n", ("a",), ["31/12/2020", "01/01/2021"]),
        ("Date,a\n43210,1\n43211,2\n", ("a",), ["43210", "43211"]),
        (',"a"\n1,1.5\n2,2.5\n', ("a",), ["1", "2"]),
        ("\n\na,b\n1,2\n\n\n", ("a", "b"), None),
        ("time;flow\n1;2.5\n", ("time", "flow"), None),
        ("when,a\n2020-01-01T02:00+02:00,1\n", ("a",), ["2020-01-01T00:00:00.000000"]),
        (",0,1\n2020-01-01,0.5,0.25\n", ("0", "1"), ["2020-01-01"]),
        (",0\n2020-01-01,5\n2020-01-02,7\n", ("0",), ["2020-01-01", "2020-01-02"]),
        (",0,1\n0,1.5,2.5\n1,1.5,3.5\n", ("0", "1"), ["0", "1"]),
        (",0,1\n0,15,25\n1,15,35\n", ("0", "1"), ["0", "1"]),
        (",2019,2020\n1,1.5,2.5\n2,1.5,3.5\n", ("2019", "2020"), ["1", "2"]),
        (",0,1\nrow a,1.5,2.5\nrow b,1.5,3.5\n", ("0", "1"), ["row a", "row b"]),
        ("who,0,1\nrow a,1.5,2.5\nrow b,1.5,3.5\n", ("0", "1"), ["row a", "row b"]),
        ("Day,0.5,1.5\n2020-01-01,1,2\n", ("0.5", "1.5"), ["2020-01-01"]),
        ("day,a,10\n2020-01-01,1,2\n", ("a", "10"), ["2020-01-01"]),
        ("0,1\n0.5,1.5\n", ("0", "1"), None),
        ("0,1\n5,1.5\n", ("x1", "x2"), None),
        ("5,3\n0.5,1\n", ("x1", "x2"), None),
        ("a,5\nb,3\n", ("x1",), ["a", "b"]),
        ("2020-01-01,1,2\n2020-01-02,0.5,0.5\n", ("x1", "x2"), ["2020-01-01", "2020-01-02"]),
        (",a\n1%,1\n2%,2\n", ("a",), ["1%", "2%"]),
        ("q,a\n5%,1\nmean,2\n", ("a",), ["5%", "mean"]),
        ("day,a\n1.2.2020,1\n2.2.2020,2\n", ("a",), ["1.2.2020", "2.2.2020"]),
    ],
)
def test_header_and_index_are_recognised(text, columns, index):
    read = parse_table(text, "t.csv")
    assert read.columns == columns
    assert (None if read.index is None else [str(x) for x in read.index]) == index


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["empty"]),
        (" \n\n", ["empty"]),
        ("a,b\n", ["no row"]),
        ("a,b\nx,y\nz,w\n", ["no numeric column"]),
        ("date,name\n2020-01-01,x\n2020-01-02,y\n", ["no numeric column"]),
        ("a,b\nnan,nan\n", ["no numeric column"]),
        ("a,b\n1,2\n3,\n", ["line 3", "column 'b'", "empty"]),
        ("a,b\n1,2\nNaN,4\n", ["line 3", "column 'a'", "'NaN'", "missing"]),
        ("a,b\n1,2\n3,4x\n5,6\n", ["line 3", "column 'b'", "'4x'", "not a number"]),
        ("a,b\n1,2\n3,1_000\n", ["line 3", "column 'b'", "'1_000'", "not a number"]),
        ("a;b\n1;2\n3;4,5\n", ["line 3", "column 'b'", "'4,5'", "decimals with a point"]),
        ("a,b\n1,2\ninf,4\n", ["line 3", "column 'a'", "'inf'", "not finite"]),
        ("a,b\n1,2\n1e999,4\n", ["line 3", "column 'a'", "'1e999'", "not finite"]),
        ("a,b\n1,x\n,4\ny,z\n", ["line 2", "column 'b'", "'x'", "3 more bad cells"]),
        ("a,b\n1,2\n3\n", ["line 3", "1 field where", "has 2"]),
        ("a,b\n1,2\n3,4,5\n", ["line 3", "3 fields where", "has 2"]),
        ("a,b\n1,2\n\n3,4\n", ["line 3", "blank"]),
        ('a,b\n1,2\n"3,4\n5,6\n', ["line 3", "field"]),
        ("a,c,b\n1,x,2\n3,y,4\n", ["column 'c'", "no number", "line 2", "'x'", "put it first"]),
        ("a,b,a\n1,2,3\n4,5,6\n", ["line 1", "'a'", "twice"]),
        ("a,,b\n1,2,3\n4,5,6\n", ["line 1", "column 2", "no name"]),
        ("0\n0.5\n0.25\n", ["line 1", "'0'", "a header or a row of data"]),
        ("2019,2020\n0.5,1.5\n", ["line 1", "'2019', '2020'", "a header or a row of data"]),
        ("0,1,2\n5,6,7\n", ["line 1", "'0', '1', '2'", "a header or a row of data"]),
        ("who,0\na,0.5\nb,0.25\n", ["line 1", "'who', '0'", "a header or a row of data"]),
        (",0.5,0.25\n2020-01-01,1.5,2.5\n", ["line 1", "''", "a header or a row of data"]),
        (",1,2\n3,4,5\n6,7,8\n", ["line 1", "column 'x1'", "empty"]),
        ("2020-13-01,0.5\n2020-01-02,0.6\n", ["line 1", "'2020-13-01'", "neither"]),
        ("abc,1.5\n2.5,3.5\n", ["line 1", "'abc'", "'1.5'", "neither"]),
        ("a\0b,c\n1,2\n", ["NUL", "UTF-8"]),
    ],
)
def test_what_is_wrong_is_named(text, parts):
    with pytest.raises(TableError) as caught:
        parse_table(text, "t.csv")
    message = str(caught.value)
    assert message.startswith("t.csv")
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "write",
    [
        "{}%",
        "{} %",
        "${}",
        "\u20ac {}",
        "({})",
        "{},5",
        "1,{}00.5",
        "12 {}00",
        "12\u00a0{}00,5",
        "1'{}00",
        "1_{}00",
        "\N{MINUS SIGN}{}",
        "{}.5-",
        "1.{}D-03",
    ],
)
@pytest.mark.parametrize("header", ["a;b\n", ""])
def test_numbers_written_for_people_are_not_taken_for_labels(write, header):
    cells = [write.format(i) for i in (1, 2, 3)]
    text = header + "".join(f"{cell};{i}.5\n" for i, cell in enumerate([*cells, "-"]))
    with pytest.raises(TableError, match="may be a number or a label") as caught:
        parse_table(text, "t.csv")
    assert repr(cells[0]) in str(caught.value)


def test_line_numbers_count_lines_of_the_file():
    text = '\n\n"a\nb",c\r\n1,2\r\n3,bad\r\n'
    with pytest.raises(TableError, match="line 6, column 'c'"):
        parse_table(text, "t.csv")


@pytest.mark.parametrize(
    ("name", "data", "parts"),
    [
        ("absent.csv", None, ["no such file"]),
        (".", None, ["a folder"]),
        ("latin.csv", "a,b\n1,2\nü,3\n".encode("latin-1"), ["line 3", "0xfc", "UTF-8"]),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), ["UTF-8"]),
        ("plain.csv.gz", b"a,b\n1,2\n", ["gzip"]),
        ("cut.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], ["gzip"]),
        ("garbage.csv", b"\x1f\x8bgarbage", ["gzip"]),
        ("empty.csv.gz", b"", ["empty"]),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, data, parts):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(TableError) as caught:
        read_table(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_a_file_without_permission_is_named(monkeypatch):
    def refuse(self: Path, _mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TableError, match=r"t\.csv: Permission denied"):
        read_table("t.csv")


def _memory_and_seconds(read: Callable[[], object]) -> tuple[int, float]:
    tracemalloc.start()
    start = time.process_time()
    try:
        read()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, time.process_time() - start


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "more than 10,000 blank lines"),
        (b"1.5\n\n", "line 2: the line is blank"),
        (b" ", "longer than 67,108,864 bytes"),
        (b"\0", "longer than 67,108,864 bytes"),
    ],
)
def test_a_small_file_that_unpacks_to_a_large_one_costs_little(tmp_path, line, message):
    path = tmp_path / "bomb.csv.gz"
    block = line * (2**20 // len(line))
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(block)

    def refuse() -> None:
        with pytest.raises(TableError, match=message):
            read_table(path)

    memory, _ = _memory_and_seconds(refuse)
    assert memory < 4 * 2**26


def test_there_is_a_limit_to_the_numbers(monkeypatch):
    monkeypatch.setattr("normix._table._MAX_NUMBERS", 10)
    assert parse_table("a,b\n" + "1,2\n" * 5, "t.csv").values.shape == (5, 2)
    with pytest.raises(TableError, match=r"line 7: more than 10 numbers"):
        parse_table("a,b\n" + "1,2\n" * 6, "t.csv")


def test_memory_is_that_of_the_numbers(tmp_path):
    path = tmp_path / "t.csv"
    row = ",".join(["0.123456"] * 100) + "\n"
    path.write_text(row * 2000)
    memory, _ = _memory_and_seconds(lambda: read_table(path))
    assert memory < 3 * 8 * 200_000


def test_many_columns_take_time_in_proportion():
    def read(d: int) -> None:
        parse_table("\n".join(",".join(f"{a}{j}" for j in range(d)) for a in ("x", "", "")), "t")

    (_, few), (_, many) = (_memory_and_seconds(lambda d=d: read(d)) for d in (4000, 40_000))
    assert many < 30 * few


def _sample(values: np.ndarray) -> Table:
    columns = tuple("abcdefgh"[: values.shape[1]])
    return Table("t.csv", np.asarray(values, dtype=float), columns, None, None, has_header=True)


def _check(values: np.ndarray) -> None:
    table = _sample(values)
    check_sample(table)
    check_independence(Sample(table.values, table.columns, ""), table.source)


_noise = np.random.default_rng(0).standard_normal((50, 3))


@pytest.mark.parametrize("scale", [1e-300, 1e-4, 1.0, 1e300])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_a_proper_sample_passes_in_any_unit(scale, shift):
    _check((_noise + shift) * scale)


@pytest.mark.parametrize("n", [40, 3000])
def test_a_sample_that_passes_is_one_that_is_fitted(n):
    """Two columns that are equal up to noise: table and fit draw the line at one place."""
    rng = np.random.default_rng(0)
    first, noise = rng.standard_normal((2, n))
    refused = []
    for size in 10.0 ** np.arange(-9, -4.9, 0.5):
        values = np.stack([first, first + size * noise], axis=1)
        try:
            _check(values)
        except TableError as error:
            assert "column 'b'" in str(error)  # noqa: PT017
            with pytest.raises(ValueError, match="got column 1 as a linear combination"):
                check_observations("fit", values)
            refused.append(size)
        else:
            check_observations("fit", values)
    assert 1e-9 in refused
    assert 1e-5 not in refused


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (_noise[:1], ["one row"]),
        (_noise[:3], ["3 rows and 3 columns", "more rows"]),
        (_noise * [1, 0, 1], ["column 'b'", "constant"]),
        (_noise * [1, 1, 0] + [0, 0, 2.5], ["column 'c'", "constant", "2.5"]),
        (_noise @ [[1, 0, 2], [0, 1, -3], [0, 0, 0]], ["column 'c'", "linear combination"]),
        (_noise[:, [0, 1, 0]] * [1, 1, 1e-9], ["column 'c'", "linear combination"]),
    ],
)
def test_a_sample_that_cannot_be_fitted_is_refused(values, parts):
    with pytest.raises(TableError) as caught:
        _check(values)
    for part in ["t.csv", *parts]:
        assert part in str(caught.value)
