"""Memory, streams and events of the machine that a network runs on: the host and CUDA behind one face.

Note [Order between streams]
    A stream does its work in order; between two streams only events order anything.  Whoever writes a buffer sets
    `ready` to its stream's mark, and whoever reads it waits for that first.  Whoever reads it says with `hold` when it
    is through.  A lease may end before that: before it is written again its stream waits for all that still hold.
    One thread, which enqueues, touches pools, buffers and the streams' face; no lock is needed for them.

Note [Who owns what]
    What lies on a device has one owner that ends it, in a thread that may use the device, and in this order: streams
    come to rest; programs forget the graphs that they recorded; streams free their events and pinned memory; pools
    free their buffers.  That much ends with a clip.  Programs, streams of their own, kernels and the device itself end
    with the session, in this order.
    Nothing waits for Python to find out that nobody needs it: the last to hold it may be an error's traceback, or
    another thread.  What ends late, or after the device was lost, never hides the first error.
"""

from __future__ import annotations

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

    def rest(self) -> None:
        """Cancel, and wait until nothing of the stream's runs any more; raises what it could not be ended for."""
        ...

    def close(self) -> None:
        """Rest, and give back what the stream holds; raises as `rest`.  A second time it does nothing."""
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
        """New memory with undefined contents; raises `DeviceFull` when there is too little, or `DeviceFailed`."""
        ...

    def free(self, tensor: Tensor) -> None:
        """End what `allocate` gave, which nobody works on any more; for a thread that may use the device."""
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

    def close(self) -> None:
        """Free whatever is left of all this: streams, kernels, memory, and then the device itself; never fails."""
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


def host_array(tensor: Tensor) -> HostArray:
    """The array that a tensor is on the host; raises `TypeError` for one in other memory."""
    if not isinstance(tensor, np.ndarray):
        raise TypeError(f"a tensor of {type(tensor).__name__} is not in the host's memory")
    return cast(HostArray, tensor)
