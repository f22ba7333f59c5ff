"""What moved between two benchmark runs: `python tools/compare_benchmarks.py OLD.json NEW.json`.

Ratios are compared where a benchmark stores one, medians where it does not and both runs are from
one machine. A change counts if it is beyond a quarter, which is what ratios vary by between
processes, and beyond three interquartile ranges of either run. Lower is better: exits with 1 if
something rose.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmark_table import Benchmark, ratios

NOISE = 0.25
RANGES = 3


class Move(NamedTuple):
    benchmark: str
    what: str
    before: float
    after: float

    def __str__(self) -> str:
        way = "slower" if self.after > self.before else "faster"
        return (
            f"{self.benchmark}: {self.what} {self.before:.3g} -> {self.after:.3g}, "
            f"{max(self.after, self.before) / min(self.after, self.before):.2f} times {way}"
        )


def spread(benchmark: Benchmark) -> float:
    """Interquartile range of the rounds, relative to their median."""
    stats = benchmark["stats"]
    return float(stats["iqr"] / stats["median"])


def beyond(before: float, after: float, noise: float) -> bool:
    return max(before, after) > (1 + noise) * min(before, after)


def moves(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Move]:
    """Every ratio or median that changed by more than noise; lower is better."""
    before = {b["fullname"]: b for b in old["benchmarks"]}
    same_machine = old["machine_info"].get("cpu") == new["machine_info"].get("cpu")
    for b in new["benchmarks"]:
        a = before.get(b["fullname"])
        if a is None:
            continue
        noise = max(NOISE, RANGES * spread(a), RANGES * spread(b))
        common = [(n, ratios(a)[n], value) for n, value in ratios(b).items() if n in ratios(a)]
        if not common and same_machine:
            common = [("median", a["stats"]["median"], b["stats"]["median"])]
        for name, x, y in common:
            if beyond(x, y, noise):
                yield Move(b["name"], name, x, y)


def main(old: str, new: str) -> int:
    runs = [json.loads(Path(path).read_text(encoding="utf-8")) for path in (old, new)]
    names = [{b["fullname"] for b in run["benchmarks"]} for run in runs]
    found = list(moves(*runs))
    for label, only in (("only in the old run", names[0] - names[1]),
                        ("only in the new run", names[1] - names[0])):  # fmt: skip
        print(*(f"{label}: {name}" for name in sorted(only)), sep="\n", end="\n" if only else "")
    print(*(found or ["nothing moved beyond noise"]), sep="\n")
    return int(any(move.after > move.before for move in found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
