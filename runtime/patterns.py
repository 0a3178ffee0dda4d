"""Names that stand for many: out/%05d.png is a picture a frame."""

from __future__ import annotations

import re
from pathlib import Path

_NUMBER = re.compile(r"%\d*d")


def is_pattern(path: Path) -> bool:
    """Whether the name has the place of a number; a percent sign alone, as in "50% off.mp4", is like any letter."""
    return _NUMBER.search(path.name) is not None
