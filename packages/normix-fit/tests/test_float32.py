"""In a process that has no float64: `uv run nox -s float32`. Log-likelihoods as in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import FAMILIES, fit

pytestmark = pytest.mark.float32

# total log-likelihoods of the fits in float64 to the same numbers
BEST = {"gh": -4272.1206, "nig": -4272.3651, "vg": -4274.9231, "ninvg": -4272.9659}


def sample():
    """Skewed t data of NumPy's generator, the same in both precisions."""
    rng = np.random.default_rng(7)
    y = 1 / rng.gamma(2.5, 1 / 2.0, (1500, 1))
    L = np.array([[1.0, 0.0], [0.4, 0.8]])
    return np.float32(
        [0.5, -1.0] + y * [0.3, 0.0] + np.sqrt(y) * (rng.normal(size=(1500, 2)) @ L.T)
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fit_reaches_the_likelihood_of_float64(name):
    with pytest.warns(UserWarning, match="float32") as record:
        result = fit(sample(), name, backend="jax")
    assert len(record) == 1
    assert result.converged, result.status
    assert {leaf.dtype for leaf in jax.tree.leaves(result.model)} == {jnp.dtype(jnp.float32)}
    assert result.log_likelihood == pytest.approx(BEST[name], abs=0.1)
    assert np.all(np.diff(result.log_likelihoods) >= 0)


@pytest.mark.parametrize("scale", [1e-22, 1e22])
def test_units_whose_square_float32_cannot_hold(scale):
    X, scale = sample(), np.float32(scale)
    with pytest.warns(UserWarning, match="float32"):
        result, expected = (fit(Z, "nig", backend="jax") for Z in (X * scale, X))
    assert result.status == expected.status
    total = result.log_likelihood + X.size * np.log(float(scale))
    assert total == pytest.approx(expected.log_likelihood, abs=0.1)
    np.testing.assert_allclose(result.model.mu / scale, expected.model.mu, atol=1e-2)
