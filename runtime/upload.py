"""The encoder's input made on a device, from the source's own planes.

One copy a frame: the parts of the planes that its crops cover, as they are, and the holes.  Then one launch a view.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from runtime import kernels
from runtime.bundle import PixelRule
from runtime.clip import Staged, View
from runtime.device import Form, Kernels, Stream
from runtime.filters import Filters
from runtime.frame import Frame
from runtime.parcel import Parcel, Parts, pack
from runtime.patch import Crop
from runtime.pool import Buffer, Pool
from runtime.regions import Region


@dataclass(frozen=True, slots=True)
class Uploader:
    """What makes views on a device."""

    device: Kernels
    rule: PixelRule
    pixels: Form  # [1, 3, H, W], into the encoder
    pool: Pool

    def views(
        self, staged: Iterable[Staged], regions: Sequence[Region], upload: Stream
    ) -> Generator[Staged, None, None]:
        """The same frames, the encoder's input with each view; all of it is `upload`'s work."""
        with closing(Filters(self.device, self.pool, upload)) as filters:
            for item in staged:
                yield item if item.frame is None else self._uploaded(item, item.frame, regions, filters)
                filters.trim()

    def _uploaded(self, item: Staged, frame: Frame, regions: Sequence[Region], filters: Filters) -> Staged:
        crops = [regions[number].crop for number, _ in item.views]
        if not crops:
            return replace(item, frame=None)
        parcel, upload = Parcel(), filters.stream
        parts = pack(frame, crops, parcel)
        holes = [self._packed(view, parcel) for _, view in item.views]
        sent = self.pool.take(parcel.close(), upload)
        upload.write(sent.tensor, parcel.fill)
        views: list[tuple[int, View]] = []
        for crop, hole, (number, view) in zip(crops, holes, item.views, strict=True):
            views.append((number, replace(view, pixels=self._view(sent, parts, crop, hole, filters))))
        sent.release()
        return Staged(item.index, item.cut, tuple(views))

    def _packed(self, view: View, parcel: Parcel) -> int | None:
        """Where the view's hole lies; None where nothing is blanked."""
        return None if view.hole is None or not self.rule.mask_applied else parcel.add(view.hole)

    def _view(self, sent: Buffer, parts: Parts, crop: Crop, hole: int | None, filters: Filters) -> Buffer:
        """The encoder's input of one crop, on lease."""
        made, address = self.pool.take(self.pixels, filters.stream), self.device.address_of(sent.tensor)
        number = parts.holding(crop)
        part = parts.areas[number]
        inside = replace(crop, left=crop.left - part.left, top=crop.top - part.top)
        blank = 0 if hole is None else address + hole
        out = (self.device.address_of(made.tensor), self.pixels.dtype == "float16")
        launch = kernels.pixels(parts.picture(number, address), inside, self.rule, blank, out, filters.axis)
        self.device.enqueue(launch, [sent.tensor], [made.tensor], filters.stream)
        made.ready = filters.stream.mark()
        return made
