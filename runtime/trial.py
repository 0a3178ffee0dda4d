"""Which of several ways to compute a bundle on the processor is the quickest here: a short trial, remembered.

Every candidate computes single calls of every stage, in turns, so that a busy machine slows all.  A transformer gets a
window of one frame, since a full one may take half a minute; one whose window is fixed is left out.  What attention
takes besides grows with the window and is missing: figures put candidates in order and forecast nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from runtime import _trial_record as record
from runtime.bundle import Bundle, StageSpec, TensorSpec
from runtime.clock import Clock
from runtime.device import HostArray
from runtime.devices import open_device
from runtime.errors import BackendUnavailable, DeviceFailed
from runtime.numbers import NUMPY_NAMES
from runtime.program import Arithmetic, Backend, Program, Request
from runtime.progress import Progress
from runtime.sources import Source

PHASE = "timing what can run it"
CLOSE = 1.1  # times the least; within it noise decides, so the more exact wins, then the lower rank
_ROUNDS = 3  # of calls; the least of each counts, which is hardly the first
_BUDGET_S = 8.0  # for all calls: no round begins that would not end within it, but the first
_SEED = 0

Seconds = Mapping[str, float]  # by candidate's label


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to compute a bundle."""

    name: str  # of the backend
    backend: Backend
    arithmetic: Arithmetic
    label: str  # backend and types, for people
    sources: Mapping[str, Source]  # what it opens, by stage


class Call:
    """A program with tensors to call it on: noise of the sizes that it was opened for."""

    def __init__(self, program: Program, stage: StageSpec, sizes: Mapping[str, int], backend: Backend) -> None:
        noise = np.random.default_rng(_SEED)
        dtype = NUMPY_NAMES[program.compute]
        self._program = program
        self._inputs = {port.name: _filled(port, sizes, noise, dtype) for port in stage.inputs}
        self._outputs = {port.name: np.empty(port.sized(sizes), dtype) for port in stage.outputs}
        self._stream = open_device(backend.memory, Clock(), 1).stream("trial")

    def seconds(self) -> float:
        """How long one call takes."""
        started = time.perf_counter()
        self._program.enqueue(self._inputs, self._outputs, self._stream)
        return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class _Part:
    """A stage as it is timed."""

    stage: StageSpec
    sizes: Mapping[str, int]
    calls: float  # of this size in a step from one window to the next


def quickest(
    bundle: Bundle, candidates: Sequence[Candidate], threads: int | None, progress: Progress
) -> tuple[Candidate, tuple[str, ...]]:
    """The quickest of `candidates`, and notes on a trial if one was needed.

    They stand in the order that decides where figures are close.  One that cannot be opened or called is passed over
    with a note, and then nothing is remembered.  Raises `BackendUnavailable` where none is left, or a `BundleError`.
    """
    holds_for = record.circumstances(bundle, {each.label: each.backend for each in candidates}, threads)
    known = record.read(holds_for)
    if known is not None:
        return _best(candidates, known), ()
    parts = _parts(bundle)
    opened: dict[str, list[Call]] = {}
    first: dict[str, list[float]] = {}
    reasons: list[str] = []
    for done, candidate in enumerate(candidates):
        progress(PHASE, done, len(candidates) + 1)
        try:
            calls = [_call(part, candidate, threads) for part in parts]
            first[candidate.label] = [call.seconds() for call in calls]  # some fail at work only
            opened[candidate.label] = calls
        except (BackendUnavailable, DeviceFailed) as error:
            reasons.append(f"{candidate.label} was passed over: {error}")
    if not opened:
        raise BackendUnavailable(f"no backend can run {bundle.root} here. {' '.join(reasons)}")
    progress(PHASE, len(candidates), len(candidates) + 1)
    weights = [part.calls / bundle.manifest.schedule.neighbour_stride for part in parts]
    seconds = _timed(opened, first, weights)
    best = _best([each for each in candidates if each.label in seconds], seconds)
    where = "not remembered" if reasons else record.write(holds_for, seconds)
    return best, (*reasons, _told(best, seconds, where))


def _best(candidates: Sequence[Candidate], seconds: Seconds) -> Candidate:
    """The first that is close to the fastest."""
    least = min(seconds.values())
    return next(each for each in candidates if seconds[each.label] <= CLOSE * least)


def _told(best: Candidate, seconds: Seconds, where: str) -> str:
    others = sorted((item for item in seconds.items() if item[0] != best.label), key=_figure)
    beside = ", ".join(f"{label} {_short(figure)}" for label, figure in others)
    return (
        f"{best.label} was chosen by a quick trial on this processor: {_short(seconds[best.label])} a frame, "
        f"{beside or 'nothing beside it'} (to compare by, no forecast); {where}"
    )


def _figure(item: tuple[str, float]) -> float:
    return item[1]


def _short(seconds: float) -> str:
    """Three digits."""
    milliseconds = 1000 * seconds
    digits = max(0, 2 - math.floor(math.log10(max(milliseconds, 1e-3))))
    return f"{milliseconds:.{digits}f} ms"


def _parts(bundle: Bundle) -> list[_Part]:
    """What of the bundle is timed, and how much each counts."""
    rule = bundle.manifest.schedule
    frames = rule.targets + rule.references
    calls = {"encoder": rule.neighbour_stride, "transformer": frames, "decoder": rule.targets}
    if rule.fixed:
        del calls["transformer"]
    stages = (stage for stage in bundle.manifest.stages if stage.name in calls)
    return [_Part(stage, {"B": 1, "T": 1, "N": 1}, calls[stage.name]) for stage in stages]


def _call(part: _Part, candidate: Candidate, threads: int | None) -> Call:
    source, precision, backend = candidate.sources[part.stage.name], candidate.arithmetic.precision, candidate.backend
    request = Request(source.path, part.stage, part.sizes, precision, source.compute, threads=threads)
    return Call(backend.open(request), part.stage, part.sizes, backend)


def _timed(
    opened: Mapping[str, Sequence[Call]], first: Mapping[str, Sequence[float]], weights: Sequence[float]
) -> Seconds:
    """Seconds a frame of the clip, of each candidate: the least of each stage over whole rounds, one of them done."""
    started = time.perf_counter() - sum(map(sum, first.values()))
    rounds = [first]
    for _ in range(_ROUNDS - 1):
        spent = time.perf_counter() - started
        if spent * (len(rounds) + 1) / len(rounds) > _BUDGET_S:
            break
        rounds.append(_round(opened))
    return {
        label: sum(weight * min(seen[label][number] for seen in rounds) for number, weight in enumerate(weights))
        for label in opened
    }


def _round(opened: Mapping[str, Sequence[Call]]) -> Mapping[str, Sequence[float]]:
    """One call of every stage by every candidate, a stage's beside each other."""
    seconds: dict[str, list[float]] = {label: [] for label in opened}
    for together in zip(*opened.values(), strict=True):
        for label, call in zip(opened, together, strict=True):
            seconds[label].append(call.seconds())
    return seconds


def _filled(port: TensorSpec, sizes: Mapping[str, int], noise: np.random.Generator, dtype: str) -> HostArray:
    if port.holds is not None:
        return np.array(sizes[port.holds], np.int64)
    return noise.standard_normal(port.sized(sizes), np.float32).astype(dtype)
