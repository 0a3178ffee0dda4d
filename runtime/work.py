"""Unfinished work: a folder beside the output, from which a run that was killed goes on.

Note [Unfinished work]: `OUT.part/` holds `lock`, which the run that writes it holds; `fingerprint`, of what the work
belongs to; and finished pieces.  A piece is written under another name and renamed when it is complete, so that
whatever has the name of a piece is whole, at whatever moment the run is killed.  With and without --resume the same is
done; what differs is whether the folder is deleted when the run fails.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from runtime.errors import OutputError
from runtime.lock import LOCK, locked
from runtime.patterns import is_pattern

FINGERPRINT, UNFINISHED = "fingerprint", ".unfinished"
SUFFIX = ".part"


class Work:
    """The folder of one output's unfinished work, locked; a context manager, see `open_work`."""

    def __init__(self, out: Path, lock: TextIO, *, resume: bool) -> None:
        self.folder = folder_of(out)
        self._lock = lock
        self._resume = resume
        self._kept = False

    @property
    def kept(self) -> bool:
        """Whether the folder was left for a later run; known when the block has ended."""
        return self._kept

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:  # let go when all is done
            self._kept = error is not None and self._resume and bool(_pieces(self.folder))
            if not self._kept:
                _remove(self.folder)

    def pieces(self) -> list[Path]:
        """Everything that is finished, by name."""
        return _pieces(self.folder)

    def piece(self, name: str) -> Path:
        """Where the finished piece of that name lies, or will."""
        return self.folder / name

    @contextmanager
    def making(self, name: str, *, durable: bool = True) -> Generator[Path, None, None]:
        """Where to write the piece `name`: it has its own name when the block ends well, else it is deleted.

        Where it is not `durable`, a loss of power may leave the name with less than all of the bytes.
        """
        path = self.folder / (name + UNFINISHED)
        try:
            yield path
            if durable:
                _to_disk(path)
            path.replace(self.folder / name)
        finally:
            path.unlink(missing_ok=True)


def open_work(out: Path, fingerprint: str, *, resume: bool, overwrite: bool) -> Work:
    """The work on `out`, begun, or with `resume` gone on with where its `fingerprint` is the same.

    Deleted when the block ends, except on an error under `resume` where a piece is finished.  Raises `OutputError` when
    another run holds it, when it is of something else, and when it lies there but neither `resume` nor `overwrite` says
    what to do with it.
    """
    folder = folder_of(out)
    fresh = not folder.exists()
    try:
        if not fresh:
            _check_ours(out, folder)
        busy = f"{out}: another run is writing it; wait until it ends, or choose another name"
        lock = locked(folder, busy, parents=is_pattern(out))
        try:
            _settle(folder, fingerprint, resume=resume, overwrite=overwrite)
        except BaseException:
            with lock, suppress(OSError):
                if fresh:
                    _remove(folder)
            raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    except KeyboardInterrupt:
        if fresh:
            with suppress(OSError):  # what of it is there yet
                _remove(folder)
        raise
    return Work(out, lock, resume=resume)


def folder_of(out: Path) -> Path:
    """`OUT.part`; for pictures in a folder that is still to be made, that folder's name and `.part`."""
    named = out.parent if is_pattern(out) and not out.parent.exists() else out
    return named.with_name(named.name + SUFFIX)


def noted(out: Path) -> str:
    """The fingerprint of the unfinished work on `out`; empty where there is none that can be read."""
    try:
        return (folder_of(out) / FINGERPRINT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _check_ours(out: Path, folder: Path) -> None:
    if not folder.is_dir() or (_pieces(folder) and not (folder / FINGERPRINT).exists()):
        raise OutputError(f"{folder}: holds no work of this program; move it, or choose another name than {out}")


def _settle(folder: Path, fingerprint: str, *, resume: bool, overwrite: bool) -> None:
    """Leave in the folder only what this run may go on with."""
    noted = folder / FINGERPRINT
    if resume and noted.exists():
        if noted.read_bytes() != fingerprint.encode():
            raise OutputError(
                f"{folder}: the unfinished work there is of other files or settings; repeat those, "
                f"or begin anew with --overwrite in place of --resume"
            )
        return
    if _pieces(folder) and not overwrite:
        raise OutputError(f"{folder}: unfinished work; go on with it: --resume, or begin anew: --overwrite")
    _empty(folder)
    draft = folder / (FINGERPRINT + UNFINISHED)
    draft.write_bytes(fingerprint.encode())
    _to_disk(draft)
    draft.replace(noted)


def _pieces(folder: Path) -> list[Path]:
    ours = (LOCK, FINGERPRINT)
    return sorted(path for path in folder.iterdir() if path.name not in ours and path.suffix != UNFINISHED)


def _remove(folder: Path) -> None:
    _empty(folder)
    (folder / LOCK).unlink(missing_ok=True)
    folder.rmdir()


def _empty(folder: Path) -> None:
    """Delete all but the lock; the fingerprint last, without which pieces would be taken for somebody else's files."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == FINGERPRINT):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _to_disk(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
