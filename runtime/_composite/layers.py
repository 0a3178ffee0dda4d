"""What each patch would write into a frame: where, how opaque, with which weight beside other patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from runtime.frame import RGB, Frame, Hole
from runtime.patch import Crop, Patch
from runtime.resize import Area, nearest_cells, resize_area

Opacity = npt.NDArray[np.unsignedinteger]  # [rows, columns] of 0 to `2**depth_of(feather)`

_RAMP = 127  # steps of a ramp from a crop's edge to its middle


@dataclass(frozen=True, slots=True)
class Layer:
    """A patch in the frame's own grid."""

    patch: Patch
    area: Area  # of the frame, whole chroma cells: outside of it the patch writes nothing
    opacity: Opacity  # over the area

    def pixels(self) -> RGB:
        """The fill over the area, in the orientation of the frame's planes."""
        crop = self.patch.crop
        fill = np.ascontiguousarray(np.rot90(self.patch.fill, -crop.turns))
        return resize_area(fill, crop.width, crop.height, _inside(self.area, crop))

    def weight(self) -> npt.NDArray[np.float64]:
        """How much the fill counts where layers overlap, `[rows, columns]`: whole numbers that fall towards the edge.

        A pixel in column x of a crop of n columns has `1 + floor(127 min(2x + 1, 2(n - x) - 1) / n)`, times the same
        of its row, times its opacity.
        """
        crop, inside = self.patch.crop, _inside(self.area, self.patch.crop)
        rows = _ramp(crop.height)[inside.top : inside.bottom, None]
        columns = _ramp(crop.width)[inside.left : inside.right]
        return rows * columns * self.opacity.astype(np.float64)


def depth_of(feather: int) -> int:
    """Log2 of full opacity: a hard edge needs two levels, a soft one has 257."""
    return 8 if feather else 0


def layers_of(frame: Frame, patches: Sequence[Patch], feather: int) -> list[Layer]:
    """The patches that write at least one sample of the frame; `feather` in pixels of the source."""
    layers: list[Layer] = []
    for patch in patches:
        area = area_of(frame, patch, feather)
        if area is not None:
            crop = patch.crop
            spread = _spread_in(_inside(area, crop), np.rot90(patch.hole, -crop.turns), crop)
            layers.append(Layer(patch, area, _opacity(spread, feather)))
    return layers


def area_of(frame: Frame, patch: Patch, feather: int) -> Area | None:
    """The part of the frame that the patch may write to, in whole chroma cells; None where it writes nothing."""
    crop = patch.crop
    inside = _reached(np.rot90(patch.hole, -crop.turns), frame, crop, feather)
    if inside is None:
        return None
    return Area(crop.left + inside.left, crop.top + inside.top, crop.left + inside.right, crop.top + inside.bottom)


