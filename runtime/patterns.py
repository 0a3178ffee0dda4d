"""Names that stand for many: out/%05d.png is a picture a frame."""

from __future__ import annotations

import re
from pathlib import Path

_NUMBER = re.compile(r"%\d*d")
_VIDEOS = re.compile(r"\.(mp4|m4v|mov|mkv|webm|avi|m?ts|m2ts|mpe?g|mxf|wmv|flv|ogv|3gp)", re.IGNORECASE)


def is_pattern(path: Path) -> bool:
    """Whether the name has the place of a number and may be a picture's.

    A percent sign alone, as in "50% off.mp4", is like any letter; so is a whole place, as in "100%done.mp4", where the
    suffix is a video's: a video is one file.
    """
    return _NUMBER.search(path.name) is not None and not _VIDEOS.fullmatch(path.suffix)
