"""An NVIDIA GPU as pycuda shows it, and what is had of it; pycuda is imported when a GPU is looked for.

Note [What pycuda frees]
    pycuda frees a thing when nobody holds it any more, in whatever thread that is, and where the context is not current
    there it prints a line, or lets the memory go.  So what is had of the driver lies in a `Held`, which is passed
    around in its stead and holds it alone, and `Gpu` ends it, inside `bound`.  No variable holds a thing of the
    driver's while the driver is called: an error's traceback would keep it as long as the error is known.  Behind a
    GPU that was lost pycuda prints a line for each thing freed; those are kept until the context was given back, after
    which it is silent.  Source: pycuda's src/cpp/cuda.hpp, `context_dependent` and `scoped_context_activation`.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import prod
from traceback import clear_frames
from typing import Any

import numpy as np

from runtime.afterwards import afterwards
from runtime.device import Shape
from runtime.errors import DeviceFailed, DeviceFull


@dataclass(frozen=True, slots=True)
class CudaTensor:
    """C-contiguous numbers in the GPU's memory."""

    address: int
    shape: Shape
    dtype: np.dtype[Any]
    memory: Any  # whose it is: a `Held`, or another library's

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


class Held:
    """Something of the driver's, held here alone; see Note [What pycuda frees]."""

    __slots__ = ("_thing",)

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    @property
    def thing(self) -> Any:
        """What is held; raises `ValueError` when it was given up: the driver takes None for its default stream."""
        if self._thing is None:
            raise ValueError("something of the GPU's is used that was given back")
        return self._thing

    @property
    def gone(self) -> bool:
        """Whether it was given up."""
        return self._thing is None

    def give_up(self) -> Any:
        """What was held, which is the caller's now; None where it was given up before."""
        thing, self._thing = self._thing, None
        return thing


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
        self._failed = False  # whether an error came that may mean that the GPU is lost
        self._lost = False
        self._kept: list[Any] = []  # what can no longer be freed

    @property
    def handle(self) -> int:
        """The context, as the driver's C interface has it."""
        return int(self._context.handle)

    @contextmanager
    def bound(self) -> Generator[None, None, None]:
        """Inside it the calling thread may use the GPU."""
        with self.one_line("take up the context"):
            self._context.push()
        with afterwards(self._put_down):
            yield

    def free(self, *held: Held) -> None:
        """End allocations, of the GPU's or of pinned memory; inside `bound`, and it never fails."""
        for each in held:
            thing = each.give_up()
            if thing is not None and not self._keeps(thing):
                with suppress(self.driver.Error):
                    thing.free()

    def drop(self, *held: Held) -> None:
        """End what pycuda has no call for: streams, events, modules; inside `bound`, and it never fails."""
        for each in held:
            self._keeps(each.give_up())

    def close(self) -> None:
        """Give the context back, outside `bound`, by the thread that opened the GPU if it is to have an effect."""
        with suppress(self.driver.Error):
            self._context.detach()
        self._kept.clear()

    @contextmanager
    def one_line(self, doing: str) -> Generator[None, None, None]:
        """Turn the driver's errors into `DeviceFailed`; what frames of pycuda's own had in variables they let go."""
        try:
            yield
        except self.driver.MemoryError as error:
            clear_frames(error.__traceback__)
            raise DeviceFull(
                f"{self.name}: out of memory while trying to {doing}. Use --streams 1, close what else runs on the "
                f"GPU, or use the CPU: --backend onnxruntime"
            ) from error
        except self.driver.Error as error:
            clear_frames(error.__traceback__)
            self._failed = True
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DeviceFailed(
                f"{self.name}: failed to {doing}: {reason}. Run again, --resume goes on where a run with --resume was "
                f"stopped, or use the CPU: --backend onnxruntime"
            ) from error

    def _put_down(self) -> None:
        with self.one_line("put down the context"):
            self.driver.Context.pop()

    def _keeps(self, thing: Any) -> bool:
        """Keep what a GPU that is lost cannot free; False, and nothing is kept, on one that answers."""
        if self._failed and not self._lost:
            try:
                self.driver.Context.synchronize()
            except self.driver.Error:
                self._lost = True
            else:
                self._failed = False
        if self._lost:
            self._kept.append(thing)
        return self._lost
