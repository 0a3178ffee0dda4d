"""Folders and patterns of pictures as videos: order, samples, times, and what does not fit together."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from runtime.errors import DamagedVideo, InputError
from runtime.frame import Frame, Layout
from runtime.video import open_alpha, open_reader
from tests.clips import write_picture

WIDTH, HEIGHT = 33, 21
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def samples(index: int, channels: int, bits: int = 8) -> Samples:
    """Noise `[H, W, channels]`, another for each index, so that pictures can be told apart."""
    chance = np.random.default_rng(index)
    noise = chance.integers(0, 1 << bits, (HEIGHT, WIDTH, channels))
    return noise.astype(np.uint8) if bits == 8 else noise.astype(np.uint16)


def png(array: Samples) -> bytes:
    """The bytes of a PNG with the array's channels (grey; grey, alpha; R, G, B; R, G, B, alpha) and depth."""
    order = {1: (0,), 3: (2, 1, 0), 4: (2, 1, 0, 3)}[array.shape[2]]
    done, data = cv2.imencode(".png", array[..., order])
    assert done
    return data.tobytes()


def pillow(kind: str, **options: object) -> Callable[[Samples], bytes]:
    def encode(array: Samples) -> bytes:
        buffer = BytesIO()
        Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


def tiff16(array: Samples) -> bytes:
    done, data = cv2.imencode(".tiff", array[..., ::-1])
    assert done
    return data.tobytes()


LOSSLESS: dict[str, tuple[Callable[[Samples], bytes], int, int]] = {
    "grey.png": (png, 1, 8),
    "colour.png": (png, 3, 8),
    "alpha.png": (png, 4, 8),
    "deep-grey.png": (png, 1, 16),
    "deep.png": (png, 3, 16),
    "deep-alpha.png": (png, 4, 16),
    "grey.tiff": (pillow("TIFF"), 1, 8),
    "colour.tif": (pillow("TIFF", compression="tiff_lzw"), 3, 8),
    "deep.tiff": (tiff16, 3, 16),
    "colour.bmp": (pillow("BMP"), 3, 8),
    "colour.webp": (pillow("WEBP", lossless=True), 3, 8),
    "colour.jpeg": (png, 3, 8),  # what a file is, its bytes say
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_samples_come_out_as_they_went_in(tmp_path: Path, name: str) -> None:
    encode, channels, bits = LOSSLESS[name]
    for index in range(3):
        (tmp_path / f"{index}-{name}").write_bytes(encode(samples(index, channels, bits)))
    with open_reader(tmp_path) as reader:
        frames = list(reader)
        info = reader.info
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert info.layout == Layout("gray" if channels == 1 else "rgb", bits, 0, 0)
    assert info.colour.full_range
    assert len(frames) == 3
    for frame in frames:
        wanted = samples(frame.index, channels, bits)
        assert all(np.array_equal(plane, wanted[..., number]) for number, plane in enumerate(frame.planes))
    # The WebP decoder always tells of an alpha channel.
    assert info.alpha == (channels == 4 or name.endswith("webp"))
    assert any("transparency is dropped" in note for note in info.notes) == (channels == 4)


def test_a_jpeg_keeps_its_own_planes_and_full_range(tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255)).save(tmp_path / "1.jpg", quality=95, subsampling="4:2:0")
    with open_reader(tmp_path) as reader:
        frame = next(iter(reader))
    assert frame.layout == Layout("yuv", 8, 1, 1)
    assert frame.colour.full_range
    assert frame.planes[0].min() == 255


