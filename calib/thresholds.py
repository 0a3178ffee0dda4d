"""The largest magnitude that eight bits shall still hold: four rules, from histograms.

What lies beyond a threshold is clipped to it; what lies below is rounded to a multiple of a 127th of it.  A bin's
values are taken to lie evenly in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from calib.histogram import Histogram

Levels = npt.NDArray[np.float64]

LEVELS = 127  # of int8 on each side of zero
PERCENTILE = 0.9999  # share of the values that is not clipped
_CANDIDATES = 64  # thresholds that are compared
_LEAST = 0.25  # the lowest of them, as a share of the largest value
_LINES = 1 / 4  # linear bins to a level in the entropy, times the bins of an octave
_SMALLEST = 1e-9  # what stands for a probability of zero


def largest(_: Histogram, peaks: Levels) -> Levels:
    """Nothing is clipped; `peaks` are the largest magnitudes of the rows."""
    return peaks


def percentile(histogram: Histogram, peaks: Levels) -> Levels:
    """All but one in ten thousand values fit."""
    total = histogram.counts.cumsum(axis=1)
    wanted = np.ceil(total[:, -1:] * PERCENTILE)
    first = (total >= wanted).argmax(axis=1)
    return np.minimum(histogram.edges[first], peaks)  # column k ends at edge k


def mean_squared_error(histogram: Histogram, peaks: Levels) -> Levels:
    """The threshold with the least squared error of rounding and clipping together, of 64 up to the peak.

    Of several as good the largest: a row whose values are too small for any column but the first tells none apart.
    """
    edges = histogram.edges
    centres = np.concatenate([[0.0], (edges[:-1] + edges[1:]) / 2])
    found = np.zeros(len(peaks))
    for row, (counts, peak) in enumerate(zip(histogram.counts, peaks, strict=True)):
        tried = peak * np.linspace(1.0, _LEAST, _CANDIDATES)  # argmin takes the first
        step = tried[:, None] / LEVELS
        values = np.minimum(centres, peak)[None, :]
        rounding = np.where(values < step / 2, values**2, step**2 / 12)
        error = np.where(values > tried[:, None], (values - tried[:, None]) ** 2, rounding)
        found[row] = tried[(error * counts).sum(axis=1).argmin()]
    return found


def entropy(histogram: Histogram, peaks: Levels) -> Levels:
    """The threshold that loses least information: the least Kullback-Leibler divergence of the levels from the values.

    Source: S. Migacz, "8-bit inference with TensorRT", GTC 2017.
    """
    size = int((LEVELS + 1) * _LINES * histogram.grid.per_octave)
    lines = _linear(histogram, peaks, size)
    sizes = np.unique(np.linspace(_LEAST, 1.0, _CANDIDATES // 2) * size // 1).astype(int)
    losses = np.stack([_divergence(lines, tried) for tried in sizes])
    return peaks * sizes[losses.argmin(axis=0)] / size


Rule = Callable[[Histogram, Levels], Levels]

RULES: Mapping[str, Rule] = MappingProxyType(
    {"min-max": largest, "percentile": percentile, "entropy": entropy, "mse": mean_squared_error}
)


def _linear(histogram: Histogram, peaks: Levels, size: int) -> Levels:
    """Counts over `size` equal bins from 0 to each row's peak."""
    edges = np.concatenate([[0.0], histogram.edges])
    below = np.concatenate([np.zeros((len(peaks), 1)), histogram.counts.cumsum(axis=1)], axis=1)
    grids = peaks[:, None] * np.linspace(0.0, 1.0, size + 1)
    cumulative = np.empty_like(grids)
    for row, (grid, known) in enumerate(zip(grids, below, strict=True)):
        cumulative[row] = np.interp(grid, edges, known)
    cumulative[:, -1] = below[:, -1]
    return np.diff(cumulative, axis=1)


def _divergence(lines: Levels, kept: int) -> Levels:
    """What is lost when the first `kept` bins become levels and all beyond them the last one."""
    inside = lines[:, :kept]
    wanted = inside.copy()
    wanted[:, -1] += lines[:, kept:].sum(axis=1)
    starts = np.arange(LEVELS + 1) * kept // (LEVELS + 1)
    level = np.repeat(np.arange(LEVELS + 1), np.diff(starts, append=kept))
    used = (inside > 0).astype(np.float64)
    spread = np.add.reduceat(inside, starts, axis=1) / np.maximum(np.add.reduceat(used, starts, axis=1), 1)
    found = spread[:, level] * used
    wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1)
    found /= np.maximum(found.sum(axis=1, keepdims=True), _SMALLEST)
    return (wanted * np.log(np.maximum(wanted, _SMALLEST) / np.maximum(found, _SMALLEST))).sum(axis=1)
