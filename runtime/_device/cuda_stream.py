"""Streams and events of an NVIDIA GPU.

The GPU works while Python enqueues.  What has to be done on the host in a stream's order (`run`, and `read`'s second
half) is done by a thread of the stream, behind an event of the GPU's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from runtime._device.gpu import CudaTensor, Gpu
from runtime._device.host import WorkerStream
from runtime.clock import Clock
from runtime.device import REACHED, Event, Form, HostArray, Tensor

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING of cuda.h: never waits for the default stream, nor that for it
_PINNED = 4  # pinned arrays of one form a stream: one is filled or shown while others are copied

Dim = tuple[int, int, int]


class CudaEvent:
    """A point in the GPU's work, and in that of the stream's thread where it has one."""

    def __init__(self, gpu: Gpu, event: Any, host: Event = REACHED) -> None:
        self._gpu = gpu
        self.event = event
        self.host = host

    def done(self) -> bool:
        with self._gpu.one_line("ask for an event"):
            return bool(self.event.query()) and self.host.done()

    def wait(self) -> None:
        with self._gpu.one_line("wait for the GPU"):
            self.event.synchronize()
        self.host.wait()


class _Timer:
    """Tells the clock when the GPU was busy, as far as its events have come."""

    def __init__(self, gpu: Gpu, stream: Any, name: str, clock: Clock) -> None:
        self._gpu, self._stream, self._name, self._clock = gpu, stream, name, clock
        self._pending: deque[tuple[float, Any, Any]] = deque()
        with gpu.one_line("time a stream"):
            self._origin = gpu.driver.Event().record(stream)
            self._origin.synchronize()
        self._origin_s = clock.now()

    @contextmanager
    def counted(self) -> Generator[None, None, None]:
        """Count what is enqueued inside."""
        token = self._clock.begin()
        try:
            begin = self._gpu.driver.Event().record(self._stream)
            yield
            end = self._gpu.driver.Event().record(self._stream)
        except BaseException:
            self._clock.end(token, self._name, token, token)
            raise
        self._pending.append((token, begin, end))

    def report(self) -> None:
        """Pass on what is through; never waits."""
        while self._pending and self._pending[0][2].query():
            token, begin, end = self._pending.popleft()
            begin_s, end_s = (self._origin_s + event.time_since(self._origin) / 1000 for event in (begin, end))
            self._clock.end(token, self._name, begin_s, end_s)

    def close(self) -> None:
        """Let the clock wait for nothing more of this stream, whatever became of its work."""
        for token, _, _ in self._pending:
            self._clock.end(token, self._name, token, token)
        self._pending.clear()


class CudaStream:
    """A non-blocking stream of the GPU."""

    def __init__(self, gpu: Gpu, name: str, clock: Clock) -> None:
        self._gpu, self._name, self._clock = gpu, name, clock
        with gpu.one_line("make a stream"):
            self._stream = gpu.driver.Stream(_NON_BLOCKING)
        self._timer = _Timer(gpu, self._stream, name, clock)
        self._hands: WorkerStream | None = None  # made when it is first needed
        self._pinned: dict[Form, deque[tuple[HostArray, Event]]] = {}

    def wait(self, event: Event) -> None:
        """An event that the host is part of is waited for by the caller; the GPU cannot."""
        if not isinstance(event, CudaEvent):
            event.wait()
            return
        with self._gpu.one_line("order streams"):
            self._stream.wait_for_event(event.event)
        event.host.wait()

    def mark(self) -> CudaEvent:
        with self._gpu.one_line("mark a stream"):
            self._timer.report()
            event = self._gpu.driver.Event().record(self._stream)
        return CudaEvent(self._gpu, event, REACHED if self._hands is None else self._hands.mark())

    def run(self, work: Callable[[], None]) -> None:
        self._behind(self._copied(), work)

    def launch(self, work: Callable[[int], None]) -> None:
        with self._gpu.one_line(f"run the {self._name}"), self._timer.counted():
            work(int(self._stream.handle))

    def call(self, function: Any, grid: Dim, block: Dim, argument: bytes) -> None:
        """Enqueue a kernel that was prepared for one argument of that many bytes."""
        with self._gpu.one_line(f"run a kernel of the {self._name}"), self._timer.counted():
            function.prepared_async_call(grid, block, self._stream, argument)

    def copy(self, source: Tensor, target: Tensor) -> None:
        one, other = on_gpu(source), on_gpu(target)
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise TypeError(f"{one.dtype} {one.shape} cannot be copied to {other.dtype} {other.shape}")
        with self._gpu.one_line("copy"), self._timer.counted():
            self._gpu.driver.memcpy_dtod_async(other.address, one.address, one.nbytes, self._stream)

    def zero(self, target: Tensor) -> None:
        tensor = on_gpu(target)
        with self._gpu.one_line("clear memory"), self._timer.counted():
            self._gpu.driver.memset_d8_async(tensor.address, 0, tensor.nbytes, self._stream)

    def write(self, target: Tensor, fill: Callable[[HostArray], None]) -> None:
        """`fill` is called by the caller's thread, before this returns."""
        tensor = on_gpu(target)
        form, array = self._take_pinned(tensor)
        with self._clock.busy(self._name):
            fill(array)
        with self._gpu.one_line("upload"), self._timer.counted():
            self._gpu.driver.memcpy_htod_async(tensor.address, array, self._stream)
        self._pinned[form].append((array, self._copied()))

    def read(self, source: Tensor, take: Callable[[HostArray], None]) -> Event:
        tensor = on_gpu(source)
        form, array = self._take_pinned(tensor)
        with self._gpu.one_line("download"), self._timer.counted():
            self._gpu.driver.memcpy_dtoh_async(array, tensor.address, self._stream)
        copied = self._copied()
        taken = self._behind(copied, partial(take, array))
        self._pinned[form].append((array, taken))
        return copied

    def cancel(self) -> None:
        """What the GPU has begun it finishes."""
        if self._hands is not None:
            self._hands.cancel()

    def close(self) -> None:
        if self._hands is not None:
            self._hands.close()
        try:
            with self._gpu.one_line("finish a stream"):
                self._stream.synchronize()
                self._timer.report()
        finally:
            self._timer.close()

    def _copied(self) -> CudaEvent:
        """When the GPU is through with what was enqueued, whatever the stream's thread still does."""
        with self._gpu.one_line("mark a stream"):
            return CudaEvent(self._gpu, self._gpu.driver.Event().record(self._stream))

    def _behind(self, event: Event, work: Callable[[], None]) -> Event:
        """Let the stream's thread call `work` after `event`."""
        if self._hands is None:
            self._hands = WorkerStream(self._name, self._clock, self._gpu.bound)
        self._hands.wait(event)
        self._hands.run(work)
        return self._hands.mark()

    def _take_pinned(self, tensor: CudaTensor) -> tuple[Form, HostArray]:
        """An array that nothing reads or writes any more, and under which it is put back."""
        form = Form(tensor.shape, tensor.dtype.name)
        free = self._pinned.setdefault(form, deque())
        if free and (len(free) >= _PINNED or free[0][1].done()):
            array, last_use = free.popleft()
            last_use.wait()
            return form, array
        with self._gpu.one_line(f"pin {tensor.nbytes} bytes of the host's memory"):
            return form, self._gpu.driver.pagelocked_empty(tensor.shape, tensor.dtype)


def on_gpu(tensor: Tensor) -> CudaTensor:
    """The tensor; raises `TypeError` for one in other memory."""
    if not isinstance(tensor, CudaTensor):
        raise TypeError(f"a tensor of {type(tensor).__name__} is not in the GPU's memory")
    return tensor
