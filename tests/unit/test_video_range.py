"""What is written looks as what came in: its samples are of the range that is told of them, and not said to be RGB."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from itertools import product, zip_longest
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from runtime._video.file import FULL_RANGE
from runtime._video.formats import layout_of, planar_name, planes_of
from runtime.video import CODECS, Encoding, open_reader
from tests.clips import Clip, moving_planes, write_clip
from tests.recoded import writing
from tests.tolerances import TOLERANCE

FRAMES = 3
GREY, COLOUR = Clip(frames=FRAMES, codec="ffv1", pix_fmt="gray"), Clip(frames=FRAMES, codec="ffv1", pix_fmt="yuv444p")
OUTS = (("h264", ".mp4"), ("hevc", ".mp4"), ("vp9", ".webm"), ("av1", ".mkv"), ("ffv1", ".mkv"))
PNG_HEADER = 33  # bytes: the signature and the first chunk
LIMITED_CICP = bytes((1, 13, 0, 0))  # primaries, transfer, matrix, whether the range is full (PNG, 11.3.2.6)
Levels = list[npt.NDArray[np.float64]]


def jpegs(folder: Path) -> Path:
    folder.mkdir()
    for index in range(FRAMES):
        Image.fromarray(np.stack(moving_planes(COLOUR, index), -1)).save(folder / f"{index}.jpg", quality=95)
    return folder


def grey_pngs(folder: Path) -> Path:
    folder.mkdir()
    for index in range(FRAMES):
        Image.fromarray(moving_planes(GREY, index)[0]).save(folder / f"{index}.png")
    return folder


def deep_grey_pngs(folder: Path) -> Path:
    folder.mkdir()
    for index in range(FRAMES):
        Image.fromarray(moving_planes(GREY, index)[0].astype(np.uint16) * 257).save(folder / f"{index}.png")
    return folder


def limited_grey_pngs(folder: Path) -> Path:
    """Pictures that say so, which Pillow cannot write."""
    for path in sorted(grey_pngs(folder).iterdir()):
        data, chunk = path.read_bytes(), b"cICP" + LIMITED_CICP
        said = struct.pack(">I", len(LIMITED_CICP)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        path.write_bytes(data[:PNG_HEADER] + said + data[PNG_HEADER:])
    return folder


def grey_video(folder: Path) -> Path:
    return write_clip(folder.with_suffix(".mkv"), GREY)


SOURCES = (jpegs, grey_pngs, deep_grey_pngs, limited_grey_pngs, grey_video)
CASES = [
    (make, *out)
    for make, out in product(SOURCES, OUTS)
    if make is not deep_grey_pngs or "vp9" not in out  # which holds 8 bits
]
MISTAGGED = [  # AV1 is written in 4:2:0 only
    (pix_fmt, *out) for pix_fmt, out in product(("yuv420p", "yuv444p"), OUTS) if (pix_fmt, out[0]) != ("yuv444p", "av1")
]


def rewritten(source: Path, out: Path, codec: str) -> Path:
    """The pictures of `source` as they are, with as little loss as the codec has."""
    best = CODECS[codec].crf[:1]
    encoding = Encoding(codec, best[0] if best else None)
    with open_reader(source) as reader, writing(out, reader.info, encoding) as writer:
        for frame in reader:
            writer.write(frame)
    return out


def pictures(path: Path) -> list[VideoFrame]:
    """What libav alone makes of a video, or of the pictures in a folder."""
    found: list[VideoFrame] = []
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        with av.open(str(file)) as container:
            found += container.decode(video=0)
    return found


def levels(picture: VideoFrame) -> Levels:
    """Luma of 0 to 255 and chroma of -128 to 128, by the range that the picture is told to have.

    Untold Y'CbCr is limited (H.264, E.2.1; H.265, E.3.1), untold grey full, as libswscale has it.
    """
    layout = layout_of(planar_name(picture.format.name))
    assert layout is not None
    untold_full = not picture.color_range and layout.family == "gray"
    unit = 1 << (layout.bits - 8)
    black, luma, chroma = 16 * unit, 219 * unit, 224 * unit
    if picture.color_range == FULL_RANGE or untold_full:
        black, luma, chroma = 0, 256 * unit - 1, 256 * unit - 1
    first, *rest = (plane.astype(np.float64) for plane in planes_of(picture))
    return [(first - black) / luma * 255, *((plane - 128 * unit) / chroma * 255 for plane in rest)]


def difference(before: Levels, after: Levels) -> float:
    """The largest, in levels; a plane that one of them lacks counts as one without colour."""
    pairs = zip_longest(before, after, fillvalue=np.zeros((1, 1)))
    return max(float(np.abs(plane - other).max()) for plane, other in pairs)


def check_alike(source: Path, out: Path) -> None:
    before, after = pictures(source), pictures(out)
    assert len(before) == len(after) == FRAMES
    assert all(picture.colorspace for picture in after)  # 0 would be RGB
    found = [difference(levels(one), levels(other)) for one, other in zip(before, after, strict=True)]
    assert max(found) <= TOLERANCE["range", "levels"]


@pytest.mark.parametrize(("make", "codec", "suffix"), CASES)
def test_pictures_leave_with_the_contrast_they_came_with(
    tmp_path: Path, make: Callable[[Path], Path], codec: str, suffix: str
) -> None:
    source = make(tmp_path / "source")
    out = rewritten(source, tmp_path / f"out{suffix}", codec)
    check_alike(source, out)


@pytest.mark.parametrize(("pix_fmt", "codec", "suffix"), MISTAGGED)
def test_planes_that_were_said_to_be_rgb_leave_as_what_they_are(
    tmp_path: Path, pix_fmt: str, codec: str, suffix: str
) -> None:
    """Such a tag on Y'CbCr is wrong; decoders of H.264 and HEVC would hand on the planes as G, B, R."""
    clip = Clip(frames=FRAMES, codec="ffv1", pix_fmt=pix_fmt, colour=(0, 2, 2, 1))
    source = write_clip(tmp_path / "v.mkv", clip)
    check_alike(source, rewritten(source, tmp_path / f"out{suffix}", codec))
