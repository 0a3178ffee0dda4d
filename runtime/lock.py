"""A folder for one run at a time, by a lock that the system lets go of when its process ends, however it does."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from runtime.errors import OutputError

LOCK = "lock"  # the file's name; whoever is done deletes it last, and the folder with it


def locked(folder: Path, busy: str, *, parents: bool = False) -> TextIO:
    """The lock of `folder`, which is made where it is not there; held until it is closed.

    Raises `OutputError` with the line `busy` where another run holds it, and `OSError` where nothing can be written.
    """
    while True:
        with suppress(FileExistsError):  # not exist_ok, which asks again, when it may be gone
            folder.mkdir(parents=parents)
        path = folder / LOCK
        try:
            lock = path.open("w")
        except FileNotFoundError:  # a run that ended took the folder away
            continue
        try:
            _lock(lock)
        except BlockingIOError:
            lock.close()
            raise OutputError(busy) from None
        with suppress(FileNotFoundError):  # likewise: a lock on a file that is gone is worth nothing
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        lock.close()


def _lock(file: TextIO) -> None:
    """Lock it for this process, or raise `BlockingIOError`; without effect where the system has no such locks."""
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
