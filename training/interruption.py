"""Ctrl-C, a polite kill and a terminal that closes, as a wish that is granted after the step."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_TORCHRUN = "TORCHELASTIC_RUN_ID"


class Interruption:
    """While the block runs, the first signal sets `asked`; a second Ctrl-C stops at once, without saving."""

    def __init__(self) -> None:
        self.asked = False
        self._owner = os.getpid()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        self._previous = {number: signal.signal(number, self._ask) for number in SIGNALS if _taken(number)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker that was forked with this handler: there is nothing to save
            os._exit(128 + number)
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


def _taken(number: int) -> bool:
    """Not what nohup has set aside; but torchrun kills those that are deaf to what it passes on."""
    return signal.getsignal(number) is not signal.SIG_IGN or _TORCHRUN in os.environ
