"""Sound copied packet by packet from the source into the result, as far ahead as the pictures are."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from types import TracebackType

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from runtime._video_file import VideoInfo, opened


class AudioCopy:
    """The sound of `info.path` on its way into `output`; a context manager that holds the source open."""

    def __init__(self, info: VideoInfo, output: OutputContainer) -> None:
        self.notes: list[str] = []
        self._output = output
        self._origin = info.origin
        self._open = ExitStack()
        self._streams: dict[int, AudioStream] = {}
        self._packets: Iterator[Packet[AudioStream]] = iter(())
        self._next: Packet[AudioStream] | None = None
        if not info.audio:
            return
        source = self._open.enter_context(opened(info.path))
        self._add_streams(source)
        if self._streams:
            kept = tuple(stream for stream in source.streams.audio if stream.index in self._streams)
            self._packets = source.demux(kept)
            self._next = self._read()

    def __enter__(self) -> AudioCopy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def copy_until(self, seconds: Fraction) -> None:
        """Copy the packets that come before `seconds` of the result."""
        while self._next is not None and self._start_of(self._next) <= seconds:
            self._copy()

    def copy_rest(self) -> None:
        """Copy what is left, however long."""
        while self._next is not None:
            self._copy()

    def _add_streams(self, source: InputContainer) -> None:
        for stream in source.streams.audio:
            if _fits(stream, self._output.format.name):
                self._streams[stream.index] = self._output.add_stream_from_template(stream)
                continue
            # The stubs promise a name, but streams of codecs without a decoder have none.
            codec: str | None = stream.name
            self.notes.append(
                f"sound dropped: {codec or 'its codec'} cannot be copied into this container; .mkv takes most codecs"
            )

    def _start_of(self, packet: Packet[AudioStream]) -> Fraction:
        return (packet.dts or 0) * packet.time_base - self._origin

    def _copy(self) -> None:
        packet = self._next
        if packet is None:
            return
        shift = round(self._origin / packet.time_base)
        if packet.dts is not None:
            packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        packet.stream = self._streams[packet.stream_index]
        self._output.mux_one(packet)
        self._next = self._read()

    def _read(self) -> Packet[AudioStream] | None:
        try:
            for packet in self._packets:
                if packet.size and packet.dts is not None:
                    return packet
        except FFmpegError as error:
            self.notes.append(f"the sound ends early: {error.strerror or error}")
        return None


def _fits(stream: AudioStream, container: str) -> bool:
    """Whether the muxer takes the stream: only writing a header tells, its table of codecs is too generous."""
    with suppress(FFmpegError, ValueError), av.open(io.BytesIO(), "w", format=container) as trial:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
        return True
    return False
