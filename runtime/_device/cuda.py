"""An NVIDIA GPU as a device; it works in the primary context, as other libraries of the process do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import prod

import numpy as np

from runtime._device.cuda_kernels import CudaKernels
from runtime._device.cuda_stream import CudaStream
from runtime._device.gpu import CudaTensor, Gpu
from runtime.clock import Clock
from runtime.device import Form, KernelImage, Kernels, Memory, Stream, Tensor


class CudaDevice:
    """The first GPU that CUDA shows to this process."""

    memory: Memory = "cuda"

    def __init__(self, clock: Clock) -> None:
        self._gpu = Gpu()
        self._clock = clock

    def allocate(self, form: Form) -> Tensor:
        dtype = np.dtype(form.dtype)
        nbytes = prod(form.shape) * dtype.itemsize
        with self._gpu.one_line(f"allocate {nbytes} bytes"):
            memory = self._gpu.driver.mem_alloc(max(nbytes, 1))
        return CudaTensor(int(memory), form.shape, dtype, memory)

    def stream(self, name: str) -> Stream:
        return CudaStream(self._gpu, name, self._clock)

    def bound(self) -> AbstractContextManager[None]:
        return self._gpu.bound()

    def context(self) -> int:
        return self._gpu.handle

    def kernels(self, image: Callable[[], KernelImage]) -> Kernels | None:
        return CudaKernels(self._gpu, image())
