"""Pictures before and after, spread over a run whose length nobody knows beforehand."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image

from runtime._report.course import Course
from runtime.composite import replaced
from runtime.frame import RGB, Frame, Hole
from runtime.patch import Crop
from runtime.session import Restored
from runtime.stills import HOLE_COLOUR, Cover, Pose, hole_still, largest_piece, part_of, still, upright, window_at

LONGEST = 1280  # pixels of a whole frame's longer edge
THUMB = 176  # of a thumbnail's
DETAIL = (960, 540)  # of the source's own pixels, width and height as the viewer sees them
_GRID = 4  # columns and rows: a multiple of every chroma cell
_QUALITY = 90  # of JPEG, with chroma at full resolution


@dataclass(frozen=True, slots=True)
class View:
    """A part of a frame before and after, as files of their own."""

    window: Crop  # what part of the frame, in decoded samples as the viewer sees them
    before: bytes  # JPEG
    after: bytes  # JPEG of the same size
    hole: bytes  # PNG of the same size: opaque where samples were replaced


@dataclass(frozen=True, slots=True)
class Sample:
    """A repaired frame."""

    index: int
    seconds: float  # as a player shows them
    share: float  # of the frame's pixels, that were replaced
    crops: tuple[Crop, ...]  # what the network saw of it, as the viewer sees them
    whole: View
    detail: View | None  # around the largest piece of the hole, pixel for pixel; None: `whole` is that already
    thumb: bytes  # JPEG


class Samples:
    """Collects at most `2 * count` repaired frames of any number, evenly, and gives `count` of them.

    About `count * log2(frames)` frames are made into pictures, the others cost nothing.  `feather` is the run's.
    """

    def __init__(self, count: int = 6, feather: int = 0) -> None:
        if count < 1:
            raise ValueError(f"{count} samples, wanted at least 1")
        self._count = count
        self._feather = feather
        self._held: list[Sample] = []
        self._step = 1  # every how many repaired frames one is held
        self._repaired = 0
        self.course = Course()

    def offer(self, restored: Restored, seconds: float) -> None:
        """Look at the next frame of the result, at `seconds` of the video."""
        frame, patches = restored.source, restored.patches
        self.course.add(frame.index, seconds, repaired=bool(patches))
        if not patches:
            return
        turn, self._repaired = self._repaired, self._repaired + 1
        if turn % self._step == 0 and len(self._held) == 2 * self._count:
            self._held = self._held[::2]
            self._step *= 2
        if turn % self._step:
            return
        hole = replaced(frame, patches, self._feather)
        if not hole.any():  # no pixel's centre may lie in the cells of a hole of a frame below the network's size
            return
        crops = tuple(patch.crop for patch in patches)
        self._held.append(_sample(restored.source, restored.frame, hole, crops, seconds))

    def kept(self) -> list[Sample]:
        """At most `count` of the frames offered that were repaired, spread over them, in order."""
        last, count = len(self._held) - 1, min(self._count, len(self._held))
        return [self._held[(2 * turn * last + count - 1) // max(2 * (count - 1), 1)] for turn in range(count)]


def _sample(before: Frame, after: Frame, hole: Hole, crops: tuple[Crop, ...], seconds: float) -> Sample:
    pose = Pose(crops[0].turns, Fraction(1))  # the page stretches what has no square samples
    everything = Crop(0, 0, before.width, before.height)
    whole = _view(before, after, hole, everything, pose)
    window = None
    if max(before.width, before.height) > LONGEST:
        size = (DETAIL[1], DETAIL[0]) if pose.turns % 2 else DETAIL
        window = window_at(largest_piece(hole, crops), size, _GRID)
    return Sample(
        index=before.index,
        seconds=seconds,
        share=float(np.count_nonzero(hole)) / hole.size,
        crops=tuple(upright(crop, before.width, before.height, crop.turns) for crop in crops),
        whole=whole,
        detail=None if window is None else _view(before, after, hole, window, pose),
        thumb=_jpeg(still(after, pose, THUMB)),
    )


def _view(before: Frame, after: Frame, hole: Hole, window: Crop, pose: Pose) -> View:
    part = hole[window.top : window.bottom, window.left : window.right]
    return View(
        window=upright(window, before.width, before.height, pose.turns),
        before=_jpeg(still(part_of(before, window), pose, LONGEST)),
        after=_jpeg(still(part_of(after, window), pose, LONGEST)),
        hole=_stencil(hole_still(part, pose, LONGEST)),
    )


def _jpeg(picture: RGB) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def _stencil(cover: Cover) -> bytes:
    """One colour with the cover as its alpha."""
    picture = Image.new("RGBA", (cover.shape[1], cover.shape[0]), HOLE_COLOUR)
    picture.putalpha(Image.fromarray(cover))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
