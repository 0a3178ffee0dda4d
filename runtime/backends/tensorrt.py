"""The bundle's engines through TensorRT 8.5 to 11."""

from __future__ import annotations

import importlib
from typing import Any

from runtime.backends._trt import TrtBackend


def library() -> Any:
    """The module."""
    return importlib.import_module("tensorrt")


BACKEND = TrtBackend(
    library=library,
    modules=("tensorrt",),
    title="TensorRT",
    install="pip install tensorrt",
    target="tensorrt",
    rank=2,
    oldest=(8, 5),
    portable=False,
    ranges_from=(10,),
    compiles=False,
    host_code=True,
)
