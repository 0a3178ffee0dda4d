"""How long a bundle's stages take here, with its graphs in int8 and without."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.bundle import Bundle, StageSpec, TensorSpec
from runtime.clock import Clock
from runtime.device import HostArray
from runtime.devices import open_device
from runtime.program import Backend, Program, Request

_RUNS = 2  # of which the fastest counts
_SEED = 0


@dataclass(frozen=True, slots=True)
class Speeds:
    """Seconds of one call of each stage: a frame, or a full window."""

    own: Mapping[str, float]  # in the backend's own type
    narrow: Mapping[str, float]  # in int8, where the stage has such a graph
    calls: Mapping[str, int]  # of each stage in a step from one window to the next

    @property
    def ratio(self) -> float:
        """How many times as fast int8 is over a whole step; below 1 it is slower."""
        return self._step(self.own) / self._step(self.narrow)

    def _step(self, seconds: Mapping[str, float]) -> float:
        return sum(seconds[stage] * calls for stage, calls in self.calls.items())


def measure_speeds(bundle: Bundle, backend: Backend) -> Speeds:
    """Run every stage a few times on noise, in turns; raises what opening them does."""
    schedule = bundle.manifest.schedule
    calls = {"encoder": schedule.neighbour_stride, "transformer": 1, "decoder": schedule.targets}
    own: dict[str, float] = {}
    narrow: dict[str, float] = {}
    sizes = {"B": 1, "T": schedule.targets + schedule.references, "N": schedule.targets}
    for stage in bundle.manifest.stages:
        graph = bundle.file(stage, backend.target)
        paths = [graph, bundle.quantised(stage) or graph]
        own[stage.name], narrow[stage.name] = _fastest(stage, paths, sizes, backend)
    return Speeds(own, narrow, {stage: calls[stage] for stage in own})


def _fastest(stage: StageSpec, paths: list[Path], sizes: Mapping[str, int], backend: Backend) -> list[float]:
    """The least seconds of each graph; they take turns, so that a busy machine slows both."""
    noise = np.random.default_rng(_SEED)
    inputs = {port.name: _filled(port, sizes, noise) for port in stage.inputs}
    outputs = {port.name: np.empty(_shape(port, sizes), np.float32) for port in stage.outputs}
    programs = [backend.open(Request(path, stage, sizes, "auto")) for path in paths]
    seconds = [[_once(program, inputs, outputs, backend) for program in programs] for _ in range(1 + _RUNS)]
    return [min(of_one) for of_one in zip(*seconds[1:], strict=True)]


def _once(
    program: Program, inputs: Mapping[str, HostArray], outputs: Mapping[str, HostArray], backend: Backend
) -> float:
    stream = open_device(backend.memory, Clock(), 1).stream("trial")
    started = time.perf_counter()
    program.enqueue(inputs, outputs, stream)
    return time.perf_counter() - started


def _filled(port: TensorSpec, sizes: Mapping[str, int], noise: np.random.Generator) -> HostArray:
    if port.holds is not None:
        return np.array(sizes[port.holds], np.int64)
    return noise.standard_normal(_shape(port, sizes), np.float32)


def _shape(port: TensorSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[side] if isinstance(side, str) else side for side in port.shape)
