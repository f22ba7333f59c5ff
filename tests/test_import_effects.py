"""What importing a package does to JAX and to the interpreter, seen in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [path.parent.name.replace("-", "_") for path in ROOT.glob("packages/*/pyproject.toml")]

OBSERVE = """
import importlib, json, sys
import jax, jax.numpy

before = dict(jax.config.values)
scipy = {name for name in sys.modules if name.partition(".")[0] == "scipy"}
compiled = []
jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
for name in sys.argv[1].split(","):
    importlib.import_module(name)
print(json.dumps({
    "flags": [key for key, value in before.items() if jax.config.values[key] != value],
    "scipy": sorted({n for n in sys.modules if n.partition(".")[0] == "scipy"} - scipy),
    "heavy": sorted({"matplotlib", "pandas", "rich"} & set(sys.modules)),
    "arrays": len(jax.live_arrays()),
    "computed": sorted(set(compiled)),
}))
"""


def effects_of_import(*names: str, path: Path | None = None) -> dict[str, Any]:
    """What importing `names` changes beyond `import jax` alone."""
    command = [sys.executable, "-W", "error", "-c", OBSERVE, ",".join(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def effects() -> dict[str, Any]:
    return effects_of_import(*PACKAGES)


def test_importing_changes_no_flag_of_jax(effects):
    assert effects["flags"] == []


def test_importing_loads_nothing_that_is_used_later_or_never(effects):
    assert effects["heavy"] == []


def test_importing_computes_nothing_and_makes_no_array(effects):
    assert (effects["arrays"], effects["computed"]) == (0, [])


def test_importing_loads_no_scipy_beyond_that_of_jax(effects):
    assert effects["scipy"] == []


def test_an_import_with_effects_is_found(tmp_path):
    offender = """
import jax, jax.numpy, scipy.special, matplotlib
jax.config.update('jax_enable_x64', True)
x = jax.numpy.ones(3)
"""
    (tmp_path / "offender.py").write_text(offender)
    seen = effects_of_import("offender", path=tmp_path)
    assert seen["flags"] == ["jax_enable_x64"]
    assert "scipy.special" in seen["scipy"]
    assert seen["heavy"] == ["matplotlib"]
    assert seen["arrays"] == 1
    assert seen["computed"]
