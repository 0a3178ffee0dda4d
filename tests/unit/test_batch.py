"""Which videos a command means, and where each result goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.batch import default_out, expand, outs_of
from runtime.errors import UsageError


def test_a_wildcard_stands_for_what_it_matches_in_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4", "c.mkv"):
        (tmp_path / name).touch()
    assert [path.name for path in expand([str(tmp_path / "*.mp4"), str(tmp_path / "c.mkv")])] == [
        "a.mp4",
        "b.mp4",
        "c.mkv",
    ]


def test_a_file_whose_name_has_brackets_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a[1].mp4").touch()
    assert list(expand([str(tmp_path / "a[1].mp4")])) == [tmp_path / "a[1].mp4"]


def test_a_wildcard_without_a_match_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="matches no file"):
        list(expand([str(tmp_path / "*.mp4")]))


@pytest.mark.parametrize("name", ["https://x.org/v.mp4?a=1", "HTTP://x.org/*.mp4", "rtsp://x.org/live"])
def test_an_address_is_told_as_it_was_given(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(expand([name]))
    assert str(caught.value) == f"{name}: addresses are not opened; download the video and name its file"


def test_a_name_without_a_wildcard_is_left_to_the_reader_to_refuse() -> None:
    assert list(expand(["missing.mp4"])) == [Path("missing.mp4")]


@pytest.mark.parametrize(
    ("video", "out"),
    [
        ("in/a.mp4", "in/a_repaired.mp4"),
        ("in/a.MOV", "in/a_repaired.MOV"),
        ("in/a.webm", "in/a_repaired.webm"),
        ("in/a.avi", "in/a_repaired.mp4"),
        ("in/a.b.mkv", "in/a.b_repaired.mkv"),
        ("in/take_%02d.mp4", "in/take_%02d_repaired.mp4"),
        ("in/frames/%04d.png", "in/frames_repaired/%05d.png"),
    ],
)
def test_a_result_lies_beside_its_video(video: str, out: str) -> None:
    assert default_out(Path(video)) == Path(out)


def test_a_folder_of_pictures_gives_a_folder_of_pictures(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    assert default_out(frames) == tmp_path / "frames_repaired" / "%05d.png"
    assert outs_of([frames], f"{tmp_path}/done/") == [tmp_path / "done" / "%05d.png"]


def test_one_name_is_for_one_video_and_a_folder_for_any_number(tmp_path: Path) -> None:
    videos = [Path("x/a.mp4"), Path("y/b.mp4")]
    assert outs_of(videos[:1], "result.mkv") == [Path("result.mkv")]
    assert outs_of(videos, "done/") == [Path("done/a_repaired.mp4"), Path("done/b_repaired.mp4")]
    assert outs_of(videos[:1], str(tmp_path)) == [tmp_path / "a_repaired.mp4"]
    with pytest.raises(UsageError, match="2 videos; name a folder"):
        outs_of(videos, "result.mkv")


def test_two_videos_may_not_share_a_result() -> None:
    with pytest.raises(UsageError, match=r"as that of x/a\.mp4"):
        outs_of([Path("x/a.mp4"), Path("y/a.mp4")], "done/")


@pytest.mark.parametrize(
    ("name", "video"),
    [
        (".", "shots/frames"),
        ("./.", "shots/frames"),
        ("%05d.png", "shots/frames/%05d.png"),
        ("..", "shots"),
        ("../frames/..", "shots"),
        ("../%05d.png", "shots/%05d.png"),
    ],
)
def test_a_folder_that_is_named_by_dots_has_its_own_name(
    name: str, video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shots" / "frames"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert list(expand([name])) == [tmp_path / video]
    beside = (tmp_path / video).parent if "%" in video else tmp_path / video
    assert default_out(tmp_path / video) == beside.with_name(f"{beside.name}_repaired") / "%05d.png"


def test_pictures_into_the_working_folder_go_into_a_folder_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outs_of([Path("a.mp4")], "%03d.png") == [tmp_path / "%03d.png"]


def test_a_name_that_ends_in_a_dot_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    assert list(expand([f"{tmp_path}/clip/."])) == [tmp_path / "clip"]
