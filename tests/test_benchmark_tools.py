"""The table of a benchmark run, and what counts as moved between two."""

import copy
import json

import benchmark_table
import compare_benchmarks
import pytest

RUN = {
    "datetime": "2026-11-23T20:00:00+00:00",
    "machine_info": {
        "cpu": {"brand_raw": "Some CPU", "count": 2},
        "python_version": "3.11.7",
        "versions": {"jax": "0.10.2"},
    },
    "benchmarks": [
        {
            "name": "test_value",
            "fullname": "bench.py::test_value",
            "group": "bessel",
            "stats": {"median": 2.5e-3, "iqr": 1e-5},
            "extra_info": {"ratio_to_scipy": 0.21, "points": 100},
        },
        {
            "name": "test_import",
            "fullname": "bench.py::test_import",
            "group": "import",
            "stats": {"median": 1.5, "iqr": 0.01},
            "extra_info": {},
        },
    ],
}


@pytest.fixture
def later():
    return copy.deepcopy(RUN)


def test_the_table_shows_groups_ratios_and_the_machine():
    text = benchmark_table.table(RUN)
    assert "2026-11-23, Some CPU, 2 cores" in text
    assert "| `test_value` | to_scipy 0.21 | 2.5 ms |" in text
    assert text.index("### bessel") < text.index("### import")


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2 s"), (0.0123, "12.3 ms"), (5e-6, "5 µs"), (3e-10, "0.3 ns")]
)
def test_times_have_a_unit(value, text):
    assert benchmark_table.seconds(value) == text


def test_nothing_moves_within_noise(later):
    later["benchmarks"][0]["extra_info"]["ratio_to_scipy"] = 0.25
    later["benchmarks"][1]["stats"]["median"] = 1.8
    assert not list(compare_benchmarks.moves(RUN, later))


def test_a_ratio_that_rose_is_named_as_slower(later):
    later["benchmarks"][0]["extra_info"]["ratio_to_scipy"] = 0.42
    [move] = compare_benchmarks.moves(RUN, later)
    assert str(move) == "test_value: ratio_to_scipy 0.21 -> 0.42, 2.00 times slower"


def test_noisy_rounds_widen_what_counts_as_noise(later):
    later["benchmarks"][1]["stats"] = {"median": 3.0, "iqr": 0.01}
    assert list(compare_benchmarks.moves(RUN, later))
    later["benchmarks"][1]["stats"]["iqr"] = 1.5
    assert not list(compare_benchmarks.moves(RUN, later))


def test_medians_of_two_machines_are_not_compared(later):
    later["benchmarks"][1]["stats"]["median"] = 30.0
    later["machine_info"]["cpu"]["brand_raw"] = "Another"
    assert not list(compare_benchmarks.moves(RUN, later))


def test_the_command_tells_what_is_only_in_one_run(later, tmp_path, capsys):
    later["benchmarks"][0]["fullname"] = "bench.py::test_other"
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, run in zip(paths, (RUN, later), strict=True):
        path.write_text(json.dumps(run))
    assert compare_benchmarks.main(*map(str, paths)) == 0
    told = capsys.readouterr().out
    assert "only in the old run: bench.py::test_value" in told
    assert "only in the new run: bench.py::test_other" in told
    assert "nothing moved" in told


def test_the_command_fails_when_something_got_slower(later, tmp_path):
    later["benchmarks"][0]["extra_info"]["ratio_to_scipy"] = 1.0
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, run in zip(paths, (RUN, later), strict=True):
        path.write_text(json.dumps(run))
    assert compare_benchmarks.main(*map(str, paths)) == 1
    assert compare_benchmarks.main(*map(str, reversed(paths))) == 0
