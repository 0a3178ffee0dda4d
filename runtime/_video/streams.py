"""Everything in a source but its pictures, copied packet by packet: sound, subtitles, data, covers, chapters, tags."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.video.stream import VideoStream

from runtime._video.decode_times import decode_times
from runtime._video.file import VideoInfo, demuxed, opened, video_stream
from runtime._video.tags import ISO, beyond_classic, container_tags, stream_tags

KINDS = {"audio": "sound", "subtitle": "subtitles", "data": "data", "video": "a second video", "attachment": "a file"}
PICTURES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}  # as attachments

LEAST_TICKS, MOST_TICKS = 10000, 1000000  # a second


class Result:
    """A container on its way to disk: the streams of `info.path` in its order, its tags and chapters, and a new video.

    A context manager that holds the source open; complete when `finish` was called.  `notes` says in one line each what
    the container does not take.
    """

    def __init__(self, path: Path, muxer: str, info: VideoInfo, *, copies_video: bool = False) -> None:
        self.notes: list[str] = []
        self.pictures = 0  # copied ones
        self._copies_video = copies_video
        self._info = info
        self._muxer = muxer
        self._targets: dict[int, Stream] = {}
        self._covers: list[tuple[Packet[Any], Stream]] = []
        self._packets: Iterator[Packet[Any]] = iter(())
        self._next: Packet[Any] | None = None
        self._decoded: dict[int, Iterator[int]] = {}
        with ExitStack() as stack:
            self._source = None if info.stills else stack.enter_context(opened(info.path))
            tags = {} if self._source is None else container_tags(self._source, muxer)
            options = self._options(tags)
            self._output = av.open(f"file:{path}", "w", format=muxer, container_options=options)
            self._output.metadata.update(tags)
            self._open = stack.pop_all()

    def __enter__(self) -> Result:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open, suppress(FFmpegError, OSError):  # what is not finished is thrown away
            self._output.close()

    def add_streams(self, add_video: Callable[[OutputContainer, VideoStream | None], VideoStream]) -> VideoStream:
        """Declare all streams; the one of `add_video`, which is given the source's, takes that one's place."""
        if self._source is None:
            return add_video(self._output, None)
        video = video_stream(self._info.path, self._source)
        target = None
        for stream in self._source.streams:
            if stream.index == video.index:
                target = add_video(self._output, video)
                self._describe(stream, target)
                if self._copies_video:
                    self._targets[stream.index] = target
            elif not _made_anew(stream, self._source, video):
                self._add(stream)
        for stream in self._source.streams:
            if stream.index not in self._targets:  # containers with an index then skip its packets unread
                stream.discard = Discard.all
        self._output.set_chapters([chapter for chapter in self._source.chapters() if chapter["time_base"]])
        self._decoded = self._decode_times()
        if self._targets:
            self._packets = demuxed(self._source, *(self._source.streams[index] for index in self._targets))
        if target is None:
            raise ValueError("the video is none of the source's streams")
        return target

    def begin(self) -> None:
        """Write the header, and what else stands in front of all pictures."""
        self._output.start_encoding()
        for packet, target in self._covers:
            packet.stream = target
            packet.pts = packet.dts = 0
            self._output.mux_one(packet)
        self._next = self._read()

    def write(self, packet: Packet[Any]) -> None:
        """Write a packet of the new video, behind what of the other streams comes before it."""
        if packet.dts is not None:
            while self._next is not None and self._start_of(self._next) <= packet.dts * packet.time_base:
                self._copy(self._next)
        self._output.mux_one(packet)

    @property
    def length(self) -> int | None:
        """How long the source says that its video is, in the video's ticks; None where it does not say."""
        if self._source is None:
            return None
        video = video_stream(self._info.path, self._source)
        return video.duration if video.time_base == self._info.time_base else None

    def finish(self) -> None:
        """Write what is left of the other streams, however long, and the container's end."""
        while self._next is not None:
            self._copy(self._next)
        self._output.close()

    def _add(self, stream: Stream) -> None:
        if _is_cover(stream):
            self._add_cover(cast(VideoStream, stream))
        elif not fits(stream, self._muxer) or (stream.type == "attachment" and self._muxer == "webm"):
            # The stubs promise a name, but streams of codecs without a decoder have none.
            codec: str | None = getattr(stream, "name", None)
            self.notes.append(
                f"{KINDS.get(stream.type, 'a stream')} dropped: {codec or 'its codec'} cannot be copied into this "
                f"container; .mkv takes most codecs"
            )
        elif isinstance(stream, AttachmentStream):
            kind = stream.mimetype or "application/octet-stream"
            self._output.add_attachment(stream.name or "attachment", kind, stream.data)
        else:
            self._targets[stream.index] = target = add_copy(self._output, stream)
            self._describe(stream, target)

    def _describe(self, stream: Stream, target: Stream) -> None:
        target.metadata.update(stream_tags(stream, self._muxer))
        target.disposition = stream.disposition

    def _add_cover(self, stream: VideoStream) -> None:
        with opened(self._info.path) as again:  # reading it from the source here would move that one on
            packet = next((found for found in demuxed(again, again.streams[stream.index]) if found.size), None)
        codec = stream.codec_context.name
        if packet is None or self._muxer not in {"matroska", "mp4"} or codec not in PICTURES:
            self.notes.append(f"the cover picture dropped: {codec} cannot be copied into this container")
        elif self._muxer == "matroska":  # where covers are files
            suffix, kind = PICTURES[codec]
            data = bytes(cast(Any, packet))  # PyAV declares no __buffer__, which Python types only since 3.12
            self._output.add_attachment(stream.metadata.get("filename", f"cover.{suffix}"), kind, data)
        else:
            target = add_copy(self._output, stream)
            target.disposition = stream.disposition
            self._covers.append((packet, target))

    def _options(self, tags: dict[str, str]) -> dict[str, str]:
        """Of the muxer; takes out of `tags` what it cannot write."""
        options = {"avoid_negative_ts": "disabled"}  # or sound that begins before 0 would move the pictures
        if self._muxer not in ISO:
            return options
        # The ticks in which the file says when each stream begins and how long it is; the default, 1/1000 s, moves the
        # pictures.  Where they fit no stream exactly, its end may be cut by a sample.
        ticks = math.lcm(self._info.time_base.denominator, *(_rates(self._source) if self._source else ()))
        if ticks > MOST_TICKS:
            ticks = self._info.time_base.denominator
        options["movie_timescale"] = str(ticks * -(-LEAST_TICKS // ticks))
        newer = beyond_classic(tags)
        if newer and self._source and any(_is_cover(stream) for stream in self._source.streams):
            self.notes.append(
                f"tags dropped, since this container does not hold them beside a cover: {', '.join(newer)}"
            )
            for key in newer:
                del tags[key]
        elif newer:
            options["movflags"] = "use_metadata_tags"
        return options

    def _decode_times(self) -> dict[int, Iterator[int]]:
        """When packets of copied videos are decoded, which Matroska does not say; see Note [Decode times]."""
        videos = [index for index, target in self._targets.items() if target.type == "video"]
        if not videos:
            return {}
        shown: dict[int, list[int | None]] = {index: [] for index in videos}
        with opened(self._info.path) as again:
            for packet in demuxed(again, *(again.streams[index] for index in videos)):
                if packet.size:
                    shown[packet.stream_index].append(packet.pts)
        times = {index: [time for time in found if time is not None] for index, found in shown.items()}
        return {
            index: iter(decode_times(found))
            for index, found in times.items()
            if len(set(found)) == len(shown[index])  # else the container's own must do
        }

    def _start_of(self, packet: Packet[Any]) -> Fraction:
        return (packet.dts or 0) * packet.time_base - self._info.origin

    def _copy(self, packet: Packet[Any]) -> None:
        shift = round(self._info.origin / packet.time_base)
        if packet.dts is not None:
            packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        self.pictures += packet.stream.type == "video" and not packet.is_discard
        target = self._targets[packet.stream_index]
        packet.stream = target
        try:
            self._output.mux_one(packet)
        except (ArgumentError, InvalidDataError) as error:
            if target.type == "video":
                raise
            self._leave_out(target, error)
        self._next = self._read()

    def _leave_out(self, target: Stream, error: FFmpegError) -> None:
        """Note, once a stream, that the muxer refuses packets of it: damage there costs no picture."""
        note = f"{KINDS.get(target.type, 'a stream')} damaged: what cannot be copied is left out ({error.strerror})"
        if note not in self.notes:
            self.notes.append(note)

    def _read(self) -> Packet[Any] | None:
        try:
            for packet in self._packets:
                if packet.size and packet.stream_index in self._decoded:
                    packet.dts = next(self._decoded[packet.stream_index])
                if packet.size and packet.dts is not None:
                    return packet
        except FFmpegError as error:
            self.notes.append(f"the sound ends early: {error.strerror or error}")
        return None


def _rates(source: InputContainer) -> list[int]:
    # The stubs promise a context, but streams of codecs without a decoder have None.
    contexts = [getattr(stream, "codec_context", None) for stream in source.streams.audio]
    return [context.sample_rate for context in contexts if context is not None and context.sample_rate]


def _is_cover(stream: Stream) -> bool:
    return Disposition.attached_pic in stream.disposition


def _made_anew(stream: Stream, source: InputContainer, video: VideoStream) -> bool:
    """Whether the muxer writes the stream by itself: chapters as text, or the timecode that is a tag of the video."""
    if stream.type != "data":
        return False
    name: str | None = getattr(stream, "name", None)  # streams of codecs without a decoder have none
    as_chapters = name == "bin_data" and bool(source.chapters())
    as_timecode = name is None and "timecode" in stream.metadata and "timecode" in video.metadata
    return as_chapters or as_timecode


def add_copy(output: OutputContainer, stream: Stream) -> Stream:
    """A stream of `output` for the packets of `stream`; raises `FFmpegError` or `ValueError` when it takes none."""
    # Opaque: the codec is only named, and need not be one that can be encoded here.
    return output.add_stream_from_template(stream, opaque=True)


def fits(stream: Stream, container: str) -> bool:
    """Whether the muxer takes the stream: only writing a header tells, its table of codecs is too generous."""
    with suppress(FFmpegError, ValueError), av.open(io.BytesIO(), "w", format=container) as trial:
        add_copy(trial, stream)
        trial.start_encoding()
        return True
    return False
