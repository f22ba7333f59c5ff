"""What a type checker knows of public results: `nox -s types` checks this file, nothing runs it."""

from typing import assert_type

import jax
import numpy as np

from normix_bessel import kv, kve, log_kv, log_kve
from normix_expfam import Exponential, FitResult, MLEResult
from normix_fit import BatchEMFitter, EMResult, fit
from normix_mixtures import GeneralizedHyperbolic, NormalInverseGaussian, VarianceGamma


def backend_of_bessel_functions_decides_the_array() -> None:
    assert_type(log_kv(0.5, 1.0), jax.Array)
    assert_type(log_kv(0.5, 1.0, backend="jax"), jax.Array)
    assert_type(log_kv(0.5, 1.0, backend="cpu"), np.ndarray)
    assert_type(log_kve(0.5, 1.0), jax.Array)
    assert_type(log_kve(0.5, 1.0, backend="cpu"), np.ndarray)
    assert_type(kv(0.5, 1.0), jax.Array)
    assert_type(kv(0.5, 1.0, backend="cpu"), np.ndarray)
    assert_type(kve(0.5, 1.0), jax.Array)
    assert_type(kve(0.5, 1.0, backend="cpu"), np.ndarray)


def a_maximum_of_the_likelihood_knows_its_family() -> FitResult:
    found = Exponential.mle(np.array([1.0, 2.0]))
    assert_type(found, MLEResult[Exponential])
    assert_type(found.model, Exponential)
    return found


def a_fit_knows_its_family(X: np.ndarray) -> FitResult:
    assert_type(fit(X).model, GeneralizedHyperbolic)
    assert_type(fit(X, "nig").model.lam, jax.Array)
    assert_type(fit(X, "vg", max_iter=10, fitter=BatchEMFitter()), EMResult[VarianceGamma])
    start = NormalInverseGaussian.default_init(X)
    found = BatchEMFitter().fit(start, X)
    assert_type(found.model, NormalInverseGaussian)
    fit(X, max_itr=3)  # type: ignore[call-overload]  # a name that is misspelt
    return found
