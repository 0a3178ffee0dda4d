"""Videos whose frames or masks do not come out even, and copies of videos that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.cli import main
from runtime.video import probe
from tests.clips import Clip, write_clip

SIZE = (64, 48)


def infer(video: Path, mask: Path, out: Path, *more: str) -> int:
    return main([str(video), "--mask", str(mask), "--backend", "null", "--out", str(out), *more])


def folder_of_masks(path: Path, number: int) -> Path:
    path.mkdir()
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[10:30, 20:44] = 255
    for index in range(number):
        Image.fromarray(mask).save(path / f"{index}.png")
    return path


def shortened(video: Path) -> Path:
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 2 // 3])
    return video


def empty_mask(path: Path) -> Path:
    Image.new("L", SIZE).save(path)
    return path


@pytest.mark.parametrize("masks", [11, 13])
def test_too_few_or_too_many_masks_are_told_where_packets_tell_no_number(masks: int, tmp_path: Path) -> None:
    """One that is too many is a sign that all are of other frames."""
    video = write_clip(tmp_path / "clip.ts", Clip(*SIZE, 12))
    out = tmp_path / "out.mkv"
    assert infer(video, folder_of_masks(tmp_path / "masks", masks), out) == 2
    assert not out.exists()


def test_of_a_damaged_video_nobody_knows_how_many_there_should_be(tmp_path: Path) -> None:
    video = shortened(write_clip(tmp_path / "clip.mkv", Clip(*SIZE, 60)))
    out = tmp_path / "out.mkv"
    assert infer(video, folder_of_masks(tmp_path / "masks", 60), out, "--keep-going") == 3
    assert out.exists()


def test_a_damaged_video_is_not_copied_as_if_it_were_whole(tmp_path: Path) -> None:
    video = shortened(write_clip(tmp_path / "clip.mp4", Clip(*SIZE, 30), movflags="+faststart"))
    out = tmp_path / "out.mp4"
    assert infer(video, empty_mask(tmp_path / "empty.png"), out) == 2
    assert not out.exists()


def test_what_is_to_be_made_progressive_is_not_copied(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.mp4", Clip(*SIZE, 12, fields="tff"))
    assert probe(video).interlaced
    out = tmp_path / "out.mp4"
    assert infer(video, empty_mask(tmp_path / "empty.png"), out, "--deinterlace") == 0
    assert not probe(out).interlaced
