"""Ctrl-C and a polite kill: the first stops the work, and what it leaves is put away in peace."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

INTERRUPTED = 130  # exit code, as shells have it for Ctrl-C
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Generator[None, None, None]:
    """While the block runs, SIGINT or SIGTERM raises `KeyboardInterrupt`; the second is ignored, a third raises again.

    Who presses Ctrl-C twice means one stop; the second would hit the clean-up.  A signal that the parent process has
    set to be ignored stays ignored.  For the main thread.
    """
    seen = 0

    def raise_it(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen != 2:
            raise KeyboardInterrupt

    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [signal.signal(number, raise_it) for number in heard]
    try:
        yield
    finally:
        for number, handler in zip(heard, previous, strict=True):
            signal.signal(number, handler)


def run_main(module: str, arguments: Sequence[str]) -> int:
    """Import `module` and run its `main`; returns the exit code, for Ctrl-C while libraries are loaded too."""
    try:
        main: Callable[[Sequence[str]], int] = import_module(module).main
        return main(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
