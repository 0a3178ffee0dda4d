"""Source frames to the network's pixels and back (formulas: docs/bundle.md, Pixels)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import cast

import numpy as np
import numpy.typing as npt

from runtime.bundle import PixelRule
from runtime.colour import (
    FromRGB,
    Levels,
    from_rgb_table,
    luma_from_rgb,
    resolve_matrix,
    rgb_from_planes,
    scale_of,
    weigh,
)
from runtime.frame import RGB, Frame, Hole, Plane
from runtime.resize import Region, nearest_cells, resize_plane, resize_region


def shrink(frame: Frame, rule: PixelRule) -> RGB:
    """The frame at the network's size: RGB uint8 `[h, w, 3]`, red first whatever the network's own order is.

    Every plane is resized to the network's size; the colour conversion comes after.  Raises `InputError` on a colour
    matrix that is not supported.
    """
    return cast(RGB, rgb_at(frame, rule.width, rule.height))


def rgb_at(frame: Frame, width: int, height: int, peak: int = 255) -> Levels:
    """The frame as RGB `[height, width, 3]` of 0 to `peak` (255: uint8, 65535: uint16)."""
    bits = frame.layout.bits
    if frame.layout.family != "rgb":
        planes = tuple(resize_plane(plane, width, height, bits) for plane in frame.planes)
        return rgb_from_planes(planes, frame.colour, frame.height, bits, peak)
    stack = np.stack([resize_plane(_rescale(plane, bits, peak), width, height, 16) for plane in frame.planes], axis=-1)
    return cast(Levels, stack)


def normalise(rgb: RGB, hole: Hole, rule: PixelRule, out: npt.NDArray[np.float32]) -> None:
    """Write RGB uint8 `[h, w, 3]` into `out` `[3, h, w]` as the network reads it.

    A sample becomes `low + (high - low) * (sample / 255)`, every step in float32; where `rule.mask_applied`, samples of
    `hole` `[h, w]` become `rule.hole_value`.
    """
    table = _value_table(rule.low, rule.high)
    order = (0, 1, 2) if rule.colour_order == "rgb" else (2, 1, 0)
    for channel, source in enumerate(order):
        np.take(table, rgb[..., source], out=out[channel], mode="clip")
        if rule.mask_applied:
            np.copyto(out[channel], np.float32(rule.hole_value), where=hole)


def composite(frame: Frame, fill: RGB, hole: Hole) -> Frame:
    """`frame` with `hole` `[h, w]` of the network's size filled from `fill`, RGB uint8 `[h, w, 3]`.

    Samples outside the hole, spread to the frame's size and for chroma grown to the chroma grid, are the frame's own,
    bit for bit; planes are copied before they are written.  An empty hole gives back `frame` itself.
    """
    region = _hole_region(frame, hole)
    if region is None:
        return frame
    mask = _hole_in(region, hole, frame.width, frame.height)
    pixels = resize_region(fill, frame.width, frame.height, region)
    planes = tuple(plane.copy() for plane in frame.planes)
    if frame.layout.family == "rgb":
        for channel, plane in enumerate(planes):
            level = _rescale(pixels[..., channel], 8, scale_of(frame.layout.bits, True).peak)
            _paint(plane[region.top : region.bottom, region.left : region.right], level, mask)
        return replace(frame, planes=planes)
    matrix = resolve_matrix(frame.colour.matrix, frame.height)
    table = from_rgb_table(matrix, frame.colour.full_range, frame.layout.bits)
    luma = luma_from_rgb(pixels[..., 0], pixels[..., 1], pixels[..., 2], table)
    _paint(planes[0][region.top : region.bottom, region.left : region.right], luma, mask)
    if len(planes) == 3:
        _paint_chroma(planes, frame, region, pixels, mask, table)
    return replace(frame, planes=planes)


def _paint(target: Plane, samples: Levels, mask: Hole) -> None:
    np.copyto(target, samples, where=mask, casting="unsafe")


def _paint_chroma(
    planes: tuple[Plane, ...], frame: Frame, region: Region, pixels: RGB, mask: Hole, table: FromRGB
) -> None:
    """Chroma of every cell that the hole touches: the mean over its luma samples, fill inside, source outside."""
    across, down = frame.layout.chroma_shift_x, frame.layout.chroma_shift_y
    samples = 1 << (across + down)
    inside = _cell_sums(mask.view(np.uint8), across, down)
    touched = inside != 0
    red, green, blue = (_cell_sums(pixels[..., channel] * mask, across, down) for channel in range(3))
    outside = samples - inside
    rows = slice(region.top >> down, -(-region.bottom >> down))
    columns = slice(region.left >> across, -(-region.right >> across))
    shift = table.shift + across + down
    for plane, weights in ((planes[1], table.u), (planes[2], table.v)):
        target = plane[rows, columns]
        level: npt.NDArray[np.int32] = outside * target
        level += inside * np.int32(table.scale.neutral)
        level <<= table.shift
        level += weigh(red, green, blue, weights)
        level += 1 << (shift - 1)
        level >>= shift
        _paint(target, np.clip(level, 0, table.scale.peak), touched)


def _cell_sums(samples: npt.NDArray[np.uint8], across: int, down: int) -> npt.NDArray[np.int32]:
    """Sums over chroma cells of `2**down` by `2**across`; cells that the edge cuts repeat its last row or column."""
    rows, columns = samples.shape
    missing = (-rows % (1 << down), -columns % (1 << across))
    if any(missing):
        samples = np.pad(samples, ((0, missing[0]), (0, missing[1])), mode="edge")
    total = np.zeros((samples.shape[0] >> down, samples.shape[1] >> across), np.int32)
    for row in range(1 << down):
        for column in range(1 << across):
            total += samples[row :: 1 << down, column :: 1 << across]
    return total


def _hole_region(frame: Frame, hole: Hole) -> Region | None:
    """The part of the frame that the hole spreads to, grown to whole chroma cells; None when there is none."""
    rows = np.flatnonzero(hole.any(axis=1))
    columns = np.flatnonzero(hole.any(axis=0))
    if not rows.size:
        return None
    top, bottom = _reach(rows, hole.shape[0], frame.height, frame.layout.chroma_shift_y)
    left, right = _reach(columns, hole.shape[1], frame.width, frame.layout.chroma_shift_x)
    return Region(left, top, right, bottom) if top < bottom and left < right else None


def _reach(cells: npt.NDArray[np.intp], count: int, size: int, shift: int) -> tuple[int, int]:
    nearest = nearest_cells(size, count)
    start = int(nearest.searchsorted(int(cells[0]), "left"))
    stop = int(nearest.searchsorted(int(cells[-1]), "right"))
    if start >= stop:  # the frame is smaller than the network's picture and none of its pixels falls in these cells
        return 0, 0
    return start >> shift << shift, min(-(-stop >> shift) << shift, size)


def _hole_in(region: Region, hole: Hole, width: int, height: int) -> Hole:
    rows = nearest_cells(height, hole.shape[0])[region.top : region.bottom]
    columns = nearest_cells(width, hole.shape[1])[region.left : region.right]
    return np.take(np.take(hole, rows, axis=0), columns, axis=1)


def _rescale(plane: Levels, bits: int, peak: int) -> Plane:
    """Full-range samples of `bits` as samples of 0 to `peak`, rounded half up."""
    source = (1 << bits) - 1
    if source == peak:
        return cast(Plane, plane)
    scaled = (plane.astype(np.uint64) * (2 * peak) + source) // (2 * source)
    return cast(Plane, scaled.astype(np.dtype(np.uint8 if peak == 255 else np.uint16)))


@lru_cache(maxsize=8)
def _value_table(low: float, high: float) -> npt.NDArray[np.float32]:
    samples = np.arange(256, dtype=np.float32) / np.float32(255)
    table = np.float32(low) + np.float32(high - low) * samples
    table.setflags(write=False)  # the cache hands out one array
    return table
