"""Planes as H.264 can hold them: what the encoder lacks is repeated or rounded, never resampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from runtime.colour import from_rgb_table, luma_from_rgb, resolve_matrix, weigh
from runtime.frame import Colour, Frame, Layout, Plane

DEEPEST = 10  # bits that libx264 encodes


@dataclass(frozen=True, slots=True)
class Encodable:
    """The form in which frames of one source leave, and what that costs, a line each."""

    layout: Layout
    colour: Colour
    notes: tuple[str, ...]


def encodable(layout: Layout, colour: Colour, width: int, height: int) -> Encodable:
    """How frames of `layout` and size leave as H.264."""
    bits = 8 if layout.bits == 8 else DEEPEST
    notes: list[str] = []
    if layout.bits > DEEPEST:
        notes.append(f"{layout.bits}-bit samples leave as {DEEPEST}-bit ones, the most that H.264 is encoded with")
    if layout.family == "gray":
        return Encodable(Layout("gray", bits, 0, 0), colour, tuple(notes))
    if layout.family == "rgb":
        matrix = resolve_matrix(2, height)
        notes.append("RGB leaves as Y'CbCr 4:4:4, limited range, which rounds colours")
        converted = Colour(matrix, colour.primaries, colour.transfer, full_range=False)
        return Encodable(Layout("yuv", bits, 0, 0), converted, tuple(notes))
    across, down = _chroma_shifts(layout, width, height)
    if (across, down) != (layout.chroma_shift_x, layout.chroma_shift_y):
        notes.append(
            f"{width}x{height} with chroma shared by {1 << layout.chroma_shift_x}x{1 << layout.chroma_shift_y} pixels "
            f"leaves as {_DIGITS[across, down]}, chroma repeated, since H.264 cannot hold it otherwise"
        )
    return Encodable(Layout("yuv", bits, across, down), colour, tuple(notes))


def encodable_planes(frame: Frame, wanted: Layout) -> tuple[Plane, ...]:
    """The planes of `frame` in the layout that `encodable` chose; its own ones where nothing changes."""
    have = frame.layout
    if have.family == "rgb":
        return _planes_from_rgb(frame, wanted)
    planes = tuple(_at_depth(plane, have.bits, wanted.bits) for plane in frame.planes)
    if len(planes) == 1:
        return planes
    across = have.chroma_shift_x - wanted.chroma_shift_x
    down = have.chroma_shift_y - wanted.chroma_shift_y
    if not across and not down:
        return planes
    columns = -(-frame.width >> wanted.chroma_shift_x)
    rows = -(-frame.height >> wanted.chroma_shift_y)
    chroma = (plane.repeat(1 << down, axis=0).repeat(1 << across, axis=1)[:rows, :columns] for plane in planes[1:])
    return (planes[0], *chroma)


_DIGITS = {(1, 1): "4:2:0", (1, 0): "4:2:2", (0, 0): "4:4:4"}


def _chroma_shifts(layout: Layout, width: int, height: int) -> tuple[int, int]:
    """The coarsest chroma grid of H.264 that loses none of the source's samples; 4:4:4 where the size is odd."""
    for across, down in _DIGITS:
        if across <= layout.chroma_shift_x and down <= layout.chroma_shift_y:
            return (across, down) if width % (1 << across) == 0 and height % (1 << down) == 0 else (0, 0)
    return 0, 0


def _at_depth(plane: Plane, bits: int, wanted: int) -> Plane:
    if bits == wanted:
        return plane
    if bits < wanted:
        return np.left_shift(plane, wanted - bits, dtype=np.uint16)
    surplus = bits - wanted
    rounded = (plane.astype(np.uint32) + (1 << (surplus - 1))) >> surplus
    return np.minimum(rounded, (1 << wanted) - 1).astype(np.uint16)


def _planes_from_rgb(frame: Frame, wanted: Layout) -> tuple[Plane, ...]:
    table = from_rgb_table(resolve_matrix(2, frame.height), False, wanted.bits, (1 << frame.layout.bits) - 1)
    red, green, blue = frame.planes
    planes = [luma_from_rgb(red, green, blue, table)]
    for weights in (table.u, table.v):
        chroma = weigh(red, green, blue, weights)
        chroma += 1 << (table.shift - 1)
        chroma >>= table.shift
        chroma += table.scale.neutral
        planes.append(np.minimum(np.maximum(chroma, 0), table.scale.peak))
    return tuple(cast(Plane, plane.astype(np.uint8 if wanted.bits == 8 else np.uint16)) for plane in planes)
