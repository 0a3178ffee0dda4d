"""infer.py on what people really have: several files, clean stretches, pictures, interrupted runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.cli import main
from runtime.frame import Frame
from runtime.video import open_reader
from tests.clips import Clip, write_clip

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 40
LOSSLESS = Clip(width=96, height=64, frames=FRAMES, codec="ffv1", pix_fmt="yuv420p")
HOLE = (40, 20, 16, 12)  # left, top, width, height
BOX = ",".join(map(str, HOLE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clip(tmp_path / "a.mkv", LOSSLESS)
    return tmp_path


def infer(*arguments: str | Path) -> int:
    try:
        return main([*map(str, arguments), "--backend", "null"])
    except SystemExit as stop:
        return int(str(stop.code))


def frames(path: Path) -> list[Frame]:
    with open_reader(path) as reader:
        return list(reader)


def luma(path: Path) -> list[np.ndarray]:
    return [frame.planes[0] for frame in frames(path)]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def changed(folder: Path, out: str) -> list[np.ndarray]:
    """Where the luma of each frame of the result differs from the source's."""
    before, after = luma(folder / "a.mkv"), luma(folder / out)
    assert len(before) == len(after)
    return [one != other for one, other in zip(before, after, strict=True)]


def test_a_box_with_times_costs_and_changes_only_its_frames(folder: Path) -> None:
    assert infer(folder / "a.mkv", "--box", f"{BOX}@0.4-0.8", "--out", folder / "b.mkv") == 0
    touched = [index for index, where in enumerate(changed(folder, "b.mkv")) if where.any()]
    assert touched == list(range(10, 20))  # at 25 frames a second; the end is not in it


def test_every_pixel_outside_the_grown_mask_is_the_source_s_own(folder: Path) -> None:
    assert infer(folder / "a.mkv", "--box", BOX, "--dilate", "2", "--feather", "3", "--out", folder / "b.mkv") == 0
    left, top, width, height = HOLE
    allowed = np.zeros((64, 96), np.bool_)
    grown = 2 + 3 + 1  # cells of a network's pixel may be as large as one of the source, and one more at the rim
    allowed[top - grown : top + height + grown, left - grown : left + width + grown] = True
    for where in changed(folder, "b.mkv"):
        assert where[top : top + height, left : left + width].any()
        assert not (where & ~allowed).any()


def test_one_bad_file_does_not_stop_the_rest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.mkv").write_bytes(b"no video at all" * 100)
    write_clip(folder / "c.mkv", LOSSLESS)
    videos = (folder / "a.mkv", folder / "bad.mkv", folder / "c.mkv")
    assert infer(*videos, "--box", BOX, "--out", f"{folder}/done/") == 4
    assert names(folder / "done") == ["a_repaired.mkv", "c_repaired.mkv"]
    printed = capsys.readouterr()
    assert "bad.mkv" in printed.err
    assert printed.out.splitlines()[-1] == "3 videos: 2 written, 1 failed"


def test_when_all_fail_nothing_was_written(folder: Path) -> None:
    for name in ("bad.mkv", "worse.mkv"):
        (folder / name).write_bytes(b"no video at all" * 100)
    before = names(folder)
    assert infer(folder / "bad.mkv", folder / "worse.mkv", "--box", BOX) == 2
    assert names(folder) == before


def test_several_are_told_to_machines_line_by_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.mkv").write_bytes(b"no video at all" * 100)
    assert infer(folder / "*.mkv", "--box", BOX, "--json") == 4
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(item["video"]).name for item in told] == ["a.mkv", "bad.mkv"]
    assert told[0]["frames"] == FRAMES
    assert "not a video" in told[1]["error"]


