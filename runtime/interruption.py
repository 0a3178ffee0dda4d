"""Ctrl-C and a polite kill: the first stops the work, and what it leaves is put away in peace."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType

from runtime import console
from runtime.errors import VidmendError, refusals_told

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
    """Import `module` and run its `main`; returns the exit code, whatever the system does to the program meanwhile.

    That is Ctrl-C while libraries are loaded, a disk that is full, a reader of standard output that has gone.  What
    else nobody foresaw is a mistake of ours and stays a traceback.
    """
    program = Path(sys.argv[0]).name
    console.settle()
    warnings.filterwarnings("ignore", module=r"PIL\b")  # it decides nothing here: what it warns of is read or refused
    try:
        with refusals_told():
            main: Callable[[Sequence[str]], int] = import_module(module).main
            code = main(arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError as error:
        code = _broken_pipe(program, error)
    except VidmendError as error:
        console.say(program, str(error))
        code = error.exit_code
    except SystemExit as end:
        code = _ended(end)
    return console.flushed(program, code)


def _broken_pipe(program: str, error: BrokenPipeError) -> int:
    if console.reader_gone():
        return console.READER_GONE
    console.say(program, error.strerror or "broken pipe")
    return VidmendError.exit_code


def _ended(end: SystemExit) -> int:
    """The exit code that argparse, or Rich where it prints into a broken pipe, leaves with."""
    if isinstance(end.__context__, BrokenPipeError):
        return console.READER_GONE
    if end.code is not None and not isinstance(end.code, int):
        raise end
    return end.code or 0
