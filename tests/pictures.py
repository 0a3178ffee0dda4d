"""Seeded moving pictures and holes in memory, as frames that a session takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from runtime.frame import RGB, Colour, Frame, Hole, Layout, Masked
from runtime.patch import Crop
from runtime.regions import Region

GBR = Layout("rgb", 8, 0, 0)
SRGB = Colour(matrix=0, primaries=1, transfer=13, full_range=True)


def moving_pictures(length: int, width: int, height: int, seed: int = 0) -> list[RGB]:
    """Soft blobs that drift, so that neighbouring frames are alike and distant ones are not; uint8 `[H, W, 3]`."""
    generator = np.random.default_rng(seed)
    phase = generator.uniform(0, 2 * np.pi, (3, 4))
    speed = generator.uniform(-0.3, 0.3, (3, 4))
    y, x = np.mgrid[0:height, 0:width] / 12.0
    pictures: list[RGB] = []
    for time in range(length):
        angle = phase + speed * time
        channels = [
            np.sin(x + a) + np.cos(y + b) + np.sin(x * 0.5 + y + c) + np.cos(y * 0.3 - x + d) for a, b, c, d in angle
        ]
        pictures.append(((np.stack(channels, -1) + 4) / 8 * 255).astype(np.uint8))
    return pictures


def moving_holes(length: int, width: int, height: int) -> list[Hole]:
    """A box that walks across the picture."""
    holes: list[Hole] = []
    for time in range(length):
        hole = np.zeros((height, width), np.bool_)
        left = (7 * time) % (width - 20)
        hole[height // 3 : height // 3 + 12, left : left + 16] = True
        holes.append(hole)
    return holes


def as_frame(picture: RGB, index: int) -> Frame:
    """A picture as an RGB frame."""
    planes = tuple(np.ascontiguousarray(picture[..., channel]) for channel in range(3))
    return Frame(index, index, planes, GBR, SRGB)


def as_clip(pictures: Sequence[RGB], holes: Sequence[Hole | None], cuts: Sequence[int] = ()) -> Iterator[Masked]:
    """Pictures as RGB frames with their holes; a scene begins at each of `cuts`."""
    for index, (picture, hole) in enumerate(zip(pictures, holes, strict=True)):
        yield Masked(as_frame(picture, index), hole, index in cuts)


def whole(width: int, height: int) -> list[Region]:
    """The whole picture as the one region."""
    return [Region(Crop(0, 0, width, height))]


def picture_of(frame: Frame) -> RGB:
    """An RGB frame as uint8 `[H, W, 3]`."""
    return np.stack(frame.planes, -1).astype(np.uint8)
