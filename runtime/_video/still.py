"""One picture file decoded."""

# PyAV's stubs leave the parameter of Packet untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from av.error import ArgumentError, FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from PIL import Image

from runtime._video.file import MOST_PIXELS

# A file is what its first bytes say.  libav's decoder of that name gets its bytes: no demuxer, which might open other
# files, is asked, and no suffix believed.
DECODERS = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "mjpeg": re.compile(rb"\xff\xd8\xff"),
    "tiff": re.compile(rb"II\*\0|MM\0\*"),
    "bmp": re.compile(rb"BM"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
MOST_BYTES = 1 << 31  # twice what MOST_PIXELS take, uncompressed
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")  # the same, as Pillow calls them
KINDS = "PNG, JPEG, TIFF, BMP or WebP"
SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # JPEG markers, which its compressed data cannot contain
ORIENTATION = 0x112  # Exif
MIRRORED = frozenset({2, 4, 5, 7})  # values of it


class Undecodable(Exception):
    """The file is no picture that decodes; the text says why, without a name."""


class Still:
    """A decoded picture and what its file says of it."""

    def __init__(self, path: Path) -> None:
        """Raises `Undecodable`."""
        try:
            if path.stat().st_size > MOST_BYTES:
                raise Undecodable(f"it has more than the {MOST_BYTES >> 30} GiB of the largest picture")
            data = path.read_bytes()
        except OSError as error:
            raise Undecodable(error.strerror or str(error)) from None
        self.codec = _decoder(data)
        if not self.codec:
            raise Undecodable(f"not one of {KINDS}")
        if _cut_short(self.codec, data):
            raise Undecodable("the file is cut short")
        context = cast(VideoCodecContext, VideoCodecContext.create(self.codec, "r"))
        context.thread_count = 1  # with more, pictures would wait for their successors
        # The TIFF decoder would refuse tags that it does not know, too.
        strictness = "crccheck" if self.codec == "tiff" else "crccheck+explode"
        context.options = {"max_pixels": str(MOST_PIXELS), "err_detect": strictness}
        try:
            pictures = [*context.decode(cast("Packet[Any]", Packet(data))), *context.decode(None)]
        except ArgumentError:
            raise Undecodable(f"its header is damaged, or tells of more than {MOST_PIXELS} pixels") from None
        except FFmpegError as error:
            raise Undecodable(error.strerror or str(error)) from None
        if not pictures:
            raise Undecodable("there is no picture in it")
        self.picture: VideoFrame = pictures[0]
        self.sample_aspect = context.sample_aspect_ratio or Fraction(1)


def is_still(path: Path) -> bool:
    """Whether the file begins like a picture; videos made of pictures may do so, too."""
    if not path.is_file():  # a pipe would block for ever
        return False
    try:
        with path.open("rb") as stream:
            return bool(_decoder(stream.read(16)))
    except OSError:
        return False


def _decoder(data: bytes) -> str:
    return next((name for name, head in DECODERS.items() if head.match(data)), "")


def _cut_short(codec: str, data: bytes) -> bool:
    """Whether the end is missing of a picture that its decoder would make up for; others it refuses itself."""
    if codec == "mjpeg":
        return data.rfind(END_OF_IMAGE) < data.rfind(SCAN)
    return codec == "bmp" and int.from_bytes(data[2:6], "little") > len(data)


def is_mirrored(path: Path) -> bool:
    """Whether the picture's Exif has viewers mirror it, which libav's angle does not tell.

    Where Pillow cannot read what libav has decoded, viewers will not find an angle either.
    """
    unread = suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    with unread, Image.open(path, formats=FORMATS) as image:
        return image.getexif().get(ORIENTATION) in MIRRORED
    return False
