"""The public names of each package, as packages/<name>/api.txt lists them.

    python tools/public_api.py          compare with the files
    python tools/public_api.py --write  write them

A line is a public name, or a public member that its class defines or inherits from a class of these
packages, with its signature, so that a diff of the file is the change of the interface. What comes
from another package, or is public in two places, is listed where it is first.
"""

import dataclasses
import enum
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

PACKAGES = Path(__file__).resolve().parent.parent / "packages"


def _signature(thing: object) -> str:
    """Parameter names, their order and defaults; annotations are left to the documentation."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):  # a builtin constructor
        return "(...)"
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    shown = [
        p if isinstance(p.default, str | int | float | tuple | None) or p.default is p.empty
        else p.replace(default=Ellipsis)
        for p in bare
    ]  # fmt: skip
    return str(signature.replace(parameters=shown, return_annotation=signature.empty))


def _members(cls: type) -> Iterator[str]:
    fields = {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    ours = [base for base in cls.__mro__ if base.__module__.startswith("normix")]
    names = {name for base in ours for name in vars(base)} | fields
    for name in sorted(n for n in names if not n.startswith("_")):
        member = inspect.getattr_static(cls, name, None)
        if isinstance(member, staticmethod | classmethod) or inspect.isfunction(member):
            yield f"{name}{_signature(getattr(cls, name))}"
        else:
            yield name


def _public_modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        parts = found.name.split(".")
        if not any(part.startswith("_") or part == "internal" for part in parts):
            yield importlib.import_module(found.name)


def listing(package: str) -> list[str]:
    """One line per public name or member."""
    lines, seen = [], dict[int, str]()
    for module in _public_modules(importlib.import_module(package)):
        for name in sorted(getattr(module, "__all__", ())):
            thing, full = getattr(module, name), f"{module.__name__}.{name}"
            home = getattr(thing, "__module__", package).partition(".")[0]
            if id(thing) in seen or (home.startswith("normix_") and home != package):
                lines.append(f"{full} is {seen.get(id(thing), f'{home}.{name}')}")
                continue
            seen[id(thing)] = full
            if inspect.isclass(thing):
                # that of an enumeration is Python's, and each Python has another
                call = "" if issubclass(thing, enum.Enum) else _signature(thing)
                lines.append(f"class {full}{call}")
                lines += [f"{full}.{member}" for member in _members(thing)]
            else:
                lines.append(full + (_signature(thing) if callable(thing) else ""))
    return lines


def names(lines: list[str]) -> set[str]:
    """The dotted names of a listing, without signatures."""
    return {line.removeprefix("class ").partition("(")[0].partition(" is ")[0] for line in lines}


def main() -> int:
    stale = []
    for folder in sorted(path.parent for path in PACKAGES.glob("*/pyproject.toml")):
        file, text = folder / "api.txt", "\n".join(listing(folder.name.replace("-", "_"))) + "\n"
        if "--write" in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(str(file.relative_to(PACKAGES.parent)))
    if stale:
        print(f"{', '.join(stale)}: out of date; run python tools/public_api.py --write")
    return bool(stale)


if __name__ == "__main__":
    raise SystemExit(main())
