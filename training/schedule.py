"""How the rate goes, and which phase a step belongs to.  Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.config import Optimiser, Phase


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is left of a phase from a step on."""

    phase: Phase
    number: int  # of the phase, from 1
    first: int  # step of the run, from 0
    last: int  # the step after its last one
    sample: int  # of the run, the first one of `first`
    begins: bool  # whether the phase is new, and not gone on with


def rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0) of a run of `steps`.

    Staircase: `rate * 0.1^(min(step, last_stair) // stair)`, the published rule.  Cosine: up linearly over `warmup`
    steps, then down to `floor * rate` at the end.
    """
    if optimiser.schedule == "staircase":
        return optimiser.rate * 0.1 ** (min(step, optimiser.last_stair) // optimiser.stair)
    if step < optimiser.warmup:
        return optimiser.rate * (step + 1) / optimiser.warmup
    way = min(1.0, (step - optimiser.warmup) / max(1, steps - optimiser.warmup))
    return optimiser.rate * (optimiser.floor + (1 - optimiser.floor) * (1 + math.cos(math.pi * way)) / 2)


def stretches(phases: Sequence[Phase], done: int, until: int) -> Iterator[Stretch]:
    """What a run that has `done` steps still does before it has done `until`.

    Steps and samples count from the beginning of the first phase, so that whoever resumes meets the same samples.
    """
    begin = sample = 0
    for number, phase in enumerate(phases, start=1):
        end = begin + phase.steps
        first, last = max(begin, done), min(end, until)
        if first < last:
            yield Stretch(phase, number, first, last, sample + (first - begin) * phase.batch, begins=first == begin)
        begin, sample = end, sample + phase.steps * phase.batch


def samples_before(phases: Sequence[Phase], step: int) -> int:
    """Samples that the first `step` steps take."""
    total = 0
    for phase in phases:
        taken = min(step, phase.steps)
        total += taken * phase.batch
        step -= taken
    return total
