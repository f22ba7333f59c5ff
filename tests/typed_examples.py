"""What a type checker knows of public results: `nox -s types` checks this file, nothing runs it."""

from typing import assert_type

import jax
import numpy as np

from normix_bessel import kv, kve, log_kv, log_kve
from normix_expfam import Exponential, FitResult, MLEResult


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
