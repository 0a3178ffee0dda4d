"""What pycuda.driver is to the runtime, on the host: streams that are late, memory that only they touch.

It keeps CUDA's own rules where getting them wrong would show on a GPU alone: every call needs a context in its thread,
waiting for an event that was never recorded is no wait, copies from and to pinned memory happen when the stream comes
to them, and what a stream did wrong is told by a later call.  It shows nothing of speed, nor that pycuda behaves so.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from runtime._device.gpu import CudaTensor
from runtime.bundle import Compute
from runtime.device import HostArray, Memory, Stream, Tensor
from runtime.program import Program, Request, Tensors
from tests.stand_in_kernels import FakeModule, is_fatbin
from tests.stand_ins import Mixing, MixingProgram


class Error(Exception):
    """pycuda.driver.Error."""


class OutOfMemory(Error):
    """pycuda.driver.MemoryError."""


class FakeCuda:
    """A GPU with `memory_bytes`, whose streams pause before each operation; it is lost after `lost_after` of them."""

    def __init__(
        self,
        memory_bytes: int = 1 << 30,
        lost_after: int | None = None,
        delays: Sequence[float] = (0.0,),
        driver_version: int = 13000,
    ) -> None:
        self.driver_version, self.context = driver_version, 4711
        self.free_bytes = memory_bytes
        self.allocated: list[HostArray] = []  # kept: streams know addresses, and CUDA frees behind what they still do
        self.left = lost_after
        self.delays = itertools.cycle(delays)
        self.streams: dict[int, FakeStream] = {}
        self.here = _Contexts()
        self.lock = threading.Lock()
        self.launched: dict[str, int] = {}  # how often each kernel was

    def module(self) -> ModuleType:
        """To be found as pycuda.driver."""
        names: dict[str, Any] = {
            "Error": Error,
            "MemoryError": OutOfMemory,
            "init": lambda: None,
            "Device": lambda number: _Device(self),
            "Context": _Popper(self),
            "Stream": lambda flags=0: FakeStream(self, flags),
            "Event": lambda flags=0: FakeEvent(self),
            "mem_alloc": lambda size: _Allocation(self, size),
            "pagelocked_empty": self._pinned,
            "memcpy_dtod_async": lambda to, of, size, stream: stream.put(lambda: _move(bytes_at(of, size), to)),
            "memcpy_htod_async": lambda to, array, stream: stream.put(lambda: _move(_bytes_of(array), to)),
            "memcpy_dtoh_async": lambda array, of, stream: stream.put(
                lambda: np.copyto(_bytes_of(array), bytes_at(of, array.nbytes))
            ),
            "module_from_buffer": self._module,
            "get_driver_version": lambda: self.driver_version,
            "memset_d8_async": lambda to, value, size, stream: stream.put(lambda: bytes_at(to, size).fill(value)),
        }
        module = ModuleType("pycuda.driver")
        for name, value in names.items():
            setattr(module, name, value)
        return module

    def need_context(self) -> None:
        if not self.here.depth:
            raise Error("cuCtxGetCurrent failed: invalid device context")

    def operate(self) -> None:
        """Raises when the GPU is lost."""
        with self.lock:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Error("cuEventSynchronize failed: unspecified launch failure")

    def _module(self, data: bytes) -> FakeModule:
        self.need_context()
        if self.driver_version < 13000:
            raise Error("cuModuleLoadDataEx failed: the provided PTX was compiled with an unsupported toolchain.")
        if not is_fatbin(data):
            raise Error("cuModuleLoadDataEx failed: device kernel image is invalid")
        return FakeModule(self.launched, Error)

    def _pinned(self, shape: tuple[int, ...], dtype: Any) -> HostArray:
        self.need_context()
        return np.full(shape, 77, dtype)


class FakeStream:
    """A thread; `handle` leads back to it."""

    def __init__(self, cuda: FakeCuda, flags: int) -> None:
        cuda.need_context()
        assert flags == 1, "a blocking stream would wait for the default stream"
        self.cuda = cuda
        self.handle = 1 + len(cuda.streams)
        cuda.streams[self.handle] = self
        self.error: Error | None = None
        self.recording: list[Callable[[], None]] | None = None  # what is put while a graph is captured
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def put(self, operation: Callable[[], None]) -> None:
        self.cuda.need_context()
        if self.error is not None:
            raise self.error
        if self.recording is None:
            self._queue.put(operation)
        else:
            self.recording.append(operation)

    def wait_for_event(self, event: FakeEvent) -> None:
        if event.recorded:
            self.put(event.pass_by)

    def synchronize(self) -> None:
        self.cuda.need_context()
        reached = threading.Event()
        self._queue.put(reached.set)
        reached.wait()
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (operation := self._queue.get()) is not None:
            time.sleep(next(self.cuda.delays))
            operation()


class FakeEvent:
    """Passed when its stream came to it."""

    def __init__(self, cuda: FakeCuda) -> None:
        cuda.need_context()
        self._cuda = cuda
        self.recorded = False
        self.passed = threading.Event()
        self._error: Error | None = None
        self._at = 0.0

    def record(self, stream: FakeStream) -> FakeEvent:
        self.recorded = True
        stream.put(lambda: self._pass(stream))
        return self

    def pass_by(self) -> None:
        """Wait, whatever became of it, as another stream does."""
        self.passed.wait()

    def query(self) -> bool:
        self._cuda.need_context()
        self._raise()
        return self.passed.is_set()

    def synchronize(self) -> None:
        self._cuda.need_context()
        self.passed.wait()
        self._raise()

    def time_since(self, other: FakeEvent) -> float:
        return (self._at - other._at) * 1000

    def _pass(self, stream: FakeStream) -> None:
        self._at = time.perf_counter()
        try:
            self._cuda.operate()
        except Error as error:
            self._error = stream.error = error
        self.passed.set()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class MixingOnCuda(Mixing):
    """`Mixing`, its tensors in the GPU's memory, its work put on the handle."""

    memory: Memory = "cuda"

    def __init__(self, cuda: FakeCuda) -> None:
        super().__init__()
        self.cuda = cuda

    def open(self, request: Request) -> Program:
        self.cuda.need_context()
        return _MixingProgram(self, MixingProgram(self, request.stage.name))


