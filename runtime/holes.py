"""Holes on the way to the network's grid and back (formulas: docs/bundle.md, Pixels, The hole)."""

from __future__ import annotations

import numpy as np

from runtime.bundle import PixelRule
from runtime.frame import Hole
from runtime.patch import Crop
from runtime.resize import nearest_cells


def cover(mask: Hole, crop: Crop, rule: PixelRule, dilate: int) -> Hole | None:
    """What of a frame's mask `[H, W]` the network sees in `crop`: its hole `[h, w]`, upright; None where it has none.

    Cell `j` of the crop's `w` overlaps the pixels from `left + floor(j*width/w)` up to, not including,
    `left + ceil((j+1)*width/w)`, rows alike; it is hole when any of them is masked.  Then `dilate` iterations of a 3x3
    cross follow.  They begin in cells beyond the crop as well, as far as the frame reaches, so that crops side by side
    cut one hole to the same shape.
    """
    if not mask[crop.top : crop.bottom, crop.left : crop.right].any():
        return None
    columns, rows = coded_size(rule.width, rule.height, crop.turns)
    overlapping = _overlap(mask, crop.top, crop.height, rows, dilate)
    hole = _overlap(overlapping.T, crop.left, crop.width, columns, dilate).T
    for _ in range(dilate):
        hole = _grow(hole)
    return np.ascontiguousarray(np.rot90(hole[dilate : dilate + rows, dilate : dilate + columns], crop.turns))


def spread(hole: Hole, width: int, height: int) -> Hole:
    """The hole `[h, w]` of the network's size at `[height, width]`: every pixel takes the cell of its centre."""
    rows = np.take(hole, nearest_cells(height, hole.shape[0]), axis=0)
    return np.take(rows, nearest_cells(width, hole.shape[1]), axis=1)


def coded_size(width: int, height: int, turns: int) -> tuple[int, int]:
    """Columns and rows that a picture of `width` by `height` had before `turns` quarter turns."""
    return (height, width) if turns % 2 else (width, height)


def _overlap(mask: Hole, start: int, length: int, cells: int, beyond: int) -> Hole:
    """Rows of `mask` from `start`, `length` of them, as `cells` rows; and `beyond` more to each side.

    Rows of cells that lie outside the mask repeat its first or last row, which adds nothing: whatever grows from there
    grows farther from that row itself.
    """
    if (start, length, beyond) == (0, mask.shape[0], 0) and cells == length:
        return mask
    index = np.arange(-beyond, cells + beyond, dtype=np.intp)
    first = np.clip(start + index * length // cells, 0, mask.shape[0] - 1)
    last = np.clip(start - (-(index + 1) * length // cells) - 1, first, mask.shape[0] - 1)
    covered = np.take(mask, first, axis=0)
    for step in range(1, int((last - first).max()) + 1):
        covered |= np.take(mask, np.minimum(first + step, last), axis=0)
    return covered


def _grow(hole: Hole) -> Hole:
    grown = hole.copy()
    grown[1:] |= hole[:-1]
    grown[:-1] |= hole[1:]
    grown[:, 1:] |= hole[:, :-1]
    grown[:, :-1] |= hole[:, 1:]
    return grown
