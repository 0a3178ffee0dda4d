"""A device that checks, while work is enqueued, that events order every two accesses of which one writes.

The rule is that of race detectors: each stream carries a clock with an entry a stream, an event carries a copy of its
stream's, and a wait merges it.  An access is safe when the stream's clock has reached every earlier access to the same
bytes that it conflicts with.  Nothing depends on how fast the streams happen to be.
Source: C. Flanagan, S. N. Freund, "FastTrack", PLDI 2009, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from runtime.bundle import Compute
from runtime.device import (
    Device,
    Event,
    Form,
    HostArray,
    KernelImage,
    Kernels,
    Launch,
    Memory,
    Stream,
    Tensor,
)
from runtime.engines import Machine
from runtime.pool import Buffer
from runtime.program import Backend, Precision, Program, Request, Tensors

Times = dict[str, int]  # by stream, how many of its accesses have happened before


class Hazard(AssertionError):
    """Two streams touch the same memory and no event says in which order."""


@dataclass(frozen=True)
class _Access:
    first: int  # address
    end: int
    stream: str
    time: int
    writes: bool


class Ledger:
    """All accesses that a later one may conflict with."""

    def __init__(self) -> None:
        self.checked = 0
        self._accesses: list[_Access] = []
        self._host: Times = {}  # what the enqueuing thread has waited for, and with it whatever it enqueues
        self._resting: set[str] = set()  # streams of which nothing runs any more

    def passed_host(self, times: Mapping[str, int]) -> None:
        _merge(self._host, times)

    def note(self, stream: CheckedStream, tensor: Tensor, *, writes: bool) -> None:
        """Raises `Hazard`."""
        _merge(stream.times, self._host)
        time = stream.times[stream.name] = stream.times.get(stream.name, 0) + 1
        first = _address(tensor)
        new = _Access(first, first + tensor.nbytes, stream.name, time, writes)
        for old in self._accesses:
            conflicts = (old.writes or writes) and old.first < new.end and new.first < old.end
            if conflicts and stream.times.get(old.stream, 0) < old.time:
                verbs = ["writes" if access.writes else "reads" for access in (new, old)]
                raise Hazard(f"{new.stream} {verbs[0]} what {old.stream} {verbs[1]}, and no event is between them")
        if writes:  # later accesses are ordered after this one, and so after what it replaces
            self._accesses = [old for old in self._accesses if not (new.first <= old.first and old.end <= new.end)]
        self._accesses = [old for old in self._accesses if (old.stream, old.first, old.end, old.writes) != _key(new)]
        self._accesses.append(new)
        self.checked += 1

    def begun(self, stream: str) -> None:
        self._resting.discard(stream)

    def rested(self, stream: str) -> None:
        self._resting.add(stream)

    def freed(self, tensor: Tensor) -> None:
        """Raises `Hazard` where a stream may still work there, for all that the thread knows that frees."""
        first = _address(tensor)
        end = first + tensor.nbytes
        for old in self._accesses:
            known = old.stream in self._resting or self._host.get(old.stream, 0) >= old.time
            if old.first < end and first < old.end and not known:
                raise Hazard(f"what {old.stream} {'writes' if old.writes else 'reads'} is freed")
        self._accesses = [old for old in self._accesses if old.end <= first or end <= old.first]


class CheckedEvent:
    """Never `done`, so that what a fast stream would have passed already must be waited for all the same."""

    def __init__(self, inner: Event, stream: str, times: Times, ledger: Ledger) -> None:
        self.inner, self.stream, self.times, self._ledger = inner, stream, times, ledger

    def done(self) -> bool:
        return False

    def wait(self) -> None:
        self.inner.wait()
        self._ledger.passed_host(self.times)


class CheckedStream:
    """`inner`, watched; `deaf` waits for nothing."""

    def __init__(self, name: str, inner: Stream, ledger: Ledger, *, deaf: bool) -> None:
        self.name, self.inner, self.times = name, inner, Times()
        self._ledger, self._deaf = ledger, deaf
        ledger.begun(name)

    def touch(self, reads: Mapping[Any, Tensor], writes: Mapping[Any, Tensor]) -> None:
        """A program's or a kernel's accesses."""
        for tensor in reads.values():
            self._ledger.note(self, tensor, writes=False)
        for tensor in writes.values():
            self._ledger.note(self, tensor, writes=True)

    def wait(self, event: Event) -> None:
        if self._deaf:
            return
        if isinstance(event, CheckedEvent):
            _merge(self.times, event.times)
            event = event.inner
        self.inner.wait(event)

    def mark(self) -> Event:
        return CheckedEvent(self.inner.mark(), self.name, dict(self.times), self._ledger)

    def run(self, work: Callable[[], None]) -> None:
        self.inner.run(work)

    def launch(self, work: Callable[[int], None]) -> None:
        self.inner.launch(work)

    def copy(self, source: Tensor, target: Tensor) -> None:
        self.touch({"": source}, {"": target})
        self.inner.copy(source, target)

    def zero(self, target: Tensor) -> None:
        self.touch({}, {"": target})
        self.inner.zero(target)

    def write(self, target: Tensor, fill: Callable[[HostArray], None]) -> None:
        self.touch({}, {"": target})
        self.inner.write(target, fill)

    def read(self, source: Tensor, take: Callable[[HostArray], None]) -> Event:
        self.touch({"": source}, {})
        return CheckedEvent(self.inner.read(source, take), self.name, dict(self.times), self._ledger)

    def cancel(self) -> None:
        self.inner.cancel()

    def rest(self) -> None:
        self.inner.rest()
        self._ledger.rested(self.name)

    def close(self) -> None:
        self.inner.close()
        self._ledger.rested(self.name)


class CheckedDevice:
    """`inner`, watched; streams named in `deaf` wait for nothing, a fault made on purpose."""

    def __init__(self, inner: Device, deaf: str = "") -> None:
        self._inner, self._deaf = inner, deaf
        self.ledger = Ledger()
        self._allocated: list[Tensor] = []  # kept, or an address could come back as another buffer's

    def forget(self) -> None:
        """Begin anew, for another clip."""
        self.ledger = Ledger()
        self._allocated.clear()

    @property
    def memory(self) -> Memory:
        return self._inner.memory

    def allocate(self, form: Form) -> Tensor:
        self._allocated.append(self._inner.allocate(form))
        return self._allocated[-1]

    def free(self, tensor: Tensor) -> None:
        self.ledger.freed(tensor)
        self._inner.free(tensor)

    def close(self) -> None:
        self._inner.close()

    def stream(self, name: str) -> Stream:
        return CheckedStream(name, self._inner.stream(name), self.ledger, deaf=name == self._deaf)

    def bound(self) -> AbstractContextManager[None]:
        return self._inner.bound()

    def context(self) -> int:
        return self._inner.context()

    def kernels(self, image: Callable[[], KernelImage]) -> Kernels | None:
        loaded = self._inner.kernels(image)
        return None if loaded is None else CheckedKernels(loaded)


class CheckedKernels:
    """`inner`, what its launches touch noted."""

    def __init__(self, inner: Kernels) -> None:
        self._inner = inner

    def address_of(self, tensor: Tensor) -> int:
        return self._inner.address_of(tensor)

    def enqueue(self, launch: Launch, inputs: Sequence[Tensor], outputs: Sequence[Tensor], stream: Stream) -> None:
        assert isinstance(stream, CheckedStream)
        stream.touch(dict(enumerate(inputs)), dict(enumerate(outputs)))
        self._inner.enqueue(launch, inputs, outputs, stream.inner)


class CheckedBackend:
    """`inner`, its programs' inputs and outputs noted."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.target, self.rank, self.graphs = inner.target, inner.rank, inner.graphs
        self.memory: Memory = inner.memory

    def why_not(self) -> str | None:
        return self._inner.why_not()

    def machine(self) -> Machine | None:
        return self._inner.machine()

    def traits(self) -> tuple[str, ...]:
        return self._inner.traits()

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        return self._inner.precision(asked, compute)

    def open(self, request: Request) -> Program:
        return _CheckedProgram(self._inner.open(request))


class _CheckedProgram:
    def __init__(self, inner: Program) -> None:
        self._inner = inner
        self.compute: Compute = inner.compute

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        assert isinstance(stream, CheckedStream)
        stream.touch(inputs, outputs)
        self._inner.enqueue(inputs, outputs, stream.inner)


def forgetting(stream: str) -> Callable[[Buffer, Event], None]:
    """`Buffer.hold` that forgets what `stream` asked for, a fault made on purpose."""
    hold = Buffer.hold

    def forgetful(self: Buffer, event: Event) -> None:
        if getattr(event, "stream", None) != stream:
            hold(self, event)

    return forgetful


def _key(access: _Access) -> tuple[str, int, int, bool]:
    return (access.stream, access.first, access.end, access.writes)


def _merge(times: Times, others: Mapping[str, int]) -> None:
    for stream, time in others.items():
        times[stream] = max(times.get(stream, 0), time)


def _address(tensor: Any) -> int:
    return int(tensor.__array_interface__["data"][0]) if hasattr(tensor, "__array_interface__") else int(tensor.address)
