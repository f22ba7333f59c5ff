"""What both backends of the GIG integral return, and the names of the backends."""

from typing import Any, Literal, NamedTuple

Backend = Literal["jax", "cpu"]


class GIGMoments(NamedTuple):
    """ψ and E t of GIG(p, a, b), arrays of one shape (...)."""

    log_partition: Any
    """ψ(p, a, b)."""

    log_y: Any
    """E log Y."""

    inverse_y: Any
    """E 1/Y."""

    y: Any
    """E Y."""