def read_of(hole: Hole, crop: Crop, feather: int) -> Area:
    """The part of a patch's fill, upright, that anything behind the network looks at.

    That is the hole, and what the resize to the crop's size takes for every pixel of some opacity; the others of a
    chroma cell weigh nothing in it.  `seamless` looks at the pixels beside the hole, which the resize takes anyway;
    smoothing looks at holes alone, grain and report at nothing of it.
    """
    lying = np.rot90(hole, -crop.turns)
    top, bottom = _read(np.flatnonzero(lying.any(axis=1)), lying.shape[0], crop.height, feather)
    left, right = _read(np.flatnonzero(lying.any(axis=0)), lying.shape[1], crop.width, feather)
    read = np.zeros(lying.shape, np.bool_)
    read[top:bottom, left:right] = True
    rows, columns = (np.flatnonzero(np.rot90(read, crop.turns).any(axis=axis)) for axis in (1, 0))
    return Area(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def pieces(layers: Sequence[Layer]) -> Iterator[tuple[Area, list[int]]]:
    """Areas that do not overlap and together hold every layer's, each with the numbers of the layers that cover it."""
    for top, bottom in _cuts((layer.area.top, layer.area.bottom) for layer in layers):
        row = [k for k, layer in enumerate(layers) if layer.area.top <= top and bottom <= layer.area.bottom]
        for left, right in _cuts((layers[k].area.left, layers[k].area.right) for k in row):
            here = [k for k in row if layers[k].area.left <= left and right <= layers[k].area.right]
            if here:
                yield Area(left, top, right, bottom), here


def _cuts(spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    return pairwise(sorted({end for span in spans for end in span}))


def _inside(area: Area, crop: Crop) -> Area:
    """`area` as seen from the crop's corner."""
    return Area(area.left - crop.left, area.top - crop.top, area.right - crop.left, area.bottom - crop.top)


def _reached(hole: Hole, frame: Frame, crop: Crop, feather: int) -> Area | None:
    """The part of the crop that the hole spreads to, with feather, in whole chroma cells; None when there is none."""
    rows = np.flatnonzero(hole.any(axis=1))
    columns = np.flatnonzero(hole.any(axis=0))
    if not rows.size:
        return None
    top, bottom = _reach(rows, hole.shape[0], crop.height, (feather, frame.layout.chroma_shift_y))
    left, right = _reach(columns, hole.shape[1], crop.width, (feather, frame.layout.chroma_shift_x))
    return Area(left, top, right, bottom) if top < bottom and left < right else None


def _reach(cells: npt.NDArray[np.intp], count: int, size: int, grown: tuple[int, int]) -> tuple[int, int]:
    feather, shift = grown
    nearest = nearest_cells(size, count)
    start = int(nearest.searchsorted(int(cells[0]), "left"))
    stop = int(nearest.searchsorted(int(cells[-1]), "right"))
    if start >= stop:  # the crop is smaller than the network's picture and none of its pixels falls in these cells
        return 0, 0
    start, stop = max(start - feather, 0), stop + feather
    return start >> shift << shift, min(-(-stop >> shift) << shift, size)


def _read(cells: npt.NDArray[np.intp], count: int, size: int, feather: int) -> tuple[int, int]:
    """Cells, of `count`, that a resize to `size` takes for the pixels that the hole's `cells` spread to."""
    first, last = int(cells[0]), int(cells[-1]) + 1
    start, stop = _reach(cells, count, size, (feather, 0))
    if start < stop:
        scale = count / size
        support = 2 * max(scale, 1)  # docs/bundle.md, Resizing a plane
        first = min(first, max(int((start + 0.5) * scale - support + 0.5), 0))
        last = max(last, min(int((stop - 0.5) * scale + support + 0.5), count))
    return first, last


def _spread_in(inside: Area, hole: Hole, crop: Crop) -> Hole:
    rows = nearest_cells(crop.height, hole.shape[0])[inside.top : inside.bottom]
    columns = nearest_cells(crop.width, hole.shape[1])[inside.left : inside.right]
    return np.take(np.take(hole, rows, axis=0), columns, axis=1)


def _opacity(mask: Hole, feather: int) -> Opacity:
    """1 in the mask; with a feather 256 there, and less with every pixel of distance from it."""
    if not feather:
        return mask.view(np.uint8)
    if not mask.any():  # no pixel's centre falls in the hole's cells, and there is no distance to measure
        return np.zeros(mask.shape, np.uint16)
    distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squares = np.rint(np.minimum(distance, feather + 1) ** 2).astype(np.intp)
    return np.take(_opacity_table(feather), squares)


@lru_cache(maxsize=4)
def _opacity_table(feather: int) -> npt.NDArray[np.uint16]:
    """Opacity by squared distance, up to `(feather + 1)**2`: `floor(256 (1 - d / (feather + 1)) + 1/2)`, 0 beyond."""
    squares = np.arange((feather + 1) ** 2 + 1)
    table = np.floor(256 * (1 - np.sqrt(squares) / (feather + 1)) + 0.5).astype(np.uint16)
    table[squares > feather**2] = 0
    table.setflags(write=False)  # the cache hands out one array
    return table


@lru_cache(maxsize=32)
def _ramp(size: int) -> npt.NDArray[np.float64]:
    edges = 2 * np.arange(size) + 1
    ramp = (1 + _RAMP * np.minimum(edges, edges[::-1]) // size).astype(np.float64)
    ramp.setflags(write=False)  # the cache hands out one array
    return ramp
