"""Inference libraries, one a file: a backend exists because its file exists."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from runtime.bundle import Bundle
from runtime.errors import BackendUnavailable, DeviceFailed, EngineUnfit, KernelsUnfit, UsageError
from runtime.program import EXACT, Arithmetic, Backend, Precision, narrowest
from runtime.progress import Progress, silent
from runtime.sources import find_sources, types_of
from runtime.trial import Candidate, quickest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to run a bundle."""

    name: str
    backend: Backend
    notes: tuple[str, ...]  # what was measured, and why not another one where a user could do something about it
    arithmetic: Arithmetic | None = None  # None: the narrowest that the precision asked for allows
    label: str = ""  # tells it from all others that might have been chosen


@dataclass(frozen=True, slots=True)
class Search:
    """How to choose between several that compute a bundle on the processor."""

    threads: int | None = None  # that it will be computed with; None: see runtime/cores.py
    timed: bool = True  # whether by a trial where they are to be chosen from by themselves; else the first by rank
    longest: float | None = None  # window, in frames, infinite where it grows with the clip; None: as the bundle has it
    begun_on: str = ""  # label of what an earlier run of the same work ran on, which goes on with it
    progress: Progress = silent
    failed: Mapping[str, str] = field(default_factory=dict[str, str])  # what was tried, by label, and why it is not


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


_BY_ITSELF = Search()


def choose(name: str, bundle: Bundle, precision: Precision, search: Search = _BY_ITSELF) -> Chosen:
    """The backend called `name`, or for "auto" one that can run `bundle` here; and in which types.

    "auto" takes the first on a device, by rank, else the quickest on the processor.  There a trial decides between the
    libraries, and between the types that `precision` allows (runtime/trial.py).  One that could run here, were it not
    for the bundle's engines, is passed over with a note.  Raises `BackendUnavailable` or a `BundleError`.
    """
    reasons: list[str] = []
    notes: list[str] = []
    on_host: list[Candidate] = []
    for candidate, backend in _ranked() if name == "auto" else [(name, able(name))]:
        if reason := backend.why_not():
            reasons.append(f"{candidate}: {reason}")
            continue
        if backend.memory == "host":
            on_host += _ways(candidate, backend, bundle, precision)
            continue
        try:
            every = name == "auto"
            sources = find_sources(bundle, backend, narrowest(precision), every_window=every, longest=search.longest)
        except EngineUnfit as error:
            if name != "auto":
                raise
            notes.append(f"{candidate} was passed over: {error}")
            continue
        label = f"{candidate} {types_of(backend, precision, sources)}"
        if label not in search.failed:
            return Chosen(candidate, backend, (*notes, *_failures(search)), None, label)
    on_host = [each for each in on_host if each.label not in search.failed]
    notes += _failures(search)
    if not on_host:
        raise BackendUnavailable(f"no backend can run here. {' '.join([*reasons, *notes])}")
    best, found = _best(on_host, bundle, search)
    return Chosen(best.name, best.backend, (*notes, *found), best.arithmetic, best.label)


def opened(
    name: str, bundle: Bundle, precision: Precision, search: Search, make: Callable[[Chosen], T]
) -> tuple[Chosen, T]:
    """What `choose` finds and what `make` opens with it; where that fails under "auto", the next that can, and a note.

    Raises what `choose` and `make` raise.
    """
    while True:
        chosen = choose(name, bundle, precision, search)
        try:
            return chosen, make(chosen)
        except (BackendUnavailable, DeviceFailed, EngineUnfit, KernelsUnfit) as error:
            if name != "auto":
                raise
            search = replace(search, failed={**search.failed, chosen.label: str(error)})


def _failures(search: Search) -> Iterator[str]:
    return (f"{label} was passed over: {reason}" for label, reason in search.failed.items())


def _best(candidates: list[Candidate], bundle: Bundle, search: Search) -> tuple[Candidate, tuple[str, ...]]:
    """One of `candidates`, which stand by rank, the narrowest types first; and notes."""
    begun_on = next((each for each in candidates if each.label == search.begun_on), None)
    if begun_on is not None:
        return begun_on, ()
    if len(candidates) == 1 or not search.timed or candidates[0].backend.rank is None:
        return candidates[0], ()
    exact_first = sorted(candidates, key=_narrowness)  # stable: by rank where they are as exact
    return quickest(bundle, exact_first, search.threads, search.progress)


def _narrowness(candidate: Candidate) -> tuple[bool, bool]:
    """Sorts before what is less exact."""
    exact = candidate.backend.precision("fp32")
    narrow = candidate.backend.precision(candidate.arithmetic.precision) != exact
    return candidate.arithmetic.quantised, narrow


def _ways(name: str, backend: Backend, bundle: Bundle, precision: Precision) -> Iterator[Candidate]:
    """All types that `backend` computes `bundle` in, as far as `precision` allows; the narrowest first."""
    seen: set[str] = set()
    for quantised in (True, False) if narrowest(precision).quantised else (False,):
        sources = find_sources(bundle, backend, Arithmetic(quantised, precision))
        for asked in dict.fromkeys((precision, EXACT)):
            label = f"{name} {types_of(backend, asked, sources)}"
            if label not in seen:
                seen.add(label)
                yield Candidate(name, backend, Arithmetic(quantised, asked), label, sources)
        if not any(source.quantised for source in sources.values()):
            return  # the other graphs are the same


def _ranked() -> list[tuple[str, Backend]]:
    """The backends that are chosen by themselves, in their turn."""
    ranked = sorted((backend.rank, name) for name in names() if (backend := get(name)).rank is not None)
    return [(name, get(name)) for _, name in ranked]
