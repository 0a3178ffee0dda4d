"""`make demo` keeps its promise: a repaired clip, a picture to look at, and more decibels than the classical way."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calib import demo
from calib.baselines import telea
from calib.clips import mask_of, picture_of, read_masked, replaced_in_whole, whole_frame
from calib.metrics import psnr_in_hole
from runtime import backends
from runtime.bundle import DEFAULT, read_bundle
from runtime.job import find_bundle
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
    # grey that is moved to continue the picture is a membrane, which is nearer to the truth than Telea; and no more
    assert float(figures[2]) < float(figures[1]) < 17
    with VideoReader(tmp_path / "city_repaired.mp4") as reader:
        assert len(list(reader)) == 30
    with Image.open(tmp_path / "before_mask_after.png") as picture:
        before, marked, after = (np.asarray(picture.crop((left, 0, left + 720, 404)), int) for left in (0, 732, 1464))
    hole = mask_of(list(read_masked(demo.DAMAGED))[15]).copy()
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
    damaged = list(read_masked(demo.DAMAGED))[:FRAMES]
    with VideoReader(demo.CLEAN) as reader:
        truth = [picture_of(frame) for frame in reader][:FRAMES]
    bundle = read_bundle(find_bundle(DEFAULT))
    backend = backends.choose("auto", bundle, "auto").backend
    session = Session(bundle, backend, Settings())
    repaired = list(session.restore(damaged, [whole_frame(damaged[0].frame)]))
    holes = [replaced_in_whole(masked, bundle.manifest.pixels) for masked in damaged]
    classical = [telea(picture_of(masked.frame), hole) for masked, hole in zip(damaged, holes, strict=True)]
    ours_db = psnr_in_hole((picture_of(done.frame) for done in repaired), truth, holes)
    assert ours_db > psnr_in_hole(classical, truth, holes) + TOLERANCE["demo", "db above Telea"]
