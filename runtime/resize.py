"""Pillow's bicubic on planes and on a part of an RGB picture (formulas: docs/bundle.md, Pixels)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt
from PIL import Image

from runtime.frame import RGB, Plane


@dataclass(frozen=True, slots=True)
class Area:
    """Rows `top` to `bottom` and columns `left` to `right` of a picture, the ends excluded."""

    left: int
    top: int
    right: int
    bottom: int


def resize_plane(plane: Plane, width: int, height: int, bits: int) -> Plane:
    """`plane` at `[height, width]`, antialiased when it shrinks; the plane itself when the size is right already.

    8-bit samples take Pillow's fixed-point path (mode L); deeper ones its float path (mode F), rounded half up and
    clipped to the depth.
    """
    rows, columns = plane.shape
    if (rows, columns) == (height, width):
        return plane
    whole = (0, 0, columns, rows)
    if plane.dtype == np.uint8:
        return np.asarray(_resize(Image.fromarray(plane), width, height, whole))
    smooth = np.asarray(_resize(Image.fromarray(plane.astype(np.float32)), width, height, whole), np.float32)
    return np.clip(np.floor(smooth + np.float32(0.5)), 0, (1 << bits) - 1).astype(np.uint16)


def resize_area(rgb: RGB, width: int, height: int, area: Area) -> RGB:
    """What `area` of `rgb` resized to `[height, width, 3]` holds, computed for the area only.

    Bit for bit the crop of the whole: the area is grown until its edges fall on whole pixels of `rgb`, so that
    Pillow computes with the same scale and phase as it does for the whole picture.
    """
    rows, columns = rgb.shape[:2]
    if (rows, columns) == (height, width):
        return rgb[area.top : area.bottom, area.left : area.right]
    left, right = _whole(area.left, area.right, width, columns)
    top, bottom = _whole(area.top, area.bottom, height, rows)
    box = (left * columns // width, top * rows // height, right * columns // width, bottom * rows // height)
    part = np.asarray(_resize(Image.fromarray(rgb), right - left, bottom - top, box))
    return part[area.top - top : area.bottom - top, area.left - left : area.right - left]


def _resize(image: Image.Image, width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    """The `box` of `image` at `width` by `height`: along the rows first, then along the columns.

    In two calls, since one call does the columns first in some versions of Pillow and for some sizes, which rounds
    differently.
    """
    left, top, right, bottom = box
    across = image.resize((width, image.height), Image.Resampling.BICUBIC, box=(left, 0, right, image.height))
    return across.resize((width, height), Image.Resampling.BICUBIC, box=(0, top, width, bottom))


@lru_cache(maxsize=16)
def nearest_cells(size: int, cells: int) -> npt.NDArray[np.intp]:
    """For each of `size` pixels the cell, of `cells`, that holds its centre: `floor((x + 1/2) * cells / size)`."""
    nearest = (2 * np.arange(size, dtype=np.intp) + 1) * cells // (2 * size)
    nearest.setflags(write=False)  # the cache hands out one array
    return nearest


def _whole(start: int, stop: int, size: int, source: int) -> tuple[int, int]:
    """The smallest range around `start..stop` whose ends, of `size`, are whole pixels of `source`."""
    step = size // gcd(size, source)
    return start // step * step, -(-stop // step) * step
