"""Segments joined into one video beside the source's other streams."""
# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from av.container import OutputContainer
from av.video.stream import VideoStream

from runtime._video_codecs import CODECS, Chosen, codec_of
from runtime._video_decode_times import decode_times, durations
from runtime._video_encoder import Encoder, configure, describe, quiet
from runtime._video_file import VideoInfo
from runtime._video_segments import Segment, read_packets, read_times
from runtime._video_streams import Result
from runtime._video_tags import ISO
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
        headers = segments[0].extradata
        shown = [time for segment in segments for time in read_times(segment)]
        with Result(path, muxer, self._info) as result:
            stream = result.add_streams(lambda output, source: self._add(output, source, headers))
            with quiet():
                result.begin()
            own = stream.codec_context.extradata or b""
            if any(segment.extradata != own for segment in segments):
                raise OutputError(f"{path.parent}: its segments are not of one piece; begin anew with --overwrite")
            decoded = decode_times(shown)
            lengths = durations(shown, decoded, result.last_duration(max(shown)))
            packets = (packet for segment in segments for packet in read_packets(segment))
            for packet, dts, length in zip(packets, decoded, lengths, strict=True):
                packet.time_base = self._info.time_base
                packet.dts, packet.duration = dts, length
                packet.stream = stream
                result.write(packet)
            result.finish()
            return result.notes

    def _add(self, output: OutputContainer, source: VideoStream | None, headers: bytes) -> VideoStream:
        info, chosen = self._info, self._chosen
        tag = chosen.codec.tag if output.format.name in ISO else None
        if source is not None and chosen.side.of_container and CODECS.get(codec_of(info)) is chosen.codec:
            # PyAV hands on what a stream says beside its tags in no other way: one like it, told what is different.
            stream = output.add_stream_from_template(source, opaque=True)
            context = stream.codec_context
            describe(context, chosen, info)
            context.extradata = headers or None
            context.bit_rate = 0
            tag = tag or Encoder(chosen, info).tag
        else:
            stream = cast(VideoStream, output.add_stream(chosen.codec.encoder, rate=info.rate))
            context = stream.codec_context
            configure(context, chosen, info)
        if tag:
            context.codec_tag = tag
        if chosen.side.display_matrix is not None:
            stream.set_display_matrix(chosen.side.display_matrix)
        elif info.rotation:
            stream.set_display_rotation(info.rotation)
        return stream
