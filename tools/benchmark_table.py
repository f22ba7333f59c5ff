"""A Markdown table of a benchmark run: `python tools/benchmark_table.py RUN.json`.

One table per group, one line per peer. Ratios were taken in one run and carry over to other
machines; seconds and bytes do not.
"""

import json
import sys
from pathlib import Path
from typing import Any

Benchmark = dict[str, Any]

PREFIX = "ratio_to_"
READING = (
    "Ratio: ours divided by that of what it is measured against, below 1 if ours is faster or "
    "smaller; a median over rounds in which the two took turns. Ours: the median time, compiled "
    "unless the group says otherwise, or peak memory."
)
GROUPS = {
    "bessel": "log K and its derivatives",
    "compile": "first calls in new processes",
    "em": "fits of mixtures, and their iterations",
    "gig": "the generalized inverse Gaussian law",
    "import": "imports in new processes",
    "memory": "peak memory of new processes, beyond their imports",
    "mixtures": "the generalized hyperbolic law and its special cases",
}


def ratios(benchmark: Benchmark) -> dict[str, float]:
    """What the benchmark stored as a ratio, ours / peer, by its full name."""
    stored = benchmark["extra_info"].items()
    return {name: float(value) for name, value in stored if name.startswith(PREFIX)}


def with_unit(value: float, units: tuple[tuple[str, float], ...]) -> str:
    """With three digits and the first unit that is not larger, or the last."""
    unit, size = next((u for u in units if value >= u[1]), units[-1])
    digits = f"{value / size:.3g}"
    return f"{float(digits):g} {unit}"


def seconds(value: float) -> str:
    return with_unit(value, (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)))


def size(value: float) -> str:
    return with_unit(value, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)))


def ours(benchmark: Benchmark) -> str:
    """What the ratios compare, if it is not the time of the benchmarked call."""
    stored = benchmark["extra_info"]
    if "bytes" in stored:
        return size(stored["bytes"])
    return seconds(stored.get("seconds", benchmark["stats"]["median"]))


def machine(run: dict[str, Any]) -> str:
    info, stored = run["machine_info"], run["benchmarks"][0]["extra_info"]
    cpu = info.get("cpu", {})
    facts = [
        run["datetime"][:10],
        cpu.get("brand_raw", info.get("machine", "unknown")),
        f"{cpu.get('count', '?')} cores",
    ]
    if stored.get("platform", "cpu") != "cpu":
        facts.append(f"JAX on {stored['platform']} ({stored['device']})")
    facts.append(f"Python {info['python_version']}")
    facts += [f"{name} {number}" for name, number in stored.get("versions", {}).items()]
    return ", ".join(facts) + "."


def share(ratio: float) -> str:
    """With three digits, a tiny one as a fraction."""
    return f"{ratio:.3g}" if ratio >= 0.01 else f"1/{float(f'{1 / ratio:.3g}'):.0f}"


def against(name: str, benchmark: Benchmark) -> str:
    """The peer in words, with the portion of the work that it was timed on."""
    peer = name.removeprefix(PREFIX).replace("_", " ")
    if peer.startswith("floor "):
        peer = f"floor: {peer.removeprefix('floor ')}"
    portion = benchmark["extra_info"].get("portion_of_peers")
    return peer if portion is None else f"{peer} (timed on {100 * portion:.2g} % of it)"


def rows(benchmark: Benchmark) -> list[str]:
    """One for each peer; the first one names the benchmark."""
    name = f"`{benchmark['name'].removeprefix('test_')}`"
    what = benchmark["extra_info"].get("what", "")
    heads = [(name, what, ours(benchmark))]
    found = [(against(peer, benchmark), share(x)) for peer, x in ratios(benchmark).items()]
    found = found or [("", "")]
    heads += [("", "", "")] * (len(found) - 1)
    return [
        f"| {name} | {what} | {time} | {peer} | {ratio} |"
        for (name, what, time), (peer, ratio) in zip(heads, found, strict=True)
    ]


def table(run: dict[str, Any]) -> str:
    lines = [machine(run), "", READING, ""]
    for group in sorted({b["group"] or "other" for b in run["benchmarks"]}):
        title = f"{group}: {GROUPS[group]}" if group in GROUPS else group
        lines += [f"### {title}", "", "| benchmark | what | ours | measured against | ratio |"]
        lines += ["|---|---|---|---|---|"]
        for b in run["benchmarks"]:
            if (b["group"] or "other") == group:
                lines += rows(b)
        lines.append("")
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
