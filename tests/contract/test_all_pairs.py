"""Whole runs over every pair of codec, timing, turn, sound and size: only the hole is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import FFmpegError
from av.video.frame import VideoFrame

from runtime.boxes import Box
from runtime.frame import Frame, Hole
from runtime.job import Job
from runtime.masks import Request
from runtime.repair import repair
from runtime.session import Settings
from runtime.video import Encoding, VideoReader, probe
from tests.clips import Clip, moving_planes, picture_from, write_clip
from tests.pairs import Case, all_pairs, covering, pairs_of
from tests.probed import probed
from tests.tolerances import TOLERANCE

FACTORS = {
    "codec": ("h264", "hevc", "vp9", "ffv1", "prores"),
    "timing": ("constant", "variable"),
    "turn": ("0", "90", "180"),
    "sound": ("none", "aac", "opus", "two"),
    "size": ("even", "odd"),
}
# Pairs that cannot be.
IMPOSSIBLE = {
    ("h264", "odd"): "H.264 in 4:2:0 is cropped by whole chroma samples (7.4.2.1.1), and so is the encoder's input",
    ("hevc", "odd"): "HEVC in 4:2:0 is cropped by whole chroma samples (7.4.3.2.1), and so is the encoder's input",
}
FRAMES = 14
HDR10 = (9, 9, 16, 1)
QUIET = "log-level=error"
IN_ORDER = f"{QUIET}:bframes=0"
HOLE = (30, 24, 14, 10)  # left, top, width, height, as the viewer sees it
GROWN = 12  # pixels beside it that dilation, the network's grid and chroma may change


@dataclass(frozen=True)
class Source:
    """How a codec's videos are made for the test."""

    encoder: str
    pix_fmt: str
    suffixes: dict[str, str]  # of the container, by the sound in it
    options: tuple[tuple[str, str], ...] = ()
    in_order: tuple[tuple[str, str], ...] = ()  # options with which no picture looks ahead
    colour: tuple[int, int, int, int] = (1, 1, 1, 1)


_MKV = {"none": "mkv", "aac": "mkv", "opus": "mkv", "two": "mkv"}
_MP4 = {"none": "mp4", "aac": "mp4", "opus": "mp4", "two": "mp4"}
SOURCES = {
    "h264": Source("libx264", "yuv420p", _MP4, in_order=(("bf", "0"),)),
    "hevc": Source("libx265", "yuv420p10le", _MP4, (("x265-params", QUIET),), (("x265-params", IN_ORDER),), HDR10),
    "vp9": Source("libvpx-vp9", "yuv420p", {**_MKV, "none": "webm", "opus": "webm"}),  # WebM takes no AAC
    "ffv1": Source("ffv1", "yuv420p", _MKV),
    "prores": Source("prores_ks", "yuv422p10le", {**_MKV, "none": "mov", "aac": "mov"}),  # QuickTime takes no Opus
}
SOUND = {"none": (), "aac": ("aac",), "opus": ("libopus",), "two": ("aac", "libopus")}


def possible(case: Case) -> bool:
    return not any(set(pair) <= set(case) for pair in IMPOSSIBLE)


CASES = covering(FACTORS, possible)


def test_every_pair_is_covered_or_named_as_impossible() -> None:
    covered = set().union(*(pairs_of(case) for case in CASES))
    left = {(value, other) for _, value, _, other in all_pairs(FACTORS) - covered}
    assert left == set(IMPOSSIBLE)
    assert len(CASES) < 30  # of 240


@pytest.mark.parametrize("codec", sorted({codec for codec, _ in IMPOSSIBLE}))
def test_what_is_named_impossible_is(tmp_path: Path, codec: str) -> None:
    source = SOURCES[codec]
    with pytest.raises(FFmpegError):
        write_clip(tmp_path / "v.mp4", Clip(95, 63, 2, source.encoder, source.pix_fmt, options=source.options))


