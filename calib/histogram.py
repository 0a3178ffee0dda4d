"""Counts of magnitudes in bins that need no range beforehand: a float's exponent and first digits name its bin.

A histogram keeps the octaves below its largest value; what lies lower is counted as one bin next to zero.  When a
larger value comes, the octaves move up.  Everything is a sum of whole numbers or a maximum, so that the order in which
values, or whole histograms, come together changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]

_FINEST = 128  # bins of an octave that values are sorted into at first; a grid's bins are sums of these
_INFINITE = 255  # the exponent of what is no finite number
_HALVES = 1 << 15  # upper halves of a float32: its exponent and seven digits
_EXACT = 1 << 24  # values that may be counted in a float32


@dataclass(frozen=True, slots=True)
class Grid:
    """How finely, and how far down from the largest value, magnitudes are told apart."""

    per_octave: int  # a power of two up to 128
    octaves: int

    @property
    def bins(self) -> int:
        """How many there are beside the one next to zero."""
        return self.per_octave * self.octaves


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows of counts over one grid, `[rows, 1 + bins]`; column 0 counts what lies below the grid, zeros too."""

    grid: Grid
    top: int  # the octave, as a float32's biased exponent, of the largest value in any row
    counts: Counts

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Where bins begin and end, `[bins + 1]`, from the lowest octave's beginning to the top octave's end."""
        step = np.arange(self.grid.bins + 1)
        octave, place = np.divmod(step, self.grid.per_octave)
        exponents = octave + (self.top - self.grid.octaves + 1 - 127)
        return np.ldexp(1 + place / self.grid.per_octave, exponents)

    def merged(self, other: Histogram) -> Histogram:
        """Both together; raises `ValueError` when their rows or grids differ."""
        if self.grid != other.grid or self.counts.shape != other.counts.shape:
            raise ValueError("histograms of different rows or grids cannot be merged")
        top = max(self.top, other.top)
        return Histogram(self.grid, top, _moved(self, top) + _moved(other, top))


def histogram(grid: Grid, values: Values) -> Histogram:
    """The `values` `[n, rows, ...]` counted row by row; raises `ValueError` when one is infinite or no number."""
    fine = _sorted_in(values)
    reached = np.flatnonzero(fine.any(axis=0))
    top = int(reached[-1]) // _FINEST
    if top == _INFINITE:
        raise ValueError("a value is infinite or no number")
    lowest = (top - grid.octaves + 1) * _FINEST
    counts = np.zeros((len(fine), 1 + grid.octaves * _FINEST), np.int64)
    inside = fine[:, max(lowest, 0) : (top + 1) * _FINEST]
    counts[:, counts.shape[1] - inside.shape[1] :] = inside
    counts[:, 0] += fine[:, : max(lowest, 0)].sum(axis=1)
    return Histogram(grid, top, _folded(counts, _FINEST // grid.per_octave))


def _sorted_in(values: Values) -> Counts:
    """How often each upper half of a float32, without its sign, is there: `[rows, 2**15]`."""
    upper = np.ascontiguousarray(values, np.dtype("<f4")).view(np.dtype("<u2"))[..., 1::2] & np.uint16(0x7FFF)
    fine = np.zeros((values.shape[1], _HALVES), np.int64)
    for row in range(values.shape[1]):
        plane = upper[:, row].reshape(-1)
        for start in range(0, plane.size, _EXACT):
            part = np.ascontiguousarray(plane[start : start + _EXACT])[None]
            fine[row] += cv2.calcHist([part], [0], None, [_HALVES], [0, _HALVES]).reshape(-1).astype(np.int64)
    return fine


def coarser(source: Histogram, grid: Grid) -> Histogram:
    """The same values on a grid of fewer bins and octaves."""
    dropped = (source.grid.octaves - grid.octaves) * source.grid.per_octave
    kept = source.counts[:, dropped:].copy()
    kept[:, 0] = source.counts[:, : 1 + dropped].sum(axis=1)
    return Histogram(grid, source.top, _folded(kept, source.grid.per_octave // grid.per_octave))


def _folded(counts: Counts, times: int) -> Counts:
    """Bins beside the first added up in groups."""
    inside = counts[:, 1:].reshape(len(counts), -1, times).sum(axis=2)
    return np.concatenate([counts[:, :1], inside], axis=1).astype(np.int64)


def _moved(source: Histogram, top: int) -> Counts:
    """The counts as they stand under a larger top."""
    lost = min((top - source.top) * source.grid.per_octave, source.grid.bins)
    moved = np.zeros_like(source.counts)
    moved[:, 0] = source.counts[:, : 1 + lost].sum(axis=1)
    moved[:, 1 : 1 + source.grid.bins - lost] = source.counts[:, 1 + lost :]
    return moved
