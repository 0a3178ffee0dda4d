"""What the kernels of this folder compute, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.layout import Family, FromRgb
from kernels.resize import Plane, nearest_cells, resize

Painted = npt.NDArray[np.floating[Any]]
Sums = npt.NDArray[np.float32]  # [3, h, w], red first
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fill:
    """What the network painted of one crop."""

    rgb: npt.NDArray[np.uint8]  # [3, h, w], upright
    hole: npt.NDArray[np.bool_]  # [h, w]
    left: int
    top: int
    width: int
    height: int
    turns: int  # quarter turns counter-clockwise that made the lying picture upright


@dataclass(frozen=True, slots=True)
class Target:
    """How a frame holds its samples."""

    family: Family
    bits: int
    chroma_shift_x: int
    chroma_shift_y: int
    from_rgb: FromRgb


def accumulate(painted: Painted, before: Sums | None, low: float, high: float, weight: float | None) -> Sums:
    """The sum of a frame's pictures with that of one more window, `[3, h, w]`; `painted` is red first, in low..high.

    `weight` is the window's in the centred mean; None: the published average, which halves.
    """
    level = (painted.astype(np.float32) - np.float32(low)) / np.float32(high - low) * np.float32(255)
    if weight is None:
        level = np.trunc(level)
        return level if before is None else (before + level) * np.float32(0.5)
    level = level * np.float32(weight)
    return level if before is None else before + level


def settle(sums: Sums, total: float | None) -> npt.NDArray[np.uint8]:
    """The finished picture, `[3, h, w]`; `total` is the sum of the weights, None for the published average."""
    level = np.trunc(sums) if total is None else np.floor(sums / np.float32(total) + np.float32(0.5))
    return np.clip(level, 0, 255).astype(np.uint8)


def opacity(fill: Fill, feather: int) -> Whole:
    """Opacity of every pixel of the crop `[height, width]`: 0 or 1, with a feather 0 to 256."""
    lying = np.rot90(fill.hole, -fill.turns)
    hole = lying[np.ix_(nearest_cells(fill.height, lying.shape[0]), nearest_cells(fill.width, lying.shape[1]))]
    if not feather:
        return hole.astype(np.int64)
    beyond = feather + 1
    above = np.where(hole, 0, beyond)
    for _ in range(feather):
        above[1:] = np.minimum(above[1:], above[:-1] + 1)
        above[:-1] = np.minimum(above[:-1], above[1:] + 1)
    squares = np.full(hole.shape, beyond**2)
    for step in range(-min(feather, fill.width - 1), min(feather, fill.width - 1) + 1):
        here, there = slice(max(-step, 0), fill.width - max(step, 0)), slice(max(step, 0), fill.width + min(step, 0))
        squares[:, here] = np.minimum(squares[:, here], above[:, there] ** 2 + step**2)
    levels = np.floor(256 * (1 - np.sqrt(squares) / beyond) + 0.5).astype(np.int64)
    return np.where(squares > feather**2, 0, levels)


def composite(planes: Sequence[Plane], target: Target, fills: Sequence[Fill], feather: int) -> list[Plane]:
    """The frame's planes with the holes filled.  Source: docs/bundle.md, Composite."""
    rgb, amount = _mixed(planes[0].shape, fills, feather)
    full, table = 256 if feather else 1, target.from_rgb
    if target.family == "rgb":
        levels = [(channel * 2 * table.peak + 255) // 510 for channel in rgb]
        return [_blended(plane, level, amount, full) for plane, level in zip(planes, levels, strict=True)]
    luma = (_weigh(table.luma, rgb) + (1 << (table.shift - 1)) >> table.shift) + table.black
    written = [_blended(planes[0], luma, amount, full)]
    if target.family == "yuv":
        shifts = (target.chroma_shift_x, target.chroma_shift_y)
        inside = _cell_sums(amount, *shifts)
        cells = [_cell_sums(channel * amount, *shifts) for channel in rgb]
        whole = full << sum(shifts)
        for plane, weights in zip(planes[1:], (table.u, table.v), strict=True):
            total = (inside * table.neutral + (whole - inside) * plane.astype(np.int64)) * (1 << table.shift)
            unit = whole << table.shift
            level = np.clip((total + _weigh(weights, cells) + unit // 2) // unit, 0, table.peak)
            written.append(np.where(inside > 0, level, plane).astype(plane.dtype))
    return written


def _mixed(shape: tuple[int, ...], fills: Sequence[Fill], feather: int) -> tuple[list[Whole], Whole]:
    """Fill, channel by channel, and opacity of every pixel of the frame."""
    sums, weights = np.zeros((3, *shape), np.int64), np.zeros(shape, np.int64)
    most = np.zeros(shape, np.int64)
    for fill in fills:
        box = np.s_[fill.top : fill.top + fill.height, fill.left : fill.left + fill.width]
        amount = opacity(fill, feather)
        weight = amount * _ramp(fill.height)[:, None] * _ramp(fill.width)
        weights[box] += weight
        most[box] = np.maximum(most[box], amount)
        for channel in range(3):
            lying = np.rot90(fill.rgb[channel], -fill.turns)
            sums[channel][box] += weight * resize(lying, fill.width, fill.height, 8)
    weights[weights == 0] = 1
    return [(2 * total + weights) // (2 * weights) for total in sums], most


def _ramp(size: int) -> Whole:
    x = np.arange(size)
    return 1 + 127 * np.minimum(2 * x + 1, 2 * (size - x) - 1) // size


def _weigh(weights: Sequence[int], rgb: Sequence[Whole]) -> Whole:
    return weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2]


def _blended(plane: Plane, level: Whole, amount: Whole, full: int) -> npt.NDArray[Any]:
    mixed = (plane * (full - amount) + level * amount + full // 2) // full
    return np.where(amount > 0, mixed, plane).astype(plane.dtype)


def _cell_sums(samples: Whole, across: int, down: int) -> Whole:
    """Sums over chroma cells; a cell that the frame's edge cuts counts its last row or column again."""
    rows, columns = samples.shape
    padded = np.pad(samples, ((0, -rows % (1 << down)), (0, -columns % (1 << across))), mode="edge")
    return padded.reshape(padded.shape[0] >> down, 1 << down, -1, 1 << across).sum(axis=(1, 3))
