"""Backends whose speed is given, and a clock that only their work moves: what a trial finds is then known."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime import backends
from runtime.bundle import DEFAULT, Bundle, StageSpec, TensorSpec, TypedGraph, file_record, read_bundle, write_manifest
from runtime.device import Stream
from runtime.errors import BackendUnavailable
from runtime.job import find_bundle
from runtime.kept import user_cache
from runtime.program import Precision, Program, Request, Tensors
from tests.stand_ins import Mixing, MixingProgram

Pace = Mapping[str, float]  # seconds of a call, by type: "fp32", "bf16", "int8", "int8_bf16"
_LONGEST = 4  # side of a tensor


@dataclass
class Clock:
    """Stands still but for work."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


@dataclass
class Fault:
    """What goes wrong with a backend."""

    opening: str = ""  # the reason why a graph cannot be loaded
    types: tuple[str, ...] = ("fp32", "bf16", "int8", "int8_bf16")  # which ones that is
    computing: BaseException | type[BaseException] | None = None
    after: int = 0  # calls that go well


class Paced(Mixing):
    """Computes on the processor, in bf16 where a pace is given for it, and takes the time that it is told to."""

    def __init__(self, rank: int | None, pace: Pace, clock: Clock) -> None:
        super().__init__()
        self.rank = rank  # pyright: ignore[reportIncompatibleVariableOverride]
        self.pace, self.clock = pace, clock
        self.version = "1.0"
        self.fault = Fault()
        self.opened: list[str] = []  # types
        self.threads: set[int | None] = set()  # that were asked for

    def traits(self) -> tuple[str, ...]:
        return (self.version,)

    def precision(self, asked: Precision, compute: str = "float32") -> str:
        return "bf16" if asked == "auto" and "bf16" in self.pace else "fp32"

    def open(self, request: Request) -> Program:
        own = self.precision(request.precision)
        kind = own if "int8" not in request.path.name else "int8" if own == "fp32" else f"int8_{own}"
        if self.fault.opening and kind in self.fault.types:
            raise BackendUnavailable(f"{request.path}: {self.fault.opening}")
        self.opened.append(kind)
        self.threads.add(request.threads)
        return _PacedProgram(self, request.stage.name, kind)


class _PacedProgram(MixingProgram):
    def __init__(self, backend: Paced, stage: str, kind: str) -> None:
        super().__init__(backend, stage)
        self.paced, self.kind = backend, kind

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        fault = self.paced.fault
        if fault.computing is not None and sum(self.paced.calls.values()) >= fault.after:
            raise fault.computing
        self.paced.clock.now += self.paced.pace[self.kind]
        super().enqueue(inputs, outputs, stream)


@dataclass
class Field:
    """The backends that there are, by name."""

    clock: Clock = field(default_factory=Clock)
    backends: dict[str, Paced] = field(default_factory=dict[str, Paced])

    def add(self, name: str, rank: int | None, **pace: float) -> Paced:
        """A backend of that name, rank and pace."""
        self.backends[name] = Paced(rank, pace, self.clock)
        return self.backends[name]

    @property
    def opened(self) -> int:
        """How often any of them was asked to load a graph."""
        return sum(len(backend.opened) for backend in self.backends.values())

    def enter(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """Be all there is, with a cache folder that is empty."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        monkeypatch.setattr("runtime.trial.time", SimpleNamespace(perf_counter=self.clock.perf_counter))
        monkeypatch.setattr(backends, "names", lambda: tuple(sorted(self.backends)))
        monkeypatch.setattr(backends, "get", self.backends.__getitem__)


def small_bundle(folder: Path) -> Bundle:
    """The default bundle's stages in float32 with small tensors, and graphs that no library could read."""
    opened = read_bundle(find_bundle(DEFAULT))
    folder.mkdir()

    def shrunk(spec: TensorSpec) -> TensorSpec:
        return replace(spec, shape=tuple(min(side, _LONGEST) if isinstance(side, int) else side for side in spec.shape))

    def emptied(stage: StageSpec) -> StageSpec:
        graph = folder / f"{stage.name}.onnx"
        graph.write_text(f"the {stage.name}")
        inputs, outputs = (tuple(map(shrunk, specs)) for specs in (stage.inputs, stage.outputs))
        files = {"onnx": file_record(folder, graph)}
        return replace(stage, inputs=inputs, outputs=outputs, files=files, typed=(), part=None)

    rule = opened.manifest.pixels
    pixels = replace(rule, width=min(rule.width, _LONGEST), height=min(rule.height, _LONGEST))
    stages = tuple(map(emptied, opened.manifest.stages))
    write_manifest(folder, replace(opened.manifest, stages=stages, pixels=pixels))
    return read_bundle(folder)


def with_int8(source: Path, folder: Path) -> Bundle:
    """The bundle in `source` with graphs called int8, for backends that look at their names alone."""
    shutil.copytree(source, folder)
    opened = read_bundle(folder)

    def narrowed(stage: StageSpec) -> StageSpec:
        graph = shutil.copy(opened.file(stage, "onnx"), folder / f"{stage.name}.int8.onnx")
        record = file_record(folder, Path(graph))
        return replace(stage, typed=(TypedGraph("int8", record, (), opened.manifest.parity[0], ranges=record),))

    write_manifest(folder, replace(opened.manifest, stages=tuple(map(narrowed, opened.manifest.stages))))
    return read_bundle(folder)


def records() -> list[Path]:
    """What is remembered."""
    return sorted((user_cache() / "trials").glob("*"))