class _MixingProgram:
    compute: Compute = "float32"

    def __init__(self, backend: MixingOnCuda, inner: MixingProgram) -> None:
        self._backend, self._inner = backend, inner

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        feed = {name: _seen(tensor) for name, tensor in inputs.items()}
        results = {name: _seen(tensor) for name, tensor in outputs.items()}
        self._inner.count()
        stream.launch(lambda handle: self._backend.cuda.streams[handle].put(lambda: self._inner.mix(feed, results)))


@contextmanager
def installed(cuda: FakeCuda) -> Generator[None, None, None]:
    """`cuda` as the driver; its threads end with it."""
    modules = {"pycuda": ModuleType("pycuda"), "pycuda.driver": cuda.module()}
    try:
        with patch.dict(sys.modules, modules):
            yield
    finally:
        for stream in cuda.streams.values():
            stream.end()


class _Contexts(threading.local):
    depth = 0


class _Device:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda, self.handle = cuda, cuda.context

    def name(self) -> str:
        return "Fake GPU"

    def retain_primary_context(self) -> _Device:
        return self

    def push(self) -> None:
        self._cuda.here.depth += 1


class _Popper:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def pop(self) -> None:
        self._cuda.need_context()
        self._cuda.here.depth -= 1


class _Allocation:
    def __init__(self, cuda: FakeCuda, size: int) -> None:
        cuda.need_context()
        if size > cuda.free_bytes:
            raise OutOfMemory("cuMemAlloc failed: out of memory")
        cuda.free_bytes -= size
        self._bytes = np.full(size, 77, np.uint8)
        cuda.allocated.append(self._bytes)

    def __int__(self) -> int:
        return int(self._bytes.ctypes.data)


def bytes_at(address: int, size: int) -> HostArray:
    """The memory itself."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


def _seen(tensor: Tensor) -> HostArray:
    """A tensor as an array; one of the host, such as the number of targets, is one already."""
    if not isinstance(tensor, CudaTensor):
        return np.asarray(tensor)
    return bytes_at(tensor.address, tensor.nbytes).view(tensor.dtype).reshape(tensor.shape)


def _bytes_of(array: HostArray) -> HostArray:
    return array.reshape(-1).view(np.uint8)


def _move(source: HostArray, address: int) -> None:
    bytes_at(address, source.nbytes)[:] = source
