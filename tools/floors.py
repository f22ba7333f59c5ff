"""Wheels of the oldest siblings that a package allows: `python tools/floors.py PACKAGE DIST OUT`.

Siblings of siblings are among them: no index needs to have any. A floor is built from its tag; one
that is the version of this tree is taken from DIST. Prints their paths.
"""

import subprocess
import sys
import tempfile
import tomllib
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

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


def metadata(wheel: Path) -> tuple[str, str, list[str]]:
    """Name, version and requirements."""
    with ZipFile(wheel) as archive:
        file = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        header = HeaderParser().parsestr(archive.read(file).decode())
    return header["Name"], header["Version"], header.get_all("Requires-Dist", [])


def oldest_siblings(package: str, dist: Path, out: Path) -> dict[str, Path]:
    """Wheels of all siblings below `package`, each the oldest that the bounds met allow."""
    siblings = {path.parent.name for path in ROOT.glob("packages/*/pyproject.toml")}
    floors: dict[str, Version] = {}
    wheels: dict[str, Path] = {}
    waiting = list(project(package)["dependencies"])
    while waiting:
        requirement = Requirement(waiting.pop(0))
        name, marker = requirement.name, requirement.marker
        if name not in siblings or (marker and not marker.evaluate({"extra": ""})):
            continue
        floor = floor_of(requirement)
        if name not in floors or floor > floors[name]:
            floors[name], wheels[name] = floor, wheel_of(name, floor, dist, out)
            waiting += metadata(wheels[name])[2]
    return wheels


if __name__ == "__main__":
    for path in oldest_siblings(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])).values():
        print(path)
