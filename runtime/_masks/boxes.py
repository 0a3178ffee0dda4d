"""Boxes as masks: which are there, in seconds of a frame and in frames of the video."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

from runtime._masks.packets import frame_seconds
from runtime._masks.sources import Fit
from runtime.boxes import SLACK_S, Box
from runtime.errors import InputError
from runtime.frame import Hole, MaskRun
from runtime.video import VideoInfo

MARGIN_S = 1.0  # by which a box is foreseen earlier and later: a few packets at the start may not decode

Span = tuple[int, int | None]  # first and last frame


class BoxMasks:
    """Rectangles, each always there or for a while."""

    name = "--box"
    frames: int | None = None
    has_polarity = False

    def __init__(self, boxes: Sequence[Box], info: VideoInfo, *, may_lose: bool = False) -> None:
        """`may_lose`: whether frames that do not decode are left out, counted or not."""
        self._boxes = tuple(boxes)
        self._info = info
        self._may_lose = may_lose
        self._fit = Fit(info, invert=False)  # a box says itself what is replaced
        self._there: tuple[Box, ...] = ()
        self._hole: Hole | None = None
        for box in boxes:
            _check(box, info)

    def runs(self) -> Iterator[MaskRun]:
        """Every box at least where `read` has it; a second longer than that, and where packets do not tell, always."""
        spans = [(box, span) for box, span in zip(self._boxes, self._spans(), strict=True) if span is not None]
        bounds = sorted({span[0] for _, span in spans} | {span[1] + 1 for _, span in spans if span[1] is not None})
        for first, following in zip(bounds, [*bounds[1:], None], strict=False):
            hole = self._paint(tuple(box for box, span in spans if _holds(span, first)))
            if hole is not None:
                yield MaskRun(first, None if following is None else following - 1, hole)

    def read(self, index: int, seconds: float) -> Hole | None:
        """The boxes that are there at `seconds`."""
        return self._paint(tuple(box for box in self._boxes if box.shows(seconds)))

    def finish(self, frames: int) -> None:
        """Nothing to check: boxes fit any number of frames."""

    def close(self) -> None:
        """Nothing is open."""

    def _spans(self) -> list[Span | None]:
        """The frames of each box; None where it is over before the video begins or begins when that is over."""
        timed = any(box.start is not None or box.end is not None for box in self._boxes)
        seconds = frame_seconds(self._info, self._may_lose) if timed else None
        margin = round(self._info.rate * MARGIN_S)
        return [(0, None) if seconds is None else _span(box, seconds, margin) for box in self._boxes]

    def _paint(self, boxes: tuple[Box, ...]) -> Hole | None:
        if boxes != self._there:
            self._there = boxes
            self._hole = self._fit.lay(_painted(boxes, self._info)) if boxes else None
        return self._hole


def _span(box: Box, seconds: list[float], margin: int) -> Span | None:
    first = 0 if box.start is None else bisect_left(seconds, box.start - SLACK_S)
    following = len(seconds) if box.end is None else bisect_left(seconds, box.end - SLACK_S)
    if first >= following:
        return None
    return (max(0, first - margin), None if box.end is None else following - 1 + margin)


def _holds(span: Span, index: int) -> bool:
    return span[0] <= index and (span[1] is None or index <= span[1])


def _painted(boxes: Sequence[Box], info: VideoInfo) -> Hole:
    mask = np.zeros((info.display_height, info.display_width), np.bool_)
    for box in boxes:
        mask[box.y : box.y + box.height, box.x : box.x + box.width] = True
    return mask


def _check(box: Box, info: VideoInfo) -> None:
    width, height = info.display_width, info.display_height
    if box.x < 0 or box.y < 0 or box.x + box.width > width or box.y + box.height > height:
        raise InputError(
            f"--box {box}: reaches outside the video's {width}x{height} pixels; "
            f"wanted X+W <= {width} and Y+H <= {height}"
        )
