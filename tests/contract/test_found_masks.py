"""The mask of an overlay that was found is kept beside the result, and replaces nothing but another such mask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime import mask_choice
from runtime.cli import main
from runtime.frame import Frame
from runtime.overlay import Overlay
from runtime.video import VideoInfo
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
