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
class MaskRun:
    """A hole that stays the same over a run of frames."""

    first: int  # index of the first frame
    last: int | None  # of the last one; None: the end of the video, or not known before it is decoded
    hole: Hole  # in the orientation of the decoded planes


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


@dataclass(frozen=True, slots=True)
class Masked:
    """A frame on its way in."""

    frame: Frame
    hole: Hole | None  # of the frame's size, in the orientation of its planes; None: nothing is replaced
    cut: bool = False  # whether a new scene begins with this frame
