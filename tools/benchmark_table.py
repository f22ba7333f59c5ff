"""A Markdown table of a benchmark run: `python tools/benchmark_table.py RUN.json`.

One table per group. Ratios come first: they were taken in one run against a peer or a floor and
carry over to other machines; the median times do not.
"""

import json
import sys
from pathlib import Path
from typing import Any

Benchmark = dict[str, Any]


def ratios(benchmark: Benchmark) -> dict[str, float]:
    """What the benchmark stored under a name that begins with ratio."""
    stored = benchmark["extra_info"].items()
    return {name: float(value) for name, value in stored if name.startswith("ratio")}


def seconds(value: float) -> str:
    """With three digits and the unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def machine(run: dict[str, Any]) -> str:
    info = run["machine_info"]
    cpu = info.get("cpu", {})
    versions = ", ".join(f"{name} {number}" for name, number in info.get("versions", {}).items())
    return (
        f"{run['datetime'][:10]}, {cpu.get('brand_raw', info.get('machine', 'unknown'))}, "
        f"{cpu.get('count', '?')} cores, {info.get('device', 'cpu')}, "
        f"Python {info['python_version']}, {versions}"
    )


def row(benchmark: Benchmark) -> str:
    told = [f"{name.removeprefix('ratio').strip('_') or 'ratio'} {value:.3g}"
            for name, value in ratios(benchmark).items()]  # fmt: skip
    name, median = benchmark["name"], seconds(benchmark["stats"]["median"])
    return f"| `{name}` | {'; '.join(told)} | {median} |"


def table(run: dict[str, Any]) -> str:
    lines = [machine(run), ""]
    for group in sorted({b["group"] or "other" for b in run["benchmarks"]}):
        lines += [f"### {group}", "", "| benchmark | ratios | median |", "|---|---|---|"]
        lines += [row(b) for b in run["benchmarks"] if (b["group"] or "other") == group]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
