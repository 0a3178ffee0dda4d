"""Unfinished work goes on only where everything that the result hangs on is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.cli import main
from runtime.errors import OutputError
from tests.clips import Clip, write_clip

ANOTHER = [
    [],
    ["--mask", "two.png"],
    ["--box", "0,0,9,9"],
    ["--dilate", "1"],
    ["--no-seamless"],
    ["--feather", "2"],
    ["--temporal-smooth", "1"],
    ["--grain"],
    ["--quality", "draft"],
    ["--schedule", "reference"],
    ["--crf", "30"],
    ["--deinterlace"],
]


def draw(path: Path, left: int) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, left:44] = 255
    Image.fromarray(mask).save(path)


def test_whatever_changes_the_result_makes_it_other_work(
    tmp_path: Path, any_window: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(64, 48, 6))
    draw(tmp_path / "one.png", 20)
    draw(tmp_path / "two.png", 24)
    noted: list[str] = []

    def stop(_out: Path, told: str, **_: object) -> None:
        noted.append(told)
        raise OutputError("it is enough")

    monkeypatch.setattr("runtime.repair.open_work", stop)
    monkeypatch.chdir(tmp_path)
    common = ["clip.mp4", "--mask", "one.png", "--backend", "null", "--bundle", str(any_window), "--cuts", "none"]
    for more in ANOTHER:
        assert main([*common, "--resume", *more]) == 2
    draw(tmp_path / "one.png", 28)  # the same name, another mask
    assert main([*common, "--resume"]) == 2
    assert len(set(noted)) == len(noted) == len(ANOTHER) + 1


def test_what_changes_no_frame_does_not(tmp_path: Path, any_window: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(64, 48, 6))
    noted: list[str] = []

    def stop(_out: Path, told: str, **_: object) -> None:
        noted.append(told)
        raise OutputError("it is enough")

    monkeypatch.setattr("runtime.repair.open_work", stop)
    common = [str(tmp_path / "clip.mp4"), "--box", "0,0,9,9", "--backend", "null", "--bundle", str(any_window)]
    for more in ([], ["--streams", "2"], ["--threads", "1"], ["--no-cuda-graph"]):
        assert main([*common, "--resume", *more]) == 2
    assert len(noted) == 4
    assert len(set(noted)) == 1
