"""How long each stage was busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Seconds of work by stage, added up across threads.

    Work is counted once: what a block inside another one spends belongs to the inner one's stage.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
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
        start = time.perf_counter()
        outside, self._thread.inner_s = self._thread.inner_s, 0.0
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            own = spent - self._thread.inner_s
            self._thread.inner_s = outside + spent
            if stage is not None:
                with self._lock:
                    self._seconds[stage] = self._seconds.get(stage, 0.0) + own


class _Nesting(threading.local):
    inner_s: float = 0.0  # seconds that blocks inside the one that is open have spent
