"""Which pictures of a folder or a pattern are frames, in what order, and what is no sequence of pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from runtime.errors import DamagedVideo, InputError, UsageError
from runtime.video import open_reader, probe
from tests.clips import write_picture


def reds(path: Path) -> list[int]:
    with open_reader(path) as reader:
        frames = list(reader)
        assert reader.lost == []
        assert reader.counted == reader.info.frames == len(frames)
    assert [(frame.index, frame.pts) for frame in frames] == [(index, index) for index in range(len(frames))]
    return [int(frame.planes[0][0, 0]) for frame in frames]


def test_a_folder_is_read_in_the_natural_order_of_its_names(tmp_path: Path) -> None:
    for number in (10, 2, 1, 9, 11):
        write_picture(tmp_path / f"shot{number}.png", number)
    assert reds(tmp_path) == [10, 20, 90, 100, 110]


def test_what_else_lies_in_the_folder_is_left_out_and_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png", 1)
    write_picture(tmp_path / ".2.png", 2)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "3.png").mkdir()
    assert reds(tmp_path) == [10]
    assert open_reader(tmp_path).info.notes == ("1 of the folder's 2 files is no picture and is left out",)


@pytest.mark.parametrize("pattern", ["%05d.png", "%5d.png", "take-%d.png", "a[1]+%03d(x).png"])
def test_a_pattern_takes_the_names_that_it_would_make(tmp_path: Path, pattern: str) -> None:
    if pattern == "%5d.png":
        write_picture(tmp_path / "00001.png", 1)
        with pytest.raises(InputError, match=r"no such file"):  # not a pattern that can be used
            open_reader(tmp_path / pattern)
        return
    for number in range(8, 12):
        write_picture(tmp_path / (pattern % number), number)
    write_picture(tmp_path / ("x" + pattern % 1), 1)
    write_picture(tmp_path / (pattern % 9 + ".png"), 1)
    write_picture(tmp_path / (pattern.replace("%05d", "%d").replace("%03d", "%04d") % 7), 1)
    wanted = [70, 80, 90, 100, 110] if pattern == "take-%d.png" else [80, 90, 100, 110]
    if pattern == "take-%d.png":
        write_picture(tmp_path / (pattern % 7), 7)
        write_picture(tmp_path / "take-006.png", 6)
    assert reds(tmp_path / pattern) == wanted


def test_a_rate_is_for_pictures_only(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"whatever it is")
    with pytest.raises(UsageError, match=r"--fps is for a folder or a pattern"):
        open_reader(tmp_path / "v.mp4", fps=Fraction(25))


def test_numbers_that_a_pattern_skips_are_missing_frames(tmp_path: Path) -> None:
    for number in (3, 4, 7, 9):
        write_picture(tmp_path / f"{number}.png", number)
    with (
        open_reader(tmp_path / "%d.png") as reader,
        pytest.raises(DamagedVideo, match=r"read 2 of 7 pictures: frames 2 to 3: missing before 7\.png"),
    ):
        list(reader)
    with open_reader(tmp_path / "%d.png", keep_going=True) as reader:
        assert [frame.index for frame in reader] == [0, 1, 4, 6]
        assert reader.lost == ["frames 2 to 3: missing before 7.png", "frame 5: missing before 9.png"]
        assert reader.counted == reader.info.frames == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"no pictures in this folder"),
        ("%05d.png", r"no pictures of that pattern; wanted 00000\.png and on"),
        ("away/%d.png", r"no pictures of that pattern"),
        ("%d%d.png", r"no such file"),
    ],
)
def test_where_no_pictures_are_is_said(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_reader(tmp_path / name)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png", 1)
    (tmp_path / "%d.png").write_bytes((tmp_path / "1.png").read_bytes())
    with pytest.raises(InputError, match=r"%d\.png: is one picture; wanted a video, or a folder or pattern"):
        open_reader(tmp_path / "%d.png")
    with pytest.raises(InputError, match=r"is a folder"):
        probe(tmp_path)


def test_an_animation_is_a_video(tmp_path: Path) -> None:
    first, *others = (Image.new("RGB", (33, 21), (10 * index, 0, 0)) for index in range(1, 4))
    first.save(tmp_path / "1.png", save_all=True, append_images=others, duration=40)
    with open_reader(tmp_path / "1.png") as reader:
        assert [int(frame.planes[0][0, 0]) for frame in reader] == [10, 20, 30]
    assert reds(tmp_path) == [10]  # among other pictures it is one
