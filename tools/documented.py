"""Refuse a site that leaves a public name out: `python tools/documented.py OBJECTS_INV`."""

import importlib
import sys
from collections.abc import Collection
from pathlib import Path

from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).resolve().parent.parent


def public_names() -> list[str]:
    """Those of `__all__` of every package; normix re-exports under names that stand elsewhere."""
    packages = sorted(path.name for path in ROOT.glob("packages/*/src/normix_*"))
    return [f"{p}.{name}" for p in packages for name in importlib.import_module(p).__all__]


def missing(names: Collection[str], inventory: Path) -> list[str]:
    found = InventoryFile.loads(inventory.read_bytes(), uri="").data
    documented = {name for kind in found if kind.startswith("py:") for name in found[kind]}
    return sorted(set(names) - documented)


def main(path: str) -> int:
    absent = missing(public_names(), Path(path))
    if absent:
        print("not in the reference, for want of a docstring or a page:", *absent, sep="\n  ")
    return bool(absent)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
