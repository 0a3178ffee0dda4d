"""Interlaced video is named and refused, or made progressive with nothing else changed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.frame import Frame
from runtime.video import VideoReader, open_reader, probe
from tests.clips import Clip, moving_planes, picture_from, woven_planes, write_clip

Fields = Literal["tff", "bff"]
CLIPS = {
    "h264.mp4": Clip(options=(("crf", "10"),)),
    "h264.ts": Clip(options=(("crf", "10"), ("bf", "2"))),
    "mpeg2.mpg": Clip(codec="mpeg2video", options=(("bf", "2"),)),
    "prores.mov": Clip(codec="prores_ks", pix_fmt="yuv422p10le"),
    "ffv1.mkv": Clip(codec="ffv1"),
    "dv.avi": Clip(720, 480, 5, codec="dvvideo", pix_fmt="yuv411p", rate=Fraction(30000, 1001)),
}


def luma(frame: Frame) -> np.ndarray:
    return frame.planes[0].astype(np.int32)


@pytest.mark.parametrize("name", CLIPS)
def test_interlaced_video_is_named_and_refused(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, replace(CLIPS[name], fields="tff"))
    assert probe(path).interlaced
    with pytest.raises(InputError, match=r"the video is interlaced, .*; use --deinterlace") as caught:
        open_reader(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fields", ["tff", "bff"])
@pytest.mark.parametrize("name", CLIPS)
def test_a_deinterlaced_frame_shows_the_moment_of_its_first_field(tmp_path: Path, name: str, fields: Fields) -> None:
    clip = replace(CLIPS[name], fields=fields)
    path = write_clip(tmp_path / name, clip)
    with open_reader(path, deinterlace=True) as reader:
        frames = list(reader)
        assert not reader.info.interlaced
        assert reader.lost == []
        assert "deinterlaced" in reader.info.notes[-1]
    assert [frame.index for frame in frames] == list(range(clip.frames))
    for frame in frames[1:-1]:  # the first and the last have a neighbour on one side only
        moment = moving_planes(clip, 2 * frame.index)[0].astype(np.int32)
        woven = woven_planes(clip, frame.index)[0].astype(np.int32)
        # what remains is the codec's loss; the woven picture is as far off as its other field is
        assert 4 * np.abs(luma(frame) - moment).mean() < np.abs(woven - moment).mean()


@pytest.mark.parametrize("fields", ["tff", "bff"])
@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "yuv411p", "yuv422p10le", "yuv444p12le", "gray", "gray16le", "gbrp10le"]
)
def test_the_lines_of_the_first_field_stay_as_they_are(tmp_path: Path, pix_fmt: str, fields: Fields) -> None:
    clip = Clip(63, 47, 4, codec="ffv1", pix_fmt=pix_fmt, fields=fields)
    with open_reader(write_clip(tmp_path / "v.mkv", clip), deinterlace=True) as reader:
        frames = list(reader)
        assert all(frame.layout == reader.info.layout for frame in frames)
    first = slice(0 if fields == "tff" else 1, None, 2)
    for frame in frames:
        planes = woven_planes(clip, frame.index)
        planes = (planes[2], planes[0], planes[1]) if pix_fmt.startswith("gbrp") else planes
        for plane, wanted in zip(frame.planes, planes, strict=True):
            assert np.array_equal(plane[first], wanted[first])
            assert not np.array_equal(plane, wanted)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_deinterlacing_keeps_times_and_tags(tmp_path: Path, suffix: str) -> None:
    ticks = (0, 3600, 7290, 10800, 18000, 21600)
    clip = Clip(frames=6, time_base=Fraction(1, 90000), pts=ticks, colour=(5, 5, 6, 1), fields="tff")
    path = write_clip(tmp_path / f"v.{suffix}", clip)
    with VideoReader(path, deinterlace=True) as reader:
        info = reader.info
        frames = list(reader)
    plain = probe(path)
    assert (info.rate, info.time_base, info.frames, info.colour) == (
        plain.rate,
        plain.time_base,
        plain.frames,
        plain.colour,
    )
    times = [frame.pts * info.time_base - frames[0].pts * info.time_base for frame in frames]
    step = Fraction(1, 1000) if suffix == "mkv" else Fraction(1, 90000)
    assert [round(time / step) for time in times] == [round(Fraction(tick, 90000) / step) for tick in ticks]


def test_progressive_video_passes_untouched_and_that_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.mp4", Clip())
    with open_reader(path) as plain, open_reader(path, deinterlace=True) as reader:
        for frame, other in zip(plain, reader, strict=True):
            assert (frame.index, frame.pts) == (other.index, other.pts)
            assert all(np.array_equal(plane, same) for plane, same in zip(frame.planes, other.planes, strict=True))
        assert reader.info.notes[-1].startswith("its first frame is not marked as interlaced")


def test_a_video_that_becomes_interlaced_is_refused_by_frame(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.h264", Clip(frames=5)).read_bytes()
    second = write_clip(tmp_path / "b.h264", Clip(frames=5, fields="tff")).read_bytes()
    path = tmp_path / "v.h264"
    path.write_bytes(first + second)
    with VideoReader(path) as reader, pytest.raises(InputError, match=r"frame 5 is interlaced"):
        list(reader)
    with VideoReader(path, deinterlace=True) as reader:
        assert len(list(reader)) == 10


@pytest.mark.parametrize(
    "clip", [Clip(6, 6, 2, codec="ffv1", fields="tff"), Clip(codec="ffv1", pix_fmt="gray10le", fields="tff")]
)
def test_what_the_filter_cannot_take_unchanged_is_refused(tmp_path: Path, clip: Clip) -> None:
    path = write_clip(tmp_path / "v.mkv", clip)
    with open_reader(path, deinterlace=True) as reader, pytest.raises(InputError, match=r"cannot be deinterlaced here"):
        list(reader)


def test_a_frame_that_is_given_by_hand_is_not_marked() -> None:
    assert not picture_from(moving_planes(Clip(), 0), "yuv420p").interlaced_frame  # so the marks above are the filter's
