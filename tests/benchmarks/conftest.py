"""The stopwatch of the benchmarks that compare contenders in one run; where they ran."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import pytest

ROUNDS = 25


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Device and versions, beside what pytest-benchmark stores of the machine."""
    machine_info["device"] = jax.devices()[0].device_kind
    machine_info["versions"] = {
        name: version(name) for name in ("jax", "jaxlib", "numpy", "scipy", "equinox", "normix")
    }


def _seconds(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - start


def _in_turns(*contenders: Callable[[], Any], rounds: int = ROUNDS) -> list[float]:
    for f in contenders:
        jax.block_until_ready(f())
    times = [[_seconds(f) for f in contenders] for _ in range(rounds)]
    return [float(x) for x in np.median(times, axis=0)]


@pytest.fixture(scope="session")
def seconds() -> Callable[[Callable[[], Any]], float]:
    """Seconds of one call, until its result is ready."""
    return _seconds


@pytest.fixture(scope="session")
def in_turns() -> Callable[..., list[float]]:
    """Median seconds of each contender, which take turns, after a call that warms the cache."""
    return _in_turns
