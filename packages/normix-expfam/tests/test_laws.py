"""The laws of `normix_expfam.testing` over a registry of instances."""

from typing import Any

import jax
import numpy as np
import pytest

from normix_expfam import (
    GIG,
    Exponential,
    ExponentialFamily,
    Gamma,
    InverseGamma,
    InverseGaussian,
    MultivariateNormal,
)
from normix_expfam.testing import check_family

LIMIT = {"interior": False}
HEAVY = {"moments": False}
FACTOR = np.array([[1.5, 0.0, 0.0], [-0.7, 0.8, 0.0], [0.2, 0.1, 3.0]])
REGISTRY: list[tuple[ExponentialFamily, dict[str, Any]]] = [
    (Gamma(2.5, 0.7), {}),
    (Gamma(0.3, 2e4), {}),
    (Gamma(4e3, 5.0), {}),
    (InverseGamma(4.5, 0.7), {}),
    (InverseGamma(3.5, 0.7), HEAVY),
    (InverseGamma(60.0, 1e-5), {}),
    (InverseGaussian(3.607, 1.659), {}),
    (InverseGaussian(1e-3, 5.0), {}),
    (Exponential(0.3), {}),
    (Exponential(2e5), {}),
    (MultivariateNormal(np.array([0.5]), np.array([[2.0]])), {"support": "other"}),
    (MultivariateNormal(np.array([0.5, -3.0, 100.0]), FACTOR), {"support": "other"}),
    (GIG(1.5, 2.0, 3.0), {}),
    (GIG(0.0, 0.2, 0.4), {}),
    (GIG(-0.5, 1e-6, 1e6), {}),
    (GIG(-2.7, 1e6, 1e-6), {}),
    (GIG(50.0, 1e-6, 1e-6), {}),
    (GIG(-50.0, 1e6, 1e6), {}),
    (GIG(3.0, 1e6, 1e6), {}),
    (GIG(50.0, 3.0, 20.0), {}),
    (GIG(-50.0, 3.0, 20.0), {}),
    (GIG(3.5, 2.0, 0.0), LIMIT),
    (GIG(-3.5, 0.0, 2.0), LIMIT | HEAVY),
    (GIG(1.5, 2.0, 0.0), LIMIT | {"finite_covariance": False}),
    (GIG(-0.7, 0.0, 2.0), LIMIT | HEAVY | {"finite_covariance": False, "invertible": False}),
]


def describe(value: Any) -> str:
    if not isinstance(value, ExponentialFamily):
        return ""
    fields = [f"{field:g}" if field.ndim == 0 else "..." for field in jax.tree.leaves(value)]
    return f"{type(value).__name__}({', '.join(fields)})"


@pytest.mark.parametrize("backend", ["jax", "cpu"])
@pytest.mark.parametrize(("dist", "exceptions"), REGISTRY, ids=describe)
def test_an_instance_obeys_the_laws_of_its_family(dist, exceptions, backend):
    check_family(dist, backends=(backend,), **exceptions)
