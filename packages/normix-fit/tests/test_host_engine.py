"""The host engine: nothing compiled, the steps of the JAX engine, rows that stay where they are."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import FAMILIES, fit, fit_all
from normix_fit import _host_rows as host_rows
from normix_fit._backend import resolve
from normix_fit._host_rows import HostRows
from normix_fit._observe import observe

pytestmark = pytest.mark.cpu

COUNTED = """
import jax
programs = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **__: programs.append(event) if "backend_compile" in event else None
)
jax.config.update("jax_enable_x64", True)
import numpy as np
from normix_fit import fit, fit_all

rng = np.random.default_rng(0)
y = rng.gamma(2.0, 0.5, (400, 1))
X = 0.3 * y + np.sqrt(y) * rng.standard_normal((400, 3))
{code}
print(len(programs))
"""


def programs_of(code):
    command = [sys.executable, "-c", COUNTED.format(code=code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def heavy(n=300, d=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.gamma(2.0, 0.5, (n, 1))
    return 0.3 * y + np.sqrt(y) * rng.standard_normal((n, d))


def test_no_fit_starts_a_program_of_xla():
    code = """
fit_all(X)
fit(X, "gh", symmetric=True), fit(X, "gh", fixed={"p": 1.0}), fit(X, "nig", algorithm="mcecm")
fit(X, "vg", n_starts=3), fit(X, "ninvg", weights=np.linspace(0, 1, 400), acceleration="squarem")
fit(rng.standard_normal((300, 2)), "gh"), fit(X, "gh", acceleration=None, max_iter=70)
"""
    assert programs_of(code) == 0


def test_a_program_of_xla_would_be_counted():
    assert programs_of('fit(X, "nig", backend="jax", max_iter=1)') > 0


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"symmetric": True, "acceleration": "squarem"}], ids=str)
def test_both_engines_take_the_same_steps(name, options):
    X = heavy()
    host, device = (fit(X, name, backend=backend, **options) for backend in ("cpu", "jax"))
    assert (host.backend, device.backend) == ("cpu", "jax")
    assert host.status == device.status
    assert host.n_evaluations == device.n_evaluations
    scale = abs(device.log_likelihood)
    np.testing.assert_allclose(host.log_likelihoods, device.log_likelihoods, atol=1e-10 * scale)
    assert host.log_likelihood == pytest.approx(device.log_likelihood, rel=1e-12)
    assert bool(host.model.is_close(device.model, rtol=1e-6))


def test_auto_follows_the_data():
    X = heavy()
    assert resolve("here", "backend", "auto", X) == "cpu"
    assert resolve("here", "backend", "auto", jnp.asarray(X)) == "cpu"
    assert resolve("here", "backend", "auto", observe("here", X, backend="jax")) == "jax"
    assert resolve("here", "backend", "jax", X) == "jax"
    assert fit(X, "nig").backend == "cpu"
    mixed = fit(X, "nig", m_step_backend="jax")
    assert mixed.backend == "mixed"
    assert mixed.log_likelihood == pytest.approx(fit(X, "nig").log_likelihood, rel=1e-12)
    with pytest.raises(ValueError, match=r"backend must be 'auto' or 'jax' or 'cpu', got 'gpu'"):
        resolve("here", "backend", "gpu", X)


def test_many_blocks_are_one_sum(monkeypatch):
    """Rows of several blocks, standardised once or in every pass, from a file or from memory."""
    X = heavy(20_000, 2)
    whole = fit(X, "nig")
    monkeypatch.setattr(host_rows, "_COPIED", 0)
    again = fit(X, "nig")
    assert again.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-13)
    assert again.n_evaluations == whole.n_evaluations
    np.testing.assert_allclose(again.model.sigma, whole.model.sigma, rtol=1e-9)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(X))
    weighted = [fit(X, "nig", weights=weights, backend=backend) for backend in ("cpu", "jax")]
    assert weighted[0].log_likelihood == pytest.approx(weighted[1].log_likelihood, rel=1e-12)


def test_a_memory_map_is_not_copied(tmp_path, monkeypatch):
    X = heavy(9000, 2).astype(np.float32)
    stored = np.memmap(tmp_path / "rows", np.float32, "w+", shape=X.shape)
    stored[:] = X
    monkeypatch.setattr(host_rows, "_COPIED", 0)
    rows = observe("here", stored, backend="cpu")
    assert isinstance(rows, HostRows)
    assert np.shares_memory(rows.X, stored)
    assert np.shares_memory(rows.standardised(rows.units()).X, stored)
    result = fit(stored, "vg")
    assert result.model.mu.dtype == jnp.float32
    # float64 throughout, but for the model that is returned
    assert result.log_likelihood == pytest.approx(
        fit(X.astype(np.float64), "vg").log_likelihood, rel=1e-6
    )


def test_rows_of_the_other_engine_are_brought_over():
    X = heavy()
    weights = np.linspace(0.5, 1.5, len(X))
    of_host = observe("here", X, weights, "cpu")
    of_jax = observe("here", of_host, backend="jax")
    back = observe("here", of_jax, backend="cpu")
    np.testing.assert_array_equal(of_jax.X, X)
    np.testing.assert_array_equal(back.X, X)
    np.testing.assert_array_equal(back.weights, weights)
    assert float(of_jax.total) == pytest.approx(float(of_host.total), rel=1e-14)


def test_a_column_of_rows_that_depends_on_others_is_found_in_pieces():
    X = heavy(70_000, 2)
    with pytest.raises(ValueError, match=r"got column 2 as a linear combination"):
        fit(np.column_stack([X, X[:, 0] - X[:, 1]]), "nig")


def test_all_families_of_a_comparison_run_on_one_engine():
    results = fit_all(heavy(), backend="cpu")
    assert {result.backend for result in results.values()} == {"cpu"}
    assert results["gh"].log_likelihood >= max(r.log_likelihood for r in results.values()) - 1e-9
    leaves = jax.tree.leaves(results["gh"].model)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
