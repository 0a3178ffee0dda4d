"""Memory, streams and events of the machine that a network runs on: the host and CUDA behind one face.

Note [Order between streams]
    A stream does its work in order; between two streams only events order anything.  Whoever writes a buffer sets
    `ready` to its stream's mark, and whoever reads it waits for that first.  Whoever reads it says with `hold` when it
    is through.  A lease may end before that: before it is written again its stream waits for all that still hold.
    One thread, which enqueues, touches pools, buffers and the streams' face; no lock is needed for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
HostArray = npt.NDArray[Any]
Shape = tuple[int, ...]
Memory = Literal["host", "cuda"]
MEMORIES: tuple[Memory, ...] = ("host", "cuda")

_SPARES = 2  # buffers of one form that are not leased but still held: one is used while the other one is refilled


class Tensor(Protocol):
    """C-contiguous numbers in the device's memory; on the host it is a NumPy array."""

    @property
    def shape(self) -> Shape:
        """Length of every axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a number."""
        ...

    @property
    def nbytes(self) -> int:
        """Size of all of them."""
        ...

    def __getitem__(self, rows: slice, /) -> Any:
        """Part of the first axis, in the same memory."""
        ...


class Event(Protocol):
    """A point in a stream's work."""

    def done(self) -> bool:
        """Whether the stream has passed it; does not wait."""
        ...

    def wait(self) -> None:
        """Block the calling thread until it has; raises what stopped the stream before it came there."""
        ...


class Stream(Protocol):
    """Work that is done in order, beside that of other streams; each call returns when the work is enqueued."""

    def wait(self, event: Event) -> None:
        """Begin what is enqueued from now on after `event`."""
        ...

    def mark(self) -> Event:
        """When all that was enqueued so far is done."""
        ...

    def run(self, work: Callable[[], None]) -> None:
        """Call `work` on the host, in a thread of the stream's choice."""
        ...

    def launch(self, work: Callable[[int], None]) -> None:
        """Let `work` enqueue on the stream's handle, as inference libraries take it; 0 on the host."""
        ...

    def copy(self, source: Tensor, target: Tensor) -> None:
        """Numbers from one place in the device's memory to another; shape and type are the same."""
        ...

    def zero(self, target: Tensor) -> None:
        """Set all numbers to 0."""
        ...

    def write(self, target: Tensor, fill: Callable[[HostArray], None]) -> None:
        """Let `fill` write an array of the host, whose contents become those of `target`."""
        ...

    def read(self, source: Tensor, take: Callable[[HostArray], None]) -> Event:
        """Show `take` the contents of `source`, in an array of the host that it must not keep.

        Returns when `source` may be written again, which may come before `take` is through.
        """
        ...

    def cancel(self) -> None:
        """Drop what is enqueued; events that it led to raise for whoever waits for them.  Returns at once."""
        ...

    def close(self) -> None:
        """Cancel, and wait until the stream is at rest."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel's name, its only parameter, and how many threads it needs; blocks are `kernels.layout.BLOCK`."""

    kernel: str
    call: bytes
    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class KernelImage:
    """Compiled kernels, as a device loads them."""

    path: Path
    data: bytes
    cuda: str  # the oldest CUDA release whose driver loads them, such as 13.0


class Kernels(Protocol):
    """The kernels of `kernels/`, loaded on a device."""

    def address_of(self, tensor: Tensor) -> int:
        """Where a kernel finds it."""
        ...

    def enqueue(self, launch: Launch, inputs: Sequence[Tensor], outputs: Sequence[Tensor], stream: Stream) -> None:
        """Let `stream` run a kernel, whose call holds the addresses of `inputs` and `outputs`; never waits.

        Both name what the kernel touches, for whoever watches the order; a tensor that it adds to stands in both.
        """
        ...