def test_cuts_from_a_file_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "cuts.txt").write_text("# scenes\n12\n1.2s\n")
    out = folder / "b.mkv"
    assert infer(folder / "a.mkv", "--box", BOX, "--cuts", folder / "cuts.txt", "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["cuts"] == [12, 30]


def test_a_preview_repairs_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert infer(folder / "a.mkv", "--box", BOX, "--preview", folder / "look.png") == 0
    assert names(folder) == ["a.mkv", "look.png"]
    with Image.open(folder / "look.png") as picture:
        assert picture.width >= 2 * 96
    assert "1 region; nothing was repaired" in capsys.readouterr().out


def test_a_preview_is_drawn_where_a_result_lies_already(folder: Path) -> None:
    result = folder / "a_repaired.mkv"
    result.write_bytes(b"of yesterday")
    assert infer(folder / "a.mkv", "--box", BOX, "--preview", folder / "look.png") == 0
    assert result.read_bytes() == b"of yesterday"


def test_pictures_among_several_inputs_become_a_folder_in_the_folder(folder: Path) -> None:
    (folder / "stills").mkdir()
    for index in range(3):
        Image.new("RGB", (96, 64), (90, 40 * index, 60)).save(folder / "stills" / f"{index}.png")
    assert infer(folder / "stills", folder / "a.mkv", "--box", BOX, "--out", f"{folder}/done/") == 0
    pictures = [f"stills_repaired/{index:05d}.png" for index in range(3)]
    assert names(folder / "done") == ["a_repaired.mkv", *pictures]


def test_a_report_is_one_page_that_needs_nothing_else(folder: Path) -> None:
    assert infer(folder / "a.mkv", "--box", BOX, "--report", folder / "r.html") == 0
    page = (folder / "r.html").read_text()
    assert "40 of 40 frames repaired" in page
    assert page.count("data:image/") >= 6
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_a_report_that_cannot_be_written_is_said_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(folder / "a.mkv", "--box", BOX, "--report", folder / "nowhere" / "r.html") == 2
    assert "there is no folder" in capsys.readouterr().err
    assert names(folder) == ["a.mkv"]


def test_pictures_in_and_pictures_out(folder: Path) -> None:
    (folder / "in").mkdir()
    for index, picture in enumerate(np.random.default_rng(5).integers(0, 256, (12, 50, 70, 3), np.uint8)):
        Image.fromarray(picture).save(folder / "in" / f"{index + 7}.png")
    assert infer(folder / "in", "--box", "10,10,8,8", "--out", f"{folder}/out/") == 0
    assert names(folder / "out") == [f"{index:05d}.png" for index in range(12)]
    for index in range(12):
        before = np.asarray(Image.open(folder / "in" / f"{index + 7}.png"))
        after = np.asarray(Image.open(folder / "out" / f"{index:05d}.png"))
        assert np.array_equal(before[30:], after[30:])
        assert not np.array_equal(before, after)


def test_an_interrupted_run_goes_on_under_resume(any_window: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "long.mkv", Clip(width=96, height=64, frames=600, codec="ffv1"))
    asked = [str(tmp_path / "long.mkv"), "--box", BOX, "--bundle", str(any_window), "--backend", "null", "--resume"]
    process = subprocess.Popen([sys.executable, "infer.py", *asked], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    unfinished = tmp_path / "long_repaired.mkv.part"
    deadline = time.monotonic() + 60
    while len(list(unfinished.glob("*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"what is finished lies in {unfinished}; the same command goes on from there" in errors
    assert not (tmp_path / "long_repaired.mkv").exists()
    assert infer(*asked[:5]) == 2, "unfinished work is not thrown away unasked"
    assert main([*asked, "--json"]) == 0
    assert names(tmp_path) == ["long.mkv", "long_repaired.mkv"]
    assert main([*asked[:-1], "--out", str(tmp_path / "alone.mkv")]) == 0
    assert [frame.pts for frame in frames(tmp_path / "alone.mkv")] == [
        frame.pts for frame in frames(tmp_path / "long_repaired.mkv")
    ]
    for one, other in zip(luma(tmp_path / "alone.mkv"), luma(tmp_path / "long_repaired.mkv"), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--report", "r.html"), "one video at a time"),
        (("--preview", "p.png"), "one video at a time"),
        (("--out", "one.mkv"), "name a folder"),
        (("--max-upscale", "0.5"), "from 1 to 64"),
        (("--temporal-smooth", "99"), "from 0 to 5"),
        (("--fps", "fast"), "no frame rate"),
        (("--resume", "--keep-going"), "--keep-going"),
        (("--region", "half"), "half"),
    ],
)
def test_options_that_make_no_sense_cost_one_line(
    arguments: tuple[str, ...], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(folder / "c.mkv", LOSSLESS)
    before = names(folder)
    assert infer(folder / "a.mkv", folder / "c.mkv", *arguments) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert len(errors.splitlines()) == 1
    assert names(folder) == before
