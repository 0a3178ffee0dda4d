"""Frames to H.264 with the source's timestamps and sound, and to numbered PNG pictures."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from runtime._video_audio import AudioCopy
from runtime._video_encodable import encodable, encodable_planes
from runtime._video_file import FULL_RANGE, LIMITED_RANGE, VideoInfo
from runtime._video_formats import format_name, picture_of
from runtime.errors import OutputError
from runtime.frame import Frame

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # suffix -> libav's muxer
PRESET = "veryfast"
LEAST_TICKS = 10000  # a second


class VideoWriter:
    """Encodes frames into a video that gets its name when the block ends well; a context manager.

    Timestamps are the source's (in .mkv to the millisecond), the sound is copied packet by packet.  `notes` says in one
    line each what could not be kept.  Raises `OutputError`.
    """

    def __init__(self, out: Path, info: VideoInfo, *, crf: int) -> None:
        self._out = out
        self._part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
        self._info = info
        self._form = encodable(info.layout, info.colour, info.width, info.height)
        self._last_pts: int | None = None
        # Where the container's clock begins anywhere, the result's begins at 0.
        self._shift = round(info.origin / info.time_base)
        self._open = ExitStack()
        try:
            self._container = self._create(CONTAINERS[out.suffix.lower()])
            self._stream = self._add_stream(crf)
            self._audio = self._open.enter_context(AudioCopy(info, self._container))
        except (FFmpegError, OSError) as error:
            self._open.close()
            raise self._failed(error) from None
        self.notes: list[str] = [*self._form.notes, *self._audio.notes]

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._open:
                if error is None:
                    self._finish()
                else:
                    # The file is removed below; what its trailer says no longer matters.
                    with suppress(FFmpegError, OSError):
                        self._container.close()
            if error is None:
                os.replace(self._part, self._out)
        except (FFmpegError, OSError) as failure:
            raise self._failed(failure) from None
        finally:
            self._part.unlink(missing_ok=True)

    def write(self, frame: Frame) -> None:
        """Encode `frame`; timestamps must ascend."""
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise ValueError(f"frame {frame.index}: time {frame.pts} does not follow {self._last_pts}")
        self._last_pts = frame.pts
        picture = picture_of(encodable_planes(frame, self._form.layout), self._form.layout)
        picture.pts = frame.pts - self._shift
        picture.time_base = self._info.time_base
        try:
            self._mux(cast("list[Packet[Any]]", self._stream.encode(picture)))
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None

    def _create(self, kind: str) -> OutputContainer:
        options = {"avoid_negative_ts": "disabled"}  # or sound that begins before 0 would move the pictures
        if kind != "matroska":
            # The ticks in which the file says when each stream begins; the default, 1/1000 s, moves the pictures.
            ticks = self._info.time_base.denominator
            while ticks < LEAST_TICKS:
                ticks *= 2
            options["movie_timescale"] = str(ticks)
        return av.open(f"file:{self._part}", "w", format=kind, container_options=options)

    def _add_stream(self, crf: int) -> VideoStream:
        info, form = self._info, self._form
        options = {"crf": str(crf), "preset": PRESET}
        stream = self._container.add_stream("libx264", rate=info.rate, options=options)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = format_name(form.layout)
        context.time_base = info.time_base
        context.thread_type = "FRAME"  # the default cuts every picture into slices, which costs quality
        context.sample_aspect_ratio = info.sample_aspect
        context.color_range = FULL_RANGE if form.colour.full_range else LIMITED_RANGE
        context.colorspace = form.colour.matrix
        context.color_primaries = form.colour.primaries
        context.color_trc = form.colour.transfer
        if info.rotation:
            stream.set_display_rotation(info.rotation)
        return stream

    def _mux(self, packets: Sequence[Packet[Any]]) -> None:
        for packet in packets:
            if packet.dts is not None:
                self._audio.copy_until(packet.dts * packet.time_base)
            self._container.mux_one(packet)

    def _finish(self) -> None:
        if self._last_pts is None:
            raise OutputError(f"{self._out}: no frames were written, so there is no video")
        self._mux(cast("list[Packet[Any]]", self._stream.encode(None)))
        self._audio.copy_rest()
        self._container.close()

    def _failed(self, error: FFmpegError | OSError) -> OutputError:
        return OutputError(f"{self._out}: cannot be written: {error.strerror or error}")