class Device(Protocol):
    """Where a network runs."""

    @property
    def memory(self) -> Memory:
        """Which memory its tensors are in."""
        ...

    def allocate(self, form: Form) -> Tensor:
        """New memory with undefined contents; raises `DeviceFailed` when there is too little."""
        ...

    def stream(self, name: str) -> Stream:
        """A new stream, its work counted by the clock as that of stage `name`."""
        ...

    def bound(self) -> AbstractContextManager[None]:
        """Inside it the calling thread may use the device."""
        ...

    def context(self) -> int:
        """The handle by which other libraries work where this device does; 0 on the host."""
        ...

    def kernels(self, image: Callable[[], KernelImage]) -> Kernels | None:
        """The kernels of `image`, loaded; None where NumPy does their work.  Raises `DeviceFailed`, or as `image`."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """What a buffer is to hold."""

    shape: Shape
    dtype: str = "float32"  # as NumPy calls it


class Reached:
    """The event of a stream that does its work while it is enqueued."""

    def done(self) -> bool:
        """Always."""
        return True

    def wait(self) -> None:
        """Return at once."""


REACHED = Reached()


class Buffer:
    """Memory on lease from a pool; `release` gives it back, after which nobody may enqueue work on it."""

    __slots__ = ("_holds", "_pool", "form", "ready", "tensor", "writer")

    def __init__(self, tensor: Tensor, form: Form, writer: Stream, pool: Pool) -> None:
        self.tensor = tensor
        self.form = form
        self.writer = writer  # the one stream that ever writes here, in one lease after another
        self.ready: Event = REACHED  # when what was last written is there
        self._pool = pool
        self._holds: list[Event] = []

    def rows(self, begin: int, end: int) -> Tensor:
        """`begin` to `end` of the first axis."""
        part: Tensor = self.tensor[begin:end]
        return part

    def hold(self, event: Event) -> None:
        """Nobody may write here before `event`, even if the lease ends sooner."""
        if not event.done():
            self._holds = [held for held in self._holds if not held.done()]
            self._holds.append(event)

    def held(self) -> bool:
        """Whether somebody still reads."""
        return not all(event.done() for event in self._holds)

    def reopen(self) -> None:
        """Let the writer write again, but nothing before everybody else is through."""
        for event in self._holds:
            self.writer.wait(event)
        self._holds.clear()

    def release(self) -> None:
        """Return the memory to the pool."""
        self._pool.put(self)


class Pool:
    """Buffers by form and by the stream that writes them; for each as many as were ever on lease at once, and two more.

    Streams do not share buffers: one would wait until what another one did there is read, and so for no reason.
    Not thread-safe: a pool belongs to the one thread that enqueues.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._free: dict[tuple[Form, Stream], deque[Buffer]] = {}  # in the order in which they came back
        self._leased: set[int] = set()
        self._leased_bytes = 0

    @property
    def leased(self) -> int:
        """How many buffers have not come back."""
        return len(self._leased)

    @property
    def leased_bytes(self) -> int:
        """The memory of those buffers."""
        return self._leased_bytes

    def take(self, form: Form, stream: Stream) -> Buffer:
        """A buffer with undefined contents, for `stream` to write."""
        buffer = self._free_one(form, stream) or Buffer(self._device.allocate(form), form, stream, self)
        buffer.reopen()
        self._leased.add(id(buffer))
        self._leased_bytes += buffer.tensor.nbytes
        return buffer

    def put(self, buffer: Buffer) -> None:
        """Take `buffer` back; raises `ValueError` when it is not on lease."""
        if id(buffer) not in self._leased:
            raise ValueError("a buffer was released that is not on lease from this pool")
        self._leased.remove(id(buffer))
        self._leased_bytes -= buffer.tensor.nbytes
        self._free.setdefault((buffer.form, buffer.writer), deque()).append(buffer)

    def _free_one(self, form: Form, stream: Stream) -> Buffer | None:
        """The last one that came back and is not held; the first one when enough of them are; None: make another."""
        free = self._free.get((form, stream))
        if not free:
            return None
        for place in range(len(free) - 1, -1, -1):
            if not free[place].held():
                buffer = free[place]
                del free[place]
                return buffer
        return free.popleft() if len(free) >= _SPARES else None


def host_array(tensor: Tensor) -> HostArray:
    """The array that a tensor is on the host; raises `TypeError` for one in other memory."""
    if not isinstance(tensor, np.ndarray):
        raise TypeError(f"a tensor of {type(tensor).__name__} is not in the host's memory")
    return cast(HostArray, tensor)
