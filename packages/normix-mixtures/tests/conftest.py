"""Check the jaxtyping shapes in these tests: runs before the packages are imported."""

import sys
from types import ModuleType
from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import install_import_hook

# The hook decorates methods one by one, where beartype cannot tell what Self stands for; and it
# takes the checker by the name of a module.
checker = ModuleType("normix_typechecker")
checker.check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict({Self: Any})))
sys.modules[checker.__name__] = checker

install_import_hook(["normix_expfam", "normix_mixtures"], "normix_typechecker.check")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from normix_mixtures import (  # noqa: E402
    GeneralizedHyperbolic,
    NormalInverseGamma,
    NormalInverseGaussian,
    NormalMixture,
    VarianceGamma,
)

# A new family adds one line: its class and parameters of its subordinator with two moments of Y
# and of 1/Y.
REGISTRY = {
    "vg": (VarianceGamma, {"alpha": 3.5, "beta": 1.2}),
    "ninvg": (NormalInverseGamma, {"alpha": 3.2, "beta": 2.0}),
    "nig": (NormalInverseGaussian, {"mu_ig": 1.3, "lam": 1.8}),
    "gh": (GeneralizedHyperbolic, {"p": 0.7, "a": 1.4, "b": 0.9}),
}

NORMAL_PARTS = {
    1: ([0.1], [0.4], [[1.3]]),
    2: ([0.1, -0.2], [0.4, -0.1], [[1.0, 0.3], [0.3, 2.0]]),
    3: ([0.1, -0.2, 2.0], [0.4, -0.1, 0.0], [[1.0, 0.3, 0.1], [0.3, 2.0, -0.4], [0.1, -0.4, 0.5]]),
}


def build(name: str, d: int, dtype: type = np.float64) -> NormalMixture:
    family, subordinator = REGISTRY[name]
    mu, gamma, sigma = (jnp.asarray(part, dtype) for part in NORMAL_PARTS[d])
    parameters = {key: jnp.asarray(value, dtype) for key, value in subordinator.items()}
    return family.from_classical(mu, gamma, sigma, **parameters)


@pytest.fixture(scope="session")
def make():
    """A model by family name, dimension and dtype."""
    return build


@pytest.fixture(scope="session")
def log_prob():
    """`model.log_prob(x)`, compiled once per shape: not as a whole, which were once per family."""
    return lambda model, x: model.log_prob(x)


@pytest.fixture(scope="session", params=REGISTRY)
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
