"""How files of engines come into a bundle that is there: one run at a time, all of them or none, killed or not."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.bundle import MANIFEST, Manifest, read_bundle, write_manifest
from runtime.errors import OutputError, VidmendError
from runtime.lock import LOCK, locked

STAGING = ".engines.part"  # in the bundle's folder, so that files need only a new name to be in it
_UNFINISHED = f".{MANIFEST}.part"


@contextmanager
def staging(root: Path) -> Generator[Path, None, None]:
    """A hidden, empty folder in the bundle `root` that this run has for itself, and that is gone afterwards.

    What a killed run left is cleared.  Raises `OutputError` where nothing can be written, or another run is at work: to
    wait for it could take hours without a word, and who starts a second one rarely means to.
    """
    folder = root / STAGING
    with _written(root):
        lock = locked(folder, f"{root}: another --compile is at work on this bundle; run this one when it has ended")
    with lock:
        try:
            with _written(root):
                _clear(root, folder)
            yield folder
        finally:
            with suppress(OSError):  # what stays is cleared by the next run, and hides no error
                _clear(root, folder)
                (folder / LOCK).unlink()  # last: from here on the folder may be another run's
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


def _clear(root: Path, folder: Path) -> None:
    (root / _UNFINISHED).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name != LOCK:
            path.unlink()
