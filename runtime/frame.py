"""A frame in its source's own planes and depth, and what its samples mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # [rows, columns]; 16-bit holds 9 to 16 bits, low-aligned
RGB = npt.NDArray[np.uint8]  # [H, W, 3], red first
Hole = npt.NDArray[np.bool_]  # [H, W], True where pixels are to be replaced


@dataclass(frozen=True, slots=True)
class Layout:
    """How the planes of a frame are organised."""

    family: Literal["yuv", "rgb", "gray"]  # planes Y U V, R G B, or Y
    bits: int  # per sample, 8 to 16
    chroma_shift_x: int  # log2 of luma columns per chroma column
    chroma_shift_y: int  # log2 of luma rows per chroma row


@dataclass(frozen=True, slots=True)
class Colour:
    """The source's colour tags, as ITU-T H.273 numbers; 2 means unspecified."""

    matrix: int
    primaries: int
    transfer: int
    full_range: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture."""

    index: int  # from 0, in presentation order
    pts: int  # presentation time in ticks of the stream's time base
    planes: tuple[Plane, ...]  # read-only by convention; composite makes copies of what it changes
    layout: Layout
    colour: Colour

    @property
    def height(self) -> int:
        """Rows of the full-resolution plane."""
        return self.planes[0].shape[0]

    @property
    def width(self) -> int:
        """Columns of the full-resolution plane."""
        return self.planes[0].shape[1]
