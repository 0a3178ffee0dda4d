"""Backends without a network: one that counts, and one whose pictures depend on every frame of a window."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from runtime.bundle import Compute
from runtime.device import HostArray, Memory, Stream, host_array
from runtime.engines import Machine
from runtime.program import Precision, Program, Request, Tensors


class Counting:
    """Zeros, with the calls counted by stage; the decoder fails at call number `fails_at`."""

    target = "onnx"
    memory: Memory = "host"
    graphs: tuple[Compute, ...] = ("float32",)
    rank = None

    def __init__(self, fails_at: int = 0) -> None:
        self.calls: dict[str, int] = {"encoder": 0, "transformer": 0, "decoder": 0}
        self.fails_at = fails_at
        self.asked: set[Precision] = set()

    def why_not(self) -> str | None:
        return None

    def machine(self) -> Machine | None:
        return None

    def traits(self) -> tuple[str, ...]:
        return ()

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        return "zeros"

    def open(self, request: Request) -> Program:
        self.asked.add(request.precision)
        return _CountingProgram(self, request.stage.name)


class _CountingProgram:
    compute: Compute = "float32"

    def __init__(self, backend: Counting, stage: str) -> None:
        self.backend, self.stage = backend, stage

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        self.backend.calls[self.stage] += 1
        if self.stage == "decoder" and self.backend.calls["decoder"] == self.backend.fails_at:
            stream.run(_fail)
        for output in outputs.values():
            stream.zero(output)


def _fail() -> None:
    raise RuntimeError("the device is gone")


class Mixing(Counting):
    """A feature is the picture's mean, what is completed is mixed with the whole window, and that is the pattern.

    The mean weighs samples by their place and frames by theirs, so that no exchange of either goes unnoticed.  Painted
    is a pattern and no flat colour, of which nothing would be left in a fill that is moved to continue the picture.
    """

    def open(self, request: Request) -> Program:
        self.asked.add(request.precision)
        return MixingProgram(self, request.stage.name)


class MixingProgram:
    """One stage of `Mixing`."""

    compute: Compute = "float32"

    def __init__(self, backend: Mixing, stage: str) -> None:
        self.backend, self.stage = backend, stage

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        self.count()
        feed = {name: host_array(tensor) for name, tensor in inputs.items()}
        stream.run(partial(self.mix, feed, {name: host_array(tensor) for name, tensor in outputs.items()}))

    def count(self) -> None:
        """One more call was enqueued."""
        self.backend.calls[self.stage] += 1

    def mix(self, inputs: Mapping[str, HostArray], outputs: Mapping[str, HostArray]) -> None:
        """What the stage computes."""
        if self.stage == "encoder":
            weights = np.linspace(-1, 1, inputs["rgb"].size).reshape(inputs["rgb"].shape)
            outputs["features"][:] = np.float32(np.mean(inputs["rgb"] * weights))
        elif self.stage == "transformer":
            features, completed = inputs["features"], outputs["completed"]
            order = np.linspace(1, 2, len(features), dtype=np.float32)
            window = np.mean(features[:, 0, 0, 0] * order, dtype=np.float32)
            completed[:] = features[: len(completed)] * np.float32(0.5) + window
        else:
            place = np.arange(outputs["rgb"].size).reshape(outputs["rgb"].shape)
            outputs["rgb"][:] = np.sin(np.float32(40) * inputs["features"][0, 0, 0, 0] + place)
