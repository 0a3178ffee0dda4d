"""The chunks of a PNG file: what it says of its samples stands between its header and them (PNG, third edition, 5)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = b"IDAT"
LARGEST = (1 << 31) - 1  # of a number in a chunk, and of a chunk's length

_HEAD = struct.Struct(">I4s")
_CRC = 4


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk as it lies in a file."""
    return _HEAD.pack(len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def said(data: bytes) -> dict[bytes, bytes]:
    """What the file `data` says before its samples: the content of each kind of chunk, the header's among them."""
    return {kind: data[start:end] for kind, start, end in _chunks(data)}


def saying(data: bytes, what: Mapping[bytes, bytes]) -> bytes:
    """The file `data` with `what` before its samples, in place of all that it said there itself."""
    header = len(SIGNATURE) + _HEAD.size + len(said(data)[b"IHDR"]) + _CRC
    return data[:header] + b"".join(chunk(kind, content) for kind, content in what.items()) + data[_front(data) :]


def _front(data: bytes) -> int:
    """Where the samples' first chunk begins."""
    return max((end + _CRC for _, _, end in _chunks(data)), default=len(SIGNATURE))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of each chunk before the samples; nothing where `data` is no PNG."""
    place = len(SIGNATURE)
    while data.startswith(SIGNATURE) and place + _HEAD.size <= len(data):
        length, kind = _HEAD.unpack_from(data, place)
        start = place + _HEAD.size
        place = start + length + _CRC
        if kind == SAMPLES or place > len(data):
            return
        yield kind, start, start + length
