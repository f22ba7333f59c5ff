"""The plugin of all tests: settings, options, fixtures, checks of shapes.

It is loaded in the isolated environment of each package, so it imports jax and pytest only.
"""

import functools
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import jax
import pytest

# A silent broadcast or a silent float32 is a wrong answer that looks like a right one.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("normix")
    group.addoption(
        "--backend",
        choices=("jax", "cpu"),
        help="only the tests of one backend; with jax, code of the other cannot be imported",
    )
    group.addoption(
        "--float32",
        action="store_true",
        help="only the tests marked float32, with jax_enable_x64 off",
    )


# with any backend: the gradient that follows EM, and fits of data on the host
_ON_THE_HOST = {"normix_mixtures._frame", "normix_fit._em._batch"}


class _NoCPUBackend:
    """A finder of modules that refuses code of the CPU backends."""

    def find_spec(self, name: str, *_: object) -> None:
        if re.match(r"normix_\w+\.(\w+\.)*_cpu", name) and not _ON_THE_HOST & _callers():
            raise ImportError(f"{name} with --backend=jax: mark the test with pytest.mark.cpu")


def _callers() -> set[str | None]:
    """Names of the modules whose functions are running."""
    found, frame = set(), inspect.currentframe()
    while frame is not None:
        found.add(frame.f_globals.get("__name__"))
        frame = frame.f_back
    return found


def pytest_configure(config: pytest.Config) -> None:
    jax.config.update("jax_enable_x64", not config.getoption("--float32"))
    if config.getoption("--backend") == "jax":
        sys.meta_path.insert(0, _NoCPUBackend())


def _backend(item: pytest.Item) -> str:
    """The backend whose session runs the test: that of its parameter `backend`, or of its mark."""
    callspec = getattr(item, "callspec", None)
    named = callspec.params.get("backend") if callspec else None
    return "cpu" if named == "cpu" or item.get_closest_marker("cpu") else "jax"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    backend, single = config.getoption("--backend"), config.getoption("--float32")
    kept = [
        item
        for item in items
        if (item.get_closest_marker("float32") is not None) == single
        if backend in {None, _backend(item)}
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of measured data and reference values that lies beside the checkout."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("shared/data is not beside this checkout; it is not part of the repository")
    return _SHARED_DATA


_LOADED = """
import sys
import jax.numpy, jax.scipy.linalg, jax.scipy.special, jax.scipy.stats

jax.config.update("jax_enable_x64", True)
jax.numpy.linalg.cholesky(jax.numpy.eye(2))  # JAX takes LAPACK from scipy
before = set(sys.modules)
{code}
print(*sorted(name for name in set(sys.modules) - before if name.partition(".")[0] == "scipy"))
"""


@pytest.fixture(scope="session")
def scipy_loaded_by() -> Callable[[str], list[str]]:
    """code -> modules of scipy that it loads in a new process, beyond those that JAX loads."""

    def loaded(code: str) -> list[str]:
        command = [sys.executable, "-c", _LOADED.format(code=code)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1].split()

    return loaded


_CHECKED = 50  # calls of a function in one test
_calls: Counter[int] = Counter()


class _OfJax(dict[type, bool]):
    """Whether a type of values is one of JAX, found by its name.

    `isinstance` looks for attributes, which our own `__getattr__` may give.
    """

    def __missing__(self, kind: type) -> bool:
        self[kind] = kind.__module__.startswith("jax")
        return self[kind]


def _sparing(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decorator that leaves out calls without arrays of JAX after the first of each test.

    A function of JAX is checked while it is traced, a few times; one of NumPy would be at every
    step of every loop, where the checks take four fifths of the time.
    """
    of_jax = _OfJax().__getitem__

    def decorate(function: Any) -> Any:
        checked, key = check(function), len(_calls)
        if not inspect.isfunction(function):
            return checked
        _calls[key] = 0

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if _calls[key] < _CHECKED or any(
                map(of_jax, map(type, (*args, *kwargs.values()) if kwargs else args))
            ):
                _calls[key] += 1
                return checked(*args, **kwargs)
            return function(*args, **kwargs)

        return call

    return decorate


@pytest.fixture(autouse=True)
def first_calls_are_checked():
    """Each test starts with all functions checked."""
    for key in _calls:
        _calls[key] = 0


def check_shapes(*packages: str) -> None:
    """Check the jaxtyping annotations of packages that are not yet imported, as `_sparing`."""
    # needed by the packages that call this
    import jaxtyping
    from beartype import BeartypeConf, FrozenDict, beartype
    from jaxtyping import install_import_hook

    # The hook decorates methods one by one, where beartype cannot tell what Self stands for; and it
    # takes the checker by the name of a module.
    checker = ModuleType("normix_typechecker")
    checker.check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict({Self: Any})))
    sys.modules[checker.__name__] = checker
    install_import_hook(list(packages), "normix_typechecker.check")
    decorator = jaxtyping.jaxtyped  # what the hook puts before every function
    jaxtyping.jaxtyped = lambda typechecker: _sparing(decorator(typechecker=typechecker))


_MAPS = Path("/proc/self/maps")
_MANY_MAPS = 30_000  # of the 65 530 that Linux grants a process; one test adds up to 10 000


@pytest.fixture(autouse=True)
def bounded_memory_maps():
    """Compiled functions are mapped memory; XLA crashes when a process has no more of it."""
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY_MAPS:
        jax.clear_caches()
