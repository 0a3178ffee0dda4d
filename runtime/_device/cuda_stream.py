"""Streams of an NVIDIA GPU.

The GPU works while Python enqueues.  What has to be done on the host in a stream's order (`run`, and `read`'s second
half) is done by a thread of the stream, behind an event of the GPU's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

from runtime._device.cuda_events import CudaEvent, CudaEvents
from runtime._device.gpu import CudaTensor, Gpu, Held
from runtime._device.host import WorkerStream
from runtime._device.pinned import PinnedArrays
from runtime.afterwards import afterwards
from runtime.clock import Clock
from runtime.device import Event, HostArray, Tensor
from runtime.errors import DeviceFailed

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING of cuda.h: never waits for the default stream, nor that for it

Dim = tuple[int, int, int]


class _Timer:
    """Tells the clock when the GPU was busy, as far as its events have come."""

    def __init__(self, gpu: Gpu, events: CudaEvents, name: str, clock: Clock) -> None:
        self._events, self._name, self._clock = events, name, clock
        self._pending: deque[tuple[float, Held, Held]] = deque()
        with gpu.one_line("time a stream"):
            self._origin = events.record()
            self._origin.thing.synchronize()
        self._origin_s = clock.now()

    @contextmanager
    def counted(self) -> Generator[None, None, None]:
        """Count what is enqueued inside."""
        token = self._clock.begin()
        begin: Held | None = None
        try:
            begin = self._events.record()
            yield
            end = self._events.record()
        except BaseException:
            self._clock.end(token, self._name, token, token)
            if begin is not None:
                self._events.give_back(begin)
            raise
        self._pending.append((token, begin, end))

    def report(self) -> None:
        """Pass on what is through; never waits."""
        while self._pending and self._pending[0][2].thing.query():
            token, *timed = self._pending[0]
            begin_s, end_s = (self._origin_s + each.thing.time_since(self._origin.thing) / 1000 for each in timed)
            self._clock.end(token, self._name, begin_s, end_s)
            self._pending.popleft()
            for each in timed:
                self._events.give_back(each)

    def close(self) -> None:
        """Let the clock wait for nothing more of this stream, whatever became of its work."""
        for token, _, _ in self._pending:
            self._clock.end(token, self._name, token, token)
        self._pending.clear()


class CudaStream:
    """A non-blocking stream of the GPU, with its events and pinned memory, which end with it."""

    def __init__(self, gpu: Gpu, name: str, clock: Clock) -> None:
        self._gpu, self._name, self._clock = gpu, name, clock
        with gpu.one_line("make a stream"):
            self._stream = Held(gpu.driver.Stream(_NON_BLOCKING))
        self._events = CudaEvents(gpu, self._stream)
        self._pinned = PinnedArrays(gpu)
        self._hands: WorkerStream | None = None  # made when it is first needed
        self._stopped: str | None = None  # why it did not come to the end of its work
        try:
            self._timer = _Timer(gpu, self._events, name, clock)
        except BaseException:
            self._events.close(None)
            gpu.drop(self._stream)
            raise

    @property
    def closed(self) -> bool:
        """Whether it holds nothing any more."""
        return self._stream.gone

    def wait(self, event: Event) -> None:
        """An event that the host is part of is waited for by the caller; the GPU cannot."""
        if not isinstance(event, CudaEvent):
            event.wait()
            return
        held = event.held
        if held is not None:
            with self._gpu.one_line("order streams"):
                self._stream.thing.wait_for_event(held.thing)
        event.host.wait()

    def mark(self) -> CudaEvent:
        with self._gpu.one_line("mark a stream"):
            self._timer.report()
            event = self._events.mark()
        if self._hands is not None:
            event.host = self._hands.mark()
        return event

    def run(self, work: Callable[[], None]) -> None:
        self._behind(self._copied(), work)

    def launch(self, work: Callable[[int], None]) -> None:
        with self._gpu.one_line(f"run the {self._name}"), self._timer.counted():
            work(int(self._stream.thing.handle))

    def call(self, function: Held, grid: Dim, block: Dim, argument: bytes) -> None:
        """Enqueue a kernel that was prepared for one argument of that many bytes."""
        with self._gpu.one_line(f"run a kernel of the {self._name}"), self._timer.counted():
            function.thing.prepared_async_call(grid, block, self._stream.thing, argument)

    def copy(self, source: Tensor, target: Tensor) -> None:
        one, other = on_gpu(source), on_gpu(target)
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise TypeError(f"{one.dtype} {one.shape} cannot be copied to {other.dtype} {other.shape}")
        with self._gpu.one_line("copy"), self._timer.counted():
            self._gpu.driver.memcpy_dtod_async(other.address, one.address, one.nbytes, self._stream.thing)

    def zero(self, target: Tensor) -> None:
        tensor = on_gpu(target)
        with self._gpu.one_line("clear memory"), self._timer.counted():
            self._gpu.driver.memset_d8_async(tensor.address, 0, tensor.nbytes, self._stream.thing)

    def write(self, target: Tensor, fill: Callable[[HostArray], None]) -> None:
        """`fill` is called by the caller's thread, before this returns."""
        tensor = on_gpu(target)
        form, array = self._pinned.take(tensor)
        with self._clock.busy(self._name):
            fill(array)
        with self._gpu.one_line("upload"), self._timer.counted():
            self._gpu.driver.memcpy_htod_async(tensor.address, array, self._stream.thing)
        self._pinned.put(form, array, self._copied())

    def read(self, source: Tensor, take: Callable[[HostArray], None]) -> Event:
        tensor = on_gpu(source)
        form, array = self._pinned.take(tensor)
        with self._gpu.one_line("download"), self._timer.counted():
            self._gpu.driver.memcpy_dtoh_async(array, tensor.address, self._stream.thing)
        copied = self._copied()
        taken = self._behind(copied, partial(take, array))
        self._pinned.put(form, array, taken)
        return copied

    def cancel(self) -> None:
        """What the GPU has begun it finishes."""
        if self._hands is not None:
            self._hands.cancel()

    def rest(self) -> None:
        if self._stream.gone:
            return
        with afterwards(self._finish):
            if self._hands is not None:
                self._hands.rest()

    def close(self) -> None:
        if not self._stream.gone:
            with afterwards(self._give_back):
                self.rest()

    def _finish(self) -> None:
        try:
            with self._gpu.one_line("finish a stream"):
                self._stream.thing.synchronize()
                self._timer.report()
        except DeviceFailed as failure:
            self._stopped = str(failure)
            raise
        finally:
            self._timer.close()

    def _give_back(self) -> None:
        self._events.close(self._stopped)
        self._pinned.close()
        self._gpu.drop(self._stream)

    def _copied(self) -> CudaEvent:
        """When the GPU is through with what was enqueued, whatever the stream's thread still does."""
        with self._gpu.one_line("mark a stream"):
            return self._events.mark()

    def _behind(self, event: Event, work: Callable[[], None]) -> Event:
        """Let the stream's thread call `work` after `event`."""
        if self._hands is None:
            self._hands = WorkerStream(self._name, self._clock, self._gpu.bound)
        self._hands.wait(event)
        self._hands.run(work)
        return self._hands.mark()


def on_gpu(tensor: Tensor) -> CudaTensor:
    """The tensor; raises `TypeError` for one in other memory."""
    if not isinstance(tensor, CudaTensor):
        raise TypeError(f"a tensor of {type(tensor).__name__} is not in the GPU's memory")
    return tensor
