"""The graph itself, which every bundle holds: what onnxruntime and OpenVINO run, and every compiler starts from."""

from __future__ import annotations

from export.targets._target import Serving


class _Onnx:
    name = "onnx"
    suffix = ".onnx"
    fixed_window = False
    compiler = None
    serving = Serving("onnxruntime_onnx", "model.onnx", "KIND_AUTO", cuda_graphs=False)

    def why_not(self) -> str | None:
        return None


TARGET = _Onnx()
