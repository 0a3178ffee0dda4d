"""Frames as numbered PNG pictures."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from runtime._video import png
from runtime._video.carried import carried
from runtime._video.file import VideoInfo
from runtime._video.numbered import Numbered
from runtime.errors import OutputError
from runtime.frame import Frame, Plane
from runtime.pixels import rgb_at
from runtime.plural import plural
from runtime.work import UNFINISHED, Work

STAGING = "pictures"
END = b"IEND\xaeB`\x82"
EVEN_S = 0.002  # by which frames of one length may differ: containers round times, and some twice

PictureFormat = Literal["gray", "gray16be", "rgb24", "rgb48be"]


class ImageWriter:
    """Writes each frame as a PNG named by a pattern like `out/%05d.png` and the frame's index; a context manager.

    8-bit samples become 8-bit RGB, deeper ones 16-bit RGB, grey stays grey; the picture stands as the viewer sees it.
    Pictures lie in `work` until all are there: a folder that is new appears whole, in one that exists they take their
    names at the end, and what of the pattern lay there before is gone then.  Raises `OutputError`.
    """

    def __init__(self, pattern: Path, info: VideoInfo, work: Work) -> None:
        self._names = Numbered(pattern)
        self._earlier = self._names.files(pattern.parent)  # what appears later is somebody else's
        self._pattern = pattern
        self._info = info
        self._work = work
        self._staging = work.piece(STAGING)
        self._encoder = _encoder(info, _picture_format(info))
        self._start = self._next()
        self._written = 0
        self._pace = _Pace()
        self._carried = carried(info)
        self.notes: list[str] = list(self._carried.notes)

    @property
    def start(self) -> int:
        """The number of the first frame that is still to be written."""
        return self._start

    @property
    def encoder(self) -> str:
        """How frames are encoded, for people."""
        return f"PNG, {_picture_format(self._info)}"

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
            with self._work.making(f"{STAGING}/{self._names.of(frame.index)}", durable=False) as path:
                path.write_bytes(png.saying(b"".join(_payload(packet) for packet in packets), self._carried.chunks))
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None
        self._written += 1
        self._pace.add(frame)

    def _next(self) -> int:
        """One behind the last picture that an earlier run finished; they were written in order."""
        found = self._names.files(self._staging)
        return max((number for number, path in found.items() if _whole(path)), default=-1) + 1

    def _finish(self) -> None:
        if not self._staging.exists():
            raise OutputError(f"{self._pattern}: no frames were written, so there are no pictures")
        self._note_times()
        folder = self._pattern.parent
        for leftover in self._staging.glob(f"*{UNFINISHED}"):
            leftover.unlink()
        if not folder.exists():
            os.rename(self._staging, folder)
            return
        made = self._names.files(self._staging).keys()
        for picture in sorted(self._staging.iterdir()):
            os.replace(picture, folder / picture.name)
        self._remove([path for number, path in self._earlier.items() if number >= self._start and number not in made])

    def _remove(self, rest: list[Path]) -> None:
        """Delete what a longer run left, which whoever reads the pattern would take for more of this one."""
        for path in rest:
            path.unlink(missing_ok=True)
        if rest:
            names = rest[0].name if len(rest) == 1 else f"{rest[0].name} to {rest[-1].name}"
            self.notes.append(f"{plural(len(rest), 'picture')} of an earlier, longer result removed: {names}")

    def _note_times(self) -> None:
        shortest, longest = (float(ticks * self._info.time_base) for ticks in self._pace.lengths())
        if longest - shortest > EVEN_S:
            self.notes.append(
                f"pictures carry no times: the video shows its frames for {shortest:.3f} to {longest:.3f} s each"
            )

    def _failed(self, error: FFmpegError | OSError) -> OutputError:
        return OutputError(f"{self._pattern}: cannot be written: {error.strerror or error}")


class _Pace:
    """How long frames are shown, in ticks."""

    def __init__(self) -> None:
        self._index = self._pts = 0
        self._lengths: tuple[int, int] | None = None  # the shortest and the longest

    def add(self, frame: Frame) -> None:
        """The next frame; what is missing before it is no length."""
        length = frame.pts - self._pts
        if frame.index and frame.index == self._index + 1:
            least, most = self._lengths or (length, length)
            self._lengths = min(least, length), max(most, length)
        self._index, self._pts = frame.index, frame.pts

    def lengths(self) -> tuple[int, int]:
        """The shortest and the longest; 0 where there were not two frames in a row."""
        return self._lengths or (0, 0)


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
