"""What onnxruntime with providers for a GPU is to the runtime: it accepts them, and computes on the CPU.

It does so when the stream of the fake GPU comes to it, and a session has to end before the driver's context does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime

from runtime import backends
from tests.engined import GPU
from tests.stand_in_cuda import FakeCuda, bytes_at

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"


@dataclass
class FakeLibrary:
    """onnxruntime with providers for a GPU."""

    cuda: FakeCuda
    available: tuple[str, ...] = (TENSORRT, CUDA, CPU)
    starts: bool = True  # whether a provider's libraries are found by a session
    fails: bool = False  # whether the GPU fails in a run
    refuses: bool = False  # whether it fails when a graph is loaded
    opened: list[list[Any]] = field(default_factory=list[list[Any]])  # the providers of each session on the GPU

    __version__ = "1.31.1"
    __file__ = "onnxruntime/__init__.py"
    SessionOptions = onnxruntime.SessionOptions
    RunOptions = onnxruntime.RunOptions

    def get_available_providers(self) -> tuple[str, ...]:
        return self.available

    def InferenceSession(  # noqa: N802
        self, path: str, options: Any, providers: list[Any], enable_fallback: int
    ) -> Any:
        assert enable_fallback == 0, "it would go on with the CPU and print"
        inner = onnxruntime.InferenceSession(path, options, providers=[CPU])
        if providers == [CPU]:
            return inner
        self.opened.append(providers)
        session = _Session(self, inner, providers)
        if self.refuses:
            raise RuntimeError("CUDA failure 2: out of memory\nfile: cuda_call.cc")
        return session


class _Session:
    def __init__(self, library: FakeLibrary, inner: Any, providers: list[Any]) -> None:
        self._library, self._inner, self._providers = library, inner, providers
        self._stream = library.cuda.streams[int(providers[0][1]["user_compute_stream"])]
        self._number = library.cuda.owned.make("session")

    def __del__(self) -> None:
        if self._stream.destroyed:
            self._library.cuda.owned.fault("a session ended after its stream")
        self._library.cuda.owned.end(self._number)

    def get_providers(self) -> list[str]:
        return [provider[0] for provider in self._providers[:-1] if self._library.starts] + [CPU]

    def io_binding(self) -> Any:
        bound: list[tuple[Any, ...]] = []
        return SimpleNamespace(bound=bound, bind_input=_binder(bound, "in"), bind_output=_binder(bound, "out"))

    def run_with_iobinding(self, binding: Any, run_options: Any) -> None:
        assert run_options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        if self._library.fails:
            raise RuntimeError("CUDA failure 719: unspecified launch failure\nfile: cuda_call.cc")
        feed, results = dict[str, Any](), dict[str, Any]()
        for way, name, place, _, dtype, shape, address in binding.bound:
            count = int(np.prod(shape)) * np.dtype(dtype).itemsize
            memory = bytes_at(address, count).view(dtype).reshape(shape)
            if place == "cpu":
                memory = memory.copy()  # read while work is enqueued
            (feed if way == "in" else results)[name] = memory
        inner = self._inner  # the stream's thread ends no session

        def compute() -> None:
            for name, found in zip(results, inner.run(list(results), feed), strict=True):
                results[name][...] = found

        self._stream.put(compute)


def _binder(bound: list[tuple[Any, ...]], way: str) -> Callable[..., None]:
    return lambda *given: bound.append((way, *given))


@contextmanager
def machine(library: FakeLibrary) -> Generator[None, None, None]:
    """Inside it the backends over onnxruntime find `library`, all that its providers load, and a GPU."""
    pycuda = ModuleType("pycuda")
    pycuda.__spec__ = ModuleSpec("pycuda", None)
    modules = {"pycuda": pycuda, "pycuda.driver": library.cuda.module()}
    chosen = [backends.get(name) for name in ("onnxruntime_cuda", "onnxruntime_tensorrt")]
    try:
        with (
            patch.dict("sys.modules", modules),
            patch("runtime.backends._onnxruntime.gpus", lambda: (GPU,)),
            patch("runtime.backends._onnxruntime_libraries.CDLL", lambda _: None),
            patch("runtime.backends.onnxruntime_cuda.BACKEND", replace(chosen[0], library=lambda: library)),  # type: ignore[type-var]
            patch("runtime.backends.onnxruntime_tensorrt.BACKEND", replace(chosen[1], library=lambda: library)),  # type: ignore[type-var]
        ):
            yield
    finally:
        for stream in library.cuda.streams.values():
            stream.end()
