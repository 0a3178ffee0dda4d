"""How files of engines come into a bundle that is there: one run at a time, all of them or none, killed or not."""

from __future__ import annotations

import importlib
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from runtime.bundle import MANIFEST, Manifest, read_bundle, write_manifest
from runtime.errors import OutputError, VidmendError

STAGING = ".engines.part"  # in the bundle's folder, so that files need only a new name to be in it
_LOCK = "lock"
_UNFINISHED = f".{MANIFEST}.part"


@contextmanager
def staging(root: Path) -> Generator[Path, None, None]:
    """A hidden, empty folder in the bundle `root` that this run has for itself, and that is gone afterwards.

    What a killed run left is cleared.  Raises `OutputError` where nothing can be written, or another run is at work: to
    wait for it could take hours without a word, and who starts a second one rarely means to.
    """
    folder = root / STAGING
    with _written(root):
        lock = _locked(folder)
    with lock:
        try:
            with _written(root):
                _clear(root, folder)
            yield folder
        finally:
            with suppress(OSError):  # what stays is cleared by the next run, and hides no error
                _clear(root, folder)
                (folder / _LOCK).unlink()  # last: from here on the folder may be another run's
                folder.rmdir()


def publish(root: Path, folder: Path, manifest: Manifest) -> None:
    """Give the bundle the files in `folder` and the `manifest` that names them; raises `OutputError`.

    The names are new, or those of the same bytes, so that the old manifest stays true until it is replaced.
    """
    new: list[str] = []
    try:
        for name in sorted(name for name in named(manifest) if (folder / name).exists()):
            if not (root / name).exists():
                new.append(name)
            os.replace(folder / name, root / name)
        write_manifest(root, manifest)
    except BaseException as error:
        with suppress(OSError, VidmendError):  # the first error is the one that matters
            remove(root, set(new) - named(read_bundle(root).manifest))
        if isinstance(error, OSError):
            raise OutputError(
                f"{root}: the engines cannot be written ({error.strerror or error}); the bundle is as it was"
            ) from error
        raise


def named(manifest: Manifest) -> set[str]:
    """The files of all engines in `manifest`."""
    return {engine.file.path for stage in manifest.stages for engine in stage.engines}


def remove(root: Path, names: Iterable[str]) -> None:
    """Delete engines that no manifest names any more, with what running them left there; what cannot go stays."""
    for name in names:
        for file in (root / name, *root.glob(f"{name}.*.cache")):
            with suppress(OSError):
                file.unlink()


@contextmanager
def _written(root: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{root}: cannot be written ({error.strerror or error}); compile a copy of it") from None


def _locked(folder: Path) -> TextIO:
    """The folder's lock; the system lets go of it when this process ends, however it does."""
    while True:
        with suppress(FileExistsError):  # not exist_ok, which asks again, when it may be gone
            folder.mkdir()
        path = folder / _LOCK
        try:
            lock = path.open("w")
        except FileNotFoundError:  # a run that ended took the folder away
            continue
        try:
            _lock(lock)
        except BlockingIOError:
            lock.close()
            raise OutputError(
                f"{folder.parent}: another --compile is at work on this bundle; run this one when it has ended"
            ) from None
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


def _clear(root: Path, folder: Path) -> None:
    (root / _UNFINISHED).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name != _LOCK:
            path.unlink()
