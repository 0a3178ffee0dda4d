"""Tables that a test reads back."""

from __future__ import annotations

import csv
from pathlib import Path


def rows_of(path: Path) -> list[dict[str, str]]:
    """What a CSV file with a heading holds."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
