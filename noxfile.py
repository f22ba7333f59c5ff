"""Sessions of the workspace: `uv run nox -l` lists them, `uv run nox` runs those with a star."""

from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"  # safe: every session brings its environment in line with uv.lock

ROOT = Path(__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
each_package = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])


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


def build(session: nox.Session, out: Path) -> dict[str, str]:
    """Build all packages, each wheel from its own sdist; map import name to wheel."""
    session.run("uv", "build", "--quiet", "--all-packages", f"--out-dir={out}")
    return {path.name.split("-")[0]: str(path) for path in sorted(out.glob("*.whl"))}


def lock_constraints(session: nox.Session, path: Path) -> str:
    """Write the locked third-party versions as constraints, so that a new release breaks no run."""
    session.run(
        *("uv", "export", "--quiet", "--locked", "--all-packages", "--no-default-groups"),
        *("--no-emit-workspace", "--no-hashes", f"--output-file={path}"),
    )
    return f"--constraint={path}"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: the rules and the formatting of the whole tree."""
    sync(session, "--only-group=lint")
    session.run("ruff", "check", *(session.posargs or ["."]))
    session.run("ruff", "format", "--check", *(session.posargs or ["."]))


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over the source of every package."""
    sync(session, "--all-packages", "--group=types")
    session.run("mypy", *(session.posargs or map(str, sorted(ROOT.glob("packages/*/src/*")))))


@nox.session(reuse_venv=False)
def wheels(session: nox.Session) -> None:
    """Wheels used outside the workspace: normix-bessel alone, then all of them."""
    tmp = Path(session.create_tmp())
    wheel = build(session, tmp / "dist")
    constraints = lock_constraints(session, tmp / "constraints.txt")

    session.install(constraints, wheel["normix_bessel"])
    session.run(*("python", "-I", "-c"), "import normix_bessel, sys; print(normix_bessel.__file__)")
    absent = "from importlib.util import find_spec; assert find_spec('equinox') is None"
    session.run("python", "-I", "-c", absent)

    session.install(constraints, *wheel.values())
    check_requirements(session)
    session.run("python", "-I", "-c", f"import {', '.join(wheel)}")
    session.run("normix", "--help", silent=True)


@nox.session
@each_package
def tests(session: nox.Session, package: str) -> None:
    """The tests of one package, with nothing installed that it does not declare."""
    sync(session, f"--package={package}", "--group=test")
    session.run("pytest", f"packages/{package}/tests", "-m", "not slow", *session.posargs)
    check_requirements(session)


@nox.session
def workspace(session: nox.Session) -> None:
    """The tests that cross packages: architecture, reference values, end to end."""
    sync(session, "--all-packages", "--group=test")
    session.run("pytest", "tests", "-m", "not slow", *session.posargs)
    check_requirements(session)


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """The long tests of all packages, which the other sessions leave out."""
    sync(session, "--all-packages", "--group=test")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Benchmarks: tests/benchmarks/bench_*.py, results in .benchmarks/latest.json."""
    sync(session, "--all-packages", "--group=test", "--group=bench")
    results = ROOT / ".benchmarks" / "latest.json"
    results.parent.mkdir(exist_ok=True)
    session.run(
        *("pytest", "tests/benchmarks", "-o", "python_files=bench_*.py"),
        *("--benchmark-only", f"--benchmark-json={results}"),
        *session.posargs,
    )
