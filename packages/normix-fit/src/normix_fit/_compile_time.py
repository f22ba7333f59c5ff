"""Seconds that XLA spends compiling while a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax


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
