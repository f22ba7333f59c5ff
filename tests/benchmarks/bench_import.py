"""Seconds to import, in new processes: each package beside what it cannot do without.

The contenders take turns, so that both see the same machine; the first round fills the cache of
files and is left out.
"""

import subprocess
import sys

import numpy as np
import pytest

ROUNDS = 11
FLOORS = {
    "normix_bessel": "import jax",
    "normix_expfam": "import jax, equinox",
    "normix_mixtures": "import jax, equinox",
    "normix_fit": "import jax, equinox",
    "normix": "import jax, equinox",
}
TIMED = """
import time
began = time.perf_counter()
{code}
print(time.perf_counter() - began)
"""


def seconds_of(code):
    command = [sys.executable, "-c", TIMED.format(code=code)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("package", FLOORS)
@pytest.mark.benchmark(group="import: new process")
def test_import_beside_its_floor(benchmark, package):
    contenders = (f"import {package}", FLOORS[package])
    times = np.array([[seconds_of(code) for code in contenders] for _ in range(ROUNDS + 1)][1:])
    mine, floor = np.median(times, axis=0)
    benchmark.extra_info["ratio_to_floor"] = float(np.median(times[:, 0] / times[:, 1]))
    benchmark.extra_info["seconds"] = float(mine)
    benchmark.extra_info["seconds_floor"] = float(floor)
    benchmark.pedantic(seconds_of, args=(contenders[0],), rounds=1)
