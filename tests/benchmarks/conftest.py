"""What the benchmarks share: contenders that take turns, new processes, and what is stored.

Every benchmark stores in `extra_info`

- `ratio_to_<peer>`: ours / peer, smaller is better, the median over rounds, taken in turns;
- `seconds` or `bytes`: ours, and `seconds_of_<peer>` or `bytes_of_<peer>`;
- `what`: the first line of its docstring; `platform`, `device` and `versions`.
"""

import inspect
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import pytest

ROUNDS = 25
PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "equinox", "normix")


@pytest.fixture(autouse=True)
def described(benchmark, request) -> None:
    benchmark.extra_info.update(
        what=inspect.getdoc(request.function).splitlines()[0],
        platform=jax.default_backend(),
        device=jax.devices()[0].device_kind,
        versions={name: version(name) for name in PACKAGES},
    )


@pytest.fixture
def record(benchmark) -> Callable[..., None]:
    """Store ours and its ratio to each peer, given as numbers or as arrays over rounds."""

    def store(ours: Any, unit: str = "seconds", **peers: Any) -> None:
        benchmark.extra_info[unit] = float(np.median(ours))
        for name, theirs in peers.items():
            benchmark.extra_info[f"ratio_to_{name}"] = float(np.median(np.divide(ours, theirs)))
            benchmark.extra_info[f"{unit}_of_{name}"] = float(np.median(theirs))

    return store


def _seconds(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - start


@pytest.fixture(scope="session")
def in_turns() -> Callable[..., np.ndarray]:
    """Seconds of contenders that take turns, after a call that warms the cache.

    One row per contender, one column per round.
    """

    def measure(*contenders: Callable[[], Any], rounds: int = ROUNDS) -> np.ndarray:
        for f in contenders:
            jax.block_until_ready(f())
        return np.array([[_seconds(f) for f in contenders] for _ in range(rounds)]).T

    return measure


@pytest.fixture
def beside(benchmark, record) -> Callable[..., list[Any]]:
    """Benchmark f, which takes turns with its peers; give the results of all of them.

    A slow peer may do a portion of the work only; its time is then divided by that portion. The
    calls that warm the cache are left out; `first_call_s` is that of f.
    """

    def measure(
        f: Callable[[], Any],
        *,
        rounds: int = ROUNDS,
        portion: float = 1.0,
        **peers: Callable[[], Any],
    ) -> list[Any]:
        benchmark.extra_info["first_call_s"] = _seconds(f)
        results = [jax.block_until_ready(g()) for g in (f, *peers.values())]
        ours, theirs = [], []
        benchmark.pedantic(
            lambda: ours.append(_seconds(f)),
            setup=lambda: theirs.append([_seconds(peer) for peer in peers.values()]),
            rounds=rounds,
        )
        record(ours, **dict(zip(peers, np.array(theirs).T / portion, strict=True)))
        if portion != 1.0:
            benchmark.extra_info["portion_of_peers"] = portion
        return results

    return measure


def _in_new_process(code: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def beside_in_new_processes(benchmark, record) -> Callable[..., list[dict[str, Any]]]:
    """Run a program and its peers, each in a new process, in turns; give what the last ones print.

    A program prints one JSON object with its own seconds or bytes, so that the start of the
    interpreter does not count. The first rounds, which fill the cache of files, can be discarded.
    """

    def measure(
        program: str, *, rounds: int, discard: int = 0, unit: str = "seconds", **peers: str
    ) -> list[dict[str, Any]]:
        ours, theirs = [], []
        benchmark.pedantic(
            lambda: ours.append(_in_new_process(program)),
            setup=lambda: theirs.append([_in_new_process(peer) for peer in peers.values()]),
            rounds=rounds,
        )
        values = np.array([[found[unit] for found in turn] for turn in theirs[discard:]])
        record(
            [found[unit] for found in ours[discard:]],
            unit,
            **dict(zip(peers, values.T, strict=True)),
        )
        return [ours[-1], *theirs[-1]]

    return measure


@pytest.fixture(scope="session")
def wide(shared_data) -> np.ndarray:
    """2552 daily log-returns of 468 stocks, in percent."""
    return np.load(shared_data / "sp500_wide.npz")["returns"].astype(np.float64) * 100


@pytest.fixture(scope="session")
def best_known(shared_data) -> Callable[[str], float]:
    """The highest known log-likelihood of a family at the exchange rates."""
    rows = json.loads((shared_data / "reference_fits.json").read_text(encoding="utf-8"))
    return {
        row["family"]: row["loglik"]
        for row in rows
        if row["data"] == "ecb_fx" and not row["symmetric"]
    }.__getitem__
