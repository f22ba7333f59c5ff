"""Sessions of the workspace: `uv run nox -l` lists them, `uv run nox` runs those with a star."""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # a missing one is skipped by its name
nox.options.reuse_venv = "yes"  # safe: every session brings its environment in line with uv.lock

ROOT = Path(__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
each_package = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])
each_backend = nox.parametrize("backend", [nox.param(name, id=name) for name in ("jax", "cpu")])

# Workers share no compiled function, so a file of tests stays with one of them.
PARALLEL = ("-n", "auto", "--dist", "loadfile")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # for each of them: its threads wait by spinning
# Compiling is most of the time, and a third of that XLA's emitters of fused loops; the last level
# of LLVM's optimiser takes a quarter of the rest. bessel, whose last digits are at stake, and the
# long tests (`slow`) are tested as XLA compiles anyway. At level 0 loops compute wrong tails, by
# 1e-1, so that numbers cannot be tested; level 1 is no faster than 2.
# Modules in one piece: workers leave no core to compile pieces side by side.
QUICK = {
    "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=2"
    " --xla_cpu_parallel_codegen_split_count=1"
}
ON_CPU = {"JAX_PLATFORMS": "cpu"}
WHEELS = ROOT / ".nox" / "built"  # not named like a session, whose environment it would be


# ---------------------------------------------------------------------------------------------
# Environments


def sync(session: nox.Session, *what: str) -> None:
    """Install exactly `what` from uv.lock into the environment of the session."""
    session.run_install(
        "uv",
        "sync",
        "--quiet",
        "--locked",
        "--no-default-groups",
        f"--python={session.virtualenv.location}",
        *what,
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )


def check_requirements(session: nox.Session) -> None:
    """Hold declared bounds against what is installed: inside a workspace uv ignores them."""
    session.run("uv", "pip", "check")


