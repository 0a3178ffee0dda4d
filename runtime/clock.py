"""How long each stage was busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Seconds of work by stage, added up across threads."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def busy(self, stage: str) -> Generator[None, None, None]:
        """Count the time inside the block as work of `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + spent

    def timed(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """`items`, the time to produce each counted as work of `stage`."""
        iterator = iter(items)
        try:
            while True:
                with self.busy(stage):
                    try:
                        item = next(iterator)
                    except StopIteration:
                        return
                yield item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def seconds(self) -> dict[str, float]:
        """Busy seconds by stage, in the order in which the stages first finished some work."""
        with self._lock:
            return dict(self._seconds)
