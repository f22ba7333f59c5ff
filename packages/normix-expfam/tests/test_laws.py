"""The laws of `normix_expfam.testing` over the registry of instances."""

import pytest
import registry

from normix_expfam.testing import check_family

EXCEPTIONS = {
    "limit": {"interior": False},
    "no moments": {"moments": False},
    "no covariance": {"finite_covariance": False},
    "no inverse": {"invertible": False},
    "not on the line": {"support": "other"},
}


@pytest.mark.parametrize("backend", ["jax", "cpu"])
@pytest.mark.parametrize("instance", registry.EXPONENTIAL, ids=str)
def test_an_instance_obeys_the_laws_of_its_family(instance, backend):
    exceptions = {key: value for tag in instance.tags for key, value in EXCEPTIONS[tag].items()}
    check_family(instance.build(), backends=(backend,), **exceptions)
