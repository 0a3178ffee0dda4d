"""RGB fill into a frame's own planes: its range, its matrix, its chroma grid (formulas: docs/bundle.md, Composite)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runtime._composite.layers import Opacity
from runtime.colour import FromRGB, Levels, from_rgb_table, luma_from_rgb, rescale, resolve_matrix, scale_of, weigh
from runtime.frame import RGB, Frame, Plane
from runtime.resize import Area


def write(planes: tuple[Plane, ...], frame: Frame, area: Area, fill: RGB, opacity: Opacity, depth: int) -> None:
    """Mix `fill` into the `area` of `planes`, copies of the frame's; `opacity` is 0 to `2**depth`.

    `area` holds whole chroma cells.  Samples of opacity 0 stay as they are, and so do chroma samples whose cell has
    none above it.
    """
    bits = frame.layout.bits
    box = (slice(area.top, area.bottom), slice(area.left, area.right))
    if frame.layout.family == "rgb":
        for channel, plane in enumerate(planes):
            level = rescale(fill[..., channel], 8, scale_of(bits, full_range=True).peak)
            _mix(plane[box], level, opacity, depth)
        return
    table = from_rgb_table(
        resolve_matrix(frame.colour.matrix, frame.width, frame.height), frame.colour.full_range, bits
    )
    _mix(planes[0][box], luma_from_rgb(fill[..., 0], fill[..., 1], fill[..., 2], table), opacity, depth)
    if len(planes) == 3:
        across, down = frame.layout.chroma_shift_x, frame.layout.chroma_shift_y
        cells = (slice(area.top >> down, -(-area.bottom >> down)), slice(area.left >> across, -(-area.right >> across)))
        _write_chroma((planes[1][cells], planes[2][cells]), fill, opacity, (across, down, depth), table)


def cell_sums(samples: Levels, across: int, down: int, kind: type[np.signedinteger]) -> Levels:
    """Sums over chroma cells of `2**down` by `2**across`; cells that the edge cuts repeat its last row or column."""
    rows, columns = samples.shape
    missing = (-rows % (1 << down), -columns % (1 << across))
    if any(missing):
        samples = np.pad(samples, ((0, missing[0]), (0, missing[1])), mode="edge")
    total = np.zeros((samples.shape[0] >> down, samples.shape[1] >> across), kind)
    for row in range(1 << down):
        for column in range(1 << across):
            total += samples[row :: 1 << down, column :: 1 << across]
    return total


def _mix(target: Plane, level: Levels, opacity: Opacity, depth: int) -> None:
    """`target` becomes `(target (2**depth - opacity) + level opacity + 2**(depth-1)) >> depth`."""
    if depth:
        amount = opacity.astype(np.int32)
        mixed = target * ((1 << depth) - amount)
        mixed += level * amount
        mixed += 1 << (depth - 1)
        mixed >>= depth
        level = mixed
    np.copyto(target, level, where=opacity != 0, casting="unsafe")


def _write_chroma(
    targets: tuple[Plane, Plane], fill: RGB, opacity: Opacity, shifts: tuple[int, int, int], table: FromRGB
) -> None:
    """Chroma of every cell that the hole touches: the mean over its luma samples, fill inside, source outside."""
    across, down, depth = shifts
    kind = np.int64 if depth else np.int32  # a hard edge is the usual one, and its sums fit 32 bits
    inside = cell_sums(opacity, across, down, kind)
    touched = inside != 0
    red, green, blue = (cell_sums(fill[..., channel] * opacity, across, down, kind) for channel in range(3))
    outside = (1 << (across + down + depth)) - inside
    shift = table.shift + across + down + depth
    for target, weights in zip(targets, (table.u, table.v), strict=True):
        level: npt.NDArray[np.signedinteger] = outside * target
        level += inside * table.scale.neutral
        level <<= table.shift
        level += weigh(red, green, blue, weights, kind)
        level += 1 << (shift - 1)
        level >>= shift
        np.copyto(target, np.clip(level, 0, table.scale.peak), where=touched, casting="unsafe")
