"""ONNX graphs through onnxruntime's TensorRT provider, which builds its own engines on first use.

That takes minutes, so it must be asked for; what it built is kept in the user's cache folder.
"""

from __future__ import annotations

from collections.abc import Mapping

from runtime.backends._onnxruntime import CudaBackend
from runtime.backends.onnxruntime import library
from runtime.kept import user_cache
from runtime.program import Request


def _settings(request: Request) -> Mapping[str, str]:
    """Half precision is allowed only where the graph is half itself: the library would narrow a float32 one unasked."""
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(user_cache() / "onnxruntime_tensorrt"),
        "trt_fp16_enable": "True" if request.compute == "float16" else "False",
    }


BACKEND = CudaBackend(library, "TensorrtExecutionProvider", ("CUDAExecutionProvider",), None, _settings)
