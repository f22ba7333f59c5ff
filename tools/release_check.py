"""Refuse a release that would mislead: `python tools/release_check.py WHEEL... [TAG]`.

For the package of the tag, such as normix-bessel-v0.1.0, or without a tag for every package:

- the tag names the version of the package;
- CHANGELOG.md has a section for that version, with a tag one that no longer says unreleased;
- a built wheel meets every bound on a sibling: uv does not look at them inside the workspace;
- api.txt lists the public names as they are, and a name that the last release had and this one has
  not stands in the section of the changelog.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import floors
import public_api
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent


def declared_version(package: str) -> str:
    return str(floors.project(package)["version"])


def last_release(package: str, version: str) -> str | None:
    """The tag of the highest version below `version`."""
    tags = floors.released(package)
    return tags.get(max((v for v in tags if v < Version(version)), default=None))


def tag_unlike_version(tag: str, package: str, version: str) -> Iterator[str]:
    if tag != f"{package}-v{version}":
        yield f"tag {tag}: {package} has version {version}; tag {package}-v{version}"


def section(changelog: str, version: str) -> str | None:
    """What stands under ## VERSION, its heading included."""
    heading = rf"^## {re.escape(version)}(?!\S)"
    found = re.search(rf"{heading}.*?(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    return found and found.group()


def changelog_without_version(changelog: str, version: str, *, releasing: bool) -> Iterator[str]:
    found = section(changelog, version)
    if found is None:
        yield f"CHANGELOG.md: no section ## {version}; write one"
    elif releasing and "unreleased" in found.partition("\n")[0].lower():
        yield f"CHANGELOG.md: ## {version} says unreleased; put the date there"


def unmet_bounds(needed: list[str], built: dict[str, str]) -> Iterator[str]:
    """Bounds on siblings, as in the wheel, that no built wheel meets."""
    for requirement in map(Requirement, needed):
        version = built.get(requirement.name)
        if version and not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement}: the wheel built here is {version}; move the bound"


def unannounced_removals(before: list[str], now: list[str], changes: str) -> Iterator[str]:
    """Public names that disappeared; a class that is named stands for its members."""
    told = set(re.findall(r"`([\w.]+)", changes))
    for name in sorted(public_api.names(before) - public_api.names(now)):
        _, *parts = name.split(".")
        ways = {".".join(parts[start:]) for start in range(len(parts))} | {*parts[:-1], name}
        if not told & ways:
            yield f"{name} is gone and CHANGELOG.md does not say so; name it in backticks"


def complaints(package: str, wheels: list[Path], tag: str | None) -> Iterator[str]:
    folder, version = ROOT / "packages" / package, declared_version(package)
    changelog = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    built = {name: (number, needed) for name, number, needed in map(floors.metadata, wheels)}
    if tag is not None:
        yield from tag_unlike_version(tag, package, version)
    yield from changelog_without_version(changelog, version, releasing=tag is not None)
    if package not in built:
        yield f"no wheel of {package} was built"
    else:
        versions = {name: number for name, (number, _) in built.items()}
        yield from unmet_bounds(built[package][1], versions)
    now = public_api.listing(package.replace("-", "_"))
    if now != (folder / "api.txt").read_text(encoding="utf-8").splitlines():
        yield f"packages/{package}/api.txt: out of date; run python tools/public_api.py --write"
    before = last_release(package, version)
    if before:
        listed = floors.run("git", "show", f"{before}:packages/{package}/api.txt").splitlines()
        yield from unannounced_removals(listed, now, section(changelog, version) or "")


def main(arguments: list[str]) -> int:
    wheels = [Path(a) for a in arguments if a.endswith(".whl")]
    tags = [a for a in arguments if not a.endswith(".whl")]
    packages = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
    jobs: list[tuple[str, str | None]] = [(package, None) for package in packages]
    if tags:
        jobs = [(tag.rpartition("-v")[0], tag) for tag in tags]
    refused = False
    for package, tag in jobs:
        if package not in packages:
            found = [f"tag {tag}: no package {package!r}; tags are like normix-bessel-v0.1.0"]
        else:
            found = list(complaints(package, wheels, tag))
        refused |= bool(found)
        print(*(found or [f"{package}: fine"]), sep="\n")
    return int(refused)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
