"""Inference libraries, one a file: a backend exists because its file exists."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from runtime.bundle import Bundle
from runtime.errors import BackendUnavailable, EngineUnfit, UsageError
from runtime.program import Backend, Precision
from runtime.sources import find_sources


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to run a bundle."""

    name: str
    backend: Backend
    notes: tuple[str, ...]  # why not another one, where a user could do something about it


def names() -> tuple[str, ...]:
    """Every backend, in alphabetical order."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("_")))


def get(name: str) -> Backend:
    """The backend called `name`, whether or not it can run here; raises `UsageError`."""
    if name not in names():
        raise UsageError(f"backend '{name}': unknown; choose one of {', '.join(names())}")
    return cast("Backend", importlib.import_module(f"runtime.backends.{name}").BACKEND)


def able(name: str) -> Backend:
    """The backend called `name`; raises `BackendUnavailable` where it cannot run."""
    backend = get(name)
    if reason := backend.why_not():
        raise BackendUnavailable(f"backend '{name}': {reason}")
    return backend


def first_on_host() -> Chosen:
    """The first by rank of those that compute in the host's memory, with graphs; raises `BackendUnavailable`."""
    reasons: list[str] = []
    for name, backend in _ranked():
        if backend.memory == "host":
            reason = backend.why_not()
            if reason is None:
                return Chosen(name, backend, ())
            reasons.append(f"{name}: {reason}")
    raise BackendUnavailable(f"no backend can run on this processor. {' '.join(reasons)}")


def choose(name: str, bundle: Bundle, precision: Precision) -> Chosen:
    """The backend called `name`, or for "auto" the first by rank that can run `bundle` here.

    One that could run here, were it not for the bundle's engines, is passed over by "auto" with a note.  Raises
    `BackendUnavailable` or a `BundleError`.
    """
    if name != "auto":
        backend = able(name)
        find_sources(bundle, backend, precision)
        return Chosen(name, backend, ())
    reasons: list[str] = []
    notes: list[str] = []
    for candidate, backend in _ranked():
        reason = backend.why_not()
        if reason is not None:
            reasons.append(f"{candidate}: {reason}")
            continue
        try:
            find_sources(bundle, backend, precision, every_window=True)
        except EngineUnfit as error:
            notes.append(f"{candidate} was passed over: {error}")
            continue
        return Chosen(candidate, backend, tuple(notes))
    raise BackendUnavailable(f"no backend can run here. {' '.join([*reasons, *notes])}")


def _ranked() -> list[tuple[str, Backend]]:
    """The backends that are chosen by themselves, in their turn."""
    ranked = sorted((backend.rank, name) for name in names() if (backend := get(name)).rank is not None)
    return [(name, get(name)) for _, name in ranked]
