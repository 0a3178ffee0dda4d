"""Bundles that come with the program, and how a bundle is named.  Standard library only, as `runtime/bundle.py`."""

from __future__ import annotations

from pathlib import Path

from runtime.bundle import MANIFEST
from runtime.errors import NotABundle

SHIPPED_BUNDLES = Path(__file__).resolve().parent.parent / "assets" / "bundles"


def find_bundle(name: str) -> Path:
    """The folder `name`, or the shipped bundle of that name; raises `NotABundle`."""
    if (Path(name) / MANIFEST).exists() or Path(name).is_dir():
        return Path(name)
    if (SHIPPED_BUNDLES / name).is_dir() and Path(name).name == name:
        return SHIPPED_BUNDLES / name
    shipped = ", ".join(sorted(path.name for path in SHIPPED_BUNDLES.glob("[!.]*") if path.is_dir()))
    raise NotABundle(f"{name}: no such bundle, neither a folder nor one of: {shipped}. Make one: python export.py")
