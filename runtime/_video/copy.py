"""A video whose pictures stay as they are: its packets, unencoded, in another file."""

# PyAV's stubs leave the parameter of Packet and some keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import cast

from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from runtime._video.codecs import CODECS, SOURCE, Encoding, codec_of
from runtime._video.file import VideoInfo, demuxed, opened, video_stream
from runtime._video.streams import Result, add_copy, fits
from runtime._video.writer import CONTAINERS
from runtime.errors import OutputError

DEMUXERS = {
    ".mp4": "mov,mp4,m4a,3gp,3g2,mj2",
    ".mov": "mov,mp4,m4a,3gp,3g2,mj2",
    ".mkv": "matroska,webm",
    ".webm": "matroska,webm",
}


def copyable(info: VideoInfo, out: Path, encoding: Encoding) -> bool:
    """Whether the packets of `info.path` can be the result as they are: nothing else is asked for, `out` takes them.

    Those of AVI cannot: it does not say when its pictures are shown.
    """
    muxer = CONTAINERS.get(out.suffix.lower())
    if info.stills or info.container == "avi" or muxer is None or encoding != Encoding(SOURCE):
        return False
    codec = CODECS.get(codec_of(info))
    if codec is not None and out.suffix.lower() not in codec.suffixes:
        return False
    with opened(info.path) as source:
        return fits(video_stream(info.path, source), muxer)


def copy_video(info: VideoInfo, out: Path) -> tuple[int, list[str]]:
    """Copy the streams of `info.path` into `out`, whole or not at all; the whole file where the container is the same.

    Returns the number of pictures, and what the container does not take, a line each.  Raises `OutputError`.
    """
    suffix = out.suffix.lower()
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        if suffix == info.path.suffix.lower() and info.container == DEMUXERS[suffix]:
            shutil.copyfile(info.path, part)
            pictures, notes = _pictures(info), list[str]()
        else:
            pictures, notes = _remux(info, part, CONTAINERS[suffix])
        part.replace(out)
    except (FFmpegError, OSError) as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return pictures, notes


def _remux(info: VideoInfo, part: Path, muxer: str) -> tuple[int, list[str]]:
    with Result(part, muxer, info, copies_video=True) as result:
        result.add_streams(_like_source)
        result.begin()
        result.finish()
        return result.pictures, result.notes


def _like_source(output: OutputContainer, source: VideoStream | None) -> VideoStream:
    if source is None:
        raise ValueError("pictures in files of their own have no packets to copy")
    return cast(VideoStream, add_copy(output, source))


def _pictures(info: VideoInfo) -> int:
    if info.frames is not None:
        return info.frames
    with opened(info.path) as source:
        packets = demuxed(source, video_stream(info.path, source))
        return sum(1 for packet in packets if packet.size and not packet.is_discard)
