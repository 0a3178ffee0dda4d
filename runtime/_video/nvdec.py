"""A video whose packets libav reads and NVDEC decodes, held against everything that is known of it.

Nothing is repaired or guessed here: whatever is not as it must be is a `DecoderFault`, and then the CPU decodes, which
knows what to say of damage.
"""

# PyAV's stubs leave the parameter of Packet open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from av.bitstream import BitStreamFilterContext
from av.codec import Codec
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from runtime._video.file import VideoInfo, demuxed, opened, video_stream
from runtime._video.ledger import TIMED
from runtime._video.nal import frames_only, sequence_sets
from runtime.frame import Plane
from runtime.nvdec import Coded, DecoderFault, Nvdec, Picture

ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}  # what gives packets the form that NVDEC reads
TELLS_DAMAGE = frozenset({"h264", "hevc"})  # of these NVDEC says when it hid damage in a picture


MOST_HELD = 64  # pictures that wait for an earlier packet's; more than any structure of B-frames asks for


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture and its time in ticks of the stream."""

    pts: int
    planes: tuple[Plane, ...]


def coded(info: VideoInfo) -> Coded:
    """What a decoder is told of the video."""
    return Coded(Codec(info.codec, "r").canonical_name, info.layout, info.width, info.height)


def unsuited(info: VideoInfo, *, damage_is_told: bool) -> str | None:
    """Why the video is none for NVDEC whatever the GPU, without a full stop; None where that depends on the GPU.

    `damage_is_told`: whether it must be a codec of which NVDEC says when it hid damage.
    """
    if info.stills:
        return "pictures in files of their own are no stream"
    name = coded(info).codec
    if info.interlaced:
        return "the video is interlaced, and NVDEC would weave its fields"
    if info.alpha or info.layout.family != "yuv":
        return "NVDEC decodes neither transparency nor pictures without chroma, and RGB as if it were not"
    if not TIMED & set(info.container.split(",")):
        return f"the container ({info.container}) does not store when pictures are shown, by which they are checked"
    if damage_is_told and name not in TELLS_DAMAGE:
        return f"NVDEC does not say where {name} is damaged; --decoder nvdec uses it all the same"
    return None


def decoded(info: VideoInfo, nvdec: Nvdec) -> Generator[Decoded, None, None]:
    """All pictures of the video in the order in which they are shown.

    Raises `DecoderFault` before the first picture that is not certain to be the next one, and `DeviceFailed`.
    """
    order = _Order()
    with opened(info.path) as container, closing(nvdec.open(coded(info))) as video:
        try:
            for number, data in _packets(info, container, order):
                yield from order.placed(video.decode(data, number))
        except FFmpegError as error:
            raise DecoderFault(f"the container cannot be read on: {error.strerror or error}") from error
        yield from order.placed(video.flush())
    order.ended(info.frames)


def _packets(info: VideoInfo, container: InputContainer, order: _Order) -> Iterator[tuple[int, bytes]]:
    """Every packet with its number, in the form that NVDEC reads; raises `DecoderFault` and `FFmpegError`."""
    name, stream = coded(info).codec, video_stream(info.path, container)
    to_annex_b = BitStreamFilterContext(ANNEX_B[name], stream) if name in ANNEX_B else None
    known: set[bytes] = set()
    for packet in demuxed(container, stream):
        if not packet.size:
            continue
        number = order.sent(packet)
        parts = [packet] if to_annex_b is None else cast("list[Packet[Any]]", to_annex_b.filter(packet))
        if len(parts) != 1:
            raise DecoderFault(f"a packet became {len(parts)}")
        data = bytes(parts[0])
        if to_annex_b is not None:
            _check_sets(name, data, known)
        yield number, data


def _check_sets(name: str, data: bytes, known: set[bytes]) -> None:
    """Raises `DecoderFault` where pictures may be fields, or the video becomes another one."""
    for sequence_set in sequence_sets(name, data):
        if sequence_set in known:
            continue
        if known:
            raise DecoderFault("the video's parameters change")
        try:
            progressive = frames_only(name, sequence_set)
        except ValueError as error:
            raise DecoderFault(str(error)) from error
        if not progressive:
            raise DecoderFault("its parameters allow interlaced pictures, and NVDEC would weave their fields")
        known.add(sequence_set)


class _Order:
    """Which pictures are still to come, and in what order.

    Packets are numbered, and the number is the time that NVDEC is told and gives back with the picture: so it does not
    matter what the library makes of times, and a picture that it made up has the number of no packet.

    That a picture is damaged is told when it is shown, and B-frames that were made of it are shown before.  So one is
    given when all packets before its own, of which alone it can be made, have given theirs.
    """

    def __init__(self) -> None:
        self._given = 0
        self._sent = 0
        self._first_pts: int | None = None
        self._last_pts: int | None = None
        self._hidden: set[int] = set()  # numbers of packets whose pictures an edit list hides
        self._times: dict[int, int] = {}  # by number, ascending, of those that have not come
        self._held: deque[tuple[int, Decoded]] = deque()  # with their numbers, in the order in which they are shown
        self._expected: list[int] = []  # heap of the same times, the hidden ones' aside

    def sent(self, packet: Packet[Any]) -> int:
        """The packet's number; raises `DecoderFault` for one whose picture could not be told from another's."""
        pts = packet.pts
        if packet.is_corrupt:
            raise DecoderFault("the container marks a packet as damaged")
        if pts is None:
            raise DecoderFault("a packet does not say when it is shown")
        if self._first_pts is None:
            if not packet.is_keyframe:
                raise DecoderFault("the video does not begin with a key frame")
            self._first_pts = pts
        if pts < self._first_pts:
            raise DecoderFault("pictures come before the first key frame")
        self._sent += 1
        self._times[self._sent] = pts
        if packet.is_discard:
            self._hidden.add(self._sent)
        else:
            heapq.heappush(self._expected, pts)
        return self._sent

    def placed(self, pictures: list[Picture]) -> Iterator[Decoded]:
        """What is certain now, with its time, hidden pictures left out; raises `DecoderFault`."""
        for picture in pictures:
            pts = self._times.pop(picture.number, None)
            if pts is None:
                raise DecoderFault("a picture came that belongs to no packet")
            if picture.number in self._hidden:
                continue
            if pts != heapq.heappop(self._expected):
                raise DecoderFault("a picture is missing, or came out of its turn")
            if self._last_pts is not None and pts <= self._last_pts:
                raise DecoderFault("two pictures are shown at one time")
            self._last_pts = pts
            self._held.append((picture.number, Decoded(pts, picture.planes)))
        if len(self._held) > MOST_HELD:
            raise DecoderFault("the picture of an earlier packet does not come")
        while self._held and self._held[0][0] < next(iter(self._times), self._sent + 1):
            self._given += 1
            yield self._held.popleft()[1]

    def ended(self, declared: int | None) -> None:
        """Raises `DecoderFault` where pictures did not come, or the container promises others."""
        if self._times:
            raise DecoderFault(f"{len(self._times)} pictures did not come")
        if declared is not None and declared != self._given:
            raise DecoderFault(f"{self._given} pictures came, the container promises {declared}")
