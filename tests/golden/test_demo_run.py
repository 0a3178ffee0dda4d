"""`make demo` keeps its promise: a repaired clip, a picture to look at, and more decibels than the classical way."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calib import demo
from calib.metrics import psnr_in_hole, telea
from runtime import backends
from runtime.bundle import DEFAULT, read_bundle
from runtime.frame import RGB, Frame, Hole
from runtime.job import find_bundle
from runtime.masks import cover, find_mask_beside, open_masks, spread
from runtime.pixels import rgb_at
from runtime.session import Session, Settings
from runtime.video import VideoReader
from tests.tolerances import TOLERANCE

FRAMES = 16  # the shortest clip of full windows


def test_the_demo_writes_a_clip_and_a_picture_and_prints_both_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="the demo compares with OpenCV's inpainting; install the extra demo")
    assert demo.main(["--out", str(tmp_path), "--backend", "null"]) == 0
    said = capsys.readouterr().out
    figures = re.search(r"vidmend (-?[\d.]+) dB, Telea (-?[\d.]+) dB", said)
    assert figures is not None, said
    assert float(figures[1]) < float(figures[2])  # the null backend paints grey
    with VideoReader(tmp_path / "city_repaired.mp4") as reader:
        assert len(list(reader)) == 30
    with Image.open(tmp_path / "before_mask_after.png") as picture:
        before, marked, after = (np.asarray(picture.crop((left, 0, left + 720, 404)), int) for left in (0, 732, 1464))
    hole = _replaced(_masks(demo.DAMAGED))[15]
    outside = ~hole
    hole[:60] = outside[:60] = False  # the captions
    assert np.array_equal(before[outside], marked[outside])
    assert (before[hole] != marked[hole]).any(axis=1).all()
    assert np.abs(after[hole] - before[hole]).mean() > np.abs(after[outside] - before[outside]).mean()


def test_the_demo_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--out", str(tmp_path), "--backend", "nothing"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "nothing" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_default_network_beats_telea_on_the_demo_clip() -> None:
    pytest.importorskip("cv2", reason="the baseline is OpenCV's; install the extra demo")
    frames = _frames(demo.DAMAGED)[:FRAMES]
    truth = [_rgb(frame) for frame in _frames(demo.CLEAN)[:FRAMES]]
    masks = _masks(demo.DAMAGED)[:FRAMES]
    _, backend = backends.choose("auto")
    session = Session(read_bundle(find_bundle(DEFAULT)), backend, Settings())
    repaired = list(session.restore(zip(frames, masks, strict=True)))
    holes = _replaced(masks)
    classical = [telea(_rgb(frame), hole) for frame, hole in zip(frames, holes, strict=True)]
    ours_db = psnr_in_hole(map(_rgb, repaired), truth, holes)
    assert ours_db > psnr_in_hole(classical, truth, holes) + TOLERANCE["demo", "db above Telea"]


def _frames(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def _masks(path: Path) -> list[Hole]:
    with VideoReader(path) as reader:
        masks = open_masks(find_mask_beside(path), (), reader.info)
        read = [masks.read(frame.index) for frame in islice(reader, 30)]
        masks.close()
    return [hole.copy() for hole in read if hole is not None]


def _replaced(masks: list[Hole]) -> list[Hole]:
    """What the default bundle replaces of frames so masked."""
    rule = read_bundle(find_bundle(DEFAULT)).manifest.pixels
    return [spread(cover(mask, rule, rule.dilate), mask.shape[1], mask.shape[0]) for mask in masks]


def _rgb(frame: Frame) -> RGB:
    return np.asarray(rgb_at(frame, frame.width, frame.height), np.uint8)
