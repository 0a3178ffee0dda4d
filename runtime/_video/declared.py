"""What a video says of all its pictures: how to turn them, what they were mastered on, or that it says nothing."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from av.error import FFmpegError
from av.sidedata.sidedata import Type

from runtime._video.beside import beside
from runtime._video.file import VideoInfo, demuxed, opened, video_stream

_MATRIX = struct.Struct("=9i")  # libavutil/display.h
_MASTERING = struct.Struct("=20i2i")  # libavutil/mastering_display_metadata.h: ten rationals, two flags
_LIGHT = struct.Struct("=2I")
CHROMATICITY, LUMINANCE = 50000, 10000  # units of SMPTE ST 2086: 0.00002, and 0.0001 cd/m2
DYNAMIC = {
    Type.DOVI_METADATA: "Dolby Vision",
    Type.DOVI_RPU_BUFFER: "Dolby Vision",
    Type.DYNAMIC_HDR_PLUS: "HDR10+",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
}
STATIC = (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL, Type.SPHERICAL, Type.STEREO3D)
KINDS = (Type.DISPLAYMATRIX, *STATIC, *DYNAMIC)


@dataclass(frozen=True, slots=True)
class Mastering:
    """The display that a video was graded on (SMPTE ST 2086), in that standard's units."""

    red: tuple[int, int]
    green: tuple[int, int]
    blue: tuple[int, int]
    white: tuple[int, int]
    brightest: int
    darkest: int

    @property
    def text(self) -> str:
        """As x264 and x265 take it."""
        points = {"G": self.green, "B": self.blue, "R": self.red, "WP": self.white}
        places = "".join(f"{name}({x},{y})" for name, (x, y) in points.items())
        return f"{places}L({self.brightest},{self.darkest})"

    @property
    def plain_text(self) -> str:
        """As SVT-AV1 takes it: the same in plain numbers."""
        points = {"G": self.green, "B": self.blue, "R": self.red, "WP": self.white}
        places = "".join(f"{name}({x / CHROMATICITY:.5f},{y / CHROMATICITY:.5f})" for name, (x, y) in points.items())
        return f"{places}L({self.brightest / LUMINANCE:.4f},{self.darkest / LUMINANCE:.4f})"


@dataclass(frozen=True, slots=True)
class Declared:
    """What is known of the first picture, and so of all."""

    aspect: Fraction | None = None  # width of a sample over its height; None: the video does not say
    rate: Fraction | None = None  # pictures a second that the container declares or has on average
    pixel_range: int = 0  # as libav numbers them; 0: the video does not say
    display_matrix: tuple[int, ...] | None = None  # nine numbers, libavutil/display.h
    mastering: Mastering | None = None
    light: tuple[int, int] | None = None  # brightest pixel and brightest frame average, cd/m2
    of_container: bool = False  # whether the container's stream may carry some of it
    dropped: tuple[str, ...] = ()  # kinds that change with every picture, which no encoder here takes


def read_declared(info: VideoInfo) -> Declared:
    """What the first picture of the video carries; of pictures in files of their own, the shape of their samples."""
    if info.stills:
        return Declared(rate=info.rate, aspect=None if info.sample_aspect == 1 else info.sample_aspect)
    with opened(info.path) as container:
        stream = video_stream(info.path, container)
        for packet in demuxed(container, stream):
            try:
                pictures = packet.decode()
            except FFmpegError:  # the first picture is the first that decodes, as in `probe`
                continue
            if pictures:
                told = beside(pictures[0], stream.codec_context.name, KINDS)
                return replace(
                    _declared(told),
                    aspect=stream.sample_aspect_ratio,
                    rate=stream.average_rate,
                    pixel_range=pictures[0].color_range,
                )
    return Declared()


def _declared(found: Mapping[Type, bytes]) -> Declared:
    matrix = mastering = light = None
    if data := found.get(Type.DISPLAYMATRIX):
        matrix = _MATRIX.unpack_from(data)
    if data := found.get(Type.MASTERING_DISPLAY_METADATA):
        mastering = _mastering(data)
    if data := found.get(Type.CONTENT_LIGHT_LEVEL):
        light = _LIGHT.unpack_from(data)
    dropped = tuple(dict.fromkeys(name for kind, name in DYNAMIC.items() if kind in found))
    # What declares Dolby Vision in the container would promise what is dropped.
    of_container = "Dolby Vision" not in dropped and any(kind in found for kind in STATIC)
    return Declared(None, None, 0, matrix, mastering, light, of_container, dropped)


def _mastering(data: bytes) -> Mastering | None:
    *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(data)
    if not has_primaries or not has_luminance:
        return None
    values = [top / bottom if bottom else 0.0 for top, bottom in zip(numbers[::2], numbers[1::2], strict=True)]
    *places, darkest, brightest = values
    steps = [round(place * CHROMATICITY) for place in places]
    red, green, blue, white = zip(steps[::2], steps[1::2], strict=True)
    return Mastering(red, green, blue, white, round(brightest * LUMINANCE), round(darkest * LUMINANCE))
