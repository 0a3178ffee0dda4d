"""Where an export goes: asked before anything is computed, and filled whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.bundle import MANIFEST
from runtime.errors import OutputError, is_of_writing


def check_place(destination: Path, *, replace: bool = False, sign: str = MANIFEST) -> None:
    """Raise `OutputError` where `sealed` would before its block begins: a dry run refuses what the run would."""
    if destination.exists() and Path.cwd().is_relative_to(destination.resolve()):  # which would be renamed away
        raise OutputError(f"{destination}: is the working folder, or holds it; go elsewhere, or choose another name")
    if destination.exists() and not replace:
        raise OutputError(f"{destination}: exists already; --force replaces it")
    if destination.exists() and not (destination / sign).is_file() and any(_listing(destination)):
        raise OutputError(f"{destination}: exists and holds no {sign}; refusing to replace it")
    place = destination.resolve().parent
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"{destination}: cannot be written: {place} is no folder; choose another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{destination}: cannot be written: {place} is not ours to write in; choose another place")


@contextmanager
def sealed(destination: Path, *, replace: bool = False, sign: str = MANIFEST) -> Generator[Path, None, None]:
    """A temporary folder beside `destination` that takes its name when the block ends well, and else vanishes.

    A folder that is not empty is only replaced when a file `sign` lies in it.  Raises `OutputError`, also where the
    block finds the disk full.
    """
    check_place(destination, replace=replace, sign=sign)
    place = destination.resolve()  # `x/..` has no name that a folder could take
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
    except OSError as error:
        raise OutputError(f"{destination}: cannot be written: {error.strerror}") from None
    try:
        yield staging
        staging.chmod(0o755)
        _swap(staging, place)
    except OSError as error:
        if not is_of_writing(error, staging):
            raise
        raise OutputError(f"{destination}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _listing(path: Path) -> Iterator[Path]:
    return path.iterdir() if path.is_dir() else iter([path])


def _swap(staging: Path, destination: Path) -> None:
    if not destination.exists():
        os.rename(staging, destination)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", suffix=".old", dir=destination.parent))
    old = retired / "bundle"
    try:
        os.rename(destination, old)
        os.rename(staging, destination)
    except BaseException:
        if old.exists():
            os.rename(old, destination)
        retired.rmdir()
        raise
    shutil.rmtree(retired, ignore_errors=True)
