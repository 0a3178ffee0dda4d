"""Where a result may be written, checked before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import OutputError
from runtime.video import VideoInfo, check_output, probe
from tests.clips import Clip, write_clip


def make_info(tmp_path: Path) -> VideoInfo:
    return probe(write_clip(tmp_path / "v.mp4", Clip(frames=3)))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("out.txt", r"unknown kind of output; wanted \.mp4, \.mov, \.mkv, \.webm, or a pattern like out/%05d\.png"),
        ("out", r"unknown kind of output"),
        ("gone/out.mp4", r"there is no folder .*gone; create it first"),
        ("v.mp4", r"would overwrite the input"),
        ("alias.mp4", r"would overwrite the input"),
        ("v.mp4/out.mp4", r"is no folder"),
        ("folder.mp4", r"is a folder"),
        ("old.mp4", r"exists already; .*--overwrite"),
        ("masks/%d.png", r"would overwrite the input"),
        ("numbered/%03d.png", r"000\.png: exists already; .* replace all pictures of that name and a number with"),
        ("x/%s.png", r"unknown kind of output.* a pattern like out/%05d\.png"),
        ("x/%d-%d.png", r"not a pattern that can be used"),
        ("x/%d.jpg", r"not a pattern that can be used"),
    ],
)
def test_outputs_that_cannot_be_are_refused_beforehand(tmp_path: Path, out: str, message: str) -> None:
    info = make_info(tmp_path)
    (tmp_path / "alias.mp4").symlink_to(info.path)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "numbered").mkdir()
    (tmp_path / "numbered" / "000.png").touch()
    (tmp_path / "old.mp4").touch()
    with pytest.raises(OutputError, match=message) as caught:
        check_output(tmp_path / out, [info.path, tmp_path / "masks"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["masks/%04d.png", "masks"])
def test_pictures_do_not_land_among_the_pictures_they_are_made_of(tmp_path: Path, source: str) -> None:
    (tmp_path / "masks").mkdir()
    with pytest.raises(OutputError, match=r"would overwrite the input .*masks"):
        check_output(tmp_path / "masks" / "new%d.png", [tmp_path / source], overwrite=True)
    check_output(tmp_path / "other" / "%04d.png", [tmp_path / source])
    check_output(tmp_path / "masks" / "out.mp4", [tmp_path / source])  # which is none of its pictures


def test_pictures_do_not_replace_a_picture_they_are_made_with(tmp_path: Path) -> None:
    for name in ("000.png", "007.png", "mask.png"):
        (tmp_path / name).touch()
    (tmp_path / "001.png").symlink_to("nowhere")
    with pytest.raises(OutputError, match=r"would overwrite the input .*007\.png"):
        check_output(tmp_path / "%03d.png", [tmp_path / "007.png"], overwrite=True)
    check_output(tmp_path / "%03d.png", [tmp_path / "mask.png"], overwrite=True)


def test_an_input_is_not_overwritten_even_on_request(tmp_path: Path) -> None:
    info = make_info(tmp_path)
    with pytest.raises(OutputError, match="would overwrite the input"):
        check_output(info.path, [info.path], overwrite=True)


@pytest.mark.parametrize("out", ["out.mp4", "out.MKV", "out.webm", "new/deep/%05d.png", "old.mp4", "numbered/%03d.png"])
def test_outputs_that_can_be_pass(tmp_path: Path, out: str) -> None:
    info = make_info(tmp_path)
    (tmp_path / "old.mp4").touch()
    (tmp_path / "numbered").mkdir()
    (tmp_path / "numbered" / "000.png").touch()
    check_output(tmp_path / out, [info.path], overwrite=True)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = make_info(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    for out in ("out.mp4", "new/%d.png"):
        with pytest.raises(OutputError, match=r"may not be written"):
            check_output(tmp_path / out, [info.path])
