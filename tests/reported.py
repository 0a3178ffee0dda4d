"""A run to report on, without a network or a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from runtime.composite import Finish, composite
from runtime.frame import Colour, Frame, Layout
from runtime.patch import Crop, Patch
from runtime.regions import Region
from runtime.report import ReportData
from runtime.session import Restored
from runtime.summary import Summary
from runtime.video import VideoInfo

CROP = Crop(8, 4, 32, 16)
HOSTILE = '"><script>alert(1)</script>&amp;\n\u202egnp\udcff.mp4'
SUMMARY = Summary(
    video="in.mp4",
    out="out.mp4",
    frames=30,
    repaired=20,
    masks=("mask.png",),
    resumed=0,
    seconds=4.0,
    busy={"decode": 1.0, "transformer": 3.0},
    overlap=0.5,
    bundle="bundle",
    backend="null",
    decoder="cpu",
    precision="fp32",
    schedule="steady",
    quality="standard",
    encoder="H.264 (libx264), crf 18",
    regions=(),
    cuts=(12,),
    copied=False,
    notes=(),
    lost=(),
)
INFO = VideoInfo(
    path=Path("in.mp4"),
    width=64,
    height=32,
    frames=30,
    rate=Fraction(25),
    time_base=Fraction(1, 25),
    start_pts=0,
    origin=Fraction(0),
    duration_s=1.2,
    sample_aspect=Fraction(1),
    rotation=0,
    layout=Layout("yuv", 8, 1, 1),
    colour=Colour(6, 6, 6, full_range=False),
    audio=False,
    container="mov",
    codec="h264",
    profile=None,
    interlaced=False,
    stills=False,
    alpha=False,
    notes=(),
)


def frame_of(index: int, width: int = 64, height: int = 32) -> Frame:
    """Grey, a little lighter with every frame."""
    planes = [np.full((height, width), 60 + index % 128, np.uint8)]
    planes += [np.full((height // 2, width // 2), 128, np.uint8) for _ in range(2)]
    return Frame(index, index, tuple(planes), INFO.layout, INFO.colour)


def done(index: int, crop: Crop | None = CROP, size: tuple[int, int] = (64, 32), *, band: bool = False) -> Restored:
    """Frame `index` of that width and height, painted white in the middle of `crop`, or across it."""
    frame = frame_of(index, *size)
    if crop is None:
        return Restored(frame, frame, ())
    hole = np.zeros((16, 32), np.bool_)
    hole[4:12, slice(None) if band else slice(8, 24)] = True
    patch = Patch(crop, np.zeros((16, 32, 3), np.uint8), np.full((16, 32, 3), 255, np.uint8), hole)
    return Restored(composite(frame, (patch,), Finish()), frame, (patch,))


def data(title: str = "in.mp4", info: VideoInfo = INFO, summary: Summary = SUMMARY) -> ReportData:
    return ReportData(title, summary, info, (Region(CROP, 5, 24),), (32, 16), (("Mask", title),))
