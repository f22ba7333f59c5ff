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
    },
    "benchmarks": [
        {
            "name": "test_value",
            "fullname": "bench.py::test_value",
            "group": "bessel",
            "stats": {"median": 2.5e-3, "iqr": 1e-5},
            "extra_info": {
                "what": "log K",
                "platform": "cpu",
                "device": "cpu",
                "versions": {"jax": "0.10.2"},
                "ratio_to_scipy": 0.21,
            },
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
    assert text.startswith("2026-11-23, Some CPU, 2 cores, Python 3.11.7, jax 0.10.2.")
    assert "| `value` | log K | 2.5 ms | scipy | 0.21 |" in text
    assert text.index("### bessel: log K") < text.index("### import: ")


def test_the_table_shows_the_platform_if_it_is_not_the_cpu(later):
    later["benchmarks"][0]["extra_info"] |= {"platform": "gpu", "device": "Some GPU"}
    assert "2 cores, JAX on gpu (Some GPU), Python" in benchmark_table.table(later)


def test_every_peer_has_a_line_and_the_first_one_the_name(later):
    later["benchmarks"][0]["extra_info"]["ratio_to_five_kve"] = 1.5
    assert "|\n|  |  |  | five kve | 1.5 |" in benchmark_table.table(later)


def test_a_floor_is_called_one(later):
    later["benchmarks"][0]["extra_info"]["ratio_to_floor_import_jax"] = 1.5
    assert "| floor: import jax | 1.5 |" in benchmark_table.table(later)


def test_a_peer_that_did_a_portion_of_the_work_is_marked(later):
    later["benchmarks"][0]["extra_info"]["portion_of_peers"] = 0.02
    assert "| scipy (timed on 2 % of it) | 0.21 |" in benchmark_table.table(later)


@pytest.mark.parametrize(
    ("stored", "text"), [({"seconds": 0.25}, "250 ms"), ({"bytes": 1.53e9}, "1.53 GB")]
)
def test_what_is_compared_is_shown_before_the_time_of_the_call(later, stored, text):
    later["benchmarks"][0]["extra_info"] |= stored
    assert f"| log K | {text} |" in benchmark_table.table(later)


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2 s"), (0.0123, "12.3 ms"), (5e-6, "5 µs"), (3e-10, "0.3 ns")]
)
def test_times_have_a_unit(value, text):
    assert benchmark_table.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(12.345, "12.3"), (0.0123, "0.0123"), (1 / 10812, "1/10800")]
)
def test_tiny_ratios_are_fractions(value, text):
    assert benchmark_table.share(value) == text


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
