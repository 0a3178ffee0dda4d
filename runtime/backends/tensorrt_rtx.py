"""The bundle's engines through TensorRT-RTX, which compiles them for the GPU when they are opened."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from runtime.backends._trt import TrtBackend

_MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # NVIDIA's own package, and the bindings' wheel by itself


def library() -> Any:
    """The module, whichever of its names it is installed under."""
    return importlib.import_module(next(name for name in _MODULES if importlib.util.find_spec(name)))


BACKEND = TrtBackend(
    library=library,
    modules=_MODULES,
    title="TensorRT-RTX",
    install="pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
    target="tensorrt_rtx",
    rank=4,
    oldest=(1, 7),
    portable=True,
    ranges_from=(1,),
    compiles=True,
    host_code=False,
)
