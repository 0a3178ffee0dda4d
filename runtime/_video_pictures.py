"""Frames as numbered PNG pictures."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import re
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from runtime._video_file import VideoInfo
from runtime.errors import OutputError
from runtime.frame import Frame, Plane
from runtime.pixels import rgb_at

PATTERN = re.compile(r"(?P<before>[^%]*)%(?:0(?P<digits>\d{1,2}))?d(?P<after>[^%]*\.png)", re.IGNORECASE)

PictureFormat = Literal["gray", "gray16be", "rgb24", "rgb48be"]


class ImageWriter:
    """Writes each frame as a PNG named by a pattern like `out/%05d.png` and the frame's index; a context manager.

    8-bit samples become 8-bit RGB, deeper ones 16-bit RGB, grey stays grey.  The pictures are made in a temporary
    folder: a folder that is new appears whole, in one that exists they take their names at the end.  Raises
    `OutputError`.
    """

    def __init__(self, pattern: str | Path, info: VideoInfo) -> None:
        self._pattern = Path(pattern)
        self._folder = self._pattern.parent
        self._info = info
        self._deep = info.layout.bits > 8
        self._encoder = _encoder(info, _picture_format(info))
        self._written = 0
        self.notes: list[str] = ["pictures carry no sound"] if info.audio else []
        self._new = not self._folder.exists()
        try:
            if self._new:
                self._folder.parent.mkdir(parents=True, exist_ok=True)
            where = self._folder.parent if self._new else self._folder
            self._staging = Path(tempfile.mkdtemp(prefix=".pictures.", suffix=".part", dir=where))
        except OSError as error:
            raise self._failed(error) from None

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except OSError as failure:
            raise self._failed(failure) from None
        finally:
            shutil.rmtree(self._staging, ignore_errors=True)

    def write(self, frame: Frame) -> None:
        """Encode `frame` as the picture of its index."""
        form = _picture_format(self._info)
        samples = rgb_at(frame, frame.width, frame.height, 65535 if self._deep else 255)
        samples = samples[..., 0] if form.startswith("gray") else samples
        picture = VideoFrame.from_ndarray(cast(Plane, samples), form)
        picture.pts = self._written
        try:
            packets = cast("list[Packet[Any]]", self._encoder.encode(picture))
            (self._staging / self._name(frame.index)).write_bytes(b"".join(_payload(packet) for packet in packets))
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None
        self._written += 1

    def _name(self, index: int) -> str:
        match = PATTERN.fullmatch(self._pattern.name)
        if match is None:
            raise OutputError(f"{self._pattern}: no number in the name; wanted a pattern like out/%05d.png")
        return f"{match['before']}{index:0{int(match['digits'] or 1)}d}{match['after']}"

    def _finish(self) -> None:
        if not self._written:
            raise OutputError(f"{self._pattern}: no frames were written, so there are no pictures")
        if self._new:
            self._staging.chmod(0o777 & ~_umask())
            os.rename(self._staging, self._folder)
            return
        for picture in sorted(self._staging.iterdir()):
            os.replace(picture, self._folder / picture.name)

    def _failed(self, error: FFmpegError | OSError) -> OutputError:
        return OutputError(f"{self._pattern}: cannot be written: {error.strerror or error}")


def _picture_format(info: VideoInfo) -> PictureFormat:
    if info.layout.family == "gray":
        return "gray16be" if info.layout.bits > 8 else "gray"
    return "rgb48be" if info.layout.bits > 8 else "rgb24"


def _encoder(info: VideoInfo, form: PictureFormat) -> VideoCodecContext:
    encoder = VideoCodecContext.create("png", "w")
    encoder.width, encoder.height = info.width, info.height
    encoder.pix_fmt = form
    encoder.time_base = Fraction(1, 25)  # of no consequence in a picture, but encoders ask for one
    encoder.thread_count = 1  # every picture comes out before the next goes in
    encoder.options = {"pred": "up", "compression_level": "1"}  # five times as fast as the default, no larger
    return encoder


def _payload(packet: Packet[Any]) -> bytes:
    return bytes(cast(Any, packet))  # PyAV declares no __buffer__, which Python types only since 3.12


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
