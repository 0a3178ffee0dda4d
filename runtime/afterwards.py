"""What is put away when a block is left."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from runtime.errors import DeviceFailed


@contextmanager
def afterwards(end: Callable[[], None]) -> Generator[None, None, None]:
    """Call `end` when the block is left; where that raised, a failure of the device in `end` does not hide it."""
    try:
        yield
    except BaseException:
        with suppress(DeviceFailed):
            end()
        raise
    end()
