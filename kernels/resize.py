"""The weights of the bicubic resize, and the resize itself in NumPy (formulas: docs/bundle.md, Resizing a plane)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.integer[Any]]  # [rows, columns]

_SHIFT = 22  # bits behind the point of the weights for 8-bit samples


@dataclass(frozen=True, slots=True)
class Taps:
    """How each sample of a resized row or column comes from the source's; both arrays are laid out for the kernels."""

    first: npt.NDArray[np.int32]  # [count]
    weights: npt.NDArray[np.number[Any]]  # [taps, count]; 0 behind the end of a shorter filter


def taps_of(source: int, count: int, *, deep: bool) -> Taps:
    """The filter from `source` samples to `count`: whole numbers times 2^22, or doubles for samples of 9 bits and more.

    Where nothing is resized it is one tap of weight 1, which changes no sample.
    """
    if source == count:
        one = np.ones((1, count)) if deep else np.full((1, count), 1 << _SHIFT, np.int32)
        return Taps(np.arange(count, dtype=np.int32), one)
    scale = source / count
    stretch = max(scale, 1.0)
    centre = (np.arange(count) + 0.5) * scale
    first = np.maximum(np.trunc(centre - 2 * stretch + 0.5), 0).astype(np.int32)
    stop = np.minimum(np.trunc(centre + 2 * stretch + 0.5), source).astype(np.int32)
    tap = np.arange(int((stop - first).max()))[:, None]
    weights = np.where(first + tap < stop, _cubic((tap + first - centre + 0.5) * (1 / stretch)), 0.0)
    total = np.zeros(count)
    for row in weights:  # in this order, as sums of doubles depend on it
        total += row
    weights = weights / total
    if deep:
        return Taps(first, weights)
    whole = np.floor(np.abs(weights) * (1 << _SHIFT) + 0.5)
    return Taps(first, (np.sign(weights) * whole).astype(np.int32))


def resize(plane: Plane, columns: int, rows: int, bits: int) -> npt.NDArray[np.int64]:
    """`plane` at `[rows, columns]`, its rows first; 8-bit samples in fixed point, deeper ones in doubles."""
    deep = bits > 8
    across, down = (taps_of(n, m, deep=deep) for n, m in zip(plane.shape[::-1], (columns, rows), strict=True))
    if deep:
        wide = _weighted(plane.T.astype(np.float64), across).astype(np.float32).T
        tall = _weighted(wide.astype(np.float64), down).astype(np.float32)
        return np.clip(np.floor(tall + np.float32(0.5)), 0, (1 << bits) - 1).astype(np.int64)
    half = 1 << (_SHIFT - 1)
    wide = np.clip((_weighted(plane.T.astype(np.int64), across) + half) >> _SHIFT, 0, 255).T
    return np.clip((_weighted(wide, down) + half) >> _SHIFT, 0, 255)


def nearest_cells(size: int, cells: int) -> npt.NDArray[np.intp]:
    """For each of `size` pixels the cell, of `cells`, that holds its centre."""
    return (2 * np.arange(size) + 1) * cells // (2 * size)


def _weighted(samples: npt.NDArray[Any], taps: Taps) -> npt.NDArray[Any]:
    """Sums of weighted rows of `samples` `[rows, columns]`, in the order of the taps: `[count, columns]`."""
    total = np.zeros((taps.first.size, samples.shape[1]), samples.dtype)
    for tap, weights in enumerate(taps.weights):
        total += weights[:, None] * samples[np.minimum(taps.first + tap, samples.shape[0] - 1)]
    return total


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
