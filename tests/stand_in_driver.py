"""What pycuda.driver gives out, for `FakeCuda`: each thing counted, and freed when nobody holds it or when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntFlag
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.stand_in_owned import Owned

if TYPE_CHECKING:
    from tests.stand_in_cuda import FakeCuda

FREED = 0xDD  # what lies where memory was freed
LOST = "cuEventSynchronize failed: unspecified launch failure"


class Error(Exception):
    """pycuda.driver.Error."""


class OutOfMemory(Error):
    """pycuda.driver.MemoryError."""


class FakeStream:
    """A thread; `handle` leads back to it."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.handle = 1 + len(cuda.streams)
        cuda.streams[self.handle] = self
        self.error: Error | None = None
        self.recording: list[Callable[[], object]] | None = None  # what is put while a graph is captured
        self.destroyed = False
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def put(self, operation: Callable[[], object]) -> None:
        self.cuda.need_context()
        if self.destroyed:
            raise Error("cuStreamGetFlags failed: invalid resource handle")
        if self.error is not None:
            raise self.cuda.told(self.error)
        if self.recording is None:
            self._queue.put(operation)
        else:
            self.recording.append(operation)

    def synchronize(self) -> None:
        self.cuda.need_context()
        reached = threading.Event()
        self._queue.put(reached.set)
        reached.wait()
        if self.error is not None:
            raise self.cuda.told(self.error)

    def destroy(self) -> None:
        self.destroyed = True
        if not (self._queue.empty() or self.cuda.lost):
            self.cuda.owned.fault("a stream was destroyed while it worked")

    def end(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (operation := self._queue.get()) is not None:
            time.sleep(next(self.cuda.delays))
            operation()


class _Owning:
    """What pycuda destroys when nobody holds it any more."""

    _number = 0  # until it is there

    def __init__(self, owned: Owned, kind: str) -> None:
        self._owned, self._number = owned, owned.make(kind)

    def free(self) -> None:
        if not self._owned.lives(self._number):
            raise Error("free failed: invalid resource handle")
        self._owned.end(self._number)

    def __del__(self) -> None:
        if not self._number or not self._owned.lives(self._number):
            return
        if self._owned.contexts:
            self.free()
        else:
            self._owned.end(self._number)  # it went with its context


class DriverStream(_Owning):
    """pycuda.driver.Stream: the thread itself does not end with it."""

    def __init__(self, cuda: FakeCuda, flags: int) -> None:
        cuda.need_context()
        assert flags == 1, "a blocking stream would wait for the default stream"
        self._fake = FakeStream(cuda)
        self.handle = self._fake.handle
        self.put, self.synchronize = self._fake.put, self._fake.synchronize
        super().__init__(cuda.owned, "stream")

    def wait_for_event(self, event: DriverEvent) -> None:
        """For the work that the event stands for now, whatever it is recorded for later."""
        if event.last is not None:
            self.put(event.last.passed.wait)

    def free(self) -> None:
        self._fake.destroy()
        super().free()


class _Recorded:
    """A point in a stream's work; passed when the stream came to it."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.passed = threading.Event()
        self.error: Error | None = None
        self.at = 0.0

    def reach(self, stream: FakeStream) -> None:
        self.at = time.perf_counter()
        try:
            self._cuda.operate()
        except Error as error:
            self.error = stream.error = error
        self.passed.set()


class EventFlags(IntFlag):
    """pycuda.driver.event_flags."""

    DEFAULT = 0
    BLOCKING_SYNC = 1
    DISABLE_TIMING = 2


class DriverEvent(_Owning):
    """pycuda.driver.Event; recorded again it stands for the later point."""

    def __init__(self, cuda: FakeCuda, flags: int) -> None:
        cuda.need_context()
        if not flags & EventFlags.BLOCKING_SYNC:
            cuda.owned.fault("event: whoever waits for it spins")
        self._cuda = cuda
        self.last: _Recorded | None = None
        super().__init__(cuda.owned, "event")

    def record(self, stream: DriverStream) -> DriverEvent:
        point, fake = _Recorded(self._cuda), self._cuda.streams[stream.handle]
        stream.put(lambda: point.reach(fake))
        self.last = point
        return self

    def query(self) -> bool:
        self._cuda.need_context()
        return self.last is None or (self._told(self.last) and self.last.passed.is_set())

    def synchronize(self) -> None:
        self._cuda.need_context()
        if self.last is not None:
            self.last.passed.wait()
            self._told(self.last)

    def time_since(self, other: DriverEvent) -> float:
        assert self.last is not None
        assert other.last is not None
        return (self.last.at - other.last.at) * 1000

    def _told(self, point: _Recorded) -> bool:
        if point.error is not None:
            raise self._cuda.told(point.error)
        return True


class DriverDevice:
    """pycuda.driver.Device."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def name(self) -> str:
        return "Fake GPU"

    def retain_primary_context(self) -> DriverContext:
        return DriverContext(self._cuda)


class DriverContext:
    """A primary context, retained."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda, self.handle, self._valid = cuda, cuda.context, True
        cuda.owned.contexts += 1

    def push(self) -> None:
        assert self._valid
        self._cuda.binds("push")

    def detach(self) -> None:
        if not self._valid:
            raise Error("context::detach failed: invalid device context")
        self._valid = False
        self._cuda.owned.given_back()


class DriverContexts:
    """pycuda.driver.Context: what concerns whichever context is current."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def pop(self) -> None:
        if not self._cuda.here.depth:
            raise Error("context::pop failed: invalid device context")
        self._cuda.binds("pop")

    def synchronize(self) -> None:
        self._cuda.need_context()
        for stream in list(self._cuda.streams.values()):
            if not stream.destroyed:
                stream.synchronize()


class DeviceAllocation(_Owning):
    """Memory of the GPU's; it stays where it is when it was freed, but is no longer what it was."""

    def __init__(self, cuda: FakeCuda, size: int) -> None:
        cuda.need_context()
        if size > cuda.free_bytes:
            raise OutOfMemory("cuMemAlloc failed: out of memory")
        cuda.free_bytes -= size
        self._cuda, self._bytes = cuda, np.full(size, 77, np.uint8)
        cuda.allocated.append(self._bytes)
        super().__init__(cuda.owned, "memory")

    def __int__(self) -> int:
        return int(self._bytes.ctypes.data)

    def free(self) -> None:
        super().free()
        self._cuda.free_bytes += self._bytes.size
        self._cuda.freed.append((int(self), int(self) + self._bytes.size))
        self._bytes.fill(FREED)


class PinnedAllocation(_Owning):
    """What an array of `pagelocked_empty` is based on."""

    def __init__(self, cuda: FakeCuda, shape: tuple[int, ...], dtype: Any) -> None:
        cuda.need_context()
        self._cuda, self._array = cuda, np.full(shape, 77, dtype)
        if self._array.nbytes > cuda.free_pinned_bytes:
            raise OutOfMemory("cuMemHostAlloc failed: out of memory")
        cuda.free_pinned_bytes -= self._array.nbytes
        cuda.allocated.append(self._array)
        self.__array_interface__ = self._array.__array_interface__
        super().__init__(cuda.owned, "pinned memory")

    def free(self) -> None:
        super().free()
        self._cuda.free_pinned_bytes += self._array.nbytes
        self._array.reshape(-1).view(np.uint8).fill(FREED)
