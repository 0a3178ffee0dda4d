"""The mask of an overlay that was found is kept beside the result, and replaces nothing but another such mask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runtime import mask_choice
from runtime.cli import main
from runtime.frame import Frame
from runtime.overlay import Overlay
from runtime.video import VideoInfo
from runtime.work import FINGERPRINT, folder_of
from tests.clips import Clip, write_clip


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip in which the same overlay is found every time."""

    def found(frames: Iterable[Frame], info: VideoInfo) -> Overlay:
        hole = np.zeros((info.height, info.width), np.bool_)
        hole[4:12, 4:20] = True
        return Overlay(hole, 1.0, sum(1 for _ in frames))

    monkeypatch.setattr(mask_choice, "find_overlay", found)
    return write_clip(tmp_path / "holiday.mp4", Clip(frames=6))


def infer(video: Path, *arguments: str) -> int:
    return main([str(video), "--backend", "null", *arguments])


def drawn(path: Path) -> bytes:
    """A mask as a user draws it."""
    Image.new("L", (64, 48), 255).save(path)
    return path.read_bytes()


def test_it_is_kept_and_may_be_found_again(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = video.with_name("holiday_repaired_mask.png")
    assert infer(video) == 0
    assert f"marked in {kept}" in capsys.readouterr().err
    with Image.open(kept) as mask:
        assert np.asarray(mask).sum() == 8 * 16 * 255
    first = kept.read_bytes()
    video.with_name("holiday_repaired.mp4").unlink()
    assert infer(video) == 0
    assert kept.read_bytes() == first


@pytest.mark.parametrize("preview", [(), ("--preview", "seen.png")], ids=["run", "preview"])
def test_a_mask_that_a_user_drew_is_not_replaced(
    preview: tuple[str, ...],
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    own = video.with_name("holiday_mask.png")
    before = drawn(own)
    arguments = ("--mask", "auto", "--out", str(video.with_name("holiday.mkv")), *preview)
    assert infer(video, *arguments) == 2
    assert f"{own}: exists already; give --overwrite" in capsys.readouterr().err
    assert own.read_bytes() == before
    assert infer(video, *arguments, "--overwrite") == 0
    assert own.read_bytes() != before


def test_a_mask_that_was_given_is_not_replaced_at_all(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = video.with_name("holiday_mask.png")
    before = drawn(own)
    arguments = ("--mask", str(own), "--mask", "auto", "--out", str(video.with_name("holiday.mkv")), "--overwrite")
    assert infer(video, *arguments) == 2
    assert f"{own}: is another file of this run already" in capsys.readouterr().err
    assert own.read_bytes() == before


def found_elsewhere(path: Path) -> bytes:
    """The mask that lies there, as a run on another video would have written it."""
    with Image.open(path) as mask:
        words = PngInfo()
        words.add_text("Software", mask.info["Software"])
    Image.new("L", (64, 48)).save(path, pnginfo=words)
    return path.read_bytes()


def begin_work(video: Path) -> None:
    """What a run of an earlier day left of the result that has the usual name."""
    folder = folder_of(video.with_name(f"{video.stem}_repaired.mp4"))
    folder.mkdir()
    (folder / FINGERPRINT).write_text("of an earlier day")


def test_a_run_that_has_nothing_to_go_on_with_looks_for_itself(video: Path) -> None:
    kept = video.with_name("holiday_repaired_mask.png")
    assert infer(video) == 0
    first = kept.read_bytes()
    assert found_elsewhere(kept) != first
    video.with_name("holiday_repaired.mp4").unlink()
    assert infer(video, "--resume") == 0
    assert kept.read_bytes() == first


def test_a_run_that_goes_on_keeps_the_mask_that_it_began_with(video: Path, tmp_path: Path) -> None:
    kept = video.with_name("holiday_repaired_mask.png")
    assert infer(video) == 0
    began_with = found_elsewhere(kept)
    video.with_name("holiday_repaired.mp4").unlink()
    begin_work(video)
    assert infer(video, "--resume", "--preview", str(tmp_path / "seen.png")) == 0
    assert kept.read_bytes() == began_with


@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
def test_a_mask_that_a_user_drew_is_not_taken_for_one_that_was_found(
    begun: bool, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = video.with_name("holiday_repaired_mask.png")
    before = drawn(own)
    if begun:
        begin_work(video)
    assert infer(video, "--mask", "auto", "--resume") == 2
    assert f"{own}: exists already; give --overwrite" in capsys.readouterr().err
    assert own.read_bytes() == before
