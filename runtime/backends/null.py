"""Zeros of the right shape: the whole pipeline without a network, for tests and for timing everything else."""

from __future__ import annotations

from runtime.bundle import Compute
from runtime.device import Memory, Stream
from runtime.program import Precision, Request, Tensors


class _NullProgram:
    compute: Compute = "float32"

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        for output in outputs.values():
            stream.zero(output)


class _NullBackend:
    target = "onnx"
    memory: Memory = "host"
    graphs: tuple[Compute, ...] = ("float32",)
    rank = None

    def why_not(self) -> str | None:
        return None

    def machine(self) -> None:
        return None

    def traits(self) -> tuple[str, ...]:
        return ()

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        return "zeros"

    def open(self, request: Request) -> _NullProgram:
        return _NullProgram()


BACKEND = _NullBackend()
