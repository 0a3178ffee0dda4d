"""CUDA graphs: what a stream was given once, launched again as one; through the driver, since pycuda has no part of it.

Source: CUDA Driver API, sections Stream Management and Graph Management.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from typing import Any

from runtime.afterwards import afterwards
from runtime.errors import DeviceFailed

_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads go on as they like
_SUCCESS = 0

Handle = ctypes.c_void_p


class Graph:
    """Recorded work; the buffers that it names must stay where they are."""

    def __init__(self, library: Any, graph: Handle, executable: Handle) -> None:
        self._library = library
        self._graph = graph
        self._executable = executable

    def launch(self, stream: int) -> None:
        """Enqueue all of it on `stream`, a handle; raises `DeviceFailed`."""
        _check(self._library, "cuGraphLaunch", self._executable, Handle(stream))

    def close(self) -> None:
        """Free it; raises `DeviceFailed`."""
        with afterwards(lambda: _check(self._library, "cuGraphDestroy", self._graph)):
            _check(self._library, "cuGraphExecDestroy", self._executable)


def load_driver() -> Any:
    """The library that holds the driver's functions; raises `DeviceFailed` where there is none."""
    name = "nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise DeviceFailed(
            f"{name}: cannot be loaded ({error}); wanted NVIDIA's driver. Install it, or use a CPU backend: --backend "
            f"onnxruntime"
        ) from error


def capture(library: Any, stream: int, work: Callable[[int], None]) -> Graph:
    """What `work` enqueues on `stream`, a handle, recorded instead of done.

    `work` must have been done once for real: libraries allocate on first use, which a capture does not allow.  Raises
    `DeviceFailed` when something in it cannot be captured, or what `work` raises; the stream is usable again then.
    """
    graph, executable = Handle(), Handle()
    _check(library, "cuStreamBeginCapture_v2", Handle(stream), ctypes.c_int(_THREAD_LOCAL))
    try:
        work(stream)
    except BaseException:
        library.cuStreamEndCapture(Handle(stream), ctypes.byref(graph))  # else the stream would go on recording
        if graph:
            library.cuGraphDestroy(graph)
        raise
    _check(library, "cuStreamEndCapture", Handle(stream), ctypes.byref(graph))
    try:
        _check(library, "cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
    except DeviceFailed:
        library.cuGraphDestroy(graph)
        raise
    return Graph(library, graph, executable)


def _check(library: Any, function: str, *arguments: Any) -> None:
    code = int(getattr(library, function)(*arguments))
    if code != _SUCCESS:
        text = ctypes.c_char_p()
        library.cuGetErrorName(ctypes.c_int(code), ctypes.byref(text))
        name = text.value.decode() if text.value else "unknown"
        raise DeviceFailed(f"{function}: error {code} ({name}); wanted 0")
