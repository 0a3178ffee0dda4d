"""Buffers on a device, used again and again."""

from __future__ import annotations

from collections import deque
from itertools import chain

from runtime.device import REACHED, Device, Event, Form, Stream, Tensor
from runtime.errors import DeviceFull

_SPARES = 2  # buffers of one form that are not leased but still held: one is used while the other one is refilled
_IDLE_BYTES = 256 << 20  # that spares may hold in any case


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

    def rest(self) -> None:
        """Wait until nobody works on it any more, the writer with what else it was given; after its lease."""
        self.reopen()
        self.writer.mark().wait()

    def release(self) -> None:
        """Return the memory to the pool."""
        self._pool.put(self)


class Pool:
    """Buffers by form and by the stream that writes them; for each as many as were ever on lease at once, and two more.

    Streams do not share buffers: one would wait until what another one did there is read, and so for no reason.
    Forms come and go, those of a clip's regions above all.  A pool grows only where a form has no spare, and before it
    does, the spares that came back longest ago are freed while all of them together hold more than was ever on lease at
    once, or than 256 MiB where that is more.  So a pool never has more than twice its need, or 256 MiB more; and one
    whose forms recur, as those of nearly all clips do, comes to where it neither frees nor allocates.  Where the
    device's memory is used up all spares are freed, and it is asked once more.
    Not thread-safe: a pool belongs to the one thread that enqueues.
    """

    def __init__(self, device: Device, beside: Pool | None = None) -> None:
        """`beside`: another pool of the same thread; all such pools free their spares where memory is used up."""
        self._device = device
        self.together: list[Pool] = [] if beside is None else beside.together  # all of them, this one too
        self.together.append(self)
        self._free: dict[tuple[Form, Stream], deque[Buffer]] = {}  # in the order in which they came back
        self._leased: dict[int, Buffer] = {}  # by identity
        self._leased_bytes = self._most_bytes = self._idle_bytes = 0
        self._closed = False

    @property
    def leased(self) -> int:
        """How many buffers have not come back."""
        return len(self._leased)

    @property
    def leased_bytes(self) -> int:
        """The memory of those buffers."""
        return self._leased_bytes

    @property
    def idle_bytes(self) -> int:
        """The memory of the spares."""
        return self._idle_bytes

    def take(self, form: Form, stream: Stream) -> Buffer:
        """A buffer with undefined contents, for `stream` to write; raises `DeviceFull`, or `DeviceFailed`."""
        if self._closed:
            raise ValueError("a buffer was asked of a pool that is closed")
        buffer = self._free_one(form, stream) or Buffer(self._grown(form), form, stream, self)
        buffer.reopen()
        self._leased[id(buffer)] = buffer
        self._leased_bytes += buffer.tensor.nbytes
        self._most_bytes = max(self._most_bytes, self._leased_bytes)
        return buffer

    def put(self, buffer: Buffer) -> None:
        """Take `buffer` back; raises `ValueError` when it is not on lease."""
        if self._leased.pop(id(buffer), None) is None:
            raise ValueError("a buffer was released that is not on lease from this pool")
        self._leased_bytes -= buffer.tensor.nbytes
        if self._closed:
            return
        self._idle_bytes += buffer.tensor.nbytes
        key = (buffer.form, buffer.writer)
        spares = self._free.pop(key, None)
        self._free[key] = deque() if spares is None else spares  # the last one now
        self._free[key].append(buffer)

    def close(self) -> None:
        """Free everything, when all streams that wrote or read here are at rest.

        Leases end with it: what is on lease, after an error or Ctrl-C, is freed as well, and may be released or not.
        """
        if self._closed:
            return
        self._closed = True
        for buffer in chain(self._leased.values(), *self._free.values()):
            self._device.free(buffer.tensor)
        self._free.clear()
        self._idle_bytes = 0
        self.together.remove(self)

    def trim(self, most_bytes: int) -> None:
        """Free spares, those first whose form was not given back for longest, until they hold `most_bytes` at most."""
        while self._idle_bytes > most_bytes:
            key, spares = next(iter(self._free.items()))
            if not spares:
                del self._free[key]
                continue
            spares[0].rest()
            tensor = spares.popleft().tensor
            self._idle_bytes -= tensor.nbytes
            self._device.free(tensor)

    def _grown(self, form: Form) -> Tensor:
        """New memory, where there is any, and spares that may be too many are freed for it."""
        self.trim(max(_IDLE_BYTES, self._most_bytes))
        try:
            return self._device.allocate(form)
        except DeviceFull:
            if not any(pool.idle_bytes for pool in self.together):
                raise
        for pool in self.together:
            pool.trim(0)
        return self._device.allocate(form)

    def _free_one(self, form: Form, stream: Stream) -> Buffer | None:
        """The last one that came back and is not held; the first one when enough of them are; None: make another."""
        free = self._free.get((form, stream))
        if not free:
            return None
        for place in range(len(free) - 1, -1, -1):
            if not free[place].held():
                break
        else:
            if len(free) < _SPARES:
                return None
            place = 0
        buffer = free[place]
        del free[place]
        self._idle_bytes -= buffer.tensor.nbytes
        return buffer
