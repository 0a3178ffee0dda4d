"""Frames and fills of seeded noise in every layout, and strategies that draw crops, holes and patches of them."""

from __future__ import annotations

from typing import cast

import numpy as np
from hypothesis import strategies as st

from runtime.bundle import PixelRule
from runtime.frame import RGB, Colour, Frame, Hole, Layout, Plane
from runtime.patch import Crop, Patch

RULE = PixelRule(48, 24, "rgb", -1.0, 1.0, True, 0.0, "bicubic-antialias", 4)
LAYOUTS = [
    Layout("yuv", 8, 1, 1),
    Layout("yuv", 8, 1, 0),
    Layout("yuv", 8, 0, 0),
    Layout("yuv", 8, 0, 1),
    Layout("yuv", 8, 2, 0),
    Layout("yuv", 8, 2, 2),
    Layout("yuv", 10, 1, 1),
    Layout("yuv", 12, 1, 0),
    Layout("yuv", 16, 1, 1),
    Layout("gray", 8, 0, 0),
    Layout("gray", 16, 0, 0),
    Layout("rgb", 8, 0, 0),
    Layout("rgb", 10, 0, 0),
    Layout("rgb", 16, 0, 0),
]
BT601 = Colour(6, 6, 6, full_range=False)


def random_frame(layout: Layout, width: int, height: int, seed: int = 0, colour: Colour = BT601) -> Frame:
    """A frame of that layout and size; every sample of its depth is as likely as any other."""
    rng = np.random.default_rng(seed)
    shapes = [(height, width)]
    if layout.family != "gray":
        shapes += [(-(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x))] * 2
    kind = np.uint8 if layout.bits == 8 else np.uint16
    planes = cast("tuple[Plane, ...]", tuple(rng.integers(0, 1 << layout.bits, shape).astype(kind) for shape in shapes))
    return Frame(0, 0, planes, layout, colour)


def random_fill(rule: PixelRule, seed: int = 1) -> RGB:
    """A picture of the network's size."""
    return np.random.default_rng(seed).integers(0, 256, (rule.height, rule.width, 3)).astype(np.uint8)


def whole(frame: Frame) -> Crop:
    """The crop that is the frame."""
    return Crop(0, 0, frame.width, frame.height)


def patch_of(crop: Crop, fill: RGB, hole: Hole) -> Patch:
    """A patch that shows black where the source is."""
    return Patch(crop, np.zeros_like(fill), fill, hole)


@st.composite
def holes(draw: st.DrawFn, rows: int, columns: int, most: int = 3) -> Hole:
    """Up to `most` rectangles, none too."""
    hole = np.zeros((rows, columns), np.bool_)
    for _ in range(draw(st.integers(0, most))):
        top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        hole[top : draw(st.integers(top + 1, rows)), left : draw(st.integers(left + 1, columns))] = True
    return hole


@st.composite
def crops(draw: st.DrawFn, frame: Frame, *, turned: bool = True) -> Crop:
    """A rectangle on the frame's chroma grid, or one that ends with the frame."""
    left, right = _span(draw, frame.width, frame.layout.chroma_shift_x)
    top, bottom = _span(draw, frame.height, frame.layout.chroma_shift_y)
    return Crop(left, top, right - left, bottom - top, draw(st.integers(0, 3)) if turned else 0)


def _span(draw: st.DrawFn, size: int, shift: int) -> tuple[int, int]:
    cells = -(-size >> shift)
    start = draw(st.integers(0, cells - 1))
    return start << shift, min(draw(st.integers(start + 1, cells)) << shift, size)


@st.composite
def patches(draw: st.DrawFn, frame: Frame, most: int = 3) -> tuple[Patch, ...]:
    """Patches of random crops, turns, fills and holes."""
    numbers = range(draw(st.integers(1, most)))
    return tuple(
        patch_of(draw(crops(frame)), random_fill(RULE, seed), draw(holes(RULE.height, RULE.width))) for seed in numbers
    )
