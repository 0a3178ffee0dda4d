"""Files that a run writes beside its video, such as report and preview; each appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from runtime.errors import OutputError
from runtime.patterns import is_pattern


def check_sidecar(
    path: Path, suffix: str, others: Sequence[Path], *, overwrite: bool, sources: Sequence[Path] = ()
) -> None:
    """Raises `OutputError` unless `path` ends in `suffix`, is none of `others` and can be written.

    Nor may it lie among the pictures of `sources`: it would be one of them the next time, if not in the place of one.
    """
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path}: ends in '{path.suffix}'; wanted a name that ends in {suffix}")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; wanted the name of a file")
    if path.resolve() in {other.resolve() for other in others}:
        raise OutputError(f"{path}: is another file of this run already; choose another name")
    for folder in (folder for source in sources for folder in _pictures_of(source)):
        if path.parent.resolve() == folder.resolve():
            raise OutputError(
                f"{path}: lies among the pictures of {folder}, which this run reads; choose another place"
            )
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; give --overwrite to replace it, or choose another name")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} may not be written; choose another one")
    try:
        _partial(path).touch()
        _partial(path).unlink()
    except OSError as error:  # such as a name that is too long, which nobody should hear of after hours
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another name") from error


def write_sidecar(path: Path, content: bytes) -> None:
    """Write the file whole or not at all; raises `OutputError`."""
    with written_whole(path) as target:
        target.write(content)


@contextmanager
def written_whole(path: Path) -> Generator[BinaryIO, None, None]:
    """A file that has its name once the block ended well and all of it is on the disk; raises `OutputError`."""
    partial = _partial(path)
    try:
        with partial.open("wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); free some space there") from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):  # renamed, or never made
            partial.unlink()


def _pictures_of(source: Path) -> list[Path]:
    """The folder that `source` reads pictures from, where it does."""
    if source.is_dir():
        return [source]
    return [source.parent] if is_pattern(source) and not source.exists() else []


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
