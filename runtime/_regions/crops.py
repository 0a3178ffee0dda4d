"""Where crops may lie: their sizes, their places and the grids they form, in whole pixels of the frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor

from runtime.patch import Crop

STEPS = 8  # scales are whole eighths: crops then keep the network's aspect exactly, and resize with few phases
_RIM = 8  # a crop's outer eighth on each side is context: no hole lies there unless the frame ends
_BEND = 1.35  # how far a crop that meets both edges of the frame may leave the network's aspect: 4:3 seen as 16:9


@dataclass(frozen=True, slots=True)
class Canvas:
    """What crops are cut from: the source's planes as they are decoded."""

    width: int  # of the full-resolution plane
    height: int
    chroma_shift_x: int  # log2 of luma columns per chroma column
    chroma_shift_y: int  # log2 of luma rows per chroma row
    turns: int = 0  # quarter turns counter-clockwise after which a picture stands upright


@dataclass(frozen=True, slots=True)
class Extent:
    """Columns `left` to `right` and rows `top` to `bottom`, the ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    def joined(self, other: Extent) -> Extent:
        """The smallest extent that holds both."""
        return Extent(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """A crop of a grid, and the part of it that no other crop of the grid answers for."""

    crop: Crop
    core: Extent  # cores touch and do not overlap; their inner edges lie on multiples of the cell


@dataclass(frozen=True, slots=True)
class _Axis:
    """One direction of the frame; scales are in eighths of a source pixel per network pixel."""

    size: int  # pixels of the frame
    grid: int  # pixels of a chroma sample
    picture: int  # pixels of the network's picture

    def length(self, scale: int) -> int:
        """Pixels of a crop: as the scale says, but never more than the frame has."""
        return min(_up(ceil(self.picture * scale / STEPS), self.grid), self.size)

    def holds(self, start: int, stop: int, scale: int) -> bool:
        """Whether one crop is enough for `start` to `stop` and the rim around it."""
        length = self.length(scale)
        low, high = self._reach(start, stop, length)
        return high - low <= length

    def spans(self, start: int, stop: int, scale: int) -> tuple[tuple[int, int], ...]:
        """Beginnings and ends of the crops that cover `start` to `stop` and the rim around it, evenly spread.

        Neighbours overlap by two rims at least; what one crop can hold is centred in it as far as the frame allows.
        """
        length = self.length(scale)
        low, high = self._reach(start, stop, length)
        room = high - low - length
        if room <= 0:
            return (self._span(min(max((start + stop - length) // 2, low + room), low), length),)
        count = 1 + ceil(room / max(self.grid, length - 2 * (length // _RIM) - self.grid))
        return tuple(self._span(low + room * number // (count - 1), length) for number in range(count))

    def _reach(self, start: int, stop: int, length: int) -> tuple[int, int]:
        """`start` and `stop` with the rim around them, on the grid and inside the frame."""
        rim = length // _RIM
        return _down(max(0, start - rim), self.grid), min(self.size, _up(stop + rim, self.grid))

    def _span(self, start: int, length: int) -> tuple[int, int]:
        """A crop near `start`, on the grid and inside the frame."""
        last = _down(self.size - length, self.grid)
        start = min(max(0, _down(start, self.grid)), last)
        return (start, self.size if start == last else start + length)


@dataclass(frozen=True, slots=True)
class Field:
    """The arithmetic of crops for one frame size and one network."""

    across: _Axis
    down: _Axis
    turns: int
    limit: int  # the largest scale that is of use: a larger crop would hold no more, or bend too far

    def need(self, width: int, height: int, share: float) -> int:
        """The smallest scale at which a hole of `width` by `height` takes no more than `share` of a crop's sides."""
        wide = ceil(width * STEPS / (share * self.across.picture))
        tall = ceil(height * STEPS / (share * self.down.picture))
        return min(max(wide, tall, STEPS), self.limit)

    def fits(self, extent: Extent, scale: int) -> bool:
        """Whether one crop holds the extent and its rim."""
        return self.across.holds(extent.left, extent.right, scale) and self.down.holds(extent.top, extent.bottom, scale)

    def tiles(self, extent: Extent, scale: int, cell: int) -> Iterator[Tile]:
        """The grid of crops that covers the extent, row by row; one crop where that is enough."""
        columns = self.across.spans(extent.left, extent.right, scale)
        rows = self.down.spans(extent.top, extent.bottom, scale)
        lefts = _seams(columns, self.across.size, cell)
        tops = _seams(rows, self.down.size, cell)
        for (top, bottom), (core_top, core_bottom) in zip(rows, pairwise(tops), strict=True):
            for (left, right), (core_left, core_right) in zip(columns, pairwise(lefts), strict=True):
                crop = Crop(left, top, right - left, bottom - top, self.turns)
                yield Tile(crop, Extent(core_left, core_top, core_right, core_bottom))


def make_field(canvas: Canvas, picture: tuple[int, int]) -> Field:
    """The field of a source and of a network whose upright picture is `(width, height)`."""
    wide, tall = picture if canvas.turns % 2 == 0 else picture[::-1]
    across = _Axis(canvas.width, 1 << canvas.chroma_shift_x, wide)
    down = _Axis(canvas.height, 1 << canvas.chroma_shift_y, tall)
    ratios = (canvas.width / wide, canvas.height / tall)
    limit = min(ceil(max(ratios) * STEPS), floor(min(ratios) * _BEND * STEPS))
    return Field(across, down, canvas.turns, max(limit, STEPS))


def _seams(spans: tuple[tuple[int, int], ...], size: int, cell: int) -> list[int]:
    """Where one core ends and the next begins: in the middle of the overlap, on a multiple of `cell`."""
    return [0, *(round((stop + start) / 2 / cell) * cell for (_, stop), (start, _) in pairwise(spans)), size]


def _down(value: int, grid: int) -> int:
    return value // grid * grid


def _up(value: int, grid: int) -> int:
    return -(-value // grid) * grid
