"""Frames as numbered PNG pictures."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import re
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from runtime._video.file import VideoInfo
from runtime.errors import OutputError
from runtime.frame import Frame, Plane
from runtime.pixels import rgb_at
from runtime.work import UNFINISHED, Work

PATTERN = re.compile(r"(?P<before>[^%]*)%(?:0(?P<digits>\d{1,2}))?d(?P<after>[^%]*\.png)", re.IGNORECASE)

STAGING = "pictures"
END = b"IEND\xaeB`\x82"

PictureFormat = Literal["gray", "gray16be", "rgb24", "rgb48be"]


class ImageWriter:
    """Writes each frame as a PNG named by a pattern like `out/%05d.png` and the frame's index; a context manager.

    8-bit samples become 8-bit RGB, deeper ones 16-bit RGB, grey stays grey; the picture stands as the viewer sees it.
    Pictures lie in `work` until all are there: a folder that is new appears whole, in one that exists they take their
    names at the end.  Raises `OutputError`.
    """

    def __init__(self, pattern: Path, info: VideoInfo, work: Work) -> None:
        match = PATTERN.fullmatch(pattern.name)
        if match is None:
            raise OutputError(f"{pattern}: no number in the name; wanted a pattern like out/%05d.png")
        self._match = match
        self._pattern = pattern
        self._info = info
        self._work = work
        self._staging = work.piece(STAGING)
        self._encoder = _encoder(info, _picture_format(info))
        self._start = self._next()
        self._written = 0
        self.notes: list[str] = _cannot_carry(info)

    @property
    def start(self) -> int:
        """The number of the first frame that is still to be written."""
        return self._start

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

    def write(self, frame: Frame) -> None:
        """Encode `frame` as the picture of its index."""
        form = _picture_format(self._info)
        samples = rgb_at(frame, frame.width, frame.height, 65535 if self._info.layout.bits > 8 else 255)
        samples = np.rot90(samples, self._info.turns)
        samples = samples[..., 0] if form.startswith("gray") else samples
        picture = VideoFrame.from_ndarray(cast(Plane, np.ascontiguousarray(samples)), form)
        picture.pts = self._written
        try:
            packets = cast("list[Packet[Any]]", self._encoder.encode(picture))
            self._staging.mkdir(exist_ok=True)
            with self._work.making(f"{STAGING}/{self._name(frame.index)}", durable=False) as path:
                path.write_bytes(b"".join(_payload(packet) for packet in packets))
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None
        self._written += 1

    def _name(self, index: int) -> str:
        digits = int(self._match["digits"] or 1)
        return f"{self._match['before']}{index:0{digits}d}{self._match['after']}"

    def _next(self) -> int:
        """One behind the last picture that an earlier run finished; they were written in order."""
        before, after = re.escape(self._match["before"]), re.escape(self._match["after"])
        numbered = re.compile(rf"{before}(\d+){after}")
        names = [path for path in self._staging.iterdir() if _whole(path)] if self._staging.exists() else []
        found = [int(match[1]) for path in names if (match := numbered.fullmatch(path.name))]
        return max(found, default=-1) + 1

    def _finish(self) -> None:
        if not self._staging.exists():
            raise OutputError(f"{self._pattern}: no frames were written, so there are no pictures")
        folder = self._pattern.parent
        for leftover in self._staging.glob(f"*{UNFINISHED}"):
            leftover.unlink()
        if not folder.exists():
            os.rename(self._staging, folder)
            return
        for picture in sorted(self._staging.iterdir()):
            os.replace(picture, folder / picture.name)

    def _failed(self, error: FFmpegError | OSError) -> OutputError:
        return OutputError(f"{self._pattern}: cannot be written: {error.strerror or error}")


def _cannot_carry(info: VideoInfo) -> list[str]:
    return ["pictures carry no sound"] if info.audio else []


def _whole(path: Path) -> bool:
    """Whether the picture's end is there: pictures are not forced to disk one by one, and the power may have failed."""
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END) > len(END) and file.seek(-len(END), os.SEEK_END) > 0 and file.read() == END


def _picture_format(info: VideoInfo) -> PictureFormat:
    if info.layout.family == "gray":
        return "gray16be" if info.layout.bits > 8 else "gray"
    return "rgb48be" if info.layout.bits > 8 else "rgb24"


def _encoder(info: VideoInfo, form: PictureFormat) -> VideoCodecContext:
    encoder = VideoCodecContext.create("png", "w")
    encoder.width, encoder.height = info.display_width, info.display_height
    encoder.pix_fmt = form
    encoder.time_base = Fraction(1, 25)  # of no consequence in a picture, but encoders ask for one
    encoder.thread_count = 1  # every picture comes out before the next goes in
    encoder.options = {"pred": "up", "compression_level": "1"}  # five times as fast as the default, no larger
    return encoder


def _payload(packet: Packet[Any]) -> bytes:
    return bytes(cast(Any, packet))  # PyAV declares no __buffer__, which Python types only since 3.12
