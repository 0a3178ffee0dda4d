"""Segments: runs of encoded frames, each by an encoder of its own, in files that are whole or absent.

Note [Segments]: a video is encoded in segments so that a killed run can go on behind the last finished one, and so that
frames and timestamps do not depend on whether it was killed.  A file holds packets as the encoder gave them, without a
container, whose clock and rules would get in their way.

    magic, recipe, headers, tag, then for each packet its head and its bytes, then the trailer

Integers are little-endian; a text or bytes stand behind their length.
"""

# PyAV's stubs leave the parameter of Packet untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from av.packet import Packet

from runtime.errors import OutputError

MAGIC, END = b"VMSEG1\r\n", b"VMSEGEND"
_SIZE = struct.Struct("<I")
_HEAD = struct.Struct("<qBII")  # time of presentation, whether a key frame, size, CRC-32 of the bytes
_TRAILER = struct.Struct("<Iqqqq8s")  # packets, first and last frame's number, then their times, END


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment."""

    path: Path
    recipe: str  # what the encoder was told: packets of different recipes cannot be joined
    headers: bytes  # of the codec, which stand in front of all packets
    tag: str | None  # the codec's four characters in a container, where the encoder chooses them
    begin: int  # where in the file the packets are
    packets: int
    first_frame: int  # number of the first frame in it
    last_frame: int
    first_pts: int  # when it is shown
    last_pts: int


class SegmentFile:
    """A segment on its way to disk."""

    def __init__(self, file: BinaryIO, recipe: str, headers: bytes, tag: str | None) -> None:
        self._file = file
        self._packets = 0
        self._frames: list[tuple[int, int]] = []  # number and time
        file.write(MAGIC)
        parts = (recipe.encode(), headers, (tag or "").encode())
        file.writelines(_SIZE.pack(len(part)) + part for part in parts)

    @property
    def frames(self) -> int:
        """How many frames went into it."""
        return len(self._frames)

    def note(self, frame: int, pts: int) -> None:
        """A frame went to the encoder; its packet may come much later."""
        self._frames.append((frame, pts))

    def write(self, packets: Sequence[Packet[Any]]) -> None:
        """Append packets of the encoder; their decode times are dropped, see Note [Decode times]."""
        for packet in packets:
            if packet.pts is None:
                raise ValueError("a packet without a time")
            data = bytes(cast(Any, packet))  # PyAV declares no __buffer__, which Python types only since 3.12
            self._file.write(_HEAD.pack(packet.pts, packet.is_keyframe, len(data), zlib.crc32(data)))
            self._file.write(data)
            self._packets += 1

    def end(self) -> None:
        """Complete it; there must be a frame in it, and a packet for each."""
        if self._packets != self.frames:
            raise ValueError(f"{self.frames} frames became {self._packets} packets")
        (first, first_pts), (last, last_pts) = self._frames[0], self._frames[-1]
        self._file.write(_TRAILER.pack(self._packets, first, last, first_pts, last_pts, END))


def read_segment(path: Path) -> Segment | None:
    """What the file at `path` says of itself; None where it is no complete segment."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < len(MAGIC) + _TRAILER.size:
            return None
        file.seek(-_TRAILER.size, os.SEEK_END)
        packets, *rest, end = _TRAILER.unpack(file.read(_TRAILER.size))
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC or end != END:
            return None
        recipe, headers, tag = (file.read(*_SIZE.unpack(file.read(_SIZE.size))) for _ in range(3))
        return Segment(path, recipe.decode(), headers, tag.decode() or None, file.tell(), packets, *rest)


def read_times(segment: Segment) -> Iterator[int]:
    """The packets' times of presentation, in decoding order."""
    with segment.path.open("rb") as file:
        file.seek(segment.begin)
        for _ in range(segment.packets):
            pts, _, size, _ = _HEAD.unpack(file.read(_HEAD.size))
            file.seek(size, 1)
            yield pts


def read_packets(segment: Segment) -> Iterator[Packet[Any]]:
    """The packets in decoding order, with times of presentation; raises `OutputError` when the file was damaged."""
    with segment.path.open("rb") as file:
        file.seek(segment.begin)
        for _ in range(segment.packets):
            pts, is_key, size, checksum = _HEAD.unpack(file.read(_HEAD.size))
            data = file.read(size)
            if zlib.crc32(data) != checksum:
                raise OutputError(f"{segment.path}: damaged; begin anew with --overwrite in place of --resume")
            packet: Packet[Any] = Packet(data)
            packet.pts = pts
            packet.is_keyframe = bool(is_key)
            yield packet
