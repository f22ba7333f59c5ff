"""The package under one roof hands on the same objects, and importing it does nothing."""

import importlib
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
import pytest

import normix

_ROOFS = {
    "normix.bessel": "normix_bessel",
    "normix.families": "normix_expfam",
    "normix.mixtures": "normix_mixtures",
    "normix.fitting": "normix_fit",
}


@pytest.mark.parametrize(("roof", "package"), _ROOFS.items())
def test_a_roof_hands_on_every_public_name(roof, package):
    above, below = importlib.import_module(roof), importlib.import_module(package)
    names = {name for name in below.__all__ if not name.startswith("__")}
    assert set(above.__all__) == names
    for name in names:
        assert getattr(above, name) is getattr(below, name)


@pytest.mark.cpu
def test_the_cpu_backend_answers_under_the_roof():
    X = np.random.default_rng(0).standard_t(4, (200, 2))
    start = normix.NormalInverseGaussian.default_init(X)
    jax_, cpu = (
        normix.BatchEMFitter(max_iter=3, e_step_backend=b, m_step_backend=b).fit(start, X)
        for b in ("jax", "cpu")
    )
    assert cpu.log_likelihood == pytest.approx(jax_.log_likelihood, rel=1e-10)


def test_everyday_names_come_from_the_packages():
    exported = {}
    for package in _ROOFS.values():
        module = importlib.import_module(package)
        exported.update({name: getattr(module, name) for name in module.__all__})
    own = {"__version__", "datasets", "load", "save", "use_compilation_cache"}
    for name in set(normix.__all__) - own:
        assert getattr(normix, name) is exported[name]
    assert own <= set(normix.__all__)
    assert normix.__version__ == metadata.version("normix")


def test_the_module_of_em_is_where_users_look_for_it():
    em = importlib.import_module("normix.fitting.em")
    fit = importlib.import_module("normix_fit")
    assert "BatchEMFitter" in em.__all__
    for name in em.__all__:
        assert getattr(em, name) is getattr(fit, name)


def _run(code: str, **environment: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})


def test_importing_loads_nothing_heavy_and_computes_nothing():
    # On a platform that does not exist every computation raises.
    code = """
import sys
import jax
before = jax.config.jax_enable_x64
import normix, normix.bessel, normix.families, normix.mixtures, normix.fitting.em
import normix.cli, normix.plotting, normix.io
heavy = {"matplotlib", "rich"} & set(sys.modules)
assert not heavy, heavy
assert jax.config.jax_enable_x64 == before
assert normix.datasets.load.cache_info().currsize == 0
"""
    _run(code, JAX_PLATFORMS="no_such_platform")


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    readme = Path(__file__).resolve().parent.parent / "README.md"
    (example,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(compile(example, str(readme), "exec"), {})
    assert (tmp_path / "gh.json").exists()
