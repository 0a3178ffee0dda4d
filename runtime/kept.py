"""Files that make the next start faster and that nobody misses: beside a bundle, or in the user's cache folder."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def user_cache() -> Path:
    """The user's cache folder of this program, there or not.  Source: XDG Base Directory Specification.

    For a user without a home folder, as in containers, it is one that nobody can make or read.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vidmend"
    except RuntimeError:  # neither HOME nor an entry of the user says where
        return Path(os.devnull) / "vidmend"


def read_kept(beside: Path, name: str) -> bytes:
    """The file `name` that lies in the folder `beside`, else in the user's cache; nothing where there is none."""
    for folder in (beside, user_cache()):
        with suppress(OSError):
            return (folder / name).read_bytes()
    return b""


def keep(beside: Path, name: str, content: bytes) -> bool:
    """Write the file `name` into the folder `beside`, or into the user's cache where that folder is read-only.

    It is written whole or not at all, also beside other processes that do the same.  False: neither takes it.
    """
    for folder in (beside, user_cache()):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            _replace(folder / name, content)
            return True
    return False


def _replace(path: Path, content: bytes) -> None:
    handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
