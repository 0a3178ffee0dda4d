"""The structs of calls.h as NumPy types, and how many blocks a launch takes."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np

Family: TypeAlias = Literal["gray", "yuv", "rgb"]

BLOCK = (32, 8, 1)  # threads of a block, for every kernel
FAMILIES: tuple[Family, ...] = ("gray", "yuv", "rgb")  # in the order of calls.h


class ToRgb(NamedTuple):
    """Y'CbCr to RGB bytes, all times `2**shift` (docs/bundle.md, Y'CbCr to RGB)."""

    shift: int
    black: int
    neutral: int
    luma: int
    red_v: int
    green_u: int
    green_v: int
    blue_u: int


class FromRgb(NamedTuple):
    """RGB bytes to Y'CbCr, all times `2**shift`; each triple goes with R, G, B (docs/bundle.md, Composite)."""

    shift: int
    black: int
    neutral: int
    peak: int
    luma: tuple[int, int, int]
    u: tuple[int, int, int]
    v: tuple[int, int, int]


def _struct(pointers: str, floats: str, integers: str) -> list[tuple[str, str]]:
    kinds = ((pointers, "<u8"), (floats, "<f4"), (integers, "<i4"))
    return [(name, kind) for names, kind in kinds for name in names.split()]


PLANE = np.dtype(_struct("data", "", "pitch step columns rows shift unused"))
AXIS = np.dtype(_struct("first weights", "", "count taps"))
TO_RGB = np.dtype(_struct("", "", " ".join(ToRgb._fields)))
FROM_RGB = np.dtype(
    [*_struct("", "", "shift black neutral peak"), *[(name, "<i4", (3,)) for name in ("luma", "u", "v")]]
)
PIXELS = np.dtype(
    [
        ("planes", PLANE, (3,)),
        ("across", AXIS, (2,)),
        ("down", AXIS, (2,)),
        *_struct("hole out", "", ""),
        ("to_rgb", TO_RGB),
        *_struct("", "low span hole_value", "family peak turns bgr half_out"),
    ]
)
DILATE = np.dtype(
    _struct(
        "mask covered any hole",
        "",
        "mask_columns mask_rows pitch left top width height columns rows reach turns unused",
    )
)
ACCUMULATE = np.dtype(_struct("painted sum fill", "low span weight total", "width height bgr half_in first halving"))
FEATHER = np.dtype(_struct("hole above opacity", "", "width height columns rows turns feather"))
LAYER = np.dtype(
    [
        *_struct("fill hole opacity", "", ""),
        ("across", AXIS),
        ("down", AXIS),
        *_struct("", "", "left top width height columns rows turns unused"),
    ]
)
COMPOSITE = np.dtype(
    [
        ("planes", PLANE, (3,)),
        ("layers", "<u8"),
        ("from_rgb", FROM_RGB),
        *_struct("", "", "family count chroma_shift_x chroma_shift_y depth left top columns rows"),
    ]
)

STRUCTS = {  # by their names in calls.h
    "Plane": PLANE,
    "Axis": AXIS,
    "ToRgb": TO_RGB,
    "FromRgb": FROM_RGB,
    "PixelsCall": PIXELS,
    "DilateCall": DILATE,
    "AccumulateCall": ACCUMULATE,
    "FeatherCall": FEATHER,
    "Layer": LAYER,
    "CompositeCall": COMPOSITE,
}


def blocks(columns: int, rows: int) -> tuple[int, int, int]:
    """The grid of blocks that gives each of `columns` x `rows` a thread."""
    return (-(-columns // BLOCK[0]), -(-rows // BLOCK[1]), 1)
