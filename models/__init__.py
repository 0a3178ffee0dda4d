"""The networks in PyTorch, one file each; a network exists because its file does.  Imports nothing of ours."""

from __future__ import annotations

import importlib
from pathlib import Path

from models._spec import ModelSpec

DEFAULT = "sttn"  # what export.py and bench.py take when none is named


def names() -> tuple[str, ...]:
    """The networks of this folder, sorted; files that begin with `_` are helpers."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")))


def get(name: str) -> ModelSpec:
    """The description that ends the network's file; raises `LookupError`, naming the choices, for another name."""
    if name not in names():
        raise LookupError(f"no model '{name}'; there are: {', '.join(names())}")
    spec: ModelSpec = importlib.import_module(f"models.{name}").SPEC
    return spec
