"""Planes as a codec can hold them: what it lacks is repeated or rounded, never resampled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from runtime._video.file import UNTOLD
from runtime.colour import from_rgb_table, luma_from_rgb, resolve_matrix, weigh
from runtime.frame import Colour, Frame, Layout, Plane

CHROMA = {(1, 1): "4:2:0", (1, 0): "4:2:2", (0, 1): "4:4:0", (0, 0): "4:4:4", (2, 0): "4:1:1", (2, 2): "4:1:0"}
IDENTITY = 0  # the matrix of RGB (H.273, table 4)


@dataclass(frozen=True, slots=True)
class Encodable:
    """The form in which frames of one source leave, and what that costs, a line each."""

    layout: Layout
    colour: Colour
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vessel:
    """What a codec can hold."""

    title: str
    layouts: Collection[Layout]
    whole_grid: bool  # whether the size must be a multiple of the chroma grid


def encodable(layout: Layout, colour: Colour, width: int, height: int, vessel: Vessel) -> Encodable | None:
    """How frames of `layout` and size leave; None where the codec could hold them only with chroma left out."""
    wanted = _family(layout, vessel)
    fits = [form for form in vessel.layouts if _holds(form, wanted, width, height, vessel)]
    if not fits:
        return None
    best = min(fits, key=lambda form: _cost(form, wanted))
    notes: list[str] = []
    if best.bits < layout.bits:
        notes.append(
            f"{layout.bits}-bit samples leave as {best.bits}-bit ones, the most that {vessel.title} holds here"
        )
    if best.family == layout.family == "yuv" and _shifts(best) != _shifts(layout):
        notes.append(
            f"{width}x{height} in {CHROMA[_shifts(layout)]} leaves as {CHROMA[_shifts(best)]}, chroma repeated, since "
            f"{vessel.title} cannot hold it otherwise"
        )
    if layout.family == "rgb" and best.family != "rgb":
        notes.append("RGB leaves as Y'CbCr 4:4:4, limited range, which rounds colours")
        colour = Colour(resolve_matrix(2, width, height), colour.primaries, colour.transfer, full_range=False)
    elif best.family != "rgb" and colour.matrix == IDENTITY:
        # PNG says it of grey, wrong tags of Y'CbCr; encoders refuse it then, or decoders take the planes for G, B, R.
        colour = replace(colour, matrix=UNTOLD)
    return Encodable(best, colour, tuple(notes))


def encodable_planes(frame: Frame, wanted: Layout) -> tuple[Plane, ...]:
    """The planes of `frame` in the layout that `encodable` chose; its own ones where nothing changes."""
    have = frame.layout
    if have.family == "rgb" and wanted.family == "yuv":
        return _planes_from_rgb(frame, wanted)
    planes = tuple(_at_depth(plane, have.bits, wanted.bits) for plane in frame.planes)
    columns, rows = -(-frame.width >> wanted.chroma_shift_x), -(-frame.height >> wanted.chroma_shift_y)
    if have.family == "gray" and wanted.family == "yuv":
        neutral = np.full((rows, columns), 1 << (wanted.bits - 1), planes[0].dtype)
        return (planes[0], cast(Plane, neutral), cast(Plane, neutral))
    across = have.chroma_shift_x - wanted.chroma_shift_x
    down = have.chroma_shift_y - wanted.chroma_shift_y
    if not across and not down:
        return planes
    chroma = (plane.repeat(1 << down, axis=0).repeat(1 << across, axis=1)[:rows, :columns] for plane in planes[1:])
    return (planes[0], *chroma)


def _family(layout: Layout, vessel: Vessel) -> Layout:
    """The layout as near to the source's as the codec's families allow."""
    if any(form.family == layout.family for form in vessel.layouts):
        return layout
    if layout.family == "gray":  # with neutral chroma, as little of it as there may be
        return Layout("yuv", layout.bits, 2, 2)
    return Layout("yuv", layout.bits, 0, 0)


def _holds(form: Layout, wanted: Layout, width: int, height: int, vessel: Vessel) -> bool:
    across, down = _shifts(form)
    if form.family != wanted.family or across > wanted.chroma_shift_x or down > wanted.chroma_shift_y:
        return False
    return not vessel.whole_grid or (width % (1 << across) == 0 and height % (1 << down) == 0)


def _cost(form: Layout, wanted: Layout) -> tuple[int, int, int]:
    """Bits that are lost, samples that are repeated, bits that are added."""
    repeated = sum(_shifts(wanted)) - sum(_shifts(form))
    return max(0, wanted.bits - form.bits), repeated, form.bits


def _shifts(layout: Layout) -> tuple[int, int]:
    return layout.chroma_shift_x, layout.chroma_shift_y


def _at_depth(plane: Plane, bits: int, wanted: int) -> Plane:
    if bits == wanted:
        return plane
    if bits < wanted:
        return np.left_shift(plane, wanted - bits, dtype=np.uint16)
    surplus = bits - wanted
    rounded = (plane.astype(np.uint32) + (1 << (surplus - 1))) >> surplus
    return cast(Plane, np.minimum(rounded, (1 << wanted) - 1).astype(np.uint8 if wanted == 8 else np.uint16))


def _planes_from_rgb(frame: Frame, wanted: Layout) -> tuple[Plane, ...]:
    table = from_rgb_table(
        resolve_matrix(2, frame.width, frame.height), False, wanted.bits, (1 << frame.layout.bits) - 1
    )
    red, green, blue = frame.planes
    planes = [luma_from_rgb(red, green, blue, table)]
    for weights in (table.u, table.v):
        chroma = weigh(red, green, blue, weights)
        chroma += 1 << (table.shift - 1)
        chroma >>= table.shift
        chroma += table.scale.neutral
        planes.append(np.minimum(np.maximum(chroma, 0), table.scale.peak))
    return tuple(cast(Plane, plane.astype(np.uint8 if wanted.bits == 8 else np.uint16)) for plane in planes)
