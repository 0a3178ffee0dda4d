"""The documented composite in plain loops, one sample at a time (docs/bundle.md, Composite)."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np

from runtime.colour import FromRGB, from_rgb_table, resolve_matrix
from runtime.frame import Frame, Layout
from runtime.patch import Patch
from runtime.resize import Area, resize_area

Pixel = tuple[int, int]  # row, column


def composite_by_sample(frame: Frame, patches: tuple[Patch, ...], feather: int) -> list[np.ndarray]:
    """What `composite` makes of the frame's planes."""
    rows, columns = frame.planes[0].shape
    full = 256 if feather else 1
    sources = [(patch, fill_of(patch), opacity_of(patch, feather)) for patch in patches]
    mixed = {place: mix_at(place, sources) for place in np.ndindex(rows, columns)}
    pixels = {place: fill for place, fill in mixed.items() if fill is not None}
    planes = [plane.copy() for plane in frame.planes]
    peak = (1 << frame.layout.bits) - 1
    if frame.layout.family == "rgb":
        for place, channel in product(pixels, range(3)):
            fill, opacity = pixels[place]
            level = (2 * fill[channel] * peak + 255) // 510
            planes[channel][place] = blended(int(planes[channel][place]), level, opacity, full)
        return planes
    table = from_rgb_table(
        resolve_matrix(frame.colour.matrix, columns, rows), frame.colour.full_range, frame.layout.bits
    )
    for (y, x), (fill, opacity) in pixels.items():
        weighted = sum(a * b for a, b in zip(table.luma, fill, strict=True))
        level = ((weighted + (1 << (table.shift - 1))) >> table.shift) + table.scale.black
        planes[0][y, x] = blended(int(planes[0][y, x]), level, opacity, full)
    if frame.layout.family == "yuv":
        for number, weights in ((1, table.u), (2, table.v)):
            for place in np.ndindex(*planes[number].shape):
                cell = [pixels.get(member) for member in cell_of(place, frame.layout, rows, columns)]
                if any(cell):
                    source = int(planes[number][place])
                    planes[number][place] = min(max(chroma_of(cell, source, weights, table, full), 0), peak)
    return planes


def blended(source: int, level: int, opacity: int, full: int) -> int:
    return math.floor(Fraction(source * (full - opacity) + level * opacity, full) + Fraction(1, 2))


def chroma_of(
    cell: list[tuple[list[int], int] | None], source: int, weights: tuple[int, int, int], table: FromRGB, full: int
) -> int:
    """The mean over the luma samples of one cell."""
    total = 0
    for member in cell:
        fill, opacity = ([0, 0, 0], 0) if member is None else member
        chroma = sum(a * b for a, b in zip(weights, fill, strict=True)) + (table.scale.neutral << table.shift)
        total += opacity * chroma + (full - opacity) * (source << table.shift)
    return math.floor(Fraction(total, full * len(cell) << table.shift) + Fraction(1, 2))


def cell_of(place: Pixel, layout: Layout, rows: int, columns: int) -> list[Pixel]:
    """The luma samples of a chroma sample; a cell that the edge cuts repeats its last row or column."""
    down, across = 1 << layout.chroma_shift_y, 1 << layout.chroma_shift_x
    return [
        (min(y, rows - 1), min(x, columns - 1))
        for y in range(place[0] * down, (place[0] + 1) * down)
        for x in range(place[1] * across, (place[1] + 1) * across)
    ]


def mix_at(place: Pixel, sources: list[tuple[Patch, np.ndarray, list[list[int]]]]) -> tuple[list[int], int] | None:
    """Fill and opacity of one pixel of the frame; None where no patch shows."""
    total, weights, most = [0, 0, 0], 0, 0
    for patch, fill, opacity in sources:
        y, x = place[0] - patch.crop.top, place[1] - patch.crop.left
        if 0 <= y < patch.crop.height and 0 <= x < patch.crop.width and opacity[y][x]:
            weight = ramp(x, patch.crop.width) * ramp(y, patch.crop.height) * opacity[y][x]
            total = [so_far + weight * int(level) for so_far, level in zip(total, fill[y, x], strict=True)]
            weights += weight
            most = max(most, opacity[y][x])
    if not weights:
        return None
    return [math.floor(Fraction(channel, weights) + Fraction(1, 2)) for channel in total], most


def ramp(x: int, size: int) -> int:
    return 1 + 127 * min(2 * x + 1, 2 * (size - x) - 1) // size


def fill_of(patch: Patch) -> np.ndarray:
    """The fill over its whole crop, turned back."""
    crop = patch.crop
    lying = np.ascontiguousarray(np.rot90(patch.fill, -crop.turns))
    return resize_area(lying, crop.width, crop.height, Area(0, 0, crop.width, crop.height)).astype(int)


def opacity_of(patch: Patch, feather: int) -> list[list[int]]:
    """Of every pixel of the crop, by its distance from the nearest one whose cell is hole."""
    crop, hole = patch.crop, np.rot90(patch.hole, -patch.crop.turns)
    inside = [
        (y, x)
        for y, x in np.ndindex(crop.height, crop.width)
        if hole[(2 * y + 1) * hole.shape[0] // (2 * crop.height), (2 * x + 1) * hole.shape[1] // (2 * crop.width)]
    ]
    opacity = [[0] * crop.width for _ in range(crop.height)]
    for y, x in inside:
        opacity[y][x] = 256 if feather else 1
    for y, x in np.ndindex(crop.height, crop.width) if feather and inside else ():
        square = min((y - row) ** 2 + (x - column) ** 2 for row, column in inside)
        if square <= feather**2:
            opacity[y][x] = math.floor(256 * (1 - math.sqrt(square) / (feather + 1)) + 0.5)
    return opacity
