"""Source frames to the network's pixels (formulas: docs/bundle.md, Pixels)."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import numpy as np
import numpy.typing as npt

from runtime.bundle import PixelRule
from runtime.colour import Levels, rescale, rgb_from_planes
from runtime.frame import RGB, Frame, Hole, Plane
from runtime.holes import coded_size
from runtime.patch import Crop
from runtime.resize import Area, resize_plane


def shrink(frame: Frame, crop: Crop, rule: PixelRule) -> RGB:
    """What `crop` of the frame shows, at the network's size: RGB uint8 `[h, w, 3]`, upright.

    Red comes first whatever the network's own order is.  Every plane's part is cut out and resized; the colour
    conversion and the turn come after.  Raises `InputError` on a colour matrix that is not supported.
    """
    width, height = coded_size(rule.width, rule.height, crop.turns)
    rgb = cast(RGB, _rgb_of(cut(frame, crop), frame, (width, height), 255))
    return np.ascontiguousarray(np.rot90(rgb, crop.turns))


def rgb_at(frame: Frame, width: int, height: int, peak: int = 255) -> Levels:
    """The frame as RGB `[height, width, 3]` of 0 to `peak` (255: uint8, 65535: uint16)."""
    return _rgb_of(frame.planes, frame, (width, height), peak)


def cut(frame: Frame, part: Crop | Area) -> tuple[Plane, ...]:
    """The part of every plane that lies in `part`."""
    shifts = ((0, 0), *[(frame.layout.chroma_shift_x, frame.layout.chroma_shift_y)] * (len(frame.planes) - 1))
    return tuple(
        plane[part.top >> down : -(-part.bottom >> down), part.left >> across : -(-part.right >> across)]
        for plane, (across, down) in zip(frame.planes, shifts, strict=True)
    )


def normalise(rgb: RGB, hole: Hole, rule: PixelRule, out: npt.NDArray[np.floating]) -> None:
    """Write RGB uint8 `[h, w, 3]` into `out` `[3, h, w]` as the network reads it.

    A sample becomes `low + (high - low) * (sample / 255)`, every step in float32, and then of the type of `out`; where
    `rule.mask_applied`, samples of `hole` `[h, w]` become `rule.hole_value`.
    """
    table = _value_table(rule.low, rule.high, out.dtype.name)
    order = (0, 1, 2) if rule.colour_order == "rgb" else (2, 1, 0)
    for channel, source in enumerate(order):
        np.take(table, rgb[..., source], out=out[channel], mode="clip")
        if rule.mask_applied:
            np.copyto(out[channel], rule.hole_value, where=hole)


def _rgb_of(planes: tuple[Plane, ...], frame: Frame, size: tuple[int, int], peak: int) -> Levels:
    """Planes of `frame`, or parts of them, as RGB of `size`, columns and rows."""
    bits = frame.layout.bits
    if frame.layout.family == "rgb":
        stack = [resize_plane(rescale(plane, bits, peak), *size, 16) for plane in planes]
        return cast(Levels, np.stack(stack, axis=-1))
    resized = tuple(resize_plane(plane, *size, bits) for plane in planes)
    return rgb_from_planes(resized, frame.colour, (frame.width, frame.height), bits, peak)


@lru_cache(maxsize=8)
def _value_table(low: float, high: float, dtype: str) -> npt.NDArray[np.floating]:
    samples = np.arange(256, dtype=np.float32) / np.float32(255)
    table = (np.float32(low) + np.float32(high - low) * samples).astype(dtype)
    table.setflags(write=False)  # the cache hands out one array
    return table
