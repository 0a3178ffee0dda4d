"""Host streams that pause before every piece of work, by delays that a test chooses."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence

from hypothesis import strategies as st

from runtime._device.host import HostDevice, WorkerStream
from runtime.clock import Clock
from runtime.device import Stream

STREAMS: tuple[str, ...] = ("upload", "encoder", "transformer", "decoder", "download")
Delays = Mapping[str, Sequence[float]]  # by stream, seconds, over and over again

_PAUSES = st.lists(st.sampled_from([0.0, 0.0, 0.0003, 0.001, 0.003]), min_size=1, max_size=6)
_OF_EACH: dict[str, st.SearchStrategy[list[float]]] = dict.fromkeys(STREAMS, _PAUSES)
delays_of_streams = st.fixed_dictionaries(_OF_EACH)


class SlowedStream(WorkerStream):
    """Sleeps for the next of `delays` before each piece of work."""

    def __init__(self, name: str, clock: Clock, delays: Sequence[float]) -> None:
        self._delays = itertools.cycle(delays)
        super().__init__(name, clock)

    def run(self, work: Callable[[], object]) -> None:
        pause = next(self._delays)

        def late() -> None:
            time.sleep(pause)
            work()

        super().run(late if pause else work)


class SlowedDevice(HostDevice):
    """Every stream is a thread; `delays` may be changed between one clip and the next."""

    def __init__(self, clock: Clock, delays: Delays) -> None:
        super().__init__(clock, threads=True)
        self._of = clock
        self.delays = delays

    def stream(self, name: str) -> Stream:
        return SlowedStream(name, self._of, self.delays.get(name, (0.0,)))
