"""The names of `normix_bessel`: log K, the modified Bessel function, with its derivatives."""

from normix_bessel import (
    KvMoments,
    log_kv,
    log_kv_moments,
)

__all__ = [
    "KvMoments",
    "log_kv",
    "log_kv_moments",
]
