"""What `pixels_u8`, `pixels_u16` and `pixels_rgb16` compute, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.layout import Family, ToRgb
from kernels.resize import Plane, resize

Tensor = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The network's picture."""

    columns: int  # of the lying picture
    rows: int
    turns: int  # quarter turns counter-clockwise that make it upright
    low: float  # value of byte 0
    high: float  # value of byte 255
    hole_value: float
    bgr: bool  # whether blue comes first
    half: bool  # float16 instead of float32


def pixels(
    planes: Sequence[Plane],
    bits: int,
    family: Family,
    to_rgb: ToRgb,
    wanted: Wanted,
    hole: npt.NDArray[np.bool_] | None,
) -> Tensor:
    """The crop's part of each plane as the network reads it: `[3, h, w]`, upright.

    `hole` `[h, w]` is what becomes `hole_value`; None where nothing does.  Source: docs/bundle.md, What the network
    sees.
    """
    rgb = np.rot90(_rgb(planes, bits, family, to_rgb, wanted), wanted.turns)
    table = np.float32(wanted.low) + np.float32(wanted.high - wanted.low) * (
        np.arange(256, dtype=np.float32) / np.float32(255)
    )
    values = table[rgb[..., ::-1] if wanted.bgr else rgb].transpose(2, 0, 1)
    if hole is not None:
        values = np.where(hole, np.float32(wanted.hole_value), values)
    return np.ascontiguousarray(values, np.float16 if wanted.half else np.float32)


def _rgb(
    planes: Sequence[Plane], bits: int, family: Family, table: ToRgb, wanted: Wanted
) -> npt.NDArray[np.integer[Any]]:
    """Bytes `[rows, columns, 3]` of the lying picture."""
    size = (wanted.columns, wanted.rows)
    if family == "rgb":
        peak = (1 << bits) - 1
        shallow = [(plane.astype(np.int64) * 510 + peak) // (2 * peak) for plane in planes]
        return np.stack([resize(plane, *size, 8) for plane in shallow], axis=-1)
    samples = [resize(plane, *size, bits) for plane in planes]
    luma = table.luma * (samples[0] - table.black) + (1 << (table.shift - 1))
    u, v = (sample - table.neutral for sample in samples[1:]) if family == "yuv" else (0, 0)
    sums = (luma + table.red_v * v, luma + table.green_u * u + table.green_v * v, luma + table.blue_u * u)
    return np.stack([np.clip(total >> table.shift, 0, 255) for total in sums], axis=-1)
