"""What `dilate_cover` and `dilate_grow` compute together, in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def dilate(
    mask: Mask, corner: tuple[int, int], crop: tuple[int, int], picture: tuple[int, int], reach: int, turns: int
) -> npt.NDArray[np.uint8]:
    """The hole `[h, w]` of a crop, upright, 0 or 1; without a masked pixel in the crop there is none.

    `mask` `[H, W]` is the frame's; `corner` is the crop's left and top, `crop` its columns and rows, `picture` the
    columns and rows of the lying picture, `reach` the iterations of a 3x3 cross.  Source: docs/bundle.md, The hole.
    """
    rows = _edges(corner[1], crop[1], picture[1], reach, mask.shape[0])
    columns = _edges(corner[0], crop[0], picture[0], reach, mask.shape[1])
    covered = _any_within(_any_within(mask, *rows).T, *columns).T
    inner = (slice(reach, reach + picture[1]), slice(reach, reach + picture[0]))
    hole = np.zeros((picture[1], picture[0]), np.uint8)
    if covered[inner].any():
        for down in range(-reach, reach + 1):
            for across in range(abs(down) - reach, reach - abs(down) + 1):
                top, left = reach + down, reach + across
                hole |= covered[top : top + picture[1], left : left + picture[0]]
    return np.ascontiguousarray(np.rot90(hole, turns))


def _edges(start: int, length: int, cells: int, reach: int, size: int) -> tuple[npt.NDArray[np.intp], ...]:
    """Where the pixels begin and end, of `size`, that each cell overlaps; `reach` cells more on both sides."""
    index = np.arange(-reach, cells + reach)
    return np.clip(start + index * length // cells, 0, size), np.clip(start - (-(index + 1) * length // cells), 0, size)


def _any_within(mask: Mask, first: npt.NDArray[np.intp], stop: npt.NDArray[np.intp]) -> Mask:
    """For each span of rows whether any of them is set: `[spans, columns]`."""
    counted = np.concatenate([np.zeros((1, mask.shape[1]), np.intp), np.cumsum(mask, axis=0, dtype=np.intp)])
    return counted[stop] > counted[first]
