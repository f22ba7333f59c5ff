"""Compilation: quickly, how long it took, and what it leaves for more of it."""

import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

# XLA's emitters of fused loops take half of the time that a fit takes to compile on a CPU, and the
# fit is no faster for it: docs/fit.md has figures
_QUICK = {"xla_cpu_use_fusion_emitters": False}


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a compiled one; the same object every time."""
    options = _QUICK if _is_known(jax.default_backend()) else {}
    filter_jit: Any = eqx.filter_jit  # its annotations leave out what it passes on to jax.jit
    jitted: Callable[..., Any] = filter_jit(function, compiler_options=options)
    return jitted


@functools.cache
def _is_known(backend: str) -> bool:
    """Whether this version of XLA has the option, and it concerns the backend."""
    if backend != "cpu":
        return False
    try:
        jax.jit(lambda: 0, compiler_options=_QUICK)()
    except jax.errors.JaxRuntimeError:
        return False
    return True


Span = tuple[float, float]
_recordings: list[list[Span]] = []  # of the `compile_spans` that are open


@functools.cache
def _listen() -> None:
    """Once and for good: older versions of JAX cannot take a listener back."""

    def heard(event: str, duration_secs: float, **_: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            end = time.perf_counter()
            for spans in _recordings:
                spans.append((end - duration_secs, end))

    jax.monitoring.register_event_duration_secs_listener(heard)


@contextmanager
def compile_spans() -> Iterator[list[Span]]:
    """A list of the beginnings and ends of all tracing, lowering and compiling inside the block."""
    _listen()
    spans: list[Span] = []
    _recordings.append(spans)
    try:
        yield spans
    finally:
        # by identity: equal lists may be open
        _recordings[:] = [other for other in _recordings if other is not spans]
    if spans and not _recordings:
        _warn_of_maps()


_MAPS, _MOST_MAPS = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")
_MANY = 0.75  # of the memory maps that Linux grants: the rest is for a few dozen functions
_warned: set[Path] = set()  # of the files that held too many maps when last read


def _warn_of_maps() -> None:
    """Once before XLA crashes for want of memory maps, of which it takes some for every function.

    Elsewhere than on Linux there are no such files and is no such limit.
    """
    try:
        held, most = _MAPS.read_bytes().count(b"\n"), int(_MOST_MAPS.read_text())
    except OSError:
        return
    if held <= _MANY * most:
        _warned.discard(_MAPS)
    elif _MAPS not in _warned:
        _warned.add(_MAPS)
        warnings.warn(
            f"this process holds {held} of the {most} memory maps that Linux grants it, and XLA "
            "crashes without more: each family, shape of data and configuration is compiled once "
            "and takes up to 600; call jax.clear_caches(), fit data of few different shapes, or "
            "fit in new processes",
            stacklevel=5,  # the caller of the fit
        )


def seconds_covered(spans: list[Span]) -> float:
    """The length of the union: a function that is traced inside another counts once."""
    total, reached = 0.0, -math.inf
    for begin, end in sorted(spans):
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total
