"""ONNX graphs through onnxruntime's CUDA provider, on our stream and in our memory."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.backends._onnxruntime import CudaBackend
from runtime.backends._onnxruntime_libraries import CUDA
from runtime.backends.onnxruntime import library
from runtime.program import Request


def _settings(request: Request) -> Mapping[str, str]:
    """Kernels by trial, since shapes repeat; no TF32 where exact numbers were asked for."""
    return {"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "False" if request.precision == "fp32" else "True"}


BACKEND = CudaBackend(library, CUDA, (), 6, _settings)
