"""Moments of a video as people write them: 12.5, 12.5s, 1:02.5, 1:02:03.5."""

from __future__ import annotations

import re

FORMS = "12.5s, 1:02.5 or 1:02:03.5"

# Nine digits are three decades of seconds.  With hundreds a number is none for a float, with thousands none for `int`.
_TIME = re.compile(
    r"(?:(?:(?P<hours>\d{1,9}):)?(?P<minutes>\d{1,9}):)?(?P<seconds>\d{1,9}(?:\.\d*)?|\.\d+)(?P<unit>s?)", re.ASCII
)


def parse_seconds(text: str) -> float | None:
    """The seconds that `text` means; None where it is no time.  Minutes and seconds behind a colon are below 60."""
    match = _TIME.fullmatch(text.strip())
    if match is None or (match["unit"] and match["minutes"]):
        return None
    minutes, seconds = int(match["minutes"] or 0), float(match["seconds"])
    if (match["minutes"] and seconds >= 60) or (match["hours"] and minutes >= 60):
        return None
    # The whole part is added to whole numbers, so that 1:02.5 is the double 62.5 that a frame's time is compared with.
    return int(match["hours"] or 0) * 3600 + minutes * 60 + seconds
