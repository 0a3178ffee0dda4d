"""Scratch memory of an engine's context that is given to it, instead of being taken by the library."""

from __future__ import annotations

from typing import Any

from runtime.device import Form
from runtime.program import Request


def give_memory(context: Any, engine: Any, request: Request) -> None:
    """Give `context` all that it will ever use, for windows of every length; the memory is the device's to free.

    Raises `DeviceFailed` where the GPU has too little.
    """
    if request.allocate is None:
        raise ValueError(f"{request.path}: its context needs memory, and whoever opens it gives none")
    size = int(engine.device_memory_size_v2)
    memory: Any = request.allocate(Form((size,), "uint8"))
    context.set_device_memory(memory.address, size)
