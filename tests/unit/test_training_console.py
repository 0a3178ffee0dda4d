"""What a run shows when nobody is left to see it."""

from __future__ import annotations

import errno
import io
import os

import pytest

from training.console import ConsoleWatcher


class Gone(io.StringIO):
    """A terminal that has closed, or a pipe whose reader has gone, from the second line on."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.written = 0

    def write(self, text: str) -> int:
        """Fails as the system would."""
        self.written += 1
        if self.written > 1:
            raise OSError(self._number, os.strerror(self._number))
        return len(text)


@pytest.mark.parametrize("number", [errno.EIO, errno.EPIPE])
def test_a_run_goes_on_when_nobody_is_left_to_see_it(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Gone(number)
    monkeypatch.setattr("sys.stderr", gone)
    with ConsoleWatcher(0, 5, leads=True) as watcher:
        for step in range(4):
            watcher.note(f"step {step}")
            watcher.stepped(step)
    assert gone.written == 2  # the second failed, and no other was tried
