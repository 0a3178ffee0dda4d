"""Y'CbCr to RGB and back in whole numbers: the same bits on every machine (formulas: docs/bundle.md, Pixels)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from runtime.errors import InputError
from runtime.frame import Colour, Plane

Levels = npt.NDArray[np.integer[Any]]

UNSPECIFIED = frozenset({0, 2, 3})  # RGB on a Y'CbCr layout is a wrong tag; 2 says unspecified; 3 is reserved
SD = (1279, 576)  # unspecified material that is wider or higher is taken for BT.709, as players do, else for BT.601

# Kr and Kb of H.273 table 4; Kg = 1 - Kr - Kb.
WEIGHTS = {
    1: (Fraction("0.2126"), Fraction("0.0722")),  # BT.709
    4: (Fraction("0.30"), Fraction("0.11")),  # FCC
    5: (Fraction("0.299"), Fraction("0.114")),  # BT.601, 625 lines
    6: (Fraction("0.299"), Fraction("0.114")),  # BT.601, 525 lines
    7: (Fraction("0.212"), Fraction("0.087")),  # SMPTE 240M
    9: (Fraction("0.2627"), Fraction("0.0593")),  # BT.2020, non-constant luminance
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How samples of one depth and range stand for values."""

    black: int  # the luma sample of value 0
    luma: int  # luma samples from black to white
    neutral: int  # the chroma sample of value 0
    chroma: int  # chroma samples from value -1/2 to 1/2
    peak: int  # the largest sample


@dataclass(frozen=True, slots=True)
class ToRGB:
    """Fixed-point coefficients of Y'CbCr to RGB, all times `2**shift`."""

    scale: Scale
    shift: int
    luma: int
    red_v: int
    green_u: int
    green_v: int
    blue_u: int


@dataclass(frozen=True, slots=True)
class FromRGB:
    """Fixed-point coefficients of RGB to Y'CbCr, all times `2**shift`; each triple goes with R, G, B."""

    scale: Scale
    shift: int
    luma: tuple[int, int, int]
    u: tuple[int, int, int]
    v: tuple[int, int, int]


def resolve_matrix(matrix: int, width: int, height: int) -> int:
    """The matrix to compute with: `matrix` itself, or what unspecified material of that size is taken for.

    Raises `InputError` for matrices that are no weighted sums (YCgCo, ICtCp, constant luminance).
    """
    if matrix in UNSPECIFIED:
        return 1 if width > SD[0] or height > SD[1] else 6
    if matrix not in WEIGHTS:
        raise InputError(
            f"colour matrix {matrix} (H.273) is not supported, only {', '.join(map(str, WEIGHTS))} are; "
            f"convert the video to BT.709 or BT.2020 first"
        )
    return matrix


def scale_of(bits: int, full_range: bool) -> Scale:
    """Black, white and neutral samples at a depth of 8 to 16 bits (H.273, section 8.3)."""
    peak = (1 << bits) - 1
    if full_range:
        return Scale(0, peak, 1 << (bits - 1), peak, peak)
    return Scale(16 << (bits - 8), 219 << (bits - 8), 1 << (bits - 1), 224 << (bits - 8), peak)


@lru_cache(maxsize=64)
def to_rgb_table(matrix: int, full_range: bool, bits: int, peak: int = 255) -> ToRGB:
    """Coefficients from samples of `bits` to RGB of 0 to `peak`; `matrix` as `resolve_matrix` gives it."""
    kr, kb = WEIGHTS[matrix]
    kg = 1 - kr - kb
    scale = scale_of(bits, full_range)
    shift = bits + 5
    luma = Fraction(peak << shift, scale.luma)
    chroma = Fraction(peak << shift, scale.chroma)
    return ToRGB(
        scale=scale,
        shift=shift,
        luma=_nearest(luma),
        red_v=_nearest(2 * (1 - kr) * chroma),
        green_u=_nearest(-2 * (1 - kb) * kb / kg * chroma),
        green_v=_nearest(-2 * (1 - kr) * kr / kg * chroma),
        blue_u=_nearest(2 * (1 - kb) * chroma),
    )


