"""`--streams` from file to file: the same result, and nothing left behind where a stage fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime import backends, repair
from runtime.cli import main
from runtime.fingerprint import fingerprint
from tests.clips import Clip, write_clip
from tests.slowed import STREAMS
from tests.stand_ins import Counting, Mixing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clip of several windows with its mask beside it."""
    write_clip(tmp_path / "clip.mp4", Clip(frames=30), movflags="+faststart")
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:44] = 255
    Image.fromarray(mask).save(tmp_path / "clip_mask.png")
    return tmp_path


def chosen(backend: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair.backends, "choose", lambda name, *_: backends.Chosen(name, backend, ()))


def infer(folder: Path, bundle: Path, *arguments: str) -> int:
    common = ["--bundle", str(bundle), "--overwrite", "--cuts", "none", "--json"]
    return main([str(folder / "clip.mp4"), *common, *arguments])


def test_the_file_is_the_same_to_the_byte_however_many_windows_are_under_way(
    folder: Path, any_window: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(Mixing(), monkeypatch)
    asked: list[Sequence[Any]] = []

    def watched(bundle: Any, files: Any, choices: Sequence[Any], runs_on: str) -> str:
        asked.append(choices)
        return fingerprint(bundle, files, choices, runs_on)

    monkeypatch.setattr(repair, "fingerprint", watched)
    files: list[bytes] = []
    for streams in ("1", "2", "4"):
        assert infer(folder, any_window, "--streams", streams) == 0
        files.append((folder / "clip_repaired.mp4").read_bytes())
        summary = json.loads(capsys.readouterr().out)
        assert set(STREAMS) <= set(summary["busy"])
        assert 0 <= summary["overlap"] <= summary["seconds"]
    assert files[1:] == files[:1] * 2
    assert asked[1:] == asked[:1] * 2, "a run that was stopped may go on with another number of streams"


@pytest.mark.parametrize("streams", ["1", "3"])
@pytest.mark.parametrize("fails_at", [1, 25])
def test_a_stage_that_fails_leaves_no_file_and_no_thread(
    streams: str, fails_at: int, folder: Path, any_window: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(Counting(fails_at), monkeypatch)
    before, threads = sorted(folder.iterdir()), threading.active_count()
    with pytest.raises(RuntimeError, match="the device is gone"):
        infer(folder, any_window, "--streams", streams)
    assert sorted(folder.iterdir()) == before
    assert threading.active_count() == threads


@pytest.mark.parametrize("streams", ["0", "9", "two"])
def test_a_number_of_streams_that_makes_no_sense_is_refused(
    streams: str, folder: Path, any_window: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        infer(folder, any_window, "--streams", streams)
    assert caught.value.code == 2
    assert "no whole number from 1 to 8" in capsys.readouterr().err
