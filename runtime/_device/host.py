"""The host as a device: its streams do their work at once, or each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from queue import SimpleQueue

import numpy as np

from runtime.clock import Clock
from runtime.device import (
    REACHED,
    Event,
    Form,
    HostArray,
    KernelImage,
    Kernels,
    Memory,
    Stream,
    Tensor,
    host_array,
)

Work = Callable[[], object]
Bound = Callable[[], AbstractContextManager[None]]


class StreamStopped(RuntimeError):
    """The stream was cancelled before it came to this event."""


class _HostStream:
    """What an operation is on the host, whenever it is done."""

    def run(self, work: Work) -> None:
        raise NotImplementedError

    def mark(self) -> Event:
        raise NotImplementedError

    def launch(self, work: Callable[[int], None]) -> None:
        self.run(partial(work, 0))

    def copy(self, source: Tensor, target: Tensor) -> None:
        self.run(partial(np.copyto, host_array(target), host_array(source), casting="no"))

    def zero(self, target: Tensor) -> None:
        self.run(partial(host_array(target).fill, 0))

    def write(self, target: Tensor, fill: Callable[[HostArray], None]) -> None:
        self.run(partial(fill, host_array(target)))

    def read(self, source: Tensor, take: Callable[[HostArray], None]) -> Event:
        self.run(partial(take, host_array(source)))
        return self.mark()


class InlineStream(_HostStream):
    """Does its work while it is enqueued: no thread, and an error is raised where it was caused."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock

    def wait(self, event: Event) -> None:
        event.wait()

    def mark(self) -> Event:
        return REACHED

    def run(self, work: Work) -> None:
        with self._clock.busy(self._name):
            work()

    def cancel(self) -> None:
        """There is never anything left to drop."""

    def rest(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """There is nothing to give back."""


class HostEvent:
    """A point in the work of a thread."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._error: BaseException | None = None

    def reach(self, error: BaseException | None) -> None:
        """The stream came here, or with `error` it never will."""
        self._error = error
        self._reached.set()

    def done(self) -> bool:
        return self._reached.is_set()

    def wait(self) -> None:
        self._reached.wait()
        if self._error is not None:
            raise self._error


class WorkerStream(_HostStream):
    """Does its work in a thread of its own.

    What fails stops the stream: the rest is skipped, and whoever waits for one of its events gets the error, be it the
    caller or another stream, which then stops with it.  So it is where the thread cannot enter `bound`; what goes wrong
    when it leaves that is raised by `rest`.
    """

    def __init__(self, name: str, clock: Clock, bound: Bound = nullcontext) -> None:
        """`bound` is entered by the thread for as long as it lives."""
        self._name = name
        self._clock = clock
        self._bound = bound
        self._queue: SimpleQueue[Work | HostEvent | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._unleft: BaseException | None = None  # what went wrong at the very end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def wait(self, event: Event) -> None:
        if not event.done():
            self._queue.put(event.wait)
        else:
            event.wait()  # raises what stopped it

    def mark(self) -> Event:
        event = HostEvent()
        if self._stop.is_set():  # the thread may have ended, and would never come to it
            event.reach(self._error or self._stopped())
        else:
            self._queue.put(event)
        return event

    def run(self, work: Work) -> None:
        self._queue.put(partial(self._timed, work))

    def cancel(self) -> None:
        self._stop.set()
        self._queue.put(None)

    def rest(self) -> None:
        self.cancel()
        self._thread.join()
        unleft, self._unleft = self._unleft, None
        if unleft is not None:
            raise unleft

    def close(self) -> None:
        self.rest()

    def _timed(self, work: Work) -> None:
        with self._clock.busy(self._name):
            work()

    def _serve(self) -> None:
        bound = ExitStack()
        self._error = _error_of(lambda: bound.enter_context(self._bound()))
        while (item := self._queue.get()) is not None:
            if self._stop.is_set() and self._error is None:
                self._error = self._stopped()
            if isinstance(item, HostEvent):
                item.reach(self._error)
            elif self._error is None:
                self._error = _error_of(item)
        self._unleft = _error_of(bound.close)

    def _stopped(self) -> StreamStopped:
        return StreamStopped(f"stream '{self._name}' was stopped")


class HostDevice:
    """The computer's own memory."""

    memory: Memory = "host"

    def __init__(self, clock: Clock, *, threads: bool) -> None:
        """`threads`: whether streams work beside each other."""
        self._clock = clock
        self._threads = threads

    def allocate(self, form: Form) -> Tensor:
        return np.empty(form.shape, form.dtype)

    def free(self, tensor: Tensor) -> None:
        """Nothing: it ends when nobody holds it any more."""

    def stream(self, name: str) -> Stream:
        return WorkerStream(name, self._clock) if self._threads else InlineStream(name, self._clock)

    def bound(self) -> AbstractContextManager[None]:
        return nullcontext()

    def context(self) -> int:
        return 0

    def kernels(self, image: Callable[[], KernelImage]) -> Kernels | None:
        """None, and `image` is not even read."""
        return None

    def close(self) -> None:
        """Nothing: its streams hold nothing but a thread, which ends when they are closed."""


def _error_of(work: Work) -> BaseException | None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001  (crosses to whoever waits, whatever it is)
        return error
    return None
