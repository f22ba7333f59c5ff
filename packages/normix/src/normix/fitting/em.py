"""EM: the fitters of `normix_fit` with what they take and give."""

from normix_fit import BatchEMFitter, EMResult, Status

__all__ = ["BatchEMFitter", "EMResult", "Status"]
