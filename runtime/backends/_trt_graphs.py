"""CUDA graphs of a program: a call that comes back with the same addresses is recorded, and launched from then on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from runtime._device.graph import Graph, capture, load_driver
from runtime.errors import DeviceFailed

# A graph holds the addresses that it was recorded with, and buffers come from a pool.  Writing other addresses into a
# graph means to record again, which costs more than to enqueue; buffers of the program's own, copied to and from, mean
# two copies of everything.  But a pool hands the same few buffers out over and over: in 400 frames with windows of 11+5
# the encoder met 31 sets of addresses, the transformer 2, the decoder 44.  So graphs are kept by address.  The first
# call with its addresses is enqueued plainly: libraries allocate then, and addresses that never come back are not worth
# a recording.  Where more are in turn than are kept, as with many regions, calls are plain and nothing is recorded.

# What of them cannot be launched again is freed before that: those of a buffer that its pool has freed, whose addresses
# may come back as another buffer's, and all of them when the program is given other shapes, on which what they recorded
# depends.  The transformer has a program for the usual window alone, so that its graphs are not lost to the others.
MOST = 256  # of a program's sets of addresses, least recently used first to go

Work = Callable[[int], None]  # enqueues on a stream's handle


class Call(Protocol):
    """All that tells one piece of work from another; hashed and compared."""

    @property
    def shapes(self) -> object:
        """What a graph depends on besides addresses."""
        ...

    @property
    def gone(self) -> bool:
        """Whether one of its buffers was freed, so that it never comes again."""
        ...

    def __hash__(self) -> int: ...


C = TypeVar("C", bound=Call)


class Graphs(Generic[C]):
    """The graphs of one program, which works on one stream at a time."""

    def __init__(self, what: str, tell: Callable[[str], None], capturable: Callable[[int], bool]) -> None:
        self._what = what
        self._tell = tell
        self._capturable = capturable  # asked for each recording: some libraries are not ready at first
        self._known: OrderedDict[C, Graph | None] = OrderedDict()  # None: met once; least recently used first
        self._shapes: object = None  # of all of them
        self._able = True

    def run(self, key: C, work: Work, handle: int) -> None:
        """Let `handle` do `work`, which is the same whenever `key` is; raises `DeviceFailed`."""
        if key not in self._known:
            self._forget(key.shapes)
        graph = self._known.get(key)
        if graph is None and self._able and key in self._known and self._capturable(handle):
            graph = self._recorded(key, work, handle)
        if graph is None:
            work(handle)
            if self._able:
                self._known.setdefault(key)
        else:
            self._launched(graph, work, handle)
        self._trim(key)

    def clear(self) -> None:
        """Forget all of them: their addresses are somebody else's now."""
        for graph in self._known.values():
            _close(graph)
        self._known.clear()

    def _forget(self, shapes: object) -> None:
        """Free those that never come again, now that a call of these shapes comes."""
        if shapes != self._shapes:
            self.clear()
        self._shapes = shapes
        for key in [key for key in self._known if key.gone]:
            _close(self._known.pop(key))

    def _launched(self, graph: Graph, work: Work, handle: int) -> None:
        """Where it fails, as for want of memory, the work is still to be done."""
        try:
            graph.launch(handle)
        except DeviceFailed as error:
            self._give_up(error)
            work(handle)

    def _recorded(self, key: C, work: Work, handle: int) -> Graph | None:
        try:
            graph = self._known[key] = capture(load_driver(), handle, work)
        except DeviceFailed as error:
            self._give_up(error)
            return None
        return graph

    def _give_up(self, error: DeviceFailed) -> None:
        self._able = False
        self.clear()
        self._tell(f"no CUDA graph of the {self._what}, whose work is enqueued anew each time: {error}")

    def _trim(self, key: C) -> None:
        if key in self._known:
            self._known.move_to_end(key)
        while len(self._known) > MOST:
            _close(self._known.popitem(last=False)[1])


def _close(graph: Graph | None) -> None:
    """Free it; the driver waits for one that is still at work, and one of a GPU that is lost went with it."""
    if graph is not None:
        with suppress(DeviceFailed):
            graph.close()
