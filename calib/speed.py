"""How long a bundle's stages take here, with its graphs in int8 and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.bundle import Bundle, ScheduleRule, StageSpec
from runtime.program import Backend, Request
from runtime.trial import Call

_RUNS = 2  # of which the fastest counts


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
    for stage in bundle.manifest.stages:
        graph = bundle.file(stage, backend.target)
        paths = [graph, bundle.quantised(stage) or graph]
        own[stage.name], narrow[stage.name] = fastest(stage, paths, window_of(schedule), backend)
    return Speeds(own, narrow, {stage: calls[stage] for stage in own})


def window_of(schedule: ScheduleRule) -> dict[str, int]:
    """Lengths of the symbolic axes in a full window; stages of one frame have a batch of one."""
    return {"B": 1, "T": schedule.targets + schedule.references, "N": schedule.targets}


def fastest(
    stage: StageSpec, paths: Sequence[Path], sizes: Mapping[str, int], backend: Backend, runs: int = _RUNS
) -> list[float]:
    """The least seconds of each graph; they take turns, so that a busy machine slows all."""
    calls = [Call(backend.open(Request(path, stage, sizes, "auto")), stage, sizes, backend) for path in paths]
    seconds = [[call.seconds() for call in calls] for _ in range(1 + runs)]
    return [min(of_one) for of_one in zip(*seconds[1:], strict=True)]
