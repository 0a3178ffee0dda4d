"""ONNX graphs through onnxruntime on the CPU, bound to the caller's memory."""

from __future__ import annotations

import importlib
import importlib.util
from functools import partial
from typing import Any

from runtime.device import Memory, Stream, host_array
from runtime.errors import BackendUnavailable
from runtime.program import Precision, Request, Tensors


class _Program:
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
        self._session.run_with_iobinding(self._binding)


class _Backend:
    target = "onnx"
    memory: Memory = "host"
    rank = 20

    def why_not(self) -> str | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return "the package onnxruntime is not installed: pip install onnxruntime."
        return None

    def precision(self, asked: Precision) -> str:
        return "fp32"

    def open(self, request: Request) -> _Program:
        library: Any = importlib.import_module("onnxruntime")
        options = library.SessionOptions()
        options.log_severity_level = 3  # its warnings speak of its own optimiser, not of anything a user can change
        for axis, size in request.sizes.items():
            options.add_free_dimension_override_by_name(axis, size)
        try:
            session = library.InferenceSession(str(request.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's own exception types are private
            raise BackendUnavailable(
                f"{request.path}: onnxruntime {library.__version__} cannot load this graph: "
                f"{str(error).splitlines()[0]} Try --backend openvino, or upgrade onnxruntime."
            ) from error
        return _Program(session)


BACKEND = _Backend()
