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
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from runtime._device.gpu import CudaTensor
from runtime.bundle import Compute
from runtime.device import HostArray, Memory, Stream, Tensor
from runtime.program import Program, Request, Tensors
from tests.stand_in_driver import (
    LOST,
    DeviceAllocation,
    DriverContexts,
    DriverDevice,
    DriverEvent,
    DriverStream,
    Error,
    EventFlags,
    FakeStream,
    OutOfMemory,
    PinnedAllocation,
)
from tests.stand_in_kernels import FakeModule, is_fatbin
from tests.stand_in_owned import Owned
from tests.stand_ins import Mixing, MixingProgram


class FakeCuda:
    """A GPU with `memory_bytes`, whose streams pause before each operation; it is lost after `lost_after` of them."""

    def __init__(
        self,
        memory_bytes: int = 1 << 30,
        lost_after: int | None = None,
        delays: Sequence[float] = (0.0,),
        driver_version: int = 13000,
        unbindable: str = "",
        pinned_bytes: int = 1 << 30,
    ) -> None:
        """`unbindable`: "push" or "pop", what threads other than the one that makes it cannot do with the context."""
        self.driver_version, self.context = driver_version, 4711
        self.free_bytes, self.free_pinned_bytes = memory_bytes, pinned_bytes
        self._unbindable = (unbindable, threading.current_thread())
        self.allocated: list[HostArray] = []  # kept: streams know addresses, and CUDA frees behind what they still do
        self.left = lost_after
        self.delays = itertools.cycle(delays)
        self.streams: dict[int, FakeStream] = {}
        self.here = _Contexts()
        self.owned = Owned(lambda: self.here.depth > 0, lambda: self._told)
        self._told = False  # whether somebody knows that it is lost
        self.freed: list[tuple[int, int]] = []  # addresses where there was memory once
        self.lock = threading.Lock()
        self.launched: dict[str, int] = {}  # how often each kernel was
        self.refused = set[str]()  # kernels that the driver does not launch

    def module(self) -> ModuleType:
        """To be found as pycuda.driver."""
        names: dict[str, Any] = {
            "Error": Error,
            "MemoryError": OutOfMemory,
            "init": lambda: None,
            "Device": lambda number: DriverDevice(self),
            "Context": DriverContexts(self),
            "Stream": lambda flags=0: DriverStream(self, flags),
            "Event": lambda flags=0: DriverEvent(self, flags),
            "event_flags": EventFlags,
            "mem_alloc": lambda size: DeviceAllocation(self, size),
            "pagelocked_empty": self._pinned,
            "memcpy_dtod_async": lambda to, of, size, stream: stream.put(
                lambda: np.copyto(self._memory(to, size), self._memory(of, size))
            ),
            "memcpy_htod_async": lambda to, array, stream: stream.put(
                lambda: np.copyto(self._memory(to, array.nbytes), _bytes_of(array))
            ),
            "memcpy_dtoh_async": lambda array, of, stream: stream.put(
                lambda: np.copyto(_bytes_of(array), self._memory(of, array.nbytes))
            ),
            "module_from_buffer": self._module,
            "get_driver_version": lambda: self.driver_version,
            "memset_d8_async": lambda to, value, size, stream: stream.put(lambda: self._memory(to, size).fill(value)),
        }
        module = ModuleType("pycuda.driver")
        for name, value in names.items():
            setattr(module, name, value)
        return module

    @property
    def lost(self) -> bool:
        """Whether it answers nothing but errors."""
        return self.left is not None and self.left < 0

    def binds(self, how: str) -> None:
        """The calling thread makes the context current, or not; raises where it cannot."""
        self.here.depth += 1 if how == "push" else -1
        if self._unbindable[0] == how and threading.current_thread() is not self._unbindable[1]:
            self.here.depth = 0
            raise Error("cuCtxPushCurrent failed: invalid device context")

    def need_context(self) -> None:
        """Raises where a call would fail, whatever is called."""
        if not self.here.depth:
            raise Error("cuCtxGetCurrent failed: invalid device context")
        if self.lost:
            raise self.told(Error(LOST))

    def told(self, error: Error) -> Error:
        """What a caller gets of a GPU that is lost, and knows it from then on."""
        self._told = True
        return error

    def operate(self) -> None:
        """Raises when the GPU is lost."""
        with self.lock:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Error(LOST)

    def _memory(self, address: int, size: int) -> HostArray:
        if any(first < address + size and address < end for first, end in self.freed):
            self.owned.fault("memory is used that was freed")
        return bytes_at(address, size)

    def _module(self, data: bytes) -> FakeModule:
        self.need_context()
        if self.driver_version < 13000:
            raise Error("cuModuleLoadDataEx failed: the provided PTX was compiled with an unsupported toolchain.")
        if not is_fatbin(data):
            raise Error("cuModuleLoadDataEx failed: device kernel image is invalid")
        return FakeModule(self.launched, self.refused, Error, self.owned)

    def _pinned(self, shape: tuple[int, ...], dtype: Any) -> HostArray:
        return np.asarray(PinnedAllocation(self, shape, dtype))


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
    """`cuda` as the driver; its threads end with it, and everything else is to have ended before."""
    modules = {"pycuda": ModuleType("pycuda"), "pycuda.driver": cuda.module()}
    try:
        with patch.dict(sys.modules, modules):
            yield
        cuda.owned.check()
    finally:
        for stream in cuda.streams.values():
            stream.end()


class _Contexts(threading.local):
    depth = 0


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
