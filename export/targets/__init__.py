"""What a bundle can hold per stage, one target a file: a target exists because its file exists."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from export.targets._target import Target
from runtime.errors import UsageError


def names() -> tuple[str, ...]:
    """Every target, in alphabetical order; files that begin with `_` are helpers."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("_")))


def get(name: str) -> Target:
    """The target called `name`, whether or not it can be made here; raises `UsageError`."""
    if name not in names():
        raise UsageError(f"target '{name}': unknown; choose one or more of {', '.join(names())}")
    return cast("Target", importlib.import_module(f"export.targets.{name}").TARGET)