def make(folder: Path, case: Case) -> Path:
    """The source of a case."""
    codec, timing, turn, sound, size = case
    source = SOURCES[codec]
    suffix = source.suffixes[sound]
    ticks = 1000 if suffix in ("mkv", "webm") else 600
    steps = np.random.default_rng(3).integers(ticks // 50, ticks // 10, FRAMES).tolist()
    width, height = (96, 64) if size == "even" else (95, 63)
    clip = Clip(width, height, FRAMES, source.encoder, source.pix_fmt, options=source.options, colour=source.colour)
    if timing == "variable":
        # With pictures that look ahead, muxers would state a length that ends before the last picture.
        clip = replace(clip, options=source.in_order, time_base=Fraction(1, ticks), pts=[0, *accumulate(steps[1:])])
    clip = replace(clip, rotation=int(turn))
    pictures = write_clip(folder / f"pictures.{suffix}", clip, tagged(clip, source.colour))
    tracks = [
        write_clip(folder / f"track{number}.mkv", Clip(frames=1, audio_codec=track, audio_seconds=0.8))
        for number, track in enumerate(SOUND[sound])
    ]
    return merge(pictures, tracks, folder / f"source.{suffix}")


def tagged(clip: Clip, colour: tuple[int, int, int, int]) -> Iterator[VideoFrame]:
    """Pictures that bear their colour tags, which ProRes writes into each."""
    for index in range(clip.frames):
        picture = picture_from(moving_planes(clip, index), clip.pix_fmt)
        picture.colorspace, picture.color_primaries, picture.color_trc, picture.color_range = colour
        yield picture


def merge(pictures: Path, tracks: list[Path], out: Path) -> Path:
    """The pictures of one file and the sound of others in one."""
    with av.open(str(out), "w") as output:
        files = [av.open(str(path), "r") for path in (pictures, *tracks)]
        streams = [files[0].streams.video[0], *(file.streams.audio[0] for file in files[1:])]
        targets = [output.add_stream_from_template(stream, opaque=True) for stream in streams]
        packets = [
            (packet, target)
            for file, stream, target in zip(files, streams, targets, strict=True)
            for packet in file.demux(stream)
            if packet.size
        ]
        for packet, target in packets:
            packet.stream = target
            output.mux(packet)
        for file in files:
            file.close()
    return out


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_run_changes_the_hole_and_nothing_else(tmp_path: Path, any_window: Path, case: Case) -> None:
    source = make(tmp_path, case)
    out = tmp_path / f"out{source.suffix}"
    summary = repair(job(source, out, any_window, case), lambda *_: None)
    assert summary.notes == ()
    assert (summary.frames, summary.repaired) == (FRAMES, FRAMES)
    before, after = probed(source), probed(out)
    assert after == before
    assert len(before.times) == FRAMES
    info, other = probe(source), probe(out)
    assert (other.rotation, other.colour, other.layout) == (info.rotation, info.colour, info.layout)
    assert info.rotation == int(case[2])
    for frame, result in zip(read(source), read(out), strict=True):
        assert frame.pts * info.time_base == result.pts * other.time_base
        check_untouched(frame, result, turned_back(info.turns, info.display_width, info.display_height), case[0])


def job(source: Path, out: Path, bundle: Path, case: Case) -> Job:
    lossless = case[0] in ("h264", "hevc", "vp9")  # FFV1 always is, ProRes never
    return Job(
        video=source,
        out=out,
        masks=Request(boxes=(Box(*HOLE),)),
        cuts="none",
        bundle=str(bundle),
        backend="null",
        settings=Settings(),
        encoding=Encoding(crf=0 if lossless else None),
    )


def read(path: Path) -> Iterator[Frame]:
    with VideoReader(path) as reader:
        yield from reader


def turned_back(turns: int, width: int, height: int) -> Hole:
    """What may change, in the orientation of the planes."""
    left, top, across, down = HOLE
    seen = np.zeros((height, width), np.bool_)
    seen[max(0, top - GROWN) : top + down + GROWN, max(0, left - GROWN) : left + across + GROWN] = True
    return np.rot90(seen, -turns)


def check_untouched(frame: Frame, result: Frame, changeable: Hole, codec: str) -> None:
    allowed = TOLERANCE["prores", "levels of 10 bits"] if codec == "prores" else 0
    for number, (plane, other) in enumerate(zip(frame.planes, result.planes, strict=True)):
        across, down = (frame.layout.chroma_shift_x, frame.layout.chroma_shift_y) if number else (0, 0)
        outside = ~changeable[:: 1 << down, :: 1 << across]
        difference = np.abs(plane.astype(int) - other)
        assert outside.any()
        assert difference[outside].max() <= allowed
        if number == 0:
            assert difference[~outside].max() > allowed
