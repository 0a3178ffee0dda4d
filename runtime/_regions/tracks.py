"""Pieces of a mask, followed over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from runtime._regions.crops import STEPS, Extent, Field
from runtime.frame import Hole, MaskRun

GAP = 50  # frames; pieces less far apart in time may share a crop: windows look about as far for references
NEVER = np.iinfo(np.int32).max  # the end of a run that may last as long as the video
_PIECES = 64  # in one mask; of more, those that lie near each other count as one
_CELLS = 16  # cells along the network's shorter side at least: as exact as crops need to be, and quick
_REMEMBERED = 4  # masks whose pieces are kept, since masks come back

Times = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Piece:
    """Masked pixels that touch each other, or a swarm of such."""

    extent: Extent  # exact
    width: int  # of the largest part that hangs together
    height: int
    left: int  # in cells
    top: int
    cells: Hole  # `[rows, columns]` from there, True where a masked pixel lies

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the frame's cells that `cells` describes."""
        rows, columns = self.cells.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


class Track:
    """A piece over time: where it was, and when."""

    def __init__(self, piece: Piece, first: int, last: int) -> None:
        self.extent = piece.extent  # of all frames
        self.width, self.height = piece.width, piece.height  # of the largest piece of a single frame
        self.first, self.last = first, last
        self._left, self._top = piece.left, piece.top
        self._begin, self._end = _empty(piece.cells.shape)
        self._mark(piece, first, last)

    def add(self, piece: Piece, first: int, last: int) -> None:
        """Follow the track into a later run."""
        self._grow(piece.extent, piece.width, piece.height)
        self.first, self.last = min(self.first, first), max(self.last, last)
        self._reserve(piece.left, piece.top, *piece.cells.shape)
        self._mark(piece, first, last)

    def absorb(self, other: Track) -> None:
        """Take over what `other` has been, since the two have met."""
        self._grow(other.extent, other.width, other.height)
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self._reserve(other._left, other._top, *other._begin.shape)
        rows, columns = self._part(other._left, other._top, *other._begin.shape)
        np.minimum(self._begin[rows, columns], other._begin, out=self._begin[rows, columns])
        np.maximum(self._end[rows, columns], other._end, out=self._end[rows, columns])

    def times(self, core: Extent, cell: int) -> tuple[int, int] | None:
        """The first and the last frame in which the track has a masked pixel in `core`; None when it never has."""
        top, left = max(core.top // cell - self._top, 0), max(core.left // cell - self._left, 0)
        bottom, right = -(-core.bottom // cell) - self._top, -(-core.right // cell) - self._left
        if bottom <= top or right <= left:
            return None
        end = self._end[top:bottom, left:right]
        if not end.size or int(end.max()) < 0:
            return None
        return int(self._begin[top:bottom, left:right].min()), int(end.max())

    def _grow(self, extent: Extent, width: int, height: int) -> None:
        self.extent = self.extent.joined(extent)
        self.width, self.height = max(self.width, width), max(self.height, height)

    def _reserve(self, left: int, top: int, rows: int, columns: int) -> None:
        """Make room for these cells."""
        old_rows, old_columns = self._begin.shape
        new_left, new_top = min(left, self._left), min(top, self._top)
        new_right = max(left + columns, self._left + old_columns)
        new_bottom = max(top + rows, self._top + old_rows)
        if (new_right - new_left, new_bottom - new_top) == (old_columns, old_rows):
            return
        begin, end = _empty((new_bottom - new_top, new_right - new_left))
        held = (
            slice(self._top - new_top, self._top - new_top + old_rows),
            slice(self._left - new_left, self._left - new_left + old_columns),
        )
        begin[held], end[held] = self._begin, self._end
        self._left, self._top, self._begin, self._end = new_left, new_top, begin, end

    def _mark(self, piece: Piece, first: int, last: int) -> None:
        rows, columns = self._part(piece.left, piece.top, *piece.cells.shape)
        begin, end = self._begin[rows, columns], self._end[rows, columns]
        np.minimum(begin, first, out=begin, where=piece.cells)
        np.maximum(end, last, out=end, where=piece.cells)

    def _part(self, left: int, top: int, rows: int, columns: int) -> tuple[slice, slice]:
        row, column = top - self._top, left - self._left
        return slice(row, row + rows), slice(column, column + columns)


def cell_of(picture: tuple[int, int]) -> int:
    """The side of a cell in pixels, a power of two: masks are followed on cells instead of pixels."""
    return 1 << max(0, (min(picture) // _CELLS).bit_length() - 1)


def follow(runs: Iterable[MaskRun], field: Field, cell: int) -> list[Track]:
    """The tracks of a mask, in the order of their first frames.

    A piece goes on with every track that it overlaps in the run right before; else with one that ended less than `GAP`
    frames ago, or still lasts, and fits into one crop of scale 1 together with it; else it begins a track.
    """
    follower = _Follower(field, cell)
    for run in runs:
        follower.take(run)
    return sorted(follower.tracks(), key=lambda track: (track.first, track.extent.top, track.extent.left, track.last))


class _Follower:
    def __init__(self, field: Field, cell: int) -> None:
        self._field = field
        self._cell = cell
        self._open: list[Track] = []
        self._ended: list[Track] = []
        self._before: list[Track] = []  # the tracks of the last run, one a piece
        self._before_last = -1
        rows, columns = -(-field.down.size // cell), -(-field.across.size // cell)
        self._owners = np.zeros((rows, columns), np.int32)  # of the last run's cells: 1 + the number in `_before`
        self._remembered: list[tuple[Hole, tuple[Piece, ...]]] = []

    def take(self, run: MaskRun) -> None:
        last = NEVER if run.last is None else run.last
        self._ended += [track for track in self._open if track.last + GAP < run.first]
        self._open = [track for track in self._open if track.last + GAP >= run.first]
        if run.first > self._before_last + 1:
            self._owners[:] = 0
        now: list[Track] = []
        owners = np.zeros_like(self._owners)
        for piece in self._pieces(run.hole):
            track = self._met(piece, now) or self._near(piece.extent)
            if track is None:
                track = Track(piece, run.first, last)
                self._open.append(track)
            else:
                track.add(piece, run.first, last)
            now.append(track)
            owners[piece.place][piece.cells] = len(now)
        self._before, self._before_last, self._owners = now, last, owners

    def tracks(self) -> list[Track]:
        return self._ended + self._open

    def _met(self, piece: Piece, now: list[Track]) -> Track | None:
        """The track of the last run that the piece overlaps; where there are several they become one."""
        numbers = [int(number) for number in np.unique(self._owners[piece.place][piece.cells]) if number]
        tracks = {id(track): track for track in (self._before[number - 1] for number in numbers)}
        if not tracks:
            return None
        kept, *others = tracks.values()
        for other in others:
            kept.absorb(other)
            self._open.remove(other)
            for known in (self._before, now):
                known[:] = [kept if track is other else track for track in known]
        return kept

    def _near(self, extent: Extent) -> Track | None:
        """The first open track that one crop of scale 1 holds together with `extent`."""
        wide, tall = self._field.across.length(STEPS), self._field.down.length(STEPS)
        for track in self._open:
            joined = track.extent.joined(extent)
            small = joined.right - joined.left <= wide and joined.bottom - joined.top <= tall
            if small and self._field.fits(joined, STEPS):
                return track
        return None

    def _pieces(self, hole: Hole) -> tuple[Piece, ...]:
        for known, pieces in self._remembered:
            if known is hole:
                return pieces
        pieces = tuple(find_pieces(hole, self._cell, (self._field.across.picture, self._field.down.picture)))
        self._remembered = [*self._remembered[1 - _REMEMBERED :], (hole, pieces)]
        return pieces


def find_pieces(hole: Hole, cell: int, picture: tuple[int, int]) -> Iterator[Piece]:
    """The pieces of one mask `[H, W]`, connected on the grid of cells; `picture` is the network's along these axes."""
    occupied = _occupied(hole, cell)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(occupied.view(np.uint8), connectivity=8)
    parts = [[number] for number in range(1, count)]
    if len(parts) > _PIECES:
        parts = _swarms(np.asarray(centres, np.float64), cell, picture)
    for part in parts:
        left, top = stats[part, cv2.CC_STAT_LEFT], stats[part, cv2.CC_STAT_TOP]
        wide, tall = stats[part, cv2.CC_STAT_WIDTH], stats[part, cv2.CC_STAT_HEIGHT]
        box = Extent(int(left.min()), int(top.min()), int((left + wide).max()), int((top + tall).max()))
        inside = labels[box.top : box.bottom, box.left : box.right]
        cells = inside == part[0] if len(part) == 1 else np.isin(inside, part)
        extent = _trimmed(hole, Extent(box.left * cell, box.top * cell, box.right * cell, box.bottom * cell))
        width = min(int(wide.max()) * cell, extent.right - extent.left)
        yield Piece(extent, width, min(int(tall.max()) * cell, extent.bottom - extent.top), box.left, box.top, cells)


def _swarms(centres: npt.NDArray[np.float64], cell: int, picture: tuple[int, int]) -> list[list[int]]:
    """Numbers of the parts, put together where their centres lie in one field of half a native crop."""
    fields: dict[tuple[int, int], list[int]] = {}
    for number, (x, y) in enumerate(centres[1:], 1):
        fields.setdefault((int(y * cell * 2 // picture[1]), int(x * cell * 2 // picture[0])), []).append(number)
    return list(fields.values())


def _occupied(hole: Hole, cell: int) -> Hole:
    """Cells `[ceil(H / cell), ceil(W / cell)]` that hold a masked pixel."""
    rows, columns = -(-hole.shape[0] // cell), -(-hole.shape[1] // cell)
    words = -(-columns * cell // 8)  # eight pixels are looked at in one go
    padded = np.zeros((rows * cell, words * 8), np.bool_)
    padded[: hole.shape[0], : hole.shape[1]] = hole
    rows_joined = np.bitwise_or.reduce(padded.view(np.uint64).reshape(rows, cell, words), axis=1)
    flat = rows_joined.view(np.bool_)[:, : columns * cell]
    return flat.reshape(rows, columns, cell).any(axis=2)


def _trimmed(hole: Hole, extent: Extent) -> Extent:
    """The part of `extent` that masked pixels reach to."""
    part = hole[extent.top : extent.bottom, extent.left : extent.right]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    left, top = extent.left, extent.top
    return Extent(left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1)


def _empty(shape: Sequence[int]) -> tuple[Times, Times]:
    return np.full(tuple(shape), NEVER, np.int32), np.full(tuple(shape), -1, np.int32)
