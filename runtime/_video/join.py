"""Segments joined into one video beside the source's other streams."""
# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from runtime._video.codecs import CODECS, Chosen, codec_of
from runtime._video.decode_times import decode_times, durations, steady
from runtime._video.encoder import configure, describe, quiet
from runtime._video.file import VideoInfo
from runtime._video.segments import Segment, read_packets, read_times
from runtime._video.streams import Result
from runtime._video.tags import ISO
from runtime.errors import OutputError


class NewVideo:
    """The encoded video as a stream of the result."""

    def __init__(self, info: VideoInfo, chosen: Chosen) -> None:
        self._info = info
        self._chosen = chosen

    def join(self, path: Path, muxer: str, segments: Sequence[Segment]) -> list[str]:
        """Write `segments` with the source's other streams to `path`; returns what those lost, a line each.

        Raises `OutputError` when the segments are damaged or not of one piece, and libav's errors.
        """
        first, info = segments[0], self._info
        if any((segment.headers, segment.tag) != (first.headers, first.tag) for segment in segments):
            raise OutputError(f"{path.parent}: its segments are not of one piece; begin anew with --overwrite")
        shown = [time for segment in segments for time in read_times(segment)]
        with Result(path, muxer, info) as result:
            stream = result.add_streams(lambda output, source: self._add(output, source, first, shown))
            with quiet():
                result.begin()
            if (stream.codec_context.extradata or b"") != first.headers:
                raise OutputError(f"{path.parent}: written by another encoder; begin anew with --overwrite")
            decoded = decode_times(shown)
            usual = max(1, round(1 / (info.rate * info.time_base)))
            lengths = durations(shown, decoded, usual, result.length)
            packets = (packet for segment in segments for packet in read_packets(segment))
            for packet, dts, length in zip(packets, decoded, lengths, strict=True):
                packet.time_base = info.time_base
                packet.dts, packet.duration = dts, length
                packet.stream = stream
                result.write(packet)
            result.finish()
            return result.notes

    def _add(
        self, output: OutputContainer, source: VideoStream | None, first: Segment, shown: Sequence[int]
    ) -> VideoStream:
        """Declare the stream, with its rate where that is true of all pictures."""
        info, chosen, declared = self._info, self._chosen, self._chosen.declared
        rate = declared.rate if declared.rate and steady(shown, declared.rate, info.time_base) else None
        same_codec = CODECS.get(codec_of(info)) is chosen.codec
        if source is not None and same_codec and declared.of_container:
            # PyAV hands on what a stream says beside its tags in no other way.
            stream = _like(output, source, first, rate)
        elif rate is None:
            stream = _like(output, self._blank(), first, rate)
        else:
            # Only a stream with an encoder can be told its rate by PyAV before 18.
            stream = cast(VideoStream, output.add_stream(chosen.codec.encoder, rate))
            configure(stream.codec_context, chosen, info)
        describe(stream.codec_context, chosen, info)
        if tag := (chosen.codec.tag if output.format.name in ISO else None) or first.tag:
            stream.codec_context.codec_tag = tag
        if declared.display_matrix is not None:
            stream.set_display_matrix(declared.display_matrix)
        elif info.rotation:
            stream.set_display_rotation(info.rotation)
        return stream

    def _blank(self) -> VideoStream:
        """A stream of the codec, of no file."""
        nowhere = av.open(io.BytesIO(), "w", format="matroska")
        encoder = self._chosen.codec.encoder
        return cast(VideoStream, nowhere.add_stream(encoder, self._info.rate, time_base=self._info.time_base))


def _like(output: OutputContainer, like: VideoStream, first: Segment, rate: Fraction | None) -> VideoStream:
    """A stream that needs no encoder."""
    stream = output.add_stream_from_template(like, opaque=True)
    stream.codec_context.extradata = first.headers or None
    stream.codec_context.bit_rate = 0
    stream.codec_context.framerate = rate or Fraction(0)
    return stream