def build(session: nox.Session) -> dict[str, Path]:
    """All packages, each wheel from its own sdist, once for each content of packages/.

    Returns the wheels by import name; the sdists lie beside them.
    """
    content = hashlib.sha256()
    for path in sorted(ROOT.glob("packages/**/*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content.update(f"{path.relative_to(ROOT)} {path.stat().st_size} ".encode())
            content.update(path.read_bytes())
    out = WHEELS / content.hexdigest()[:16]
    if not out.exists():
        shutil.rmtree(WHEELS, ignore_errors=True)
        unfinished = out.with_suffix(".part")
        session.run("uv", "build", "--quiet", "--all-packages", f"--out-dir={unfinished}")
        unfinished.rename(out)
    return {path.name.split("-")[0]: path for path in sorted(out.glob("*.whl"))}


def lock_constraints(session: nox.Session, path: Path) -> str:
    """Write the locked third-party versions as constraints, so that a new release breaks no run."""
    session.run(
        *("uv", "export", "--quiet", "--locked", "--all-packages", "--no-default-groups"),
        *("--no-emit-workspace", "--no-hashes", f"--output-file={path}"),
    )
    return f"--constraint={path}"


def quick(session: nox.Session) -> dict[str, str]:
    """QUICK if the XLA of this environment knows the flags; one that does not would abort."""
    command = [str(Path(session.bin) / "python"), "-c", "import jax; jax.devices()"]
    known = subprocess.run(
        command, env=os.environ | ON_CPU | QUICK, capture_output=True, check=False
    )
    return QUICK if known.returncode == 0 else {}


def cached(session: nox.Session) -> dict[str, str]:
    """Settings of JAX's cache of compiled programs, which sessions and their processes share.

    One for each lock file, Python and processor: the instructions of one processor may be illegal
    on another. Not for benchmarks, which measure compilation.
    """
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else [platform.processor()]
    cpu = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    python = session.run("python", "-VV", silent=True)
    made_for = (
        f"{platform.machine()} {cpu or lines} {python}".encode() + (ROOT / "uv.lock").read_bytes()
    )
    folder = ROOT / ".nox" / "compiled" / hashlib.sha256(made_for).hexdigest()[:16]
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def run_tests(
    session: nox.Session, package: str, *options: str, env: dict[str, str] | None = None
) -> None:
    """The tests of one package, the slow ones left out."""
    flags = ({} if package == "normix-bessel" else quick(session)) | cached(session)
    session.run(
        *("pytest", f"packages/{package}/tests", "-m", "not slow"),
        *(*PARALLEL, *options, *session.posargs),
        env=flags | ONE_THREAD | (env or {}),
    )


# ---------------------------------------------------------------------------------------------
# Every change


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: the rules and the formatting of the whole tree; workflows against their schema."""
    sync(session, "--only-group=lint")
    session.run("ruff", "check", *(session.posargs or ["."]))
    session.run("ruff", "format", "--check", *(session.posargs or ["."]))
    workflows = map(str, sorted(ROOT.glob(".github/workflows/*.yml")))
    session.run("check-jsonschema", "--builtin-schema=vendor.github-workflows", *workflows)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over the source of every package, and what it infers for their users."""
    sync(session, "--all-packages", "--group=types")
    checked = [*sorted(ROOT.glob("packages/*/src/*")), ROOT / "tests" / "typed_examples.py"]
    session.run("mypy", *(session.posargs or map(str, checked)))


@nox.session(reuse_venv=False)
def wheels(session: nox.Session) -> None:
    """Wheels outside the workspace: bessel alone, expfam alone, everything; what came along."""
    tmp = Path(session.create_tmp()).resolve()
    session.install("twine>=6")
    wheel = build(session)
    dist = wheel["normix"].parent
    session.run("twine", "check", "--strict", *map(str, sorted(dist.glob("normix*"))))
    constraints = lock_constraints(session, tmp / "constraints.txt")
    fresh = [f"--refresh-package={name}" for name in PACKAGES]  # uv knows a wheel by its name
    smoke = ("-I", "-W", "error", str(ROOT / "tools" / "smoke.py"))
    for top in ("normix_bessel", "normix_expfam", "normix"):
        python = tmp / top / "bin" / "python"
        session.run("uv", "venv", "--quiet", "--clear", str(tmp / top))
        install = ("uv", "pip", "install", "--quiet", f"--python={python}", constraints)
        session.run(*install, *fresh, f"--find-links={dist}", str(wheel[top]))
        session.run("uv", "pip", "check", f"--python={python}")
        with session.chdir(tmp):
            session.run(str(python), *smoke, top, external=True)


@nox.session
@each_backend
@each_package
def tests(session: nox.Session, package: str, backend: str) -> None:
    """The tests of one package and backend, with nothing installed that it does not declare."""
    sync(session, f"--package={package}", "--group=test")
    run_tests(session, package, f"--backend={backend}", env=ON_CPU)
    check_requirements(session)


@nox.session
def float32(session: nox.Session) -> None:
    """The tests marked float32 of all packages, in a process that never had float64."""
    sync(session, "--all-packages", "--group=test")
    options = ("--float32", *PARALLEL, *session.posargs)
    session.run(
        "pytest", "packages", *options, env=ON_CPU | ONE_THREAD | quick(session) | cached(session)
    )


@nox.session
def workspace(session: nox.Session) -> None:
    """The tests that cross packages: architecture, reference values, end to end."""
    sync(session, "--all-packages", "--group=test")
    options = ("-m", "not slow", *PARALLEL, *session.posargs)
    # numbers are those of the packages' own tests; here programs only run
    session.run("pytest", "tests", *options, env=ONE_THREAD | quick(session) | cached(session))
    check_requirements(session)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, docs/_build/html: warnings are errors, tutorials and examples are executed."""
    sync(session, "--all-packages", "--group=docs")
    out = ROOT / "docs" / "_build"

    def sphinx(builder: str, *options: str) -> tuple[str, ...]:
        return (
            *("sphinx-build", "--fail-on-warning", "--keep-going", "--quiet", *options),
            *(f"--doctree-dir={out / f'doctrees-{builder}'}", f"--builder={builder}"),
            *("docs", str(out / builder), *session.posargs),
        )

    # one kernel a core, which executes one tutorial after the other; examples run beside them
    unexecuted = ("--define=nb_execution_mode=off", "--define=suppress_warnings=myst-nb.lexer")
    doctest = sphinx("doctest", *unexecuted)
    session.run(
        *("python", "tools/side_by_side.py", *sphinx("html", "--jobs=auto"), "//", *doctest),
        env=quick(session) | ON_CPU | cached(session),
    )
    session.run("python", "tools/documented.py", str(out / "html" / "objects.inv"))


@nox.session
def release_check(session: nox.Session) -> None:
    """Versions, changelogs, bounds between siblings, public names; `-- TAG` for one release."""
    sync(session, "--all-packages", "--group=test")
    wheels = map(str, build(session).values())
    session.run("python", "tools/release_check.py", *wheels, *session.posargs)


# ---------------------------------------------------------------------------------------------
# On request


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """The long tests of all packages, which the other sessions leave out."""
    sync(session, "--all-packages", "--group=test")
    session.run("pytest", "-m", "slow", *session.posargs, env=cached(session))


@nox.session(default=False)
@each_package
def coverage(session: nox.Session, package: str) -> None:
    """Lines of a package that its own tests reach, 95 % at least; a third slower than `tests`."""
    sync(session, "--all-packages", "--group=test")
    data = Path(session.create_tmp()).resolve() / package
    run_tests(
        *(session, package, f"--cov={package.replace('-', '_')}", "--cov-report="),
        env={**ON_CPU, "COVERAGE_FILE": str(data)},
    )
    session.run(
        *("coverage", "report", f"--data-file={data}", "--fail-under=95"),
        *("--skip-covered", "--skip-empty", "--show-missing"),
    )


@nox.session(default=False, python=["3.11", "3.12", "3.13", "3.14"])
def pythons(session: nox.Session) -> None:
    """All tests on every Python from 3.11 to the newest of this machine."""
    sync(session, "--all-packages", "--group=test")
    options = ("-m", "not slow", *PARALLEL, *session.posargs)
    session.run("pytest", *options, env=ONE_THREAD | quick(session) | cached(session))


@nox.session(default=False, reuse_venv=False)
@each_package
def minimums(session: nox.Session, package: str) -> None:
    """The tests of one package with the lowest versions of what it declares."""
    session.install("--resolution=lowest-direct", f"./packages/{package}")
    session.install("--group=test")
    session.run("uv", "pip", "list")
    run_tests(session, package)
    check_requirements(session)


@nox.session(default=False, reuse_venv=False)
@each_package
def floors(session: nox.Session, package: str) -> None:
    """The tests of one package, as a wheel, with the oldest wheels of its siblings it allows."""
    tmp = Path(session.create_tmp()).resolve()
    wheel = build(session)[package.replace("-", "_")]
    session.install("packaging")
    command = ("python", "tools/floors.py", package, str(wheel.parent), str(tmp / "floors"))
    found = session.run(*command, silent=True)
    constraints = lock_constraints(session, tmp / "constraints.txt")
    session.install(constraints, *found.split(), str(wheel))
    session.install("--group=test")
    run_tests(session, package)
    check_requirements(session)


@nox.session(default=False)
@nox.parametrize("cuda", [nox.param(name, id=name) for name in ("cuda12", "cuda13")])
def gpu(session: nox.Session, cuda: str) -> None:
    """The tests marked gpu on an NVIDIA GPU; fails if JAX falls back to the CPU."""
    if shutil.which("nvidia-smi") is None:
        session.skip("no NVIDIA GPU: nvidia-smi is not on PATH, nothing was tested")
    sync(session, "--all-packages", f"--extra={cuda}", "--group=test")
    env = {"JAX_PLATFORMS": "cuda"}
    seen = "import jax; assert jax.default_backend() == 'gpu', jax.devices()"
    session.run("python", "-c", seen, env=env)
    session.run("pytest", "packages", "-m", "gpu", "--backend=jax", *session.posargs, env=env)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Benchmarks, as .benchmarks/latest.json and as a table of ratios beside it, latest.md."""
    sync(session, "--all-packages", "--group=test", "--group=bench")
    results = ROOT / ".benchmarks" / "latest.json"
    results.parent.mkdir(exist_ok=True)
    session.run(
        *("pytest", "tests/benchmarks", "-o", "python_files=bench_*.py"),
        *("--benchmark-only", f"--benchmark-json={results}"),
        *session.posargs,
    )
    text = session.run("python", "tools/benchmark_table.py", str(results), silent=True)
    results.with_suffix(".md").write_text(text, encoding="utf-8")
