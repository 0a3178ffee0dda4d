"""Which parts of the frame the network looks at.  Arithmetic only: no pixels of the video, no device.

A mask is followed over time (`_regions.tracks`), what lies near each other is put together (`_regions.groups`), and
each group gets one crop or a grid of them (`_regions.crops`).  Why it is so: docs/adr/0006.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from runtime._regions.crops import STEPS, Canvas, make_field
from runtime._regions.groups import Limits, Placed, group_tracks, lay_tiles
from runtime._regions.tracks import NEVER, cell_of, follow
from runtime.frame import MaskRun
from runtime.patch import Crop

__all__ = ["MAX_ACTIVE", "MAX_TILES", "Canvas", "Choice", "Region", "plan", "whole"]

MAX_ACTIVE = 16  # regions at one time with `auto`; each holds views and features of its own
MAX_TILES = 64  # with `tiles`


@dataclass(frozen=True, slots=True)
class Region:
    """A crop that the network repaints, and when."""

    crop: Crop
    first: int = 0  # no frame before this one is repainted here
    last: int | None = None  # nor any after this one; None: not known

    def repaints(self, index: int) -> bool:
        """Whether frame `index` is repainted here."""
        return self.first <= index and (self.last is None or index <= self.last)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user wants the network to look at."""

    mode: Literal["auto", "full", "tiles"] = "auto"
    max_upscale: float = 9.0  # source pixels per network pixel that a crop may have, in whole eighths, at least 1
    share: float = 0.2  # of a crop's width and height that a hole may take where `max_upscale` lets it


def whole(canvas: Canvas) -> Region:
    """The full frame, from the first frame to the last."""
    return Region(Crop(0, 0, canvas.width, canvas.height, canvas.turns))


def plan(
    runs: Iterable[MaskRun], canvas: Canvas, picture: tuple[int, int], choice: Choice = Choice()
) -> tuple[Region, ...]:
    """The regions that hold every hole pixel of `runs`; none when there is no hole.

    `runs` ascend and do not overlap; they are read once.  `picture` is the network's `(width, height)`.  Regions come
    in the order of their first frames.  Crops lie inside the frame, on its chroma grid; where the frame is large enough
    they have the network's aspect, turned with the source.
    """
    field = make_field(canvas, picture)
    cell = cell_of(picture)
    tracks = follow((run for run in runs if run.hole.any()), field, cell)
    if not tracks:
        return ()
    if choice.mode == "full":
        crop = whole(canvas).crop
        placed = [Placed(crop, min(track.first for track in tracks), max(track.last for track in tracks))]
    elif choice.mode == "tiles":
        placed = lay_tiles(tracks, field, cell, MAX_TILES)
    else:
        largest = max(STEPS, int(choice.max_upscale * STEPS))
        placed = group_tracks(tracks, field, cell, Limits(choice.share, largest, MAX_ACTIVE))
    regions = (Region(item.crop, item.first, None if item.last == NEVER else item.last) for item in placed)
    return tuple(sorted(regions, key=lambda region: (region.first, region.crop.top, region.crop.left)))
