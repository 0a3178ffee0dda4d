"""What a result depends on, as one text: unfinished work goes on only where it is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from runtime.bundle import MANIFEST, Bundle


def fingerprint(bundle: Bundle, files: Sequence[Path], choices: Sequence[object], runs_on: str) -> str:
    """A digest of the bundle, of `files` and what lies in folders (name, size, time of change), and of `choices`.

    Then a line that says what it `runs_on`: who goes on with the work does not choose anew.
    """
    digest = hashlib.sha256((bundle.root / MANIFEST).read_bytes())
    for path in files:
        for entry in _entries(path):
            status = entry.stat()
            digest.update(
                f"{entry.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    for choice in choices:
        digest.update(f"{choice!r}\n".encode(errors="surrogateescape"))
    return f"{digest.hexdigest()}\n{runs_on}\n"


def runs_on(noted: str) -> str:
    """What the work with that fingerprint runs on; empty where it does not say."""
    return noted.partition("\n")[2].removesuffix("\n")


def _entries(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.is_file())
    if path.exists():
        return [path]
    return sorted(entry for entry in path.parent.iterdir() if entry.is_file())  # a pattern like in/%05d.png
