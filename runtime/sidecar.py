"""Files that a run writes beside its video, such as report and preview; each appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from runtime.errors import OutputError


def check_sidecar(path: Path, suffix: str, others: Sequence[Path], *, overwrite: bool) -> None:
    """Raises `OutputError` unless `path` ends in `suffix`, is none of `others` and can be written."""
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path}: ends in '{path.suffix}'; wanted a name that ends in {suffix}")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; wanted the name of a file")
    if path.resolve() in {other.resolve() for other in others}:
        raise OutputError(f"{path}: is another file of this run already; choose another name")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; give --overwrite to replace it, or choose another name")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} may not be written; choose another one")


def write_sidecar(path: Path, content: bytes) -> None:
    """Write the file whole or not at all; raises `OutputError`."""
    with written_whole(path) as target:
        target.write(content)


@contextmanager
def written_whole(path: Path) -> Generator[BinaryIO, None, None]:
    """A file that has its name once the block ended well and all of it is on the disk; raises `OutputError`."""
    partial = path.with_name(f".{path.name}.part")
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
