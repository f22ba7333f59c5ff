"""Wheels of the oldest siblings that a package allows: `python tools/floors.py PACKAGE DIST OUT`.

A floor is built from its tag; one that is the version of this tree is taken from DIST. Prints their
paths.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent


def project(package: str) -> dict:
    text = (ROOT / "packages" / package / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def floor_of(requirement: Requirement) -> Version:
    return next(Version(c.version) for c in requirement.specifier if c.operator == ">=")


def released(package: str) -> dict[Version, str]:
    """Version -> tag."""
    tags = run("git", "tag", "--list", f"{package}-v*").split()
    return {Version(tag.rpartition("-v")[2]): tag for tag in tags}


def wheel_of(package: str, floor: Version, dist: Path, out: Path) -> Path:
    """The oldest version that is at least `floor`."""
    tags, present = released(package), Version(project(package)["version"])
    oldest = min(version for version in (*tags, present) if version >= floor)
    if oldest == present:
        return next(dist.glob(f"{package.replace('-', '_')}-{present}-*.whl"))
    with tempfile.TemporaryDirectory() as folder:
        run("git", "worktree", "add", "--detach", folder, tags[oldest])
        try:
            run("uv", "build", "--wheel", f"--out-dir={out}", f"{folder}/packages/{package}")
        finally:
            run("git", "worktree", "remove", "--force", folder)
    return next(out.glob(f"{package.replace('-', '_')}-{oldest}-*.whl"))


def main(package: str, dist: Path, out: Path) -> None:
    folders = {path.parent.name for path in ROOT.glob("packages/*/pyproject.toml")}
    for requirement in map(Requirement, project(package)["dependencies"]):
        if requirement.name in folders:
            print(wheel_of(requirement.name, floor_of(requirement), dist, out))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
