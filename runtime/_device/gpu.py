"""An NVIDIA GPU as pycuda shows it, and memory on it; pycuda is imported when a GPU is looked for."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from runtime.device import Shape
from runtime.errors import DeviceFailed


@dataclass(frozen=True, slots=True)
class CudaTensor:
    """C-contiguous numbers in the GPU's memory."""

    address: int
    shape: Shape
    dtype: np.dtype[Any]
    memory: Any  # keeps the allocation alive

    @property
    def nbytes(self) -> int:
        """Size of all of them."""
        return prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, rows: slice, /) -> CudaTensor:
        """Part of the first axis, in the same memory."""
        begin, end, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"rows {begin} to {end} in steps of {step}: wanted consecutive ones")
        stride = prod(self.shape[1:]) * self.dtype.itemsize
        shape = (max(end - begin, 0), *self.shape[1:])
        return replace(self, address=self.address + begin * stride, shape=shape)


class Gpu:
    """The driver, the first visible GPU and its primary context; raises `DeviceFailed` where one is missing."""

    def __init__(self) -> None:
        try:
            self.driver: Any = importlib.import_module("pycuda.driver")
        except ImportError as error:
            raise DeviceFailed(
                f"CUDA: pycuda cannot be imported ({error}); wanted for backends that run on the GPU. Install it with "
                f"pip install pycuda, or use a CPU backend: --backend onnxruntime"
            ) from error
        self.name = "CUDA"
        with self.one_line("look for a GPU"):
            self.driver.init()
            device = self.driver.Device(0)
            self.name = str(device.name())
            self._context = device.retain_primary_context()

    @property
    def handle(self) -> int:
        """The context, as the driver's C interface has it."""
        return int(self._context.handle)

    @contextmanager
    def bound(self) -> Generator[None, None, None]:
        """Inside it the calling thread may use the GPU."""
        with self.one_line("take up the context"):
            self._context.push()
        try:
            yield
        finally:
            self.driver.Context.pop()

    @contextmanager
    def one_line(self, doing: str) -> Generator[None, None, None]:
        """Turn the driver's errors into `DeviceFailed`."""
        try:
            yield
        except self.driver.MemoryError as error:
            raise DeviceFailed(
                f"{self.name}: out of memory while trying to {doing}. Use --streams 1, close what else runs on the "
                f"GPU, or use the CPU: --backend onnxruntime"
            ) from error
        except self.driver.Error as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DeviceFailed(
                f"{self.name}: failed to {doing}: {reason}. Run again, --resume goes on where a run with --resume was "
                f"stopped, or use the CPU: --backend onnxruntime"
            ) from error
