"""Events of an NVIDIA GPU, which belong to the stream that records them."""

from __future__ import annotations

from collections import deque

from runtime._device.gpu import Gpu, Held
from runtime.device import REACHED, Event
from runtime.errors import DeviceFailed


class CudaEvent:
    """A point in the GPU's work, and in that of the stream's thread where it has one."""

    __slots__ = ("_gpu", "_held", "_stopped", "host")

    def __init__(self, gpu: Gpu, held: Held, host: Event) -> None:
        self._gpu = gpu
        self._held: Held | None = held  # None: the GPU has passed it, or never will
        self._stopped: str | None = None  # why it never will
        self.host = host

    @property
    def held(self) -> Held | None:
        """The driver's event; None when there is nothing left on the GPU to wait for."""
        return self._held

    def passed(self) -> bool:
        """Whether the GPU has; raises the driver's errors."""
        held = self._held  # the stream may use it again meanwhile: then it only takes longer
        return held is None or bool(held.thing.query())

    def done(self) -> bool:
        self._insist()
        with self._gpu.one_line("ask for an event"):
            return self.passed() and self.host.done()

    def wait(self) -> None:
        self._insist()
        held = self._held
        if held is not None:
            with self._gpu.one_line("wait for the GPU"):
                held.thing.synchronize()
        self.host.wait()

    def let_go(self, stopped: str | None = None) -> list[Held]:
        """The driver's event, to be used for another point; this one was passed, or `stopped` says why it never is."""
        held, self._held, self._stopped = self._held, None, stopped
        return [] if held is None else [held]

    def _insist(self) -> None:
        if self._stopped is not None:
            raise DeviceFailed(self._stopped)


class CudaEvents:
    """The events of one stream: the driver's are used again as soon as they are passed, and end with the stream.

    Whoever keeps a mark for longer keeps no event of the driver's.  Threads sleep while they wait for one: by default
    the driver has them spin, each on a core that decoding and encoding need.
    """

    def __init__(self, gpu: Gpu, stream: Held) -> None:
        self._gpu, self._stream = gpu, stream
        self._made: list[Held] = []
        self._idle: list[Held] = []
        self._ahead: deque[CudaEvent] = deque()  # marks that the GPU has not passed, in its order

    def mark(self, host: Event = REACHED) -> CudaEvent:
        """When the GPU is through with all that was enqueued; raises the driver's errors."""
        while self._ahead and self._ahead[0].passed():
            self._idle += self._ahead.popleft().let_go()
        event = CudaEvent(self._gpu, self.record(), host)
        self._ahead.append(event)
        return event

    def record(self) -> Held:
        """An event of the driver's at this point of the stream's work, to be given back; raises its errors."""
        stream = self._stream
        if stream.gone:
            raise ValueError("a stream is used that was closed")
        if not self._idle:
            self._idle.append(Held(self._gpu.driver.Event(self._gpu.driver.event_flags.BLOCKING_SYNC)))
            self._made.append(self._idle[-1])
        self._idle[-1].thing.record(stream.thing)
        return self._idle.pop()

    def give_back(self, held: Held) -> None:
        """Let it be used again."""
        self._idle.append(held)

    def close(self, stopped: str | None) -> None:
        """Free them all, when the stream is at rest; marks not passed were `stopped`, None: they were passed."""
        while self._ahead:
            self._ahead.popleft().let_go(stopped)
        self._gpu.drop(*self._made)
        self._made.clear()
        self._idle.clear()
