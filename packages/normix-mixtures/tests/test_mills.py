"""Mills' ratio: against mpmath on the half-line, and the origin of its coefficients."""

import importlib.util
from pathlib import Path

import jax
import mpmath as mp
import numpy as np
import pytest

from normix_mixtures._tail import _mills

TOOL = Path(__file__).parent.parent / "tools" / "mills_coefficients.py"

compiled = jax.jit(_mills.mills)


def mp_mills(z):
    z = mp.mpf(float(z))
    if z < 1e3:
        return mp.sqrt(mp.pi / 2) * mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2))
    return (1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8 - 945 / z**10) / z


def test_relative_error_on_the_half_line():
    z = np.concatenate([np.linspace(0, 40, 801), np.geomspace(1e-300, 1e6, 400), [1e150, 1e300]])
    got = np.asarray(compiled(z))
    with mp.workdps(40):
        error = [abs(float(value / mp_mills(x) - 1)) for x, value in zip(z, got, strict=True)]
    worst = int(np.argmax(error))
    assert error[worst] <= 1e-15, (z[worst], error[worst])


def test_single_precision():
    z = np.linspace(0, 60, 400).astype(np.float32)
    got = compiled(z)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, compiled(z.astype(np.float64)), rtol=1e-6)


def test_it_falls_and_has_its_slope():
    """R' = z R - 1."""
    z = np.linspace(0, 30, 200)
    slope = jax.jit(jax.vmap(jax.grad(_mills.mills)))(z)
    assert np.all(np.asarray(slope) < 0)
    np.testing.assert_allclose(slope, z * compiled(z) - 1, rtol=1e-9)


def test_coefficients_are_those_of_the_tool():
    if not TOOL.is_file():
        pytest.skip("tools/ is beside the tests in the repository only")
    spec = importlib.util.spec_from_file_location("mills_coefficients", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with mp.workdps(40):
        found = tuple(float(value) for value in tool.coefficients())
    assert found == _mills._COEFFICIENTS
    assert tool.CENTRE == _mills._CENTRE
