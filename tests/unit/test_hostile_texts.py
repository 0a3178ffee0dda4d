"""Numbers and texts that people, or programs, may hand in: refused or understood, never a traceback, never a hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from calib.observe import find_clips
from runtime import cores, engines
from runtime.boxes import parse_box
from runtime.cuts import read_cuts
from runtime.errors import InputError, UsageError
from runtime.options import build_parser
from runtime.timecode import parse_seconds
from runtime.video import VideoInfo, open_reader
from tests.clips import Clip, write_clip

MANY = "9" * 5000  # more digits than `int` takes
LARGE = "9" * 400  # more than a float takes


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    clip = write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", Clip(frames=25))
    with open_reader(clip) as reader:
        return reader.info


@pytest.mark.parametrize(
    "text",
    [
        f"{MANY},1,1,1",
        f"1,1,1,{LARGE}",
        "²,2,3,4",
        "٣,2,3,4",
        "１,2,3,4",  # noqa: RUF001  (a digit as wide as a letter)
        "1.0,2,3,4",
        "1e3,2,3,4",
        "0x1,2,3,4",
        f"1,1,1,1@{MANY}-",
        f"1,1,1,1@0-{LARGE}:00:00",
        f"1,1,1,1@-{MANY}:00",
        "1,1,1,1@nan-inf",
        "1,1,1,1@٣-",
        "1,1,1,1@1e9-",
    ],
)
def test_a_box_of_hostile_numbers_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--box "):
        parse_box(text)


@pytest.mark.parametrize("text", [MANY, f"{LARGE}s", f"{MANY}:00", f"{LARGE}:00:00", "²", "1:٣0", "inf", "nan", "1e3"])
def test_a_hostile_time_is_no_time(text: str) -> None:
    assert parse_seconds(text) is None


def test_as_many_digits_behind_the_point_as_somebody_likes_are_a_time() -> None:
    assert parse_seconds(f"0.{'3' * 5000}") == pytest.approx(1 / 3)


@pytest.mark.parametrize("text", [MANY, "²", "٣", f"{MANY}s", "\x1b[2J", "\x00", "x" * 10**6])
def test_a_hostile_line_of_cuts_is_named_and_shown_in_short(text: str, info: VideoInfo, tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_text(f"3\n{text}\n", "utf-8")
    with pytest.raises(InputError) as caught:
        read_cuts(path, info)
    said = str(caught.value)
    assert said.startswith(f"{path}:2: '")
    assert said.isprintable()
    assert len(said) < len(str(path)) + 200


def test_a_list_of_cuts_may_begin_with_the_mark_that_editors_write(info: VideoInfo, tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_bytes(b"\xef\xbb\xbf7\r\n0.5s\r\n")
    cuts = read_cuts(path, info)
    with open_reader(info.path) as reader:
        assert [frame.index for frame, cut in cuts.marked(reader) if cut] == [7, 13]


@pytest.mark.parametrize("content", [b"\xff\xfe1\x00\n\x00", b"\x89PNG\r\n\x1a\n\x00\xff"])
def test_what_is_no_text_is_no_list_of_cuts(content: bytes, info: VideoInfo, tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="it is no text"):
        read_cuts(path, info)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "rate", ["1e99999999", "1e-99999999", "²", "٣", MANY, f"1/{MANY}", "1/2/3", "1/0", "/", ".", ""]
)
def test_a_hostile_frame_rate_is_refused_at_once(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["video", "--fps", rate])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("option", ["--crf", "--dilate", "--feather", "--streams", "--threads", "--temporal-smooth"])
@pytest.mark.parametrize("value", [MANY, "²", "-1", "1.0", "٣"])
def test_a_hostile_count_is_refused_by_its_range(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["video", f"{option}={value}"])
    assert caught.value.code == 2
    assert " is no whole number from " in capsys.readouterr().err


@pytest.mark.parametrize("told", [MANY, "²", "٣", "-1", "0", "1e3", "100000"])
def test_threads_that_the_environment_cannot_mean_are_not_taken(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    wanted = cores.threads(None)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert cores.threads(None) == wanted


@pytest.mark.parametrize(("version", "numbers"), [("10.13.3", (10, 13, 3)), ("10.²", (10,)), (f"10.{MANY}.1", (10,))])
def test_a_version_ends_where_it_is_no_number(version: str, numbers: tuple[int, ...]) -> None:
    assert engines._numbers(version) == numbers


def test_the_ends_of_videos_names_may_be_in_capitals(tmp_path: Path) -> None:
    for name in ("a.MP4", "b.Mkv", "c.txt", "d.mp4"):
        (tmp_path / name).write_text(name)
    assert [clip.path.name for clip in find_clips([tmp_path])] == ["a.MP4", "b.Mkv", "d.mp4"]


def test_a_mask_among_videos_is_no_clip_unless_it_is_asked_for(tmp_path: Path) -> None:
    for name in ("a.mp4", "a_mask.mp4", "b_mask.mp4", "c.mp4", "c_mask.mp4"):  # b_mask is nobody's
        (tmp_path / name).write_text(name)
    (tmp_path / "c_mask.png").write_text("which a run would take")
    assert [clip.path.name for clip in find_clips([tmp_path])] == ["a.mp4", "b_mask.mp4", "c.mp4"]
    assert [clip.path.name for clip in find_clips([tmp_path / "a_mask.mp4"])] == ["a_mask.mp4"]
