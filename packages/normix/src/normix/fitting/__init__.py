"""The names of `normix_fit`: fitters, their results, and the families that they know."""

from normix_fit import (
    FAMILIES,
    BatchEMFitter,
    EMResult,
    MiniBatchEMFitter,
    OnlineEMFitter,
    OnlineState,
    StandardErrors,
    Status,
    UpdateStatus,
    fit,
    fit_all,
    rank,
)

__all__ = [
    "FAMILIES",
    "BatchEMFitter",
    "EMResult",
    "MiniBatchEMFitter",
    "OnlineEMFitter",
    "OnlineState",
    "StandardErrors",
    "Status",
    "UpdateStatus",
    "fit",
    "fit_all",
    "rank",
]
