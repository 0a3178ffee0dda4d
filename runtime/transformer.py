"""The transformer's call: any window for a graph with symbolic axes, padded windows for one with a fixed window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from runtime.bundle import ScheduleRule, StageSpec
from runtime.device import Buffer, Pool
from runtime.frame import Hole
from runtime.keys import Slots, key_biases
from runtime.program import Program

Sizes = Mapping[str, int]


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

    def run(self, features: Sequence[Buffer], holes: Slots, targets: int, pool: Pool) -> Buffer:
        """Features of a window, `targets` targets first -> completed features, `[>= targets, C, h, w]`, on lease.

        `holes` are those of the same frames.  Rows from `targets` on belong to filler frames and mean nothing.
        """
        if self._rule.fixed:
            return self._run_fixed(features, holes, targets, pool)
        frame_shape = features[0].array.shape
        window = pool.take((len(features), *frame_shape))
        completed = pool.take((targets, *frame_shape))
        try:
            np.stack([feature.array for feature in features], out=window.array)
            program = self._program((targets, len(features) - targets) == self._usual, len(features), targets)
            inputs = {"features": window.array, "targets": np.array(targets, np.int64)}
            biases = key_biases(self._stage, np.ones(len(features), np.bool_), holes, frame_shape[-2:])
            program.enqueue({**inputs, **biases}, {"completed": completed.array})
        finally:
            window.release()
        return completed

    def _run_fixed(self, features: Sequence[Buffer], holes: Slots, targets: int, pool: Pool) -> Buffer:
        """Real frames into their slots, zeros into the others, and a bias that silences the zeros."""
        frame_shape = features[0].array.shape
        slots = self._rule.targets + self._rule.references
        real = np.zeros(slots, np.bool_)
        real[:targets] = True
        real[self._rule.targets : self._rule.targets + len(features) - targets] = True
        window = pool.take((slots, *frame_shape))
        completed = pool.take((self._rule.targets, *frame_shape))
        try:
            window.array[~real] = 0
            by_slot: list[Hole | None] = [None] * slots
            for slot, feature, hole in zip(np.flatnonzero(real), features, holes, strict=True):
                window.array[slot] = feature.array
                by_slot[slot] = hole
            inputs = {"features": window.array, **key_biases(self._stage, real, by_slot, frame_shape[-2:])}
            self._program(True, slots, self._rule.targets).enqueue(inputs, {"completed": completed.array})
        finally:
            window.release()
        return completed

    def _program(self, usual: bool, frames: int, targets: int) -> Program:
        if usual not in self._programs:
            self._programs[usual] = self._open_for({"T": frames, "N": targets} if usual else {})
        return self._programs[usual]
