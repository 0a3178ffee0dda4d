"""Standard output and standard error, which may be closed, full, or read by nobody any more."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import BinaryIO, TextIO, cast

READER_GONE = 141  # exit code, as shells have it for a program that SIGPIPE has ended
FAILED = 2


def settle() -> None:
    """Open the null device for what was closed, and let no text fail for its characters; before anything else.

    A closed one would else be the number of the next file that is opened, and get what libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  (no file, never closed)
    if getattr(sys.stdout, "errors", "") == "strict":  # as standard error does by itself: a file's name may be no text
        cast("TextIOWrapper[BinaryIO]", sys.stdout).reconfigure(errors="backslashreplace")


def say(program: str, text: str) -> None:
    """One line on standard error, if anybody can have it."""
    with suppress(OSError):
        sys.stderr.write(f"{program}: {text}\n")
        sys.stderr.flush()


def reader_gone() -> bool:
    """Whether nobody reads standard output or standard error any more."""
    poll = select.poll()
    with suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def flushed(program: str, code: int) -> int:
    """Write what still waits, so that the interpreter need not; the exit code, which is `code` where that goes well."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            _discard(stream)
            code = code or READER_GONE
        except OSError as error:
            _discard(stream)
            if not code:  # else somebody has said why
                say(program, f"standard output: {error.strerror}")
            code = code or FAILED
    return code


def _discard(stream: TextIO) -> None:
    """Let what waits, and whatever comes, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
