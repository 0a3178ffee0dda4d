"""What was planned from the masks holds for every frame: nothing that they mark is left as it is without a word."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.errors import InputError
from runtime.frame import Hole
from runtime.regions import Region


class Foreseen:
    """The regions of a run, held against its masks as they come."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = regions
        self._hole: Hole | None = None  # what was looked at last, and the regions that were there
        self._active: list[Region] = []

    def insist(self, index: int, hole: Hole | None) -> None:
        """Raise `InputError` where a pixel of the mask of frame `index`, `[H, W]`, lies in no region that is there."""
        active = [region for region in self._regions if region.repaints(index)]
        if hole is None or (hole is self._hole and active == self._active):  # one mask often serves the whole clip
            return
        self._hole, self._active = hole, active
        left = hole.copy()
        for crop in (region.crop for region in active):
            left[crop.top : crop.bottom, crop.left : crop.right] = False
        if left.any():
            raise InputError(
                f"frame {index}: its mask marks what none was foreseen for when the masks were read; the times of the "
                f"video's packets and frames do not agree. Give boxes without times, or convert the video first"
            )
