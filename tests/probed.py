"""What a prober says of a file: its container, streams, chapters, tags and packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.stream import Stream
from av.video.stream import VideoStream

# What the muxer states of itself, of this very encoding, or again as a rounded figure.
_OF_THE_WRITER = {"encoder", "duration", "compatible_brands", "minor_version", "bps", "number_of_bytes", "vendor_id"}


@dataclass(frozen=True)
class Probed:
    """Everything in the file but the picture."""

    container: str
    tags: Mapping[str, str]
    chapters: tuple[tuple[Fraction, Fraction, str], ...]
    streams: tuple[tuple[Any, ...], ...]
    packets: Mapping[int, list[tuple[Fraction, bytes]]]  # of the streams that are no new video
    times: tuple[Fraction, ...]  # of the video's pictures, ascending


def probed(path: Path) -> Probed:
    """What the file at `path` says."""
    with av.open(str(path), metadata_errors="replace") as container:
        video = container.streams.video[0].index
        packets: dict[int, list[tuple[Fraction, bytes]]] = {}
        for packet in container.demux():
            if packet.size:
                packets.setdefault(packet.stream_index, []).append(
                    ((packet.pts or 0) * packet.time_base, bytes(packet))
                )
        return Probed(
            container=container.format.name,
            tags=_plain(container.metadata),
            chapters=tuple(
                (
                    chapter["start"] * (chapter["time_base"] or Fraction(0)),
                    chapter["end"] * (chapter["time_base"] or Fraction(0)),
                    chapter["metadata"].get("title", ""),
                )
                for chapter in container.chapters()
            ),
            streams=tuple(_stream(stream) for stream in container.streams),
            packets={index: found for index, found in packets.items() if index != video},
            times=tuple(sorted(time for time, _ in packets.get(video, []))),
        )


def _stream(stream: Stream) -> tuple[Any, ...]:
    common = (stream.index, stream.type, stream.disposition, _plain(stream.metadata))
    if stream.type == "video":
        video = cast(VideoStream, stream)
        context = video.codec_context
        return (
            *common,
            stream.name,
            context.width,
            context.height,
            video.sample_aspect_ratio,
            video.average_rate,
            None if stream.duration is None else stream.duration * (stream.time_base or 0),
            (context.color_range, context.colorspace, context.color_primaries, context.color_trc),
            context.pix_fmt,
        )
    if stream.type == "audio":
        context = cast(AudioCodecContext, stream.codec_context)
        length = None if stream.duration is None else stream.duration * (stream.time_base or 0)
        return (*common, stream.name, context.sample_rate, context.layout.name, length)
    return (*common, stream.name)


def _plain(tags: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in tags.items() if key.lower() not in _OF_THE_WRITER}
