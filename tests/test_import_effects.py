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
for name in sys.argv[1].split(","):
    importlib.import_module(name)
exec(sys.argv[2])
print(json.dumps({
    "flags": [key for key, value in before.items() if jax.config.values[key] != value],
    "scipy": sorted({n for n in sys.modules if n.partition(".")[0] == "scipy"} - scipy),
    "matplotlib": "matplotlib" in sys.modules,
}))
"""


def effects_of_import(*names: str, then: str = "", path: Path | None = None) -> dict[str, Any]:
    """What importing `names` and running `then` changes beyond `import jax` alone."""
    command = [sys.executable, "-c", OBSERVE, ",".join(names), then]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def effects() -> dict[str, Any]:
    return effects_of_import(*PACKAGES)


def test_importing_changes_no_flag_of_jax(effects):
    assert effects["flags"] == []


def test_importing_normix_loads_no_matplotlib(effects):
    assert not effects["matplotlib"]


def test_importing_loads_no_scipy_beyond_that_of_jax(effects):
    assert effects["scipy"] == []


def test_a_bessel_function_on_jax_loads_no_scipy():
    seen = effects_of_import("normix_bessel", then="importlib.import_module(name).log_kv(1.0, 2.0)")
    assert seen["scipy"] == []


def test_an_import_with_effects_is_found(tmp_path):
    offender = "import jax, scipy.special, matplotlib\njax.config.update('jax_enable_x64', True)"
    (tmp_path / "offender.py").write_text(offender)
    seen = effects_of_import("offender", path=tmp_path)
    assert seen["flags"] == ["jax_enable_x64"]
    assert "scipy.special" in seen["scipy"]
    assert seen["matplotlib"]
