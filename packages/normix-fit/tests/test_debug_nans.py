"""With jax_debug_nans, which raises where a nan comes out of a computation, healthy fits run."""

import subprocess
import sys

import pytest

DATA = """
import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_debug_nans", True)
from normix_fit import FAMILIES, BatchEMFitter, MiniBatchEMFitter, OnlineEMFitter, fit

rng = np.random.default_rng(7)
y = rng.gamma(2.5, 1 / 2.0, (300, 1))
X = [0.5, -1.0] + y * [0.3, 0.0] + np.sqrt(y) * rng.normal(size=(300, 2))
w = rng.random(300)
"""
BATCH = """
assert fit(X, {name!r}, weights=w).converged
"""
STREAMS = """
start = FAMILIES[{name!r}].default_init(X)
fitter = OnlineEMFitter(averaging=True)
state = fitter.init(start)
spoilt, some = X[:50].copy(), w[:50].copy()
spoilt[3], some[3] = np.nan, 0.0
for rows, weights in ((X[:50], w[:50]), (spoilt, some), (X[:50], 0 * w[:50]), (X[50:100], w[:50])):
    state = fitter.update(state, rows, weights)
fitter.model(state)
assert int(state.n_refused) == 0
MiniBatchEMFitter(batch_size=50, n_passes=2).fit(start, X)
MiniBatchEMFitter(batch_size=50, n_passes=2).fit(start, [X[:170], X[170:]])
MiniBatchEMFitter(batch_size=50, n_passes=1).fit(start, iter([X[:170], X[170:]]))
"""
OPTIONS = """
for options in (
    {"n_starts": 2}, {"acceleration": "squarem"}, {"acceleration": None}, {"algorithm": "mcecm"},
    {"symmetric": True}, {"fixed": {"mu": [0.5, -1.0]}}, {"convergence": "parameters"},
    {"convergence": "likelihood"}, {"callback": lambda *_: None},
):
    assert fit(X, "nig", **options).converged
fit(X, "nig").standard_errors(X)
assert fit(rng.standard_normal((200, 2)), "gh").converged
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


FAMILIES = ["nig", *(pytest.param(n, marks=pytest.mark.slow) for n in ("gh", "vg", "ninvg"))]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fit_makes_no_nan(name):
    run(DATA + BATCH.format(name=name))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_stream_makes_no_nan(name):
    run(DATA + STREAMS.format(name=name))


@pytest.mark.slow
def test_no_option_makes_a_nan():
    run(DATA + OPTIONS)


@pytest.mark.slow
@pytest.mark.cpu
def test_the_cpu_backends_make_no_nan():
    run(DATA + 'assert fit(X, "nig", e_step_backend="cpu", m_step_backend="cpu").converged')
