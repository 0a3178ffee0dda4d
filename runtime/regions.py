"""Which parts of the frame the network looks at.  Arithmetic only: no pixels of the video, no device."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.patch import Crop


@dataclass(frozen=True, slots=True)
class Region:
    """A crop that the network repaints, and when."""

    crop: Crop
    first: int = 0  # no frame before this one has a hole in it
    last: int | None = None  # nor any after this one; None: not known
