"""Frames as pictures to look at: upright, in the shape that a player gives them, in a plain screen's colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from runtime.colour import Levels, rescale, rgb_from_planes
from runtime.frame import RGB, Frame, Hole, Plane
from runtime.patch import Crop
from runtime.tones import is_hdr, to_screen

HOLE_COLOUR = (214, 0, 108)  # sRGB: seldom met in a picture

Cover = npt.NDArray[np.uint8]  # [H, W], 0 outside the hole, 255 where the hole covers the pixel
Places = npt.NDArray[np.intp]  # rows or columns, ascending


@dataclass(frozen=True, slots=True)
class Pose:
    """How a decoded frame stands on the screen."""

    turns: int  # quarter turns counter-clockwise (np.rot90)
    sample_aspect: Fraction  # width of a decoded sample over its height


def screen_size(width: int, height: int, pose: Pose, longest: int) -> tuple[int, int]:
    """Columns and rows on the screen of `width` by `height` decoded samples, neither above `longest`."""
    across = width * pose.sample_aspect
    shrink = min(Fraction(1), longest / max(across, Fraction(height)))
    size = max(1, round(across * shrink)), max(1, round(height * shrink))
    return (size[1], size[0]) if pose.turns % 2 else size


def still(frame: Frame, pose: Pose, longest: int) -> RGB:
    """The frame as sRGB of `screen_size`, rows first; raises `InputError` on a colour matrix that is not supported.

    PQ and HLG are toned down (`runtime.tones`); other transfers and primaries are shown as they are.
    """
    size = _unturned(screen_size(frame.width, frame.height, pose, longest), pose)
    if is_hdr(frame.colour.transfer):
        rgb = to_screen(_rgb(frame, size, 65535), frame.colour.transfer)
    else:
        rgb = cast(RGB, _rgb(frame, size, 255))
    return np.ascontiguousarray(np.rot90(rgb, pose.turns))


def hole_still(hole: Hole, pose: Pose, longest: int) -> Cover:
    """How much of each pixel of `screen_size` the hole `[H, W]` of the decoded frame covers."""
    rows, columns = hole.shape
    width, height = _unturned(screen_size(columns, rows, pose, longest), pose)
    cover = cv2.resize(hole.astype(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(cover, pose.turns)).astype(np.uint8)


def upright(crop: Crop, width: int, height: int, turns: int) -> Crop:
    """Where the viewer of a frame of `width` by `height` decoded samples, turned by `turns`, sees `crop`."""
    for _ in range(turns % 4):
        crop = Crop(crop.top, width - crop.right, crop.height, crop.width)
        width, height = height, width
    return replace(crop, turns=0)


def part_of(frame: Frame, crop: Crop) -> Frame:
    """The samples of `crop`, whose edges lie on the chroma grid; a view of the frame's planes."""
    across, down = frame.layout.chroma_shift_x, frame.layout.chroma_shift_y
    shifts = [(0, 0), (across, down), (across, down)]
    planes = tuple(
        plane[crop.top >> y : -(-crop.bottom >> y), crop.left >> x : -(-crop.right >> x)]
        for plane, (x, y) in zip(frame.planes, shifts, strict=False)
    )
    return replace(frame, planes=planes)


def window_at(hole: Hole, size: tuple[int, int], grid: int) -> Crop:
    """A part of the frame, centred on the hole `[H, W]` where there is room, its edges on the grid; some of it shows.

    `size` (width, height) counts whole cells of `grid`; less where the frame is smaller, up to `grid - 1` more at its
    right and lower edge.  Raises `ValueError` when the hole is empty.
    """
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    window = _around(rows, columns, hole.shape, size, grid)
    if hole[window.top : window.bottom, window.left : window.right].any():
        return window
    row = _most_central(rows, rows)  # of a ring, whose middle is none of it
    column = _most_central(np.flatnonzero(hole[row[0]]), columns)
    return _around(row, column, hole.shape, size, grid)


def largest_piece(hole: Hole, crops: Sequence[Crop]) -> Hole:
    """The largest connected piece of the hole within the crop that holds most of it; corners connect.

    Raises `ValueError` when no crop holds any.
    """
    held = [int(np.count_nonzero(hole[crop.top : crop.bottom, crop.left : crop.right])) for crop in crops]
    crop = crops[held.index(max(held))]
    inside = slice(crop.top, crop.bottom), slice(crop.left, crop.right)
    _, labels, measures, _ = cv2.connectedComponentsWithStats(hole[inside].astype(np.uint8))
    piece = np.zeros_like(hole)
    piece[inside] = labels == 1 + np.argmax(measures[1:, cv2.CC_STAT_AREA])  # 0 is what lies outside the hole
    return piece


def _rgb(frame: Frame, size: tuple[int, int], peak: int) -> Levels:
    """RGB of 0 to `peak`, each plane resized first; no bundle's rule, since nothing here comes back into the video."""
    bits = frame.layout.bits
    planes = tuple(_resized(plane, size) for plane in frame.planes)
    if frame.layout.family != "rgb":
        return rgb_from_planes(planes, frame.colour, (frame.width, frame.height), bits, peak)
    return cast(Levels, np.stack([rescale(plane, bits, peak) for plane in planes], axis=-1))


def _resized(plane: Plane, size: tuple[int, int]) -> Plane:
    rows, columns = plane.shape
    if (columns, rows) == size:
        return plane
    shrinks = columns >= size[0] and rows >= size[1]
    return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def _unturned(size: tuple[int, int], pose: Pose) -> tuple[int, int]:
    return (size[1], size[0]) if pose.turns % 2 else size


def _around(rows: Places, columns: Places, frame: tuple[int, ...], size: tuple[int, int], grid: int) -> Crop:
    """As `window_at`, of the rows and columns that the hole takes; `frame` is rows and columns, too."""
    left, width = _placed(columns, frame[1], size[0], grid)
    top, height = _placed(rows, frame[0], size[1], grid)
    return Crop(left, top, width, height)


def _most_central(places: Places, extent: Places) -> Places:
    """Of `places`, the one nearest to the middle of `extent`, which ascends."""
    nearest = np.argmin(np.abs(2 * places - (extent[0] + extent[-1])))
    return places[nearest : nearest + 1]


def _placed(taken: Places, frame: int, wanted: int, grid: int) -> tuple[int, int]:
    if not taken.size:
        raise ValueError("the hole is empty")
    centred = (int(taken[0]) + int(taken[-1]) + 1 - wanted + grid) // 2 // grid * grid  # to the nearest
    start = max(min(centred, (frame - wanted) // grid * grid), 0)
    stop = start + wanted
    return start, (frame if stop > frame - grid else stop) - start