@pytest.mark.parametrize(("orientation", "rotation"), [(1, 0), (3, 180), (6, 270), (8, 90)])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_the_rotation_of_a_camera_is_told(tmp_path: Path, suffix: str, orientation: int, rotation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / f"1{suffix}", exif=exif)
    info = open_reader(tmp_path).info
    assert (info.rotation, info.turns) == (rotation, rotation // 90)
    assert (info.display_width == WIDTH) == (rotation % 180 == 0)


@pytest.mark.parametrize("orientation", [2, 4, 5, 7])
def test_mirrored_pictures_are_refused(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "1.jpg", exif=exif)
    with pytest.raises(InputError, match=r"1\.jpg: viewers mirror the picture"):
        open_reader(tmp_path)


@pytest.mark.parametrize("rate", [None, Fraction(24), Fraction(30000, 1001)])
def test_pictures_are_shown_at_the_rate_asked_for(tmp_path: Path, rate: Fraction | None) -> None:
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", number)
    with open_reader(tmp_path, fps=rate) as reader:
        info = reader.info
        times = [frame.pts * info.time_base for frame in reader]
    wanted = rate or Fraction(25)
    assert info.rate == wanted
    assert times == [index / wanted for index in range(3)]
    assert info.seconds(2) == float(2 / wanted)
    assert (info.stills, info.audio, info.interlaced, info.frames) == (True, False, False, 3)


def three(folder: Path) -> Path:
    for number in range(3):
        write_picture(folder / f"{number}.png", number)
    return folder


def grey(path: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT)).save(path)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(path, exif=exif)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: write_picture(path, 1, WIDTH + 1), r"1\.png: has 34x21 pixels, the first picture had 33x21"),
        (grey, r"1\.png: has pixel format gray, unlike the first picture's"),
        (turned, r"1\.png: is turned unlike the first picture"),
    ],
)
def test_pictures_that_do_not_fit_together_are_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    change(three(tmp_path) / "1.png")
    with open_reader(tmp_path, keep_going=True) as reader, pytest.raises(InputError, match=message) as caught:
        list(reader)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 5, 40, -30, -1])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".bmp", ".webp"])
def test_a_picture_that_is_cut_short_is_refused_or_passed_over(tmp_path: Path, suffix: str, keep: int) -> None:
    for number in range(3):
        write_picture(tmp_path / f"{number}{suffix}", number)
    broken = tmp_path / f"1{suffix}"
    broken.write_bytes(broken.read_bytes()[:keep])
    if suffix == ".webp" and keep == -1:  # its last byte is padding
        return
    message = rf"read 1 of 3 pictures: frame 1: 1\{suffix} does not decode \(.*--keep-going"
    with open_reader(tmp_path) as reader, pytest.raises(DamagedVideo, match=message):
        list(reader)
    with open_reader(tmp_path, keep_going=True) as reader:
        assert [frame.index for frame in reader] == [0, 2]
        assert reader.counted == 3
        assert len(reader.lost) == 1


def test_a_damaged_first_picture_is_passed_over_on_request(tmp_path: Path) -> None:
    (three(tmp_path) / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"no picture decodes \(0\.png: not one of PNG, JPEG"):
        open_reader(tmp_path)
    with open_reader(tmp_path, keep_going=True) as reader:
        assert [frame.index for frame in reader] == [1, 2]


def test_pictures_are_not_opened_by_the_names_in_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.png")  # which would block for ever
    write_picture(tmp_path / "1.png", 1)
    (tmp_path / "2.png").write_text("ffconcat version 1.0\nfile '1.png'\n")
    with open_reader(tmp_path, keep_going=True) as reader:
        assert [int(frame.planes[0][0, 0]) for frame in reader] == [10]
        assert reader.lost == ["frame 1: 2.png does not decode (not one of PNG, JPEG, TIFF, BMP or WebP)"]


def test_a_picture_of_too_many_pixels_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    data = bytearray(png(samples(0, 1)))
    header = bytearray(data[12:29])
    header[4:12] = (16384).to_bytes(4, "big") + (8193).to_bytes(4, "big")
    data[12:29] = header
    data[29:33] = zlib.crc32(header).to_bytes(4, "big")
    (tmp_path / "1.png").write_bytes(data)
    with pytest.raises(InputError, match=r"more than \d+ pixels"):
        open_reader(tmp_path)


@pytest.mark.parametrize("name", ["alpha.png", "deep-alpha.png"])
def test_the_alpha_channel_of_pictures_is_read_by_itself(tmp_path: Path, name: str) -> None:
    encode, _, bits = LOSSLESS[name]
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(encode(samples(index, 4, bits)))
    frames: list[Frame] = list(open_alpha(tmp_path))
    assert [frame.index for frame in frames] == [0, 1, 2]
    for frame in frames:
        assert frame.layout == Layout("gray", bits, 0, 0)
        assert np.array_equal(frame.planes[0], samples(frame.index, 4, bits)[..., 3])


def test_a_picture_without_alpha_among_others_is_opaque(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png(samples(0, 4)))
    (tmp_path / "1.png").write_bytes(png(samples(1, 3)))
    first, second = open_alpha(tmp_path)
    assert first.planes[0].min() < 255
    assert second.planes[0].min() == 255


def test_pictures_without_alpha_have_none_to_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.png: pixel format rgb24 has no transparency"):
        open_alpha(three(tmp_path))
