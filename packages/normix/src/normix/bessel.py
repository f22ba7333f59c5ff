"""The names of `normix_bessel`: K, the modified Bessel function, its logarithm and derivatives."""

from normix_bessel import (
    KvMoments,
    kv,
    kve,
    log_kv,
    log_kv_moments,
    log_kve,
)

__all__ = [
    "KvMoments",
    "kv",
    "kve",
    "log_kv",
    "log_kv_moments",
    "log_kve",
]
