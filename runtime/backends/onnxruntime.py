"""ONNX graphs through onnxruntime on the CPU, bound to the caller's memory."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from runtime.backends._graph_ports import check_ports
from runtime.backends._onnxruntime import installed, load
from runtime.bundle import Compute
from runtime.device import Memory, Stream, host_array
from runtime.errors import DeviceFailed, first_line
from runtime.program import Precision, Request, Tensors


def library() -> Any:
    """The module."""
    return importlib.import_module("onnxruntime")


class _Program:
    compute: Compute = "float32"

    def __init__(self, session: Any) -> None:
        self._session = session
        self._binding = session.io_binding()

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        stream.run(partial(self._run, inputs, outputs))

    def _run(self, inputs: Tensors, outputs: Tensors) -> None:
        for name, array in ((name, host_array(tensor)) for name, tensor in inputs.items()):
            self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in ((name, host_array(tensor)) for name, tensor in outputs.items()):
            self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # the library's own exception types are private
            raise DeviceFailed(
                f"onnxruntime failed at work: {first_line(error)} Run again with --backend openvino"
            ) from error


class _Backend:
    target = "onnx"
    memory: Memory = "host"
    graphs: tuple[Compute, ...] = ("float32",)
    rank = 20

    def why_not(self) -> str | None:
        if not installed():
            return "the package onnxruntime is not installed: pip install onnxruntime."
        try:
            library()
        except (ImportError, OSError) as error:  # what it links to is missing
            return f"onnxruntime cannot be imported ({first_line(error)}): pip install --force-reinstall onnxruntime."
        return None

    def machine(self) -> None:
        return None

    def traits(self) -> tuple[str, ...]:
        return (str(library().__version__),)

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        return "fp32"

    def open(self, request: Request) -> _Program:
        # Without plans a run takes 0.6 of the memory and the same time (docs/measurements.md).
        session = load(library(), request, ["CPUExecutionProvider"], plan_memory=False)
        check_ports(request, _ports(session.get_inputs()), _ports(session.get_outputs()))
        return _Program(session)


def _ports(ports: Any) -> dict[str, list[int | None] | None]:
    """Shapes by name; the library has none of a scalar, nor of what it knows no shape of."""
    return {port.name: [side if isinstance(side, int) else None for side in port.shape] or None for port in ports}


BACKEND = _Backend()
