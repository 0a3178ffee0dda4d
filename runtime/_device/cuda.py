"""An NVIDIA GPU as a device; it works in the primary context, as other libraries of the process do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from math import prod

import numpy as np

from runtime._device.cuda_kernels import CudaKernels
from runtime._device.cuda_stream import CudaStream, on_gpu
from runtime._device.gpu import CudaTensor, Gpu, Held
from runtime.clock import Clock
from runtime.device import Form, KernelImage, Kernels, Memory, Stream, Tensor
from runtime.errors import DeviceFailed


class CudaDevice:
    """The first GPU that CUDA shows to this process."""

    memory: Memory = "cuda"

    def __init__(self, clock: Clock) -> None:
        self._gpu = Gpu()
        self._clock = clock
        self._streams: dict[int, CudaStream] = {}  # by identity; several threads make and close them
        self._memory: dict[int, Held] = {}  # by identity; what was not freed
        self._kernels: list[CudaKernels] = []
        self._closed = False

    def allocate(self, form: Form) -> Tensor:
        dtype = np.dtype(form.dtype)
        nbytes = prod(form.shape) * dtype.itemsize
        with self._gpu.one_line(f"allocate {nbytes} bytes"):
            memory = Held(self._gpu.driver.mem_alloc(max(nbytes, 1)))
        self._memory[id(memory)] = memory
        return CudaTensor(int(memory.thing), form.shape, dtype, memory)

    def free(self, tensor: Tensor) -> None:
        memory = on_gpu(tensor).memory
        if self._memory.pop(id(memory), None) is not None:
            self._gpu.free(memory)

    def stream(self, name: str) -> Stream:
        for key, known in list(self._streams.items()):
            if known.closed:
                self._streams.pop(key, None)
        made = CudaStream(self._gpu, name, self._clock)
        self._streams[id(made)] = made
        return made

    def bound(self) -> AbstractContextManager[None]:
        if self._closed:
            raise ValueError("a device is used that was closed")
        return self._gpu.bound()

    def context(self) -> int:
        return self._gpu.handle

    def kernels(self, image: Callable[[], KernelImage]) -> Kernels | None:
        self._kernels.append(CudaKernels(self._gpu, image()))
        return self._kernels[-1]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(DeviceFailed), self._gpu.bound():
                self._free_all()
            self._gpu.close()

    def _free_all(self) -> None:
        for stream in list(self._streams.values()):
            with suppress(DeviceFailed):
                stream.close()
        for kernels in self._kernels:
            kernels.close()
        self._gpu.free(*self._memory.values())
        self._memory.clear()
