"""Which part of a picture is decoded, and the interpolation that its graph takes.  Arithmetic only.

Formulas: docs/bundle.md, Parts; why they are exact: docs/adr/0016.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from runtime.device import Array
from runtime.resize import Area

_EIGHTHS = (2, 3, 4, 6)  # of an axis: the sizes that programs are opened for
_PAYS = 0.5  # share of the features from which on a part saves too little for a program of its own


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a decoder makes a picture `[height * 2**doublings, width * 2**doublings]` of its features."""

    height: int  # of the features
    width: int
    doublings: int
    halo: int  # pixels beside a side inside the picture that mean nothing

    @property
    def scale(self) -> int:
        """Pixels a feature, both ways."""
        return 1 << self.doublings


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the features, and what is exact of the picture made of it alone."""

    window: Area  # in features
    exact: Area  # in pixels of the whole picture
    shown: Area  # the same pixels, in the picture made of the window

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of features."""
        return self.window.bottom - self.window.top, self.window.right - self.window.left


def part_for(wanted: Area, geometry: Geometry) -> Part | None:
    """The part whose exact pixels hold those `wanted`; None where the whole picture costs hardly more."""
    rows = _span(wanted.top, wanted.bottom, geometry.height, geometry)
    columns = _span(wanted.left, wanted.right, geometry.width, geometry)
    window = Area(columns[0], rows[0], columns[1], rows[1])
    share = (rows[1] - rows[0]) * (columns[1] - columns[0]) / (geometry.height * geometry.width)
    return None if share > _PAYS else part_of(window, geometry)


def part_of(window: Area, geometry: Geometry) -> Part:
    """The part that is made of `window` features; nothing of it may be exact."""
    top, bottom = _exact(window.top, window.bottom, geometry.height, geometry)
    left, right = _exact(window.left, window.right, geometry.width, geometry)
    across, down = window.left * geometry.scale, window.top * geometry.scale
    shown = Area(left - across, top - down, right - across, bottom - down)
    return Part(window, Area(left, top, right, bottom), shown)


def sizes_of(count: int) -> tuple[int, ...]:
    """The lengths, ascending, that an axis of `count` features is cut to; the last is all of it."""
    return tuple(dict.fromkeys([*(-(-count * eighths // 8) for eighths in _EIGHTHS), count]))


def interpolations(part: Part, geometry: Geometry) -> dict[str, Array]:
    """By input's name the doublings' matrices: `rows_k` `[2h, h]` and `columns_k` `[w, 2w]`, not to be written."""
    window, found = part.window, dict[str, Array]()
    for step in range(geometry.doublings):
        found[f"rows_{step + 1}"] = _doubling(geometry.height << step, window.top << step, window.bottom << step)
        across = _doubling(geometry.width << step, window.left << step, window.right << step, transposed=True)
        found[f"columns_{step + 1}"] = across
    return found


@lru_cache(maxsize=512)  # a few kilobytes each; a hole that wanders meets all of them again
def _doubling(size: int, begin: int, end: int, *, transposed: bool = False) -> Array:
    """How samples `2 begin` to `2 end` of `size` doubled to `2 size`, corners aligned, are made of `begin` to `end`.

    Result o lies at `o (size - 1) / (2 size - 1)` and takes from the two around it; what lies outside is left out.
    """
    results = np.arange(2 * begin, 2 * end)
    source = results * (size - 1) / (2 * size - 1)
    low = np.floor(source).astype(np.intp)
    matrix = np.zeros((len(results), end - begin))
    for place, weight in ((low, 1 - (source - low)), (low + 1, source - low)):
        inside = np.flatnonzero((begin <= place) & (place < end))
        matrix[inside, place[inside] - begin] += weight[inside]
    return np.ascontiguousarray(matrix.T if transposed else matrix, np.float32)


def _span(start: int, stop: int, count: int, geometry: Geometry) -> tuple[int, int]:
    """Features, of `count`, whose exact pixels hold `start` to `stop`; in the middle of them as far as that goes."""
    first = max((start - geometry.halo) // geometry.scale, 0)
    last = min(-(-(stop + geometry.halo) // geometry.scale), count)
    size = next(size for size in sizes_of(count) if size >= last - first)
    begin = min(max((first + last - size) // 2, 0), count - size)
    return begin, begin + size


def _exact(begin: int, end: int, count: int, geometry: Geometry) -> tuple[int, int]:
    start = begin * geometry.scale + (geometry.halo if begin else 0)
    stop = end * geometry.scale - (geometry.halo if end < count else 0)
    return start, max(start, stop)
