"""How long each stage was busy, and how long several were at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TypeVar

from runtime._clock_overlap import Overlap

T = TypeVar("T")


class Clock:
    """Seconds of work by stage, added up across threads.

    Work is counted once: what a block inside another one spends belongs to the inner one's stage.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._overlap = Overlap()
        self._lock = threading.Lock()
        self._thread = _Nesting()

    @contextmanager
    def busy(self, stage: str) -> Generator[None, None, None]:
        """Count the time inside the block as work of `stage`."""
        with self._measured(stage):
            yield

    def timed(self, stage: str, items: Iterable[T]) -> Generator[T, None, None]:
        """`items`, the time to produce each counted as work of `stage`."""
        return self._each(stage, items)

    def apart(self, items: Iterable[T]) -> Generator[T, None, None]:
        """`items`, the time to produce each counted as no work of the stage that asks for them."""
        return self._each(None, items)

    def seconds(self) -> dict[str, float]:
        """Busy seconds by stage, in the order in which the stages first finished some work."""
        with self._lock:
            return dict(self._seconds)

    def overlap(self) -> float:
        """Seconds in which at least two threads or streams were busy; of work that is through."""
        with self._lock:
            return self._overlap.seconds()

    def now(self) -> float:
        """Seconds of the clock that `begin` and `end` speak of."""
        return time.perf_counter()

    def begin(self) -> float:
        """Announce work elsewhere, on a GPU, that begins now or later; returns a token for `end`."""
        with self._lock:
            now = time.perf_counter()
            self._overlap.begin(now)
            return now

    def end(self, token: float, stage: str, begin_s: float, end_s: float) -> None:
        """Count announced work as work of `stage`: it took from `begin_s` to `end_s`, as `now` counts."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + end_s - begin_s
            self._overlap.end(token, max(begin_s, token), end_s)

    def _each(self, stage: str | None, items: Iterable[T]) -> Generator[T, None, None]:
        iterator = iter(items)
        try:
            while True:
                with self._measured(stage):
                    try:
                        item = next(iterator)
                    except StopIteration:
                        return
                yield item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    @contextmanager
    def _measured(self, stage: str | None) -> Generator[None, None, None]:
        outside, self._thread.inner_s = self._thread.inner_s, 0.0
        around, self._thread.stage = self._thread.stage, stage
        start = self._switch(around, stage)
        try:
            yield
        finally:
            self._thread.stage = around
            now = self._switch(stage, around)
            spent = now - start
            own = spent - self._thread.inner_s
            self._thread.inner_s = outside + spent
            if stage is not None:
                with self._lock:
                    self._seconds[stage] = self._seconds.get(stage, 0.0) + own

    def _switch(self, before: str | None, after: str | None) -> float:
        """The time at which this thread goes from one stage to another; None is no work."""
        if (before is None) == (after is None):
            return time.perf_counter()
        with self._lock:
            now = time.perf_counter()
            if after is not None:
                self._thread.since = now
                self._overlap.begin(now)
            else:
                self._overlap.end(self._thread.since, self._thread.since, now)
            return now


class _Nesting(threading.local):
    inner_s: float = 0.0  # seconds that blocks inside the one that is open have spent
    stage: str | None = None  # of the innermost block
    since: float = 0.0  # when this thread last began to be busy
