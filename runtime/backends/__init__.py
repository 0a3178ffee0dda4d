"""Inference libraries, one a file: a backend exists because its file exists."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from runtime.errors import BackendUnavailable, UsageError
from runtime.program import Backend


def names() -> tuple[str, ...]:
    """Every backend, in alphabetical order."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("_")))


def get(name: str) -> Backend:
    """The backend called `name`, whether or not it can run here; raises `UsageError`."""
    if name not in names():
        raise UsageError(f"backend '{name}': unknown; choose one of {', '.join(names())}")
    return cast("Backend", importlib.import_module(f"runtime.backends.{name}").BACKEND)


def choose(name: str) -> tuple[str, Backend]:
    """The backend called `name`, or the first that can run here for "auto"; raises `BackendUnavailable`."""
    if name != "auto":
        backend = get(name)
        if reason := backend.why_not():
            raise BackendUnavailable(f"backend '{name}': {reason}")
        return name, backend
    ranked = sorted((backend.rank, name) for name in names() if (backend := get(name)).rank is not None)
    reasons: list[str] = []
    for _, candidate in ranked:
        backend = get(candidate)
        reason = backend.why_not()
        if reason is None:
            return candidate, backend
        reasons.append(f"{candidate}: {reason}")
    raise BackendUnavailable(f"no backend can run here. {' '.join(reasons)}")
