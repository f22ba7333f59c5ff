"""Models of every family in turn, with the jaxtyping shapes checked in these tests."""

from normix_pytest import check_shapes

check_shapes("normix_expfam", "normix_mixtures")  # before the packages are imported

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import registry  # noqa: E402

from normix_mixtures import NormalMixture  # noqa: E402


def build(name: str, d: int, dtype: type = np.float64) -> NormalMixture:
    return registry.MIXTURES[name].build(d, dtype)


@pytest.fixture(scope="session")
def make():
    """A model by family name, dimension and dtype."""
    return build


@pytest.fixture(scope="session")
def log_prob():
    """`model.log_prob(x)`, compiled once per shape: not as a whole, which were once per family."""
    return lambda model, x: model.log_prob(x)


@pytest.fixture(scope="session", params=registry.MIXTURES)
def name(request) -> str:
    """The name of every family in turn."""
    return request.param


@pytest.fixture(scope="session")
def model(name) -> NormalMixture:
    """A skewed two-dimensional model of every family in turn."""
    return build(name, 2)


@pytest.fixture(scope="session")
def scalar_model(name) -> NormalMixture:
    """A skewed one-dimensional model of every family in turn."""
    return build(name, 1)
