"""ONNX graphs through onnxruntime's TensorRT provider, which builds its own engines on first use.

That takes minutes, so it must be asked for; what it built is kept in the user's cache folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from runtime.backends._onnxruntime import CudaBackend
from runtime.backends._onnxruntime_libraries import CUDA, TENSORRT
from runtime.backends.onnxruntime import library
from runtime.kept import user_cache
from runtime.program import Request


def _settings(request: Request) -> Mapping[str, str]:
    """Half precision is allowed only where the graph is half itself: the library would narrow a float32 one unasked."""
    half = {"trt_fp16_enable": "True" if request.compute == "float16" else "False"}
    folder = user_cache() / "onnxruntime_tensorrt"
    if reason := _why_not(folder):
        request.tell(
            f"{folder}: cannot be written ({reason}), so that what TensorRT builds, in minutes, is built again at the "
            f"next start; XDG_CACHE_HOME may name another place"
        )
        return {"trt_engine_cache_enable": "False", **half}
    return {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(folder), **half}


def _why_not(folder: Path) -> str | None:
    """Why nothing can be kept in a folder, which is made where it is not there; None where it can.

    The library makes the last folder of a path alone, and fails where it cannot write.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None if os.access(folder, os.W_OK | os.X_OK) else "no permission"


BACKEND = CudaBackend(library, TENSORRT, (CUDA,), None, _settings)
