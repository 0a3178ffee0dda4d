"""Pixel formats: which planes a decoder's picture has, and a picture for the encoder from planes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from runtime.frame import Colour, Layout, Plane

SUBSAMPLING = {"444": (0, 0), "422": (1, 0), "420": (1, 1), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
DEPTHS = (8, 9, 10, 12, 14, 16)  # of planar formats
ALPHA = Colour(matrix=2, primaries=2, transfer=2, full_range=True)  # what samples of an alpha channel mean
GBR = (2, 0, 1)  # where R, G, B lie among libav's planes G, B, R

# Planar formats, little-endian where deep.  yuvj: full range by name.  An `a` marks a last plane of alpha.
_PLANAR_YUV = re.compile(r"yuvj?a?(444|422|420|440|411|410)p(9|10|12|14|16)?(?:le)?")
_PLANAR_RGB = re.compile(r"gbra?p(9|10|12|14|16)?(?:le)?")
_PLANAR_ALPHA = re.compile(r"(?:yuva(?:444|422|420)p|gbrap)(?:9|10|12|14|16)?(?:le)?")
_GRAY = re.compile(r"gray(9|10|12|14|16)?(?:le)?")


@lru_cache(maxsize=64)
def layout_of(name: str) -> Layout | None:
    """The layout of a planar pixel format; None for formats that must be converted first."""
    if match := _PLANAR_YUV.fullmatch(name):
        return Layout("yuv", int(match[2] or 8), *SUBSAMPLING[match[1]])
    if match := _PLANAR_RGB.fullmatch(name):
        return Layout("rgb", int(match[1] or 8), 0, 0)
    if match := _GRAY.fullmatch(name):
        return Layout("gray", int(match[1] or 8), 0, 0)
    return None


def format_name(layout: Layout) -> str:
    """libav's name of the planar pixel format with that layout."""
    deep = f"{layout.bits}le" if layout.bits > 8 else ""
    if layout.family == "gray":
        return f"gray{deep}"
    if layout.family == "rgb":
        return f"gbrp{deep}"
    digits = {shifts: name for name, shifts in SUBSAMPLING.items()}[layout.chroma_shift_x, layout.chroma_shift_y]
    return f"yuv{digits}p{deep}"


@lru_cache(maxsize=64)
def planar_name(name: str) -> str:
    """The planar format that holds what the format `name` holds, its alpha channel aside."""
    if layout_of(name) is not None:
        return name
    described = VideoFormat(name, 64, 64)
    components = described.components
    colours = [component for component in components if not component.is_alpha]
    depth = max((component.bits for component in colours), default=8)
    bits = min((known for known in DEPTHS if known >= depth), default=16)
    if described.has_palette or described.is_rgb or described.is_bayer or name.startswith("xyz"):
        return format_name(Layout("rgb", bits if not described.has_palette else 8, 0, 0))
    if len(colours) < 3:
        return format_name(Layout("gray", bits, 0, 0))
    width, height = described.chroma_width(64) or 64, described.chroma_height(64) or 64
    return format_name(Layout("yuv", bits, (64 // width).bit_length() - 1, (64 // height).bit_length() - 1))


def remarks(name: str, *, transparent: bool = True) -> list[str]:
    """What becomes of a picture of the format `name` on its way into planes, a line each; mostly nothing.

    Unless it is `transparent` anywhere, its alpha channel is no loss.
    """
    described = VideoFormat(name, 64, 64)
    notes: list[str] = []
    if transparent and has_alpha(name):
        notes.append(f"pixel format {name}: transparency is dropped")
    deepest = max(component.bits for component in described.components)
    if described.is_bayer or name.startswith("xyz") or deepest > 16 or "f16" in name or "f32" in name:
        notes.append(f"pixel format {name}: converted to {planar_name(name)}, which rounds")
    return notes


def planar(picture: VideoFrame) -> VideoFrame:
    """The picture in the format of `planar_name`; itself where that is its own."""
    name = planar_name(picture.format.name)
    # One thread: with more, a line's vector store that runs past its end races with the next slice's first line.
    return picture if name == picture.format.name else picture.reformat(format=name, threads=1)


def planes_of(picture: VideoFrame) -> tuple[Plane, ...]:
    """Copies of the picture's planes without line padding, in the order of `Layout`; alpha is dropped.

    Raises `ValueError` when libswscale cannot convert the picture's format.
    """
    name = picture.format.name
    picture = planar(picture)
    layout = layout_of(picture.format.name)
    if layout is None:
        raise ValueError(f"pixel format {name} cannot be converted")
    order = {"rgb": GBR, "yuv": (0, 1, 2), "gray": (0,)}[layout.family]
    return tuple(_view(picture.planes[index], layout.bits).copy() for index in order)


def has_alpha(name: str) -> bool:
    """Whether pictures of the format `name` say for each sample how opaque it is."""
    described = VideoFormat(name, 64, 64)
    return described.has_palette or any(component.is_alpha for component in described.components)


def alpha_of(picture: VideoFrame) -> tuple[Plane, Layout]:
    """A copy of the picture's alpha channel `[H, W]`, 0 where it is transparent, and the layout of such a plane.

    Raises `ValueError` when the picture has none, or libswscale cannot take it out.
    """
    name = picture.format.name
    if not has_alpha(name):
        raise ValueError(f"pixel format {name} has no alpha channel")
    if not _PLANAR_ALPHA.fullmatch(name):
        components = picture.format.components
        deep = not picture.format.has_palette and max(component.bits for component in components) > 8
        picture = picture.reformat(format="gbrap16le" if deep else "gbrap", threads=1)
    last = picture.format.components[-1]
    return _view(picture.planes[last.plane], last.bits).copy(), Layout("gray", last.bits, 0, 0)


def is_transparent(picture: VideoFrame) -> bool:
    """Whether anything of the picture is less than opaque; some decoders and many programs give all an alpha."""
    if not has_alpha(picture.format.name):
        return False
    plane, layout = alpha_of(picture)
    return int(plane.min()) < (1 << layout.bits) - 1


def picture_of(planes: tuple[Plane, ...], layout: Layout) -> VideoFrame:
    """A picture for the encoder that holds copies of `planes`."""
    height, width = planes[0].shape
    picture = VideoFrame(width, height, format_name(layout))
    order = {"rgb": GBR, "yuv": (0, 1, 2), "gray": (0,)}[layout.family]
    for plane, index in zip(planes, order, strict=True):
        _view(picture.planes[index], layout.bits)[...] = plane
    return picture


def _view(plane: VideoPlane, bits: int) -> Plane:
    buffer = cast(Any, plane)  # PyAV declares no __buffer__, which Python types only since 3.12
    samples = cast(Plane, np.frombuffer(buffer, np.dtype(np.uint8 if bits == 8 else np.uint16)))
    lines = samples.reshape(plane.height, -1)
    if plane.line_size < 0:  # stored bottom up; the buffer begins at the last line
        lines = lines[::-1]
    return lines[:, : plane.width]
