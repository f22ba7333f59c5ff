"""What both backends of the GIG integral return."""

from typing import Any, NamedTuple


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
