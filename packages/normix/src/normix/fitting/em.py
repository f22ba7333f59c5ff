"""EM: the fitters of `normix_fit` with what they take and give."""

from normix_fit import (
    BatchEMFitter,
    EMResult,
    MiniBatchEMFitter,
    OnlineEMFitter,
    OnlineState,
    StandardErrors,
    Status,
    UpdateStatus,
)

__all__ = [
    "BatchEMFitter",
    "EMResult",
    "MiniBatchEMFitter",
    "OnlineEMFitter",
    "OnlineState",
    "StandardErrors",
    "Status",
    "UpdateStatus",
]
