"""Ctrl-C and a polite kill as a wish that is granted after the step."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While the block runs, the first signal sets `asked`; a second Ctrl-C stops at once, without saving."""

    def __init__(self) -> None:
        self.asked = False
        self._owner = os.getpid()
        self._previous: list[Any] = []

    def __enter__(self) -> Interruption:
        self._previous = [signal.signal(number, self._ask) for number in _SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, previous in zip(_SIGNALS, self._previous, strict=True):
            signal.signal(number, previous)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker that was forked with this handler: there is nothing to save
            os._exit(128 + number)
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
