"""What a native library prints while it works."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

_STDOUT, _STDERR = 1, 2  # file descriptors


@dataclass(slots=True)
class Heard:
    """What was printed, complete when the block has ended."""

    text: str = ""


class Overheard:
    """Standard output turned aside while a library is called, for one caller at a time.

    Where errors are only printed this is how they are met, and with `--json` standard output is the summary's alone.
    What was printed goes on to standard error.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._libc = ctypes.CDLL(None)

    @contextmanager
    def listening(self) -> Generator[Heard, None, None]:
        """Inside it standard output is heard, that of other threads too."""
        heard = Heard()
        with self._lock:
            self._libc.fflush(None)  # what waits in C's buffer was printed before
            kept, aside = os.dup(_STDOUT), os.memfd_create("vidmend")
            try:
                os.dup2(aside, _STDOUT)
                try:
                    yield heard
                finally:
                    self._libc.fflush(None)
                    os.dup2(kept, _STDOUT)
                    heard.text = _contents(aside)
            finally:
                os.close(kept)
                os.close(aside)


def _contents(file: int) -> str:
    size = os.fstat(file).st_size
    if not size:
        return ""
    data = os.pread(file, size, 0)
    os.write(_STDERR, data)
    return data.decode(errors="replace")
