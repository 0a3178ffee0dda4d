"""Segments: runs of encoded frames, each by an encoder of its own, in files that are whole or absent.

Note [Segments]: a video is encoded in segments so that a killed run can go on behind the last finished one, and so that
frames and timestamps do not depend on whether it was killed.  A file holds packets as the encoder gave them, without a
container, whose clock and rules would get in their way.

    magic, recipe, headers, tag, then for each packet its head and its bytes, then the trailer

Integers are little-endian; a text or bytes stand behind their length.  A packet's head has the checksum of its bytes,
and the trailer that of all else: what a file says of itself is known to be true before a run goes on from it, and the
bytes, of which there are many, are read once, when they are joined.
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

MAGIC, END = b"VMSEG2\r\n", b"VMSEGEND"
_SIZE = struct.Struct("<I")
_HEAD = struct.Struct("<qBII")  # time of presentation, whether a key frame, size, CRC-32 of the bytes
_TRAILER = struct.Struct("<Iqqqq")  # packets, first and last frame's number, then their times
_CLOSE = struct.Struct("<I8s")  # CRC-32 of all before it but the packets' bytes, END


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

    def follows(self, before: Segment) -> bool:
        """Whether its frames come behind those of `before`; numbers of frames that were lost may lie between."""
        return before.last_frame < self.first_frame and before.last_pts < self.first_pts


class SegmentFile:
    """A segment on its way to disk."""

    def __init__(self, file: BinaryIO, recipe: str, headers: bytes, tag: str | None) -> None:
        self._file = file
        self._packets = 0
        self._frames: list[tuple[int, int]] = []  # number and time
        self._checksum = 0
        parts = (recipe.encode(), headers, (tag or "").encode())
        self._put(MAGIC + b"".join(_SIZE.pack(len(part)) + part for part in parts))

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
            self._put(_HEAD.pack(packet.pts, packet.is_keyframe, len(data), zlib.crc32(data)))
            self._file.write(data)
            self._packets += 1

    def end(self) -> None:
        """Complete it; there must be a frame in it, and a packet for each."""
        if self._packets != self.frames:
            raise ValueError(f"{self.frames} frames became {self._packets} packets")
        (first, first_pts), (last, last_pts) = self._frames[0], self._frames[-1]
        self._put(_TRAILER.pack(self._packets, first, last, first_pts, last_pts))
        self._file.write(_CLOSE.pack(self._checksum, END))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._checksum = zlib.crc32(data, self._checksum)


def read_segment(path: Path) -> Segment | None:
    """What the file at `path` says of itself; None where it was cut short; raises `OutputError` when it was damaged."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END) - _TRAILER.size - _CLOSE.size
        if end < len(MAGIC):
            return None
        file.seek(end)
        trailer = file.read(_TRAILER.size)
        checksum, mark = _CLOSE.unpack(file.read(_CLOSE.size))
        if mark != END:
            return None
        packets, *rest = _TRAILER.unpack(trailer)
        file.seek(0)
        told = _Told(path, file)
        magic = told.take(len(MAGIC))
        recipe, headers, tag = (told.take(*_SIZE.unpack(told.take(_SIZE.size))) for _ in range(3))
        begin = file.tell()
        for _ in range(packets):
            _, _, size, _ = told.head()
            file.seek(size, os.SEEK_CUR)
        if magic != MAGIC or file.tell() != end or zlib.crc32(trailer, told.checksum) != checksum:
            raise _damaged(path)
        try:
            return Segment(path, recipe.decode(), headers, tag.decode() or None, begin, packets, *rest)
        except UnicodeDecodeError:
            raise _damaged(path) from None


def read_times(segment: Segment) -> Iterator[int]:
    """The packets' times of presentation, in decoding order; raises `OutputError` when the file was damaged."""
    with segment.path.open("rb") as file:
        file.seek(segment.begin)
        told = _Told(segment.path, file)
        for _ in range(segment.packets):
            pts, _, size, _ = told.head()
            file.seek(size, os.SEEK_CUR)
            yield pts


def read_packets(segment: Segment) -> Iterator[Packet[Any]]:
    """The packets in decoding order, with times of presentation; raises `OutputError` when the file was damaged."""
    with segment.path.open("rb") as file:
        file.seek(segment.begin)
        told = _Told(segment.path, file)
        for _ in range(segment.packets):
            pts, is_key, size, checksum = told.head()
            data = told.take(size)
            if zlib.crc32(data) != checksum:
                raise _damaged(segment.path)
            packet: Packet[Any] = Packet(data)
            packet.pts = pts
            packet.is_keyframe = bool(is_key)
            yield packet


class _Told:
    """Reads a segment from where its file stands; raises `OutputError` where the file ends before that."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self.checksum = 0  # CRC-32 of all that was taken

    def take(self, size: int) -> bytes:
        """The next `size` bytes; no more than there are is asked for, whatever a damaged file says."""
        if size > self._size - self._file.tell():
            raise _damaged(self._path)
        data = self._file.read(size)
        self.checksum = zlib.crc32(data, self.checksum)
        return data

    def head(self) -> tuple[int, int, int, int]:
        """The next packet's: see `_HEAD`."""
        return cast("tuple[int, int, int, int]", _HEAD.unpack(self.take(_HEAD.size)))


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path}: damaged; begin anew with --overwrite in place of --resume")
