"""Rectangles that are replaced, always or for a while; in the orientation and pixels that a viewer sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtime.errors import UsageError
from runtime.timecode import FORMS, parse_seconds

# Times come as doubles of exact fractions; a microsecond is less than any tick and more than any rounding.
SLACK_S = 1e-6

# Nine digits are more than any picture has pixels.
_BOX = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*(?:@([^@]*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels that is to be replaced, in frames shown at `start` or later and before `end`."""

    x: int  # left column
    y: int  # top row
    width: int
    height: int
    start: float | None = None  # seconds from the video's zero, as a player shows them; None: from the beginning
    end: float | None = None  # None: to the end

    def shows(self, seconds: float) -> bool:
        """Whether a frame that is shown at `seconds` has the box in it."""
        begun = self.start is None or seconds >= self.start - SLACK_S
        return begun and (self.end is None or seconds < self.end - SLACK_S)

    def __str__(self) -> str:
        """As the command line has it."""
        when = "" if self.start is None and self.end is None else f"@{_number(self.start)}-{_number(self.end)}"
        return f"{self.x},{self.y},{self.width},{self.height}{when}"


def parse_box(text: str) -> Box:
    """`X,Y,W,H` or `X,Y,W,H@FROM-TO` as a box; FROM or TO may be left out.

    Raises `UsageError` unless the four are whole numbers, W and H at least 1, and FROM lies before TO.
    """
    match = _BOX.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--box {text}: wanted X,Y,W,H, four whole numbers in pixels, such as 10,20,64,32, and after them "
            f"@FROM-TO where it is not there all the time, such as 10,20,64,32@2.5-7"
        )
    x, y, width, height = (int(number) for number in match.groups()[:4])
    if width < 1 or height < 1:
        raise UsageError(f"--box {text}: {width} by {height} pixels, wanted a width and a height of at least 1")
    start, end = (None, None) if match[5] is None else _parse_span(text, match[5])
    return Box(x, y, width, height, start, end)


def _parse_span(text: str, span: str) -> tuple[float | None, float | None]:
    before, dash, after = span.partition("-")
    start, end = parse_seconds(before), parse_seconds(after)
    unread = (before.strip() and start is None) or (after.strip() and end is None)
    if not dash or unread or (start is None and end is None):
        raise UsageError(
            f"--box {text}: '{span}' is no span of time; wanted FROM-TO in seconds or as {FORMS}, as @2.5-7"
        )
    if start is not None and end is not None and end <= start:
        raise UsageError(f"--box {text}: ends at {end:g} s, which is not after its start at {start:g} s")
    return start, end


def _number(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:g}"
