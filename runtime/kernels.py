"""Calls of the CUDA kernels (kernels/calls.h) from frames, crops and rules; addresses only, no device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from kernels import layout
from kernels.layout import FromRgb, ToRgb
from runtime.bundle import PixelRule
from runtime.colour import from_rgb_table, resolve_matrix, scale_of, to_rgb_table
from runtime.device import Launch
from runtime.frame import Colour, Layout
from runtime.holes import coded_size
from runtime.patch import Crop
from runtime.resize import Area

Struct: TypeAlias = np.ndarray[Any, Any] | np.void  # of kernels/layout.py


@dataclass(frozen=True, slots=True)
class Surface:
    """One plane of samples in device memory, planar or between others."""

    address: int  # of the first sample
    pitch: int  # bytes from one row to the next
    step: int  # bytes from one sample to the next
    columns: int
    rows: int
    shift: int = 0  # bits below the sample in its 16


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame in device memory."""

    surfaces: tuple[Surface, ...]  # Y; Y U V; R G B
    layout: Layout
    colour: Colour


@dataclass(frozen=True, slots=True)
class Axis:
    """`kernels.resize.taps_of` in device memory."""

    first: int
    weights: int
    count: int
    taps: int


AxisOf = Callable[
    [int, int, bool], Axis
]  # from so many samples, to so many, whether they are deep; caches what it made


@dataclass(frozen=True, slots=True)
class Fill:
    """What the network painted of a crop, in device memory."""

    crop: Crop
    rgb: int  # u8 [3, h, w], upright, red first
    hole: int  # u8 [h, w]
    opacity: int  # u16 [crop.height, crop.width] of `feather`; 0: a hard edge


