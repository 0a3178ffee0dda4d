"""Frames of a video in presentation order, and what is missing among them."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import cast

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from runtime._video.deinterlace import Place, deinterlaced, interlaced, made_progressive
from runtime._video.extent import cut_short
from runtime._video.file import alpha_beside, demuxed, opened, probe, video_stream
from runtime._video.formats import (
    ALPHA,
    alpha_of,
    is_transparent,
    layout_of,
    planar,
    planar_name,
    planes_of,
    remarks,
)
from runtime._video.ledger import Ledger
from runtime._video.nvdec import decoded
from runtime._video.splice import splice_of
from runtime.errors import DamagedVideo, InputError
from runtime.frame import Frame
from runtime.nvdec import DecoderFault, Nvdec

MOST_ERRORS_IN_A_ROW = 64  # of the demuxer, no packet in between; then the rest of the file is given up
TRIED = 8  # pictures at the beginning that both decoders decode where a GPU is to decode: two groups of B-frames

_FARTHEST_BACK_S = 1.0  # that a picture's time may lie before the last one's; beyond, times start again


class VideoReader:
    """Iterates once over the frames of a video; a context manager.

    Damage raises `DamagedVideo` where it is met, before the first frame if the file is visibly cut short; with
    `keep_going` it is passed over and described in `lost`.  Interlaced frames raise `InputError`, unless `deinterlace`
    makes one progressive frame of each.  With `alpha` the frames are the alpha channel's, grey.

    `nvdec` decodes as long as what it gives is certain to be the frames that libav gives; then libav does, from the
    frame on that is the next one.  It goes with none of the others.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_going: bool = False,
        deinterlace: bool = False,
        alpha: bool = False,
        nvdec: Nvdec | None = None,
    ) -> None:
        info = probe(path)
        if alpha and not info.alpha:
            raise InputError(f"{path}: has no transparency; wanted a video with an alpha channel")
        self.info = made_progressive(info) if deinterlace else info
        self._ledger = self._new_ledger()
        self._keep_going = keep_going
        self._alpha = alpha
        self._deinterlace = deinterlace
        if info.interlaced and not deinterlace:
            raise interlaced(path, "the video is interlaced")
        self._last_pts: int | None = None
        self._zero: int | None = None  # the first frame's time where the container's clock has no zero
        self._frames = self._read() if nvdec is None else self._read_by(nvdec)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    @property
    def lost(self) -> list[str]:
        """What was passed over, a line each; complete when the iteration is over."""
        return self._ledger.losses

    @property
    def counted(self) -> int:
        """Frames so far, the lost ones included as far as they can be told: what masks are counted against."""
        return self._ledger.counted

    def close(self) -> None:
        """Close the file; the iteration is over then."""
        self._frames.close()

    def _read_by(self, nvdec: Nvdec) -> Generator[Frame, None, None]:
        """What NVDEC decodes, and where it stops the rest by libav, which decodes the beginning once more for that."""
        last: Frame | None = None
        try:
            with closing(self._tried(nvdec)) as frames:
                for last in frames:
                    yield last
        except DecoderFault as fault:
            count = 0 if last is None else last.index + 1
            nvdec.stopped.append(f"NVDEC stopped at frame {count}: {fault}; the CPU decoded from there")
        else:
            return
        self._begin_anew()
        for frame in self._read():
            if last is None or frame.index > last.index:
                yield frame
            elif frame.index == last.index and frame.pts != last.pts:
                raise InputError(
                    f"{self.info.path}: frame {frame.index} has another time when the CPU decodes it; use --decoder cpu"
                )

    def _tried(self, nvdec: Nvdec) -> Generator[Frame, None, None]:
        """NVDEC's frames; raises `DecoderFault` where the first ones are not libav's to the last bit."""
        with closing(self._read()) as by_libav:
            wanted = deque(islice(by_libav, TRIED))
        self._begin_anew()
        with closing(decoded(self.info, nvdec)) as pictures:
            for picture in pictures:
                index = self._ledger.counted
                frame = Frame(index, picture.pts, picture.planes, self.info.layout, self.info.colour)
                if index < TRIED and not (wanted and _same(frame, wanted.popleft())):
                    raise DecoderFault("it decodes the first pictures otherwise than the CPU")
                self._ledger.kept()
                yield frame

    def _begin_anew(self) -> None:
        self._ledger, self._last_pts, self._zero = self._new_ledger(), None, None

    def _new_ledger(self) -> Ledger:
        return Ledger(self.info.codec, self.info.container, self.info.time_base)

    def _read(self) -> Generator[Frame, None, None]:
        cut = cut_short(self.info.path)
        if cut and not self._keep_going:
            raise self._damaged(self._count_whole_packets(), cut)
        with opened(self.info.path) as container:
            stream = video_stream(self.info.path, container)
            pictures = self._pictures(container, stream)
            for place, picture in deinterlaced(self.info.path, pictures) if self._deinterlace else pictures:
                yield self._frame(place, picture)
        self._ledger.ended(self.info.frames)
        self._judge()
        if cut:
            self._ledger.losses.append(f"{cut}; frames and sound may be missing there")

    def _pictures(self, container: InputContainer, stream: VideoStream) -> Iterator[tuple[Place, VideoFrame]]:
        for picture in self._decode(container, stream):
            usable = self._ledger.came(picture)
            self._judge()
            if not usable:
                continue
            self._check(picture)
            place = Place(self._ledger.counted, self._time(picture))
            self._ledger.kept()
            if self._alpha:
                yield place, picture
                continue
            in_planes = planar(picture)
            if self.info.alpha:
                self._note_what_is_dropped(picture)
            yield place, in_planes

    def _note_what_is_dropped(self, picture: VideoFrame) -> None:
        notes = self.info.notes
        dropped = remarks(picture.format.name)
        if not set(dropped) <= set(notes) and is_transparent(picture):
            self.info = replace(self.info, notes=tuple(dict.fromkeys((*dropped, *notes))))

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        decoder = stream.codec_context
        if self._alpha and (other := alpha_beside(stream)):
            decoder = cast(VideoCodecContext, VideoCodecContext.create(other, "r"))
        for packet in self._packets(container, stream):
            self._ledger.sent(packet)
            try:
                pictures = decoder.decode(packet)
            except FFmpegError as error:
                self._ledger.failed(error.strerror or str(error))
                self._judge()
                continue
            yield from pictures

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """All packets of the stream, and then the empty one that flushes the decoder."""
        errors = 0
        while errors < MOST_ERRORS_IN_A_ROW:
            try:
                for packet in demuxed(container, stream):
                    errors = 0
                    yield packet
            except FFmpegError as error:
                errors += 1
                self._ledger.failed(error.strerror or str(error))
                self._judge()
            else:
                return
        flush: Packet[VideoStream] = cast("Packet[VideoStream]", Packet())
        yield flush

    def _check(self, picture: VideoFrame) -> None:
        """Raises `InputError` for a picture that is not of the first one's kind."""
        info = self.info
        index = self._ledger.counted
        if (picture.width, picture.height) != (info.width, info.height):
            raise InputError(
                f"{info.path}: frame {index} has {picture.width}x{picture.height} pixels, the first one had "
                f"{info.width}x{info.height}; cut the video where its size changes"
            )
        if not self._alpha and layout_of(planar_name(picture.format.name)) != info.layout:
            raise InputError(
                f"{info.path}: frame {index} has pixel format {picture.format.name}, unlike the first one; "
                f"cut the video where it changes"
            )
        if picture.interlaced_frame and not self._deinterlace:
            raise interlaced(info.path, f"frame {index} is interlaced")

    def _frame(self, place: Place, picture: VideoFrame) -> Frame:
        if self._alpha:
            plane, layout = alpha_of(picture)
            return Frame(place.index, place.pts, (plane,), layout, ALPHA)
        return Frame(place.index, place.pts, planes_of(picture), self.info.layout, self.info.colour)

    def _time(self, picture: VideoFrame) -> int:
        """The picture's own time; one frame after the last where it has none, one tick where it does not ascend.

        Raises `InputError` where times start again: ticks would squeeze all that follows into no time.
        """
        pts = picture.pts
        if self.info.container == "avi":  # it stores no times, but its chunks count frames, dropped ones included
            pts = picture.dts
            self._zero = pts if self._zero is None else self._zero
            pts = pts - self._zero if pts is not None and self._zero is not None else None
        if self._last_pts is None:
            pts = 0 if pts is None else pts
        elif pts is None:
            pts = self._last_pts + max(1, round(1 / (self.info.rate * self.info.time_base)))
        elif pts <= self._last_pts:
            if (self._last_pts - pts) * self.info.time_base > _FARTHEST_BACK_S:
                raise InputError(
                    f"{self.info.path}: times start again at frame {self._ledger.counted}, from "
                    f"{self.info.seconds(self._last_pts):.2f} s back to {self.info.seconds(pts):.2f} s, as where "
                    f"recordings were put together; cut the video there"
                )
            pts = self._last_pts + 1
        self._last_pts = pts
        return pts

    def _judge(self) -> None:
        """Raises the first thing that the ledger holds against the file, unless it is to be passed over."""
        if self._ledger.losses and not self._keep_going:
            raise self._damaged(self._ledger.decoded, self._ledger.losses[0])

    def _damaged(self, decoded: int, reason: str) -> DamagedVideo:
        declared = f"{self.info.frames} frames" if self.info.frames is not None else "an unknown number of frames"
        remedy = "copy the file again, or use --keep-going to restore what decodes"
        if splice := splice_of(self.info):
            remedy = f"its times start again, {splice}, as where recordings were put together: cut the video there"
        return DamagedVideo(f"{self.info.path}: decoded {decoded} of {declared}: {reason}; {remedy}")

    def _count_whole_packets(self) -> int:
        whole = 0
        with opened(self.info.path) as container:
            try:
                for packet in demuxed(container, video_stream(self.info.path, container)):
                    whole += packet.size > 0 and not packet.is_corrupt and not packet.is_discard
            except FFmpegError:
                return whole
        return whole


def _same(one: Frame, other: Frame) -> bool:
    return one.pts == other.pts and all(map(np.array_equal, one.planes, other.planes))
