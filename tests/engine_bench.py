"""One engine of the tiny network on a fake GPU, as its backend opens it."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runtime import backends
from runtime._device.cuda import CudaDevice
from runtime.clock import Clock
from runtime.device import Form, Stream, Tensor
from runtime.program import Program, Request, narrowest
from runtime.sources import find_sources
from tests.engined import Build, add_engines
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_tensorrt import FakeTensorRt, Faults, machine_with
from tests.tiny import HEIGHT, WIDTH

CHANNELS = 16
PIXELS = Form((1, 3, HEIGHT, WIDTH), "float16")
FEATURES = Form((1, CHANNELS, HEIGHT // 4, WIDTH // 4), "float16")


@dataclass
class Bench:
    """The encoder's engine on a fake GPU."""

    library: FakeTensorRt
    device: CudaDevice
    stream: Stream
    program: Program
    driver: FakeGraphs
    notes: list[str]

    def tensor(self, form: Form) -> Tensor:
        return self.device.allocate(form)

    def encode(self, pixels: Tensor, features: Tensor) -> np.ndarray:
        """What the encoder makes of 0.5 everywhere, as it lies in `features`."""
        seen: list[np.ndarray] = []
        self.stream.write(pixels, lambda array: array.fill(0.5))
        self.stream.zero(features)
        self.program.enqueue({"rgb": pixels}, {"features": features}, self.stream)
        self.stream.read(features, lambda array: seen.append(array.copy()))
        self.stream.mark().wait()
        return seen[0]


@dataclass
class Setting:
    """How a bench is set up."""

    target: str = "tensorrt"
    build: Build = field(default_factory=Build)
    faults: Faults = field(default_factory=Faults)
    fails: str = ""
    cuda_graph: bool = True
    plan: Callable[[dict[str, Any]], None] | None = None  # a change to the encoder's plan, unknown to the manifest
    version: str | None = None  # of the library here; None: the one that built
    memory_bytes: int = 1 << 30  # of the GPU
    sizes: Mapping[str, int] = field(default_factory=lambda: {"B": 1})  # that never change in the program
    opened: Callable[[FakeTensorRt], object] = lambda _: None  # called as soon as the program is open, or is not


@contextmanager
def bench(root: Path, setting: Setting | None = None) -> Generator[Bench, None, None]:
    setting = setting or Setting()
    library = FakeTensorRt(FakeCuda(setting.memory_bytes), setting.version or setting.build.version, setting.faults)
    driver = FakeGraphs(library.cuda, setting.fails)
    bundle = add_engines(root, setting.build)
    with machine_with(library, driver, setting.target):
        backend = backends.get(setting.target)
        path = find_sources(bundle, backend, narrowest("auto"))["encoder"].path
        if setting.plan is not None:
            plan = json.loads(path.read_text())
            setting.plan(plan)
            path.write_text(json.dumps(plan))
        notes, at_rest, at_end = list[str](), list[Callable[[], None]](), list[Callable[[], None]]()
        stage = bundle.stage("encoder")
        with closing(CudaDevice(Clock())) as device, device.bound(), closing(device.stream("encoder")) as stream:
            request = Request(
                path,
                stage,
                setting.sizes,
                "auto",
                setting.build.compute,
                setting.cuda_graph,
                notes.append,
                at_rest.append,
                at_end=at_end.append,
                allocate=device.allocate,
            )
            try:
                program = backend.open(request)
            finally:
                setting.opened(library)
            yield Bench(library, device, stream, program, driver, notes)
            for call in (*at_rest, *at_end):
                call()