@lru_cache(maxsize=64)
def from_rgb_table(matrix: int, full_range: bool, bits: int, peak: int = 255) -> FromRGB:
    """Coefficients from RGB of 0 to `peak` to samples of `bits`; white is exactly white, grey exactly neutral."""
    kr, kb = WEIGHTS[matrix]
    scale = scale_of(bits, full_range)
    shift = 26 - bits  # so that the sum over a cell of 16 samples stays below 2**31
    luma = Fraction(scale.luma << shift, peak)
    chroma = Fraction(scale.chroma << shift, peak)
    y_red, y_blue = _nearest(kr * luma), _nearest(kb * luma)
    half = _nearest(chroma / 2)
    u_red = _nearest(-kr / (2 * (1 - kb)) * chroma)
    v_blue = _nearest(-kb / (2 * (1 - kr)) * chroma)
    return FromRGB(
        scale=scale,
        shift=shift,
        luma=(y_red, _nearest(luma) - y_red - y_blue, y_blue),
        u=(u_red, -half - u_red, half),
        v=(half, -half - v_blue, v_blue),
    )


def rgb_from_planes(
    planes: tuple[Plane, ...], colour: Colour, size: tuple[int, int], bits: int, peak: int = 255
) -> Levels:
    """RGB `[h, w, 3]` of 0 to `peak` (uint8, or uint16 above 255) from Y, or Y U V planes of one size `[h, w]`.

    `size` is the width and height of the source, which decide what an unspecified matrix is taken for.
    """
    table = to_rgb_table(resolve_matrix(colour.matrix, *size), colour.full_range, bits, peak)
    # Products of 8-bit results stay below 2**31 by the choice of the shift; those of 16-bit results do not.
    wide = np.dtype(np.int32 if peak == 255 else np.int64)
    height, width = planes[0].shape
    rgb: Levels = np.empty((height, width, 3), np.dtype(np.uint8 if peak == 255 else np.uint16))
    luma = planes[0].astype(wide)
    luma -= table.scale.black
    luma *= table.luma
    luma += 1 << (table.shift - 1)
    if len(planes) == 1:
        rgb[...] = np.clip(luma >> table.shift, 0, peak)[..., None]
        return rgb
    u = planes[1].astype(wide)
    u -= table.scale.neutral
    v = planes[2].astype(wide)
    v -= table.scale.neutral
    _store(rgb, 0, v * table.red_v, luma, table.shift, peak)
    green = u * table.green_u
    v *= table.green_v
    green += v
    _store(rgb, 1, green, luma, table.shift, peak)
    u *= table.blue_u
    _store(rgb, 2, u, luma, table.shift, peak)
    return rgb


def luma_from_rgb(red: Levels, green: Levels, blue: Levels, table: FromRGB) -> Levels:
    """Luma samples `[h, w]` of the three channels `[h, w]`."""
    luma = weigh(red, green, blue, table.luma)
    luma += 1 << (table.shift - 1)
    luma >>= table.shift
    luma += table.scale.black
    return luma


def weigh(
    red: Levels, green: Levels, blue: Levels, weights: tuple[int, int, int], kind: type[np.signedinteger] = np.int32
) -> Levels:
    """`weights[0] * red + weights[1] * green + weights[2] * blue`, computed in `kind`."""
    total: Levels = np.multiply(red, kind(weights[0]), dtype=kind)
    total += np.multiply(green, kind(weights[1]), dtype=kind)
    total += np.multiply(blue, kind(weights[2]), dtype=kind)
    return total


def rescale(samples: Levels, bits: int, peak: int) -> Plane:
    """Full-range samples of `bits` as samples of 0 to `peak`, rounded half up."""
    source = (1 << bits) - 1
    if source == peak:
        return cast(Plane, samples)
    scaled = (samples.astype(np.uint64) * (2 * peak) + source) // (2 * source)
    return cast(Plane, scaled.astype(np.dtype(np.uint8 if peak <= 255 else np.uint16)))


def _store(rgb: Levels, channel: int, chroma: Levels, luma: Levels, shift: int, peak: int) -> None:
    chroma += luma
    chroma >>= shift
    np.clip(chroma, 0, peak, out=rgb[..., channel], casting="unsafe")


def _nearest(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)
