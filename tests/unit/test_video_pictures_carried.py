"""What pictures carry of their source besides its samples, and what is said of the rest."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from runtime._video import png
from runtime.video import Encoding, open_reader, probe
from tests.clips import Clip, write_clip, write_picture
from tests.recoded import writing

BT2020, PQ = 9, 16
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OTHER = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()[:16] + b"RGB " + b"\0" * 112
GREY = OTHER[:16] + b"GRAY" + OTHER[20:]


def pictures_of(source: Path, folder: Path) -> tuple[list[str], dict[bytes, bytes]]:
    """The notes of writing `source` as pictures, those of its reader among them, and what the first picture says."""
    with open_reader(source) as reader, writing(folder / "%d.png", reader.info) as writer:
        for frame in reader:
            writer.write(frame)
    return [*reader.info.notes, *writer.notes], png.said((folder / "0.png").read_bytes())


def saved(path: Path, **options: Any) -> Path:
    Image.new("RGB", (33, 21), (9, 99, 199)).save(path, **options)
    return path


def saying(path: Path, kind: bytes, content: bytes) -> Path:
    """The PNG at `path` with a chunk more."""
    data = path.read_bytes()
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(data[:33] + chunk + data[33:])
    return path


def test_pictures_of_plain_video_say_nothing_but_their_size(tmp_path: Path) -> None:
    notes, said = pictures_of(write_clip(tmp_path / "v.mp4", Clip(frames=3)), tmp_path / "out")
    assert list(said) == [b"IHDR"]  # libav's encoder adds a shape of 0:1
    assert notes == []


def test_hdr_video_becomes_pictures_that_say_so(tmp_path: Path) -> None:
    mastered = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    options = (("x265-params", f"log-level=error:{mastered}"),)
    clip = Clip(frames=3, codec="libx265", pix_fmt="yuv420p10le", colour=(BT2020, BT2020, PQ, 1), options=options)
    notes, said = pictures_of(write_clip(tmp_path / "v.mp4", clip), tmp_path / "out")
    assert said[b"cICP"] == bytes((BT2020, PQ, 0, 1))
    places = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)
    assert said[b"mDCV"] == struct.pack(">8H2I", *places, 10000000, 50)
    assert said[b"cLLI"] == struct.pack(">2I", 1000_0000, 400_0000)
    assert notes == ["the pictures' colours are PQ, BT.2020: programs that do not know cICP show them pale"]
    with open_reader(tmp_path / "out") as reader:
        assert (reader.info.colour.primaries, reader.info.colour.transfer) == (BT2020, PQ)


def test_wide_colours_that_are_told_in_part_are_noted(tmp_path: Path) -> None:
    clip = Clip(frames=2, pix_fmt="yuv420p", colour=(1, BT2020, 2, 1))
    notes, said = pictures_of(write_clip(tmp_path / "v.mp4", clip), tmp_path / "out")
    assert notes == ["the video's colours (BT.2020) are told in part only, and pictures say nothing of them"]
    assert list(said) == [b"IHDR"]


@pytest.mark.parametrize(("rotation", "shape"), [(0, "64:45"), (90, "45:64")])
def test_the_shape_of_samples_that_pictures_lose_is_noted(tmp_path: Path, rotation: int, shape: str) -> None:
    clip = Clip(frames=2, options=(("x264-params", "sar=64\\:45"),), rotation=rotation)
    notes, said = pictures_of(write_clip(tmp_path / "v.mp4", clip), tmp_path / "out")
    assert notes == [f"the shape of samples, {shape}, dropped: programs read it from pictures in contrary ways"]
    assert list(said) == [b"IHDR"]


@pytest.mark.parametrize(
    ("times", "note"),
    [
        ((0, 33, 67, 100, 133), None),  # a constant rate in milliseconds
        (
            (0, 40, 80, 180, 220),
            "pictures carry no times: the video shows its frames for 0.040 to 0.100 s each",
        ),
    ],
)
def test_a_rate_that_varies_is_noted(tmp_path: Path, times: tuple[int, ...], note: str | None) -> None:
    clip = Clip(frames=5, codec="ffv1", time_base=Fraction(1, 1000), pts=times)
    notes, _ = pictures_of(write_clip(tmp_path / "v.mkv", clip), tmp_path / "out")
    assert notes == ([note] if note else [])


def test_missing_pictures_are_no_varying_rate(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        write_picture(tmp_path / f"{number}.png", number)
    with (
        open_reader(tmp_path / "%d.png", keep_going=True) as reader,
        writing(tmp_path / "out" / "%d.png", reader.info) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    assert writer.notes == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "3.png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
def test_pictures_keep_the_colour_profile_of_those_they_are_made_of(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in").mkdir()
    saved(tmp_path / "in" / f"0{suffix}", icc_profile=SRGB)
    notes, _ = pictures_of(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / "0.png") as picture:
        assert picture.info["icc_profile"] == SRGB
        picture.load()
    assert notes == []


def test_a_profile_of_other_channels_is_dropped_and_noted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    saved(tmp_path / "in" / "0.jpg", icc_profile=GREY)
    notes, said = pictures_of(tmp_path / "in", tmp_path / "out")
    assert notes == ["the pictures' colour profile dropped: it is of other channels than the result's"]
    assert list(said) == [b"IHDR"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"sRGB", b"\0"),
        (b"cICP", bytes((12, 13, 0, 1))),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        (b"pHYs", struct.pack(">IIB", 11811, 5906, 1)),
    ],
)
def test_what_a_png_says_of_its_samples_is_kept(tmp_path: Path, kind: bytes, content: bytes) -> None:
    (tmp_path / "in").mkdir()
    saying(saved(tmp_path / "in" / "0.png"), kind, content)
    notes, said = pictures_of(tmp_path / "in", tmp_path / "out")
    assert said.pop(kind) == content
    assert (list(said), notes) == ([b"IHDR"], [])


def test_the_shape_of_pixels_turns_with_the_picture(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x112] = 6
    saying(saved(tmp_path / "in" / "0.png", exif=exif), b"pHYs", struct.pack(">IIB", 200, 100, 0))
    _, said = pictures_of(tmp_path / "in", tmp_path / "out")
    assert said[b"pHYs"] == struct.pack(">IIB", 100, 200, 0)


@pytest.mark.parametrize("shape", [(0, 1), (1, 0), (0, 0), (1, 2**31 - 1), (2**31 - 1, 1), (2**32 - 1, 1), (1, 17)])
def test_an_absurd_shape_of_pixels_is_not_believed(tmp_path: Path, shape: tuple[int, int]) -> None:
    (tmp_path / "in").mkdir()
    saying(saved(tmp_path / "in" / "0.png"), b"pHYs", struct.pack(">IIB", *shape, 0))
    with open_reader(tmp_path / "in") as reader:
        assert reader.info.sample_aspect == 1
    pictures_of(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / "0.png") as picture:
        picture.load()


def test_the_shape_of_pixels_is_kept_in_a_video(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    saying(saved(tmp_path / "in" / "0.png"), b"pHYs", struct.pack(">IIB", 64, 45, 0))
    with open_reader(tmp_path / "in") as reader, writing(tmp_path / "v.mp4", reader.info) as writer:
        for frame in reader:
            writer.write(frame)
    assert probe(tmp_path / "v.mp4").sample_aspect == probe_of(tmp_path / "in")


def probe_of(folder: Path) -> object:
    with open_reader(folder) as reader:
        return reader.info.sample_aspect


@pytest.mark.parametrize(("profile", "noted"), [(None, False), (SRGB, False), (OTHER, True)])
def test_a_video_of_pictures_in_other_colours_than_srgb_says_that_it_drops_them(
    tmp_path: Path, profile: bytes | None, noted: bool
) -> None:
    (tmp_path / "in").mkdir()
    saved(tmp_path / "in" / "0.jpg", icc_profile=profile)
    with (
        open_reader(tmp_path / "in") as reader,
        writing(tmp_path / "v.mkv", reader.info, Encoding("ffv1")) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    assert any("colour profile dropped: videos hold none" in note for note in writer.notes) == noted


def alpha(path: Path, transparent: bool) -> Path:
    pixels = np.full((21, 33, 4), 255, np.uint8)
    pixels[3, 5, 3] = 254 if transparent else 255
    options: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(pixels).save(path, **options)
    return path


def palette(path: Path, transparent: bool) -> Path:
    image = Image.new("P", (33, 21), 1)
    image.putpalette([0, 0, 0, 250, 10, 10])
    options: dict[str, Any] = {"transparency": 1} if transparent else {}
    image.save(path, **options)
    return path


@pytest.mark.parametrize("at", [None, 0, 2])
@pytest.mark.parametrize(
    ("suffix", "make"),
    [(".png", alpha), (".webp", alpha), (".tiff", alpha), (".png", palette)],
)
def test_transparency_is_dropped_only_where_there_is_some(
    tmp_path: Path, suffix: str, make: Callable[[Path, bool], Path], at: int | None
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        make(tmp_path / "in" / f"{number}{suffix}", number == at)
    notes, _ = pictures_of(tmp_path / "in", tmp_path / "out")
    assert [note for note in notes if "transparency is dropped" in note] == notes
    assert len(notes) == (at is not None)


def test_pictures_name_all_streams_that_they_lose(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.mp4", Clip(frames=2, audio_codec="aac"))

    with av.open(str(path)) as source, av.open(str(tmp_path / "w.mkv"), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        target.set_chapters([{"id": 1, "start": 0, "end": 40, "time_base": Fraction(1, 1000), "metadata": {}}])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    notes, _ = pictures_of(tmp_path / "w.mkv", tmp_path / "out")
    assert notes == ["pictures carry no sound and no chapters"]


def test_a_file_that_says_things_is_told_apart_from_its_samples() -> None:
    buffer = BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "PNG", dpi=(72, 72))
    said = png.said(buffer.getvalue())
    assert set(said) == {b"IHDR", b"pHYs"}
    assert png.said(b"GIF89a") == {}
    assert png.said(buffer.getvalue()[:20]) == {}
    again = png.saying(buffer.getvalue(), {b"tEXt": b"a\0b"})
    assert set(png.said(again)) == {b"IHDR", b"tEXt"}
    with Image.open(BytesIO(again)) as picture:
        picture.load()
        assert picture.info["a"] == "b"
