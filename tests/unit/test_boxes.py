"""Boxes: as text, in time, and as masks."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.boxes import Box, parse_box
from runtime.errors import InputError, UsageError
from runtime.masks import Request, open_masks
from runtime.timecode import parse_seconds
from runtime.video import VideoInfo, VideoReader, probe
from tests.clips import Clip, write_clip

WIDTH, HEIGHT = 64, 48


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(write_clip(tmp_path_factory.mktemp("boxes") / "video.mp4", Clip(WIDTH, HEIGHT, 5)))


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10,20,64,32", Box(10, 20, 64, 32)),
        (" 1, 2 ,3,4 ", Box(1, 2, 3, 4)),
        ("-5,0,10,10", Box(-5, 0, 10, 10)),
        ("1,2,3,4@2.5-7", Box(1, 2, 3, 4, 2.5, 7.0)),
        ("1,2,3,4@2.5-", Box(1, 2, 3, 4, 2.5, None)),
        ("1,2,3,4@-7", Box(1, 2, 3, 4, None, 7.0)),
        ("1,2,3,4 @ 1:02.5 - 1:01:00 ", Box(1, 2, 3, 4, 62.5, 3660.0)),
        ("1,2,3,4@0-5s", Box(1, 2, 3, 4, 0.0, 5.0)),
    ],
)
def test_boxes_are_parsed(text: str, box: Box) -> None:
    assert parse_box(text) == box
    assert parse_box(str(box)) == box


@pytest.mark.parametrize(
    "text",
    [
        *("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "1,2,0,4", "1,2,3,-4", "1 2 3 4", "1,2,3,4@", "1,2,3,4@-"),
        *("1,2,3,4@5", "1,2,3,4@x-5", "1,2,3,4@5-x", "1,2,3,4@1:60-2:00", "1,2,3,4@1-2-3", "1,2,3,4@1-2@3"),
        "1,2,3,4@1e3-",
    ],
)
def test_malformed_boxes_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--box .*wanted") as caught:
        parse_box(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("span", ["7-2.5", "7-7"])
def test_a_box_that_ends_before_it_begins_is_refused(span: str) -> None:
    with pytest.raises(UsageError, match=r"ends at .* s, which is not after its start at 7 s"):
        parse_box(f"1,2,3,4@{span}")


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59999))
def test_times_are_read_exactly(hours: int, minutes: int, thousandths: int) -> None:
    seconds = f"{thousandths // 1000:02}.{thousandths % 1000:03}"
    assert parse_seconds(f"{hours}:{minutes:02}:{seconds}") == hours * 3600 + minutes * 60 + float(seconds)
    assert parse_seconds(f"{seconds}s") == float(seconds)


@pytest.mark.parametrize("text", ["", "s", ".", "1:2:3:4", "1:60", "1:99:00", "-1", "1:30s", "12,5", "1 2", "٣"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_seconds(text) is None


@pytest.mark.parametrize("box", [(0, 0, 65, 1), (60, 0, 5, 5), (-1, 0, 4, 4), (0, -3, 4, 4), (0, 44, 4, 5)])
def test_a_box_beyond_the_frame_is_refused(info: VideoInfo, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match=r"--box .*: reaches outside the video's 64x48 pixels"):
        open_masks(Request(boxes=(Box(*box),)), info)


def test_a_box_may_cover_the_whole_frame(info: VideoInfo) -> None:
    hole = open_masks(Request(boxes=(Box(0, 0, WIDTH, HEIGHT),)), info).read(0, 0.0)
    assert hole is not None
    assert hole.all()


def test_a_box_is_there_from_its_start_until_before_its_end(tmp_path: Path) -> None:
    # 30000/1001 to the second with a gap: no time is a round number, and frame numbers do not tell times
    pts = [number * 1001 + (30030 if number >= 60 else 0) for number in range(120)]
    clip = Clip(16, 16, 120, rate=Fraction(30000, 1001), time_base=Fraction(1, 30000), pts=pts)
    path = write_clip(tmp_path / "video.mp4", clip)
    info = probe(path)
    box = Box(2, 3, 4, 5, float(Fraction(1001 * 40, 30000)), float(Fraction(1001 * 100 + 30030, 30000)))
    source = open_masks(Request(boxes=(box,)), info)
    with VideoReader(path) as reader:
        shown = [source.read(frame.index, info.seconds(frame.pts)) is not None for frame in reader]
    assert [index for index in range(120) if shown[index]] == list(range(40, 100))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_runs_foresee_every_frame_that_has_a_box(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg4" if suffix == "avi" else "libx264"
    path = write_clip(tmp_path / f"video.{suffix}", Clip(16, 16, 150, codec=codec))
    info = probe(path)
    boxes = (Box(0, 0, 4, 4, 2.0, 2.4), Box(8, 8, 4, 4, 4.0, None), Box(8, 0, 4, 4, 99.0, None))
    source = open_masks(Request(boxes=boxes), info)
    runs = list(source.runs())
    told = suffix in ("mp4", "mkv")
    wanted = [(25, 74, 16), (75, 84, 32), (85, None, 16)]  # a second earlier and later than they are there
    assert [(run.first, run.last, int(run.hole.sum())) for run in runs] == (wanted if told else [(0, None, 48)])
    with VideoReader(path) as reader:
        for frame in reader:
            hole = source.read(frame.index, info.seconds(frame.pts))
            told_hole = [run.hole for run in runs if run.first <= frame.index and frame.index <= (run.last or 999)]
            assert hole is None or not (hole & ~told_hole[0]).any()


def test_boxes_behind_the_end_are_no_hole_at_all(info: VideoInfo) -> None:
    source = open_masks(Request(boxes=(Box(0, 0, 4, 4, 0.2, None), Box(0, 0, 4, 4, None, 0.0))), info)
    assert list(source.runs()) == []
    assert all(source.read(index, index / 25) is None for index in range(5))


def test_many_boxes_are_painted_when_they_are_there(info: VideoInfo) -> None:
    boxes = tuple(Box(number % 60, number % 44, 4, 4, number / 10, number / 10 + 0.15) for number in range(3000))
    source = open_masks(Request(boxes=boxes), info)
    painted = [source.read(index, index / 25) for index in range(5)]
    assert [0 if hole is None else int(hole.sum()) for hole in painted] == [16, 16, 16, 23, 16]
    assert painted[0] is painted[1]
    moved = painted[4]
    assert moved is not None
    assert painted[0] is not None
    assert not np.array_equal(painted[0], moved)
