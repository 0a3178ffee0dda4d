"""An encoder for one run of frames."""

# PyAV's stubs leave the parameter of Packet untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, cast

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from runtime._video.codecs import Chosen
from runtime._video.encodable import encodable_planes
from runtime._video.file import FULL_RANGE, LIMITED_RANGE, VideoInfo
from runtime._video.formats import picture_of
from runtime.frame import Frame

# Where nothing is declared, `info.rate` may be the ticks a second, for which encoders would choose absurd levels.
MOST_RATE, USUAL_RATE = 240, Fraction(30)
MOST_THREADS = 16
SVT_LOG, SVT_ERRORS = "SVT_LOG", "1"
PIXELS_IN_FLIGHT = 25_000_000  # every thread of an encoder holds pictures of its own


def thread_count(width: int, height: int) -> int:
    """How many threads an encoder may use for pictures of that size: as many as there are cores and memory for."""
    return max(1, min(os.cpu_count() or 1, MOST_THREADS, PIXELS_IN_FLIGHT // (width * height)))


def configure(context: VideoCodecContext, chosen: Chosen, info: VideoInfo) -> None:
    """Tell an encoder what to do with the frames of `info`."""
    describe(context, chosen, info)
    context.time_base = info.time_base
    context.framerate = chosen.declared.rate or (info.rate if info.rate <= MOST_RATE else USUAL_RATE)
    context.options = dict(chosen.options)
    context.flags |= Flags.global_header
    if chosen.codec.frame_threads:
        context.thread_type = "FRAME"  # the default cuts every picture into slices, which costs quality


def describe(context: VideoCodecContext, chosen: Chosen, info: VideoInfo) -> None:
    """Set what the pictures are when they leave."""
    colour = chosen.form.colour
    context.width, context.height = info.width, info.height
    context.pix_fmt = chosen.pixels
    if chosen.declared.aspect is not None:
        context.sample_aspect_ratio = chosen.declared.aspect
    context.color_range = _range(chosen, info)
    context.colorspace = colour.matrix
    context.color_primaries = colour.primaries
    context.color_trc = colour.transfer


def _range(chosen: Chosen, info: VideoInfo) -> int:
    """The range in libav's numbers, 0 where the source does not say it and readers take the right one for granted."""
    colour = chosen.form.colour
    if colour.full_range:  # untold, Y'CbCr counts as limited, and so does grey where a codec is decoded as Y'CbCr
        return FULL_RANGE
    return 0 if colour == info.colour and not chosen.declared.pixel_range else LIMITED_RANGE


def recipe_of(chosen: Chosen, info: VideoInfo) -> str:
    """All that decides what an encoder makes of a frame, in words; packets of the same recipe can be joined."""
    facts = (chosen.codec.encoder, chosen.options, chosen.pixels, info.width, info.height, info.time_base, info.rate)
    libraries = sorted(av.library_versions.items())
    return repr((*facts, chosen.declared, chosen.form.colour, _range(chosen, info), libraries))


@contextmanager
def quiet() -> Generator[None, None, None]:
    """SVT-AV1 prints its settings and thoughts, and can be told not to by the environment only, while it is opened."""
    before = os.environ.get(SVT_LOG)
    os.environ.setdefault(SVT_LOG, SVT_ERRORS)
    try:
        yield
    finally:
        if before is None:
            del os.environ[SVT_LOG]


class Encoder:
    """Frames to packets; opened at once."""

    def __init__(self, chosen: Chosen, info: VideoInfo) -> None:
        self._context = cast(VideoCodecContext, VideoCodecContext.create(chosen.codec.encoder, "w"))
        self._chosen = chosen
        self._time_base = info.time_base
        configure(self._context, chosen, info)
        with quiet():
            self._context.open()

    @property
    def headers(self) -> bytes:
        """The codec's, which stand in front of all packets."""
        return self._context.extradata or b""

    @property
    def tag(self) -> str | None:
        """The codec's four characters in a container, where the encoder chooses them."""
        tag = self._context.codec_tag
        return tag if tag.strip("\0") else None

    def encode(self, frame: Frame, pts: int) -> list[Packet[Any]]:
        """The packets that are ready after `frame`, to be shown at `pts`; mostly earlier ones."""
        layout = self._chosen.form.layout
        picture = picture_of(encodable_planes(frame, layout), layout)
        if picture.format.name != self._chosen.pixels:
            picture = picture.reformat(format=self._chosen.pixels, threads=1)
        colour = self._chosen.form.colour  # ProRes writes those of the picture
        picture.colorspace, picture.color_primaries, picture.color_trc = (
            colour.matrix,
            colour.primaries,
            colour.transfer,
        )
        picture.color_range = self._context.color_range
        picture.pts = pts
        picture.time_base = self._time_base
        return cast("list[Packet[Any]]", self._context.encode(picture))

    def end(self) -> list[Packet[Any]]:
        """The packets that were held back."""
        return cast("list[Packet[Any]]", self._context.encode(None))