def semi_planar(luma: int, chroma: int, pitch: int, size: tuple[int, int], bits: int) -> tuple[Surface, ...]:
    """The planes of NV12 (8 bits) or P010, P012, P016 (samples in the upper bits of 16), of columns by rows `size`."""
    width, height = size
    bytes_each, shift = (1, 0) if bits == 8 else (2, 16 - bits)
    half = (-(-width // 2), -(-height // 2), shift)
    return (
        Surface(luma, pitch, bytes_each, width, height, shift),
        Surface(chroma, pitch, 2 * bytes_each, *half),
        Surface(chroma + bytes_each, pitch, 2 * bytes_each, *half),
    )


def packed_rgb(address: int, pitch: int, width: int, height: int) -> tuple[Surface, ...]:
    """The channels of RGB bytes `[height, width, 3]`."""
    return tuple(Surface(address + channel, pitch, 3, width, height) for channel in range(3))


def pixels(picture: Picture, crop: Crop, rule: PixelRule, hole: int, out: tuple[int, bool], axis_of: AxisOf) -> Launch:
    """What the network sees of `crop`: `[3, h, w]` at address `out[0]`, float16 when `out[1]`, else float32.

    `hole` is the address of u8 `[h, w]`, upright; 0: there is none.  Raises `InputError` on a colour matrix that is not
    supported.
    """
    depth, family = picture.layout.bits, picture.layout.family
    columns, rows = coded_size(rule.width, rule.height, crop.turns)
    cut = [_cut(surface, crop, *_shifts(picture.layout, k)) for k, surface in enumerate(picture.surfaces)]
    deep = depth > 8 and family != "rgb"
    record = np.zeros((), layout.PIXELS)
    _set_planes(record, cut)
    for number, surface in enumerate((cut[0], cut[-1])):
        record["across"][number] = astuple(axis_of(surface.columns, columns, deep))
        record["down"][number] = astuple(axis_of(surface.rows, rows, deep))
    record["hole"], record["out"] = hole if rule.mask_applied else 0, out[0]
    if family != "rgb":
        record["to_rgb"] = _to_rgb(picture)
    record["low"], record["span"], record["hole_value"] = rule.low, rule.high - rule.low, rule.hole_value
    record["family"], record["peak"] = layout.FAMILIES.index(family), (1 << depth) - 1
    record["turns"], record["bgr"], record["half_out"] = crop.turns, rule.colour_order == "bgr", out[1]
    kernel = "pixels_u8" if depth == 8 else "pixels_rgb16" if family == "rgb" else "pixels_u16"
    return Launch(kernel, record.tobytes(), columns, rows)


def dilate(mask: Surface, crop: Crop, rule: PixelRule, scratch: tuple[int, int], hole: int) -> tuple[Launch, Launch]:
    """The hole u8 `[h, w]` of `crop`, at address `hole`, from bytes of the frame's mask; in two launches.

    `scratch`: u8 `[rows + 2 dilate, columns + 2 dilate]` of the lying picture, and a u32 that is 0.
    """
    columns, rows = coded_size(rule.width, rule.height, crop.turns)
    record = np.zeros((), layout.DILATE)
    record["mask"], record["covered"], record["any"], record["hole"] = mask.address, *scratch, hole
    record["mask_columns"], record["mask_rows"], record["pitch"] = mask.columns, mask.rows, mask.pitch
    _set_crop(record, crop)
    record["columns"], record["rows"], record["reach"] = columns, rows, rule.dilate
    call, around = record.tobytes(), 2 * rule.dilate
    return (
        Launch("dilate_cover", call, columns + around, rows + around),
        Launch("dilate_grow", call, columns, rows),
    )


@dataclass(frozen=True, slots=True)
class Visit:
    """One window's turn at a frame's picture."""

    weight: float  # of this window
    total: float  # of all windows up to this one
    first: bool  # whether none was before it
    halving: bool  # the published average instead of the centred mean


def accumulate(painted: tuple[int, bool], sums: int, fill: int, rule: PixelRule, visit: Visit) -> Launch:
    """A window's picture `[3, h, w]` at `painted[0]`, float16 when `painted[1]`, into f32 `[3, h, w]` at `sums`.

    With the last window the finished picture, u8 `[3, h, w]`, goes to `fill`; before it `fill` is 0.
    """
    record = np.zeros((), layout.ACCUMULATE)
    record["painted"], record["sum"], record["fill"] = painted[0], sums, fill
    record["low"], record["span"] = rule.low, rule.high - rule.low
    record["weight"], record["total"] = visit.weight, visit.total
    record["width"], record["height"] = rule.width, rule.height
    record["bgr"], record["half_in"] = rule.colour_order == "bgr", painted[1]
    record["first"], record["halving"] = visit.first, visit.halving
    return Launch("accumulate", record.tobytes(), rule.width, rule.height)


def feather(hole: int, crop: Crop, rule: PixelRule, pixels: int, scratch: int, out: int) -> tuple[Launch, Launch]:
    """The opacity u16 `[crop.height, crop.width]`, 0 to 256, of a feather of 1 to 255 `pixels`, at address `out`.

    `scratch` is of the same size.
    """
    record = np.zeros((), layout.FEATHER)
    record["hole"], record["above"], record["opacity"] = hole, scratch, out
    record["width"], record["height"] = crop.width, crop.height
    record["columns"], record["rows"] = coded_size(rule.width, rule.height, crop.turns)
    record["turns"], record["feather"] = crop.turns, pixels
    call = record.tobytes()
    return (
        Launch("feather_above", call, crop.width, crop.height),
        Launch("feather_opacity", call, crop.width, crop.height),
    )


def layers(fills: Sequence[Fill], rule: PixelRule, axis_of: AxisOf) -> bytes:
    """The array of structs that `composite` reads."""
    records = np.zeros(len(fills), layout.LAYER)
    for record, fill in zip(records, fills, strict=True):
        crop = fill.crop
        columns, rows = coded_size(rule.width, rule.height, crop.turns)
        record["fill"], record["hole"], record["opacity"] = fill.rgb, fill.hole, fill.opacity
        record["across"] = astuple(axis_of(columns, crop.width, False))
        record["down"] = astuple(axis_of(rows, crop.height, False))
        _set_crop(record, crop)
        record["columns"], record["rows"] = columns, rows
    return records.tobytes()


def composite(picture: Picture, area: Area, layers: tuple[int, int], *, soft: bool) -> Launch:
    """The holes of `layers`, address and number, into the picture, in place; `soft` where they have opacities.

    Nothing outside of `area` is looked at, which is grown to whole chroma cells.
    """
    across, down = _shifts(picture.layout, len(picture.surfaces) - 1)
    left, top = area.left >> across, area.top >> down
    record = np.zeros((), layout.COMPOSITE)
    _set_planes(record, picture.surfaces)
    record["layers"], record["count"] = layers
    record["from_rgb"] = _from_rgb(picture)
    record["family"] = layout.FAMILIES.index(picture.layout.family)
    record["chroma_shift_x"], record["chroma_shift_y"], record["depth"] = across, down, 8 if soft else 0
    columns, rows = -(-area.right >> across) - left, -(-area.bottom >> down) - top
    record["left"], record["top"], record["columns"], record["rows"] = left, top, columns, rows
    return Launch("composite_u8" if picture.layout.bits == 8 else "composite_u16", record.tobytes(), columns, rows)


def _shifts(layout: Layout, plane: int) -> tuple[int, int]:
    """Log2 of the luma columns and rows of one sample of the plane."""
    subsampled = layout.family == "yuv" and plane > 0
    return (layout.chroma_shift_x, layout.chroma_shift_y) if subsampled else (0, 0)


def _cut(surface: Surface, crop: Crop, across: int, down: int) -> Surface:
    """The part of a plane that lies in the crop."""
    left, top = crop.left >> across, crop.top >> down
    address = surface.address + top * surface.pitch + left * surface.step
    columns, rows = -(-crop.right >> across) - left, -(-crop.bottom >> down) - top
    return replace(surface, address=address, columns=columns, rows=rows)


def _set_planes(record: Struct, surfaces: Sequence[Surface]) -> None:
    for plane, surface in zip(record["planes"], surfaces, strict=False):  # there are three or one
        plane["data"], plane["pitch"], plane["step"] = surface.address, surface.pitch, surface.step
        plane["columns"], plane["rows"], plane["shift"] = surface.columns, surface.rows, surface.shift


def _set_crop(record: Struct, crop: Crop) -> None:
    record["left"], record["top"], record["width"], record["height"] = crop.left, crop.top, crop.width, crop.height
    record["turns"] = crop.turns


def _matrix(picture: Picture) -> int:
    luma = picture.surfaces[0]
    return resolve_matrix(picture.colour.matrix, luma.columns, luma.rows)


def _to_rgb(picture: Picture) -> ToRgb:
    table = to_rgb_table(_matrix(picture), picture.colour.full_range, picture.layout.bits)
    scale = table.scale
    return ToRgb(
        table.shift, scale.black, scale.neutral, table.luma, table.red_v, table.green_u, table.green_v, table.blue_u
    )


def _from_rgb(picture: Picture) -> FromRgb:
    bits = picture.layout.bits
    if picture.layout.family == "rgb":
        peak, none = scale_of(bits, full_range=True).peak, (0, 0, 0)
        return FromRgb(0, 0, 0, peak, none, none, none)
    table = from_rgb_table(_matrix(picture), picture.colour.full_range, bits)
    scale = table.scale
    return FromRgb(table.shift, scale.black, scale.neutral, scale.peak, table.luma, table.u, table.v)
