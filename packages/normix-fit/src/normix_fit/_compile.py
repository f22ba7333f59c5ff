"""Compilation: quickly, and how long it took."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def compile_seconds() -> Iterator[list[float]]:
    """A list of the durations of all tracing, lowering and compilation inside the block."""
    durations: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            durations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield durations
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
