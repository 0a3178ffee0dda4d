"""Where an export goes, asked before anything is computed: a dry run refuses what the run would."""

from __future__ import annotations

import os
from pathlib import Path

from runtime import bundle
from runtime.bundle import MANIFEST
from runtime.errors import OutputError


def check_place(destination: Path, *, replace: bool, sign: str = MANIFEST) -> None:
    """Raise `OutputError` where `bundle.sealed` would, also for want of a folder that `destination` can be made in."""
    bundle.check_place(destination, replace=replace, sign=sign)
    place = destination.resolve().parent
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"{destination}: cannot be written: {place} is no folder; choose another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{destination}: cannot be written: {place} is not ours to write in; choose another place")
