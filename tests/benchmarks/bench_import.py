"""Seconds to import, in new processes: each package beside what it cannot do without."""

import pytest

ROUNDS = 12
FLOORS = {
    "normix_bessel": "jax",
    "normix_expfam": "jax, equinox",
    "normix_mixtures": "jax, equinox",
    "normix_fit": "jax, equinox",
    "normix": "jax, equinox",
}
BARS = {"normix_bessel": 1.15, "normix": 1.35}
TIMED = """
import time
began = time.perf_counter()
import {modules}
seconds = time.perf_counter() - began
import json, sys
print(json.dumps(dict(seconds=seconds, modules=list(sys.modules))))
"""


@pytest.mark.parametrize("package", FLOORS)
@pytest.mark.benchmark(group="import")
def test_import(beside_in_new_processes, benchmark, package):
    """Import of the package"""
    floor = FLOORS[package]
    name = "floor_import_" + floor.replace(", ", "_")
    ours, least = beside_in_new_processes(
        TIMED.format(modules=package),
        rounds=ROUNDS,
        discard=1,
        **{name: TIMED.format(modules=floor)},
    )
    assert package in ours["modules"]
    assert package not in least["modules"]
    assert benchmark.extra_info[f"ratio_to_{name}"] <= BARS.get(package, 1.35)
