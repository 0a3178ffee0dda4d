"""The transformer's call: any window for a graph with symbolic axes, padded windows for one with a fixed window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from runtime.bundle import ScheduleRule, StageSpec
from runtime.device import Array, Form, HostArray, Stream, Tensor
from runtime.frame import Hole
from runtime.keys import Slots, key_biases
from runtime.numbers import NUMPY_NAMES, as_floats
from runtime.pool import Buffer, Pool
from runtime.program import Program

Sizes = Mapping[str, int]
Real = npt.NDArray[np.bool_]  # one a slot


class Transformer:
    """Opens the stage for the sizes it meets and runs windows through it.

    The size of nearly every window is known beforehand (`usual`); a program for just that size is opened on its first
    use, and one with symbolic axes serves all others.
    """

    def __init__(
        self, stage: StageSpec, rule: ScheduleRule, usual: tuple[int, int] | None, open_for: Callable[[Sizes], Program]
    ) -> None:
        self._stage = stage
        self._rule = rule
        self._usual = usual
        self._open_for = open_for
        self._programs: dict[bool, Program] = {}

    def run(self, features: Sequence[Buffer], holes: Slots, targets: int, pool: Pool, stream: Stream) -> Buffer:
        """Features of a window, `targets` targets first -> completed features, `[>= targets, C, h, w]`, on lease.

        `holes` are those of the same frames.  Rows from `targets` on belong to filler frames and mean nothing.
        """
        real = self._slots(len(features), targets)
        frame = features[0].form
        window = pool.take(replace(frame, shape=(len(real), *frame.shape[1:])), stream)
        _gather(features, real, window, stream)
        if self._rule.fixed:
            rows, program = self._rule.targets, self._program(True, len(real), self._rule.targets)
        else:
            rows, usual = targets, (targets, len(features) - targets) == self._usual
            program = self._program(usual, len(features), targets)
        completed = pool.take(replace(frame, shape=(rows, *frame.shape[1:])), stream)
        biases = self._biases(real, holes, NUMPY_NAMES[program.compute], pool, stream)
        inputs: dict[str, Tensor] = {name: bias.tensor for name, bias in biases.items()}
        if not self._rule.fixed:
            inputs["targets"] = np.array(targets, np.int64)
        program.enqueue({"features": window.tensor, **inputs}, {"completed": completed.tensor}, stream)
        completed.ready = stream.mark()
        for read in (window, *biases.values()):
            read.hold(completed.ready)
            read.release()
        return completed

    def _slots(self, frames: int, targets: int) -> Real:
        """Which slots hold frames; the others are there to fill a fixed window."""
        if not self._rule.fixed:
            return np.ones(frames, np.bool_)
        real = np.zeros(self._rule.targets + self._rule.references, np.bool_)
        real[:targets] = True
        real[self._rule.targets : self._rule.targets + frames - targets] = True
        return real

    def _biases(self, real: Real, holes: Slots, dtype: str, pool: Pool, stream: Stream) -> dict[str, Buffer]:
        """What the stage wants added to the scores of each head's keys, on lease, as the program takes numbers."""
        by_slot: list[Hole | None] = [None] * len(real)
        for slot, hole in zip(np.flatnonzero(real), holes, strict=True):
            by_slot[slot] = hole
        height, width = self._stage.inputs[0].shape[-2:]
        biases: dict[str, Buffer] = {}
        for name, values in key_biases(self._stage, real, by_slot, (int(height), int(width))).items():
            biases[name] = pool.take(Form(values.shape, dtype), stream)
            stream.write(biases[name].tensor, partial(_assign, values))
        return biases

    def _program(self, usual: bool, frames: int, targets: int) -> Program:
        if usual not in self._programs:
            self._programs[usual] = self._open_for({"T": frames, "N": targets} if usual else {})
        return self._programs[usual]


def _gather(features: Sequence[Buffer], real: Real, window: Buffer, stream: Stream) -> None:
    """Frames `[1, C, h, w]` into the slots of `window` that are theirs, zeros into the others."""
    coming = iter(features)
    for slot, is_real in enumerate(real):
        row = window.rows(slot, slot + 1)
        if is_real:
            feature = next(coming)
            stream.wait(feature.ready)
            stream.copy(feature.tensor, row)
        else:
            stream.zero(row)
    gathered = stream.mark()
    for feature in features:
        feature.hold(gathered)


def _assign(values: Array, out: HostArray) -> None:
    with as_floats(out) as numbers:
        numbers[...] = values
