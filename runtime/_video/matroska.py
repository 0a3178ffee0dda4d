"""Whether the elements of a Matroska or WebM file stand where they should; libav passes over what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

# Identifiers of RFC 9559, section 5.1, with the bits that tell their length.
SEGMENT, TRACKS, CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
VOID, CHECKSUM = 0xEC, 0xBF
IN_SEGMENT = frozenset({0x114D9B74, 0x1549A966, TRACKS, CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367})
TRACK_ENTRY, TRACK_NUMBER, MAY_LACE = 0xAE, 0xD7, 0x9C
SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xA3, 0xA0, 0xA1
NUMBERS_IN_CLUSTER = frozenset({0xE7, 0xA7, 0xAB})  # timestamp, position, size of the cluster before
OTHERS_IN_CLUSTER = frozenset({0x5854, 0xAF})  # silent tracks, encrypted block
MOST_NUMBER_BYTES = 8
FLAGS, LACING = 2, 0x06  # of a block: where after its track's number they are, and which tell of several frames
LONGEST_IDENTIFIER = 4  # bytes
READ = 24  # bytes: the longest identifier, length and track number, and a block's flags


class _Element(NamedTuple):
    identifier: int
    position: int
    content: int
    end: int
    begins: bytes  # its content, a few bytes of it


class _Broken(Exception):
    """No known element stands where one should begin."""

    def __init__(self, position: int) -> None:
        self.position = position


class _Endless(Exception):
    """An element does not tell its length, as in live recordings."""


def broken_at(path: Path) -> int | None:
    """The byte at which the elements of the first segment stop making sense; None when they all do.

    Visits every block, reading its first bytes only.  Files with a segment or a cluster of unknown length are not
    looked into.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        try:
            header = _element(stream, 0, size)
            segment = _element(stream, header.end, size)
            if segment.identifier == SEGMENT:
                _check_segment(stream, segment)
        except _Broken as broken:
            return broken.position
        except _Endless:
            return None
    return None


def _check_segment(stream: BinaryIO, segment: _Element) -> None:
    tracks: dict[int, bool] = {}
    for element in _children(stream, segment, IN_SEGMENT):
        if element.identifier == TRACKS:
            tracks.update(_tracks(stream, element))
        elif element.identifier == CLUSTER:
            _check_cluster(stream, element, tracks)


def _check_cluster(stream: BinaryIO, cluster: _Element, tracks: Mapping[int, bool]) -> None:
    known = NUMBERS_IN_CLUSTER | OTHERS_IN_CLUSTER | {SIMPLE_BLOCK, BLOCK_GROUP}
    for element in _children(stream, cluster, known):
        if element.identifier in NUMBERS_IN_CLUSTER and element.end - element.content > MOST_NUMBER_BYTES:
            raise _Broken(element.position)
        if element.identifier == SIMPLE_BLOCK:
            _check_block(element, tracks)
        elif element.identifier == BLOCK_GROUP:
            blocks = [child for child in _children(stream, element, None) if child.identifier == BLOCK]
            if len(blocks) != 1:
                raise _Broken(element.position)
            _check_block(blocks[0], tracks)


def _check_block(block: _Element, tracks: Mapping[int, bool]) -> None:
    track, place = _number(block.begins, 0, block.position)
    flags = block.begins[place + FLAGS] if place + FLAGS < len(block.begins) else 0
    if tracks and (track not in tracks or (flags & LACING and not tracks[track])):
        raise _Broken(block.position)


def _tracks(stream: BinaryIO, tracks: _Element) -> Iterator[tuple[int, bool]]:
    """Each track's number, and whether its blocks may hold several frames."""
    for entry in _children(stream, tracks, None):
        if entry.identifier == TRACK_ENTRY:
            found = {element.identifier: _value(element) for element in _children(stream, entry, None)}
            if TRACK_NUMBER in found:
                yield found[TRACK_NUMBER], bool(found.get(MAY_LACE, 1))


def _value(element: _Element) -> int:
    return int.from_bytes(element.begins[: min(element.end - element.content, MOST_NUMBER_BYTES)], "big")


def _children(stream: BinaryIO, parent: _Element, known: frozenset[int] | None) -> Iterator[_Element]:
    """The elements that fill `parent`; raises `_Broken` where none fits, or, if `known` is given, none of those."""
    position = parent.content
    while position < parent.end:
        element = _element(stream, position, parent.end)
        if known is not None and element.identifier not in known | {VOID, CHECKSUM}:
            raise _Broken(position)
        yield element
        position = element.end


def _element(stream: BinaryIO, position: int, most: int) -> _Element:
    stream.seek(position)
    head = stream.read(READ)
    width = 9 - head[0].bit_length() if head else READ
    if width > LONGEST_IDENTIFIER:
        raise _Broken(position)
    length, content = _number(head, width, position)
    if length == (1 << (7 * (content - width))) - 1:
        raise _Endless
    end = position + content + length
    if end > most:
        raise _Broken(position)
    return _Element(int.from_bytes(head[:width], "big"), position, position + content, end, head[content:])


def _number(head: bytes, place: int, position: int) -> tuple[int, int]:
    """The variable-length integer at `place`, and where it ends."""
    width = 9 - head[place].bit_length() if place < len(head) else READ
    if place + width > len(head) or width > MOST_NUMBER_BYTES:
        raise _Broken(position)
    value = int.from_bytes(head[place : place + width], "big")
    return value & ((1 << (7 * width)) - 1), place + width
