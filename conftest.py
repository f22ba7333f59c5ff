"""Settings and fixtures of every test.

This file is loaded in the isolated environment of each package, so it imports jax and pytest only.
"""

from pathlib import Path

import jax
import pytest

jax.config.update("jax_enable_x64", True)
# A silent broadcast or a silent float32 is a wrong answer that looks like a right one.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

_SHARED_DATA = Path(__file__).resolve().parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of measured data and reference values that lies beside the checkout."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("shared/data is not beside this checkout; it is not part of the repository")
    return _SHARED_DATA


_MAPS = Path("/proc/self/maps")
_MANY_MAPS = 30_000  # of the 65 530 that Linux grants a process; one test adds up to 10 000


@pytest.fixture(autouse=True)
def bounded_memory_maps():
    """Compiled functions are mapped memory; XLA crashes when a process has no more of it."""
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY_MAPS:
        jax.clear_caches()
