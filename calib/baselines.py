"""The classical ways to fill holes that networks are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np

from runtime.frame import RGB, Hole

# Frames and their holes, as many of one as of the other -> the same frames filled.  Nothing under a hole is looked at.
Fill = Callable[[Sequence[RGB], Sequence[Hole]], Iterable[RGB]]

RADIUS = 3.0  # pixels around a hole's pixel that its value is made from, as the field's comparisons have it
_BLANK = np.uint8(127)
_MASKED = 256  # sorts behind every level
_ROWS = 32  # whose frames are sorted at once: bounds the memory


def telea(picture: RGB, hole: Hole) -> RGB:
    """The hole of one picture filled from its rim by fast marching; picture uint8 `[H, W, 3]`, hole `[H, W]`.

    Source: A. Telea, "An Image Inpainting Technique Based on the Fast Marching Method", 2004, as OpenCV has it.
    """
    return _inpainted(picture, hole, cv2.INPAINT_TELEA)


def navier_stokes(picture: RGB, hole: Hole) -> RGB:
    """The hole of one picture filled along its isophotes; picture uint8 `[H, W, 3]`, hole `[H, W]`.

    Source: M. Bertalmio, A. Bertozzi and G. Sapiro, "Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting",
    CVPR 2001, as OpenCV has it.
    """
    return _inpainted(picture, hole, cv2.INPAINT_NS)


def blanked(picture: RGB, hole: Hole) -> RGB:
    """The picture with even grey in its hole: what one fills that is not to see what lies there."""
    return np.where(hole[..., None], _BLANK, picture)


def temporal_median(pictures: Sequence[RGB], holes: Sequence[Hole]) -> Iterator[RGB]:
    """Every hole sample becomes the median of what the clip shows there in all frames in which it is no hole.

    Of an even number it is the mean of the middle two, rounded to even.  Pixels that are hole in every frame are then
    filled by `telea`, each frame for itself.  The motion of the camera is not followed.  Pictures uint8 `[H, W, 3]`,
    holes `[H, W]`.
    """
    middle = _medians(pictures, holes)
    never = np.logical_and.reduce(holes)
    for picture, hole in zip(pictures, holes, strict=True):
        filled = np.where(hole[..., None], middle, picture)
        yield telea(filled, never) if never.any() else filled


def _medians(pictures: Sequence[RGB], holes: Sequence[Hole]) -> RGB:
    """The median over the frames in which a pixel is no hole; 0 where there is none."""
    result = np.zeros_like(pictures[0])
    for top in range(0, len(result), _ROWS):
        rows = slice(top, top + _ROWS)
        masked = np.stack([hole[rows] for hole in holes])
        levels = np.stack([picture[rows] for picture in pictures]).astype(np.uint16)
        levels[masked] = _MASKED
        levels.sort(axis=0)
        seen = len(holes) - masked.sum(axis=0)
        halves = (np.maximum(seen - 1, 0) // 2, seen // 2 * (seen > 0))
        low, high = (np.take_along_axis(levels, half[None, :, :, None], axis=0)[0] for half in halves)
        middle = np.rint((low + high) / 2)
        result[rows] = np.where(seen[..., None] > 0, middle, 0).astype(np.uint8)
    return result


def _inpainted(picture: RGB, hole: Hole, how: int) -> RGB:
    """OpenCV's; where a hole touches the picture's edge it reads samples in the hole, up to 7 levels' worth."""
    return np.asarray(cv2.inpaint(blanked(picture, hole), hole.astype(np.uint8), RADIUS, how), np.uint8)


def _each(fill: Callable[[RGB, Hole], RGB]) -> Fill:
    """Frame by frame."""

    def fill_all(pictures: Sequence[RGB], holes: Sequence[Hole]) -> Iterator[RGB]:
        return map(fill, pictures, holes)

    return fill_all


BASELINES: Mapping[str, Fill] = MappingProxyType(
    {"telea": _each(telea), "navier-stokes": _each(navier_stokes), "median": temporal_median}
)
