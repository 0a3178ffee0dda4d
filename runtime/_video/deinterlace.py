"""Interlaced pictures made progressive by libavfilter's bwdif: one picture out for each that goes in."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingMore
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

from runtime._video.file import VideoInfo
from runtime.errors import InputError

# One picture a frame, of the field that was shown first; pictures that are not marked as interlaced pass untouched.
SETTINGS = "mode=send_frame:parity=auto:deint=interlaced"
TICK = Fraction(1, 1000)
UNKNOWN = re.compile(r"gray(9|10|12|14)le|yuv440p1[02]le")  # to bwdif: libavfilter would convert, with rounding


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture belongs."""

    index: int  # of its frame
    pts: int  # in ticks of the stream


def interlaced(path: Path, found: str) -> InputError:
    """What is said of a video that needs deinterlacing and may not have it."""
    return InputError(
        f"{path}: {found}, and the network knows whole frames only; use --deinterlace to make one progressive frame of "
        f"each, or deinterlace it first"
    )


def made_progressive(info: VideoInfo) -> VideoInfo:
    """What the video `info` is after deinterlacing."""
    note = "deinterlaced to one progressive frame a frame: motion between its two fields is lost"
    if not info.interlaced:
        note = "its first frame is not marked as interlaced; later ones are deinterlaced where they are"
    return replace(info, interlaced=False, notes=(*info.notes, note))


def deinterlaced(path: Path, pictures: Iterator[tuple[Place, VideoFrame]]) -> Iterator[tuple[Place, VideoFrame]]:
    """Progressive pictures at the places of those that come, which the filter holds back by one or two.

    Raises `InputError` for a size or a pixel format that bwdif does not take.
    """
    graph: Graph | None = None
    held: deque[Place] = deque()
    for count, (place, picture) in enumerate(pictures):
        if graph is None:
            graph = _graph(path, picture)
        # A clock of the filter's own: decoders' times may be missing or stand still, which it would stumble over.
        picture.pts, picture.time_base = count, TICK
        graph.vpush(picture)
        held.append(place)
        for ready in _ready(graph):
            yield held.popleft(), ready
    if graph is not None:
        graph.vpush(None)
        for ready in _ready(graph):
            yield held.popleft(), ready


def _graph(path: Path, first: VideoFrame) -> Graph:
    graph = Graph()
    name = first.format.name
    refusal = InputError(
        f"{path}: {first.width}x{first.height} pixels of format {name} cannot be deinterlaced here; "
        f"deinterlace the video with another program first"
    )
    if UNKNOWN.fullmatch(name):
        raise refusal
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=TICK)
    try:
        graph.link_nodes(source, graph.add("bwdif", SETTINGS), graph.add("buffersink")).configure()
    except FFmpegError:
        raise refusal from None
    return graph


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (NothingYet, NothingMore):
            return
