"""A session watched from outside: when its device was busy, and its programs with what they were called with."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, cast

from runtime.clock import Clock
from runtime.device import Device, Form, Memory, Stream, Tensor
from runtime.devices import MakeDevice, open_device
from runtime.program import Backend, Request, Tensors

COPIES = ("upload", "download")  # streams that only move data between host and device

Interval = tuple[float, float]


class Recording(Clock):
    """A session's clock that also keeps every interval that it is told of."""

    def __init__(self, told: Clock) -> None:
        super().__init__()
        self._told = told
        self.intervals: dict[str, list[Interval]] = {}

    @contextmanager
    def busy(self, stage: str) -> Generator[None, None, None]:
        """As a clock's."""
        with self._told.busy(stage):
            yield

    def begin(self) -> float:
        """As a clock's."""
        return self._told.begin()

    def end(self, token: float, stage: str, begin_s: float, end_s: float) -> None:
        """As a clock's; the interval is kept."""
        self._told.end(token, stage, begin_s, end_s)
        self.intervals.setdefault(stage, []).append((begin_s, end_s))


class Seen:
    """A program and the tensors of its last call; all else is the program's own."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.inputs: Mapping[str, Tensor] = {}
        self.outputs: Mapping[str, Tensor] = {}
        self.kept: tuple[Tensors, Tensors] | None = None  # copies of both that outlive a clip

    @property
    def tensors(self) -> tuple[Tensors, Tensors]:
        """Inputs and outputs that may still be used when the clip is done."""
        return self.kept or (self.inputs, self.outputs)

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        """As a program's."""
        self.inputs, self.outputs = dict(inputs), dict(outputs)
        self.program.enqueue(inputs, outputs, stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)


class Spy:
    """A backend that keeps what it opens; all else is the backend's own."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.programs: dict[str, Seen] = {}  # by stage, the last one opened
        self.device: Device | None = None
        self.clock: Recording | None = None

    def open(self, request: Request) -> Seen:
        """As the backend's; the program is kept."""
        seen = Seen(self._backend.open(request))
        self.programs[request.stage.name] = seen
        request.at_rest(partial(self._keep, seen))
        return seen

    def backend(self) -> Backend:
        """Itself, as a session takes it."""
        return cast("Backend", self)

    def make_device(self, opener: MakeDevice = open_device) -> MakeDevice:
        """What a session is to open its device with."""

        def opened(memory: Memory, clock: Clock, windows: int) -> Device:
            self.clock = Recording(clock)
            self.device = opener(memory, self.clock, windows)
            return self.device

        return opened

    def _keep(self, seen: Seen) -> None:
        """Copy the tensors of its first clip's last call, now that the clip is done: their memory is about to be freed.

        No later clip's, so that those that are timed are none the slower for it.
        """
        device = self.device
        if device is not None and device.memory != "host" and seen.kept is None:
            with closing(device.stream("keep")) as stream:
                seen.kept = (copies(seen.inputs, device, stream), copies(seen.outputs, device, stream))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def copies(tensors: Tensors, device: Device, stream: Stream) -> Tensors:
    """The tensors again, with the numbers of a real call: how long a GPU takes depends on them."""
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.shape:  # the length of an axis, which stays on the host
            made[name] = tensor
            continue
        made[name] = device.allocate(Form(tensor.shape, tensor.dtype.name))
        stream.copy(tensor, made[name])
    return made


def free(made: Iterable[Tensors], device: Device) -> None:
    """End what `copies` made."""
    for tensor in (tensor for tensors in made for tensor in tensors.values() if tensor.shape):
        device.free(tensor)


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same moments in intervals that neither touch nor overlap, in order."""
    merged: list[Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end > begin:
            merged.append((begin, end))
    return merged


def length(intervals: Iterable[Interval]) -> float:
    """Seconds in which at least one of them runs."""
    return sum(end - begin for begin, end in union(intervals))


def within(intervals: Iterable[Interval], span: Interval) -> Iterator[Interval]:
    """What of them lies in `span`."""
    return ((max(begin, span[0]), min(end, span[1])) for begin, end in intervals if end > span[0] and begin < span[1])


def exposed(intervals: Mapping[str, Iterable[Interval]]) -> float:
    """Seconds in which something is copied while nothing is computed."""
    copies = [each for stage, found in intervals.items() if stage in COPIES for each in found]
    work = [each for stage, found in intervals.items() if stage not in COPIES for each in found]
    return length([*copies, *work]) - length(work)
