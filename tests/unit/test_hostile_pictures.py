"""Picture files whose headers lie: refused by what they state, before memory is taken or time is spent."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime._video import still
from runtime._video.still import Still, Undecodable, is_mirrored
from runtime.errors import InputError, VidmendError
from runtime.masks import Request, open_masks
from runtime.video import open_reader, probe
from tests.clips import Clip, write_clip

SIZES = [(0, 0), (1, 1 << 16), (16_000, 16_000), (60_000, 60_000), ((1 << 31) - 1,) * 2, ((1 << 32) - 1,) * 2]


def picture(kind: str) -> bytes:
    noise = np.random.default_rng(5).integers(0, 256, (48, 96, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


def png(width: int, height: int) -> bytes:
    data = picture("PNG")
    header = data[12:16] + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def bmp(width: int, height: int) -> bytes:
    data = picture("BMP")
    return data[:18] + struct.pack("<II", width, height) + data[26:]


def jpeg(width: int, height: int) -> bytes:
    data = picture("JPEG")
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[frame + 9 :]


def tiff(width: int, height: int) -> bytes:
    data = bytearray(picture("TIFF"))
    (table,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, table)
    for place in range(table + 2, table + 2 + 12 * entries, 12):
        (tag,) = struct.unpack_from("<H", data, place)
        if tag in (256, 257):
            struct.pack_into("<HII", data, place + 2, 4, 1, width if tag == 256 else height)
    return bytes(data)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [png, bmp, jpeg, tiff])
def test_a_picture_that_states_an_absurd_size_is_refused(
    make: Callable[[int, int], bytes], size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(make(*size))
    try:
        found = Still(path).picture
    except Undecodable:
        return
    assert found.width * found.height <= still.MOST_PIXELS


@pytest.mark.parametrize("make", [png, bmp, jpeg, tiff])
def test_a_picture_that_is_cut_anywhere_ends_in_a_line_or_a_picture(
    make: Callable[[int, int], bytes], tmp_path: Path
) -> None:
    whole = make(96, 48)
    path = tmp_path / "1.png"
    for length in (*range(0, 64, 3), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        try:
            with open_reader(tmp_path) as reader:
                list(reader)
        except VidmendError as error:
            assert "\n" not in str(error)


def test_what_libav_decodes_and_pillow_does_not_read_is_not_mirrored(tmp_path: Path) -> None:
    """Pillow decodes a PNG to the end to look for late tags; here rows are missing, which libav fills."""
    path = tmp_path / "1.png"
    path.write_bytes(png(1, 1 << 16))
    assert not is_mirrored(path)


def test_a_file_that_is_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(picture("PNG"))
    with path.open("r+b") as stream:
        stream.truncate(1 << 40)  # with a hole, which takes no room
    with pytest.raises(InputError, match="more than the 2 GiB of the largest picture"):
        open_reader(tmp_path)


def short_header() -> bytes:
    return picture("PNG")[:8] + chunk(b"IHDR", bytes(5))


def damaged_orientation() -> bytes:
    data = picture("PNG")
    return data[:33] + chunk(b"eXIf", b"once upon a time") + data[33:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def second_page_without_a_size() -> bytes:
    data = bytearray(picture("TIFF"))
    (table,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, table)
    struct.pack_into("<I", data, table + 2 + 12 * entries, len(data))
    return bytes(data) + bytes(6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (short_header, "Truncated IHDR chunk"),
        (damaged_orientation, "not a TIFF file"),
        (second_page_without_a_size, "Missing dimensions"),
    ],
)
def test_a_mask_with_a_damaged_header_is_refused_in_one_line(
    make: Callable[[], bytes], says: str, tmp_path: Path
) -> None:
    video = write_clip(tmp_path / "video.mp4", Clip(96, 48, 2))
    path = tmp_path / "m.png"
    path.write_bytes(make())
    with pytest.raises(InputError) as caught:
        open_masks(Request((path,)), probe(video))
    assert str(caught.value).startswith(f"{path}: mask cannot be read: {says}")
    assert "\n" not in str(caught.value)
