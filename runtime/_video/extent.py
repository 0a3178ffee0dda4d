"""Whether a file was cut off or broken, from what its container's outer boxes declare."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from runtime._video.matroska import broken_at

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
# Boxes at the top of ISO base media files; anything else after the first one is taken for foreign bytes at the end.
BOXES = frozenset(b"ftyp styp moov moof mdat free skip wide uuid meta mfra sidx ssix prft emsg pnot udta pdin".split())
TS_PACKET_SIZES = (188, 192, 204)
TS_SYNC = 0x47


def cut_short(path: Path) -> str | None:
    """What shows that a part of the file is missing; None when it is whole or its container declares nothing.

    Knows ISO base media (mp4, mov), Matroska, RIFF (AVI), MPEG transport streams and FLV.  In Matroska, where libav
    finds its way back after any damage and says nothing, the order of the elements is looked at, too.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(4 * max(TS_PACKET_SIZES))
        stream.seek(0)
        end = size
        if head[4:8] in BOXES:
            end = _end_of_boxes(stream, size)
        elif head[:4] == EBML:
            end = _end_of_segment(stream)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = _end_of_riff(stream, size)
        elif packet := _ts_packet_size(head):
            end = -(-size // packet) * packet
        elif head[:3] == b"FLV" and not _ends_with_tag(stream, size):
            return "the file ends inside a tag"
    if end > size:
        return f"the file ends {end - size} bytes early"
    broken = broken_at(path) if head[:4] == EBML else None
    return None if broken is None else f"the file is broken at byte {broken}"


def _end_of_boxes(stream: BinaryIO, size: int) -> int:
    position = 0
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(16)
        if head[4:8] not in BOXES:
            return position
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the length follows in 64 bits
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: up to the end of the file; less is no box
            return position
        position += length
    return position


def _end_of_riff(stream: BinaryIO, size: int) -> int:
    position = 0
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):  # a writer that could not seek back declares nothing
            return position
        position += 8 + length
    return position


def _end_of_segment(stream: BinaryIO) -> int:
    """The end of the first Matroska segment; 0 when its length is unknown, as in live recordings."""
    stream.seek(len(EBML))
    length = _element_length(stream)
    if length is None:
        return 0
    stream.seek(length, 1)
    if stream.read(len(SEGMENT)) != SEGMENT:
        return 0
    length = _element_length(stream)
    return 0 if length is None else stream.tell() + length


def _element_length(stream: BinaryIO) -> int | None:
    """An EBML variable-length integer; None when all its value bits are set, which means unknown."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] ^ (0x80 >> (width - 1))]) + stream.read(width - 1), "big")
    return None if value == (1 << (7 * width)) - 1 else value


def _ts_packet_size(head: bytes) -> int | None:
    for size in TS_PACKET_SIZES:
        first = size - 188 if size == 192 else 0  # in front of a packet of 192 bytes stands a time of 4
        if len(head) >= 3 * size + first and all(head[first + k * size] == TS_SYNC for k in range(3)):
            return size
    return None


def _ends_with_tag(stream: BinaryIO, size: int) -> bool:
    """Whether the last four bytes of an FLV tell the size of a tag that stands where they say."""
    stream.seek(max(0, size - 4))
    length = int.from_bytes(stream.read(4), "big")
    start = size - 4 - length
    if length < 11 or start < 9:
        return False
    stream.seek(start + 1)
    return int.from_bytes(stream.read(3), "big") + 11 == length
