"""Speed against quality: what infer.py does at another pace, and what the bench prints and draws of it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.quality import main
from bench.quality_chart import Point, drawn, front
from runtime.cli import main as infer
from runtime.schedule import QUALITIES
from tests.clips import Clip, write_clip
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE

FRAMES = 26


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Two clips with a mask beside each."""
    made = [write_clip(tmp_path / f"{name}.mp4", Clip(WIDTH, HEIGHT, frames=FRAMES)) for name in ("one", "two")]
    for clip in made:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[10:30, 20:50] = 255
        Image.fromarray(mask).save(clip.with_name(f"{clip.stem}_mask.png"))
    return made


def test_every_pace_repairs_every_frame_and_says_which_it_was(
    clips: list[Path], any_window: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for quality in QUALITIES:
        out = clips[0].with_name(f"{quality}.mp4")
        arguments = [str(clips[0]), "--out", str(out), "--bundle", str(any_window), "--quality", quality, "--json"]
        assert infer(arguments) == 0
        summary = json.loads(capsys.readouterr().out)
        assert (summary["quality"], summary["frames"], summary["repaired"]) == (quality, FRAMES, FRAMES)


def test_the_bench_holds_every_way_against_the_first(
    clips: list[Path], any_window: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table, chart = tmp_path / "quality.csv", tmp_path / "quality.svg"
    ways = ["--ways", "11+5/5,11+5/11,3+0/3", "--bundle", str(any_window), "--backend", "onnxruntime"]
    assert main([*map(str, clips), *ways, "--frames", "20", "--out", str(table), "--svg", str(chart)]) == 0
    assert re.findall(r"^ *(\S+/\S+) ", capsys.readouterr().out, re.MULTILINE) == ["11+5/5", "11+5/11", "3+0/3"]
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert (rows[0]["times_first"], rows[0]["against_first_db"]) == ("1.000", "+0.000")
    for row in rows:
        gain = float(row["psnr_in_hole_db"]) - float(rows[0]["psnr_in_hole_db"])
        assert float(row["against_first_db"]) == pytest.approx(gain, abs=TOLERANCE["quality bench", "printed"])
        assert float(row["warping_error_levels"]) > 0
    assert len({row["psnr_in_hole_db"] for row in rows}) == 3
    assert re.findall(r">(\d+\+\d+/\d+)<", chart.read_text()) == ["11+5/5", "11+5/11", "3+0/3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ways", "5+5/6"], "the stride at most the targets"),
        (["--ways", "fast"], "wanted TARGETS+REFERENCES/STRIDE"),
        (["--svg", "chart.png"], "wanted a name that ends in .svg"),
    ],
)
def test_mistakes_cost_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clip.mp4", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    slow, fast, worse, equal = Point("a", 1, 20), Point("b", 2, 19), Point("c", 1.5, 18), Point("d", 1.9, 19)
    assert front([slow, fast, worse, equal]) == [slow, fast]


def test_a_better_way_is_drawn_higher_and_a_faster_one_further_right() -> None:
    chart = drawn([Point("a", 1.0, 20.0), Point("b", 2.0, 19.5)], "any")
    (ax, ay), (bx, by) = (tuple(map(float, dot)) for dot in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', chart))
    assert ax < bx
    assert ay < by  # SVG counts downwards
