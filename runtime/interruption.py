"""Ctrl-C and a polite kill: the first stops the work, and what it leaves is put away in peace."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType

from runtime import console
from runtime.errors import VidmendError, refusals_told

INTERRUPTED = 130  # exit code, as shells have it for Ctrl-C
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class _Watch:
    blocks: int = 0  # how many of `interruptible` are open
    seen: int = 0  # signals since the outermost was opened


_WATCH = _Watch()


@contextmanager
def interruptible() -> Generator[None, None, None]:
    """While the block runs, SIGINT or SIGTERM raises `KeyboardInterrupt`; the second is ignored, a third raises again.

    Who presses Ctrl-C twice means one stop; the second would hit the clean-up.  Whatever error leaves the block after a
    signal is taken for its effect and leaves as `KeyboardInterrupt`: a library that is met while it is loaded reports
    an ImportError instead.  A signal that the parent process has set to be ignored stays ignored.  Blocks within
    blocks count signals together.  For the main thread.
    """
    if not _WATCH.blocks:
        _WATCH.seen = 0
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [signal.signal(number, _raise_it) for number in heard]
    _WATCH.blocks += 1
    try:
        yield
    except Exception as error:
        if _WATCH.seen:
            raise KeyboardInterrupt from error
        raise
    finally:
        _WATCH.blocks -= 1
        for number, handler in zip(heard, previous, strict=True):
            signal.signal(number, handler)


def insist() -> None:
    """Raise `KeyboardInterrupt` where a signal raised it in an `interruptible` block and something swallowed it.

    For places that work comes by often, such as those that show its progress: a library that is met while it is loaded
    looks like one that cannot be used here, and the work would go on without it.
    """
    if _WATCH.blocks and _WATCH.seen:
        raise KeyboardInterrupt


def _raise_it(_number: int, _frame: FrameType | None) -> None:
    _WATCH.seen += 1
    if _WATCH.seen != 2:
        raise KeyboardInterrupt


def run_main(module: str, arguments: Sequence[str]) -> int:
    """Import `module` and run its `main`; returns the exit code, whatever the system does to the program meanwhile.

    That is Ctrl-C while libraries are loaded, a disk that is full, a reader of standard output that has gone.  What
    else nobody foresaw is a mistake of ours and stays a traceback.
    """
    program = Path(sys.argv[0]).name
    console.settle()
    warnings.filterwarnings("ignore", module=r"PIL\b")  # it decides nothing here: what it warns of is read or refused
    try:
        with interruptible(), refusals_told():
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
