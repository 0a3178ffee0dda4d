"""The graph itself, which every bundle holds: what onnxruntime and OpenVINO run, and every compiler starts from."""

from __future__ import annotations


class _Onnx:
    name = "onnx"
    suffix = ".onnx"
    fixed_window = False
    compiler = None

    def why_not(self) -> str | None:
        return None


TARGET = _Onnx()
