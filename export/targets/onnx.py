"""The graph itself: what onnxruntime and OpenVINO run, and what every compiler starts from."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto


class _Onnx:
    name = "onnx"
    suffix = ".onnx"
    fixed_window = False
    compiled = False

    def why_not(self) -> str | None:
        return None

    def write(self, model: ModelProto, path: Path) -> None:
        path.write_bytes(model.SerializeToString(deterministic=True))


TARGET = _Onnx()
