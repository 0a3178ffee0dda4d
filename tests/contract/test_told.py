"""What infer.py says of a run: its summary for programs, its page for people, and what pictures lose."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime import backends
from runtime.cli import main
from runtime.job import Job
from runtime.progress import Progress
from runtime.repair import repair
from runtime.summary import Summary
from tests.clips import Clip, write_clip

BOX = "40,20,16,12"
LOSSLESS = Clip(width=96, height=64, frames=6, codec="ffv1", pix_fmt="yuv420p")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clip(tmp_path / "a.mkv", LOSSLESS)
    return tmp_path


def infer(*arguments: str | Path) -> int:
    return main([*map(str, arguments), "--backend", "null"])


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Standard output, every line of which must be an object."""
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(isinstance(line, dict) for line in found)
    return found


def test_the_summary_names_encoder_and_masks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.eye(64, 96, dtype=np.uint8) * 255).save(folder / "m.png")
    mask = str(folder / "m.png")
    asked = ("--codec", "h264", "--crf", "21", "--out", folder / "b.mkv")
    assert infer(folder / "a.mkv", "--mask", mask, "--box", f"{BOX}@0.1-", *asked, "--json") == 0
    (line,) = told(capsys)
    assert line["masks"] == [mask, f"box {BOX}@0.1-"]
    assert line["encoder"] == "H.264 (libx264), crf 21, preset veryfast, yuv420p"


def test_of_masks_and_boxes_the_masks_are_said_to_be_the_other_way_round(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = folder / "m.png"
    Image.fromarray(255 - np.eye(64, 96, dtype=np.uint8) * 255).save(mask)
    assert infer(folder / "a.mkv", "--mask", mask, "--invert-mask", "--box", BOX, "--json") == 0
    (line,) = told(capsys)
    assert line["masks"] == [f"{mask}, the other way round", f"box {BOX}"]


def test_a_report_tells_masks_encoder_and_when_it_was_made(folder: Path) -> None:
    mask = folder / "<b>&mask.png"
    Image.new("L", (96, 64), 255).crop((0, 0, 96, 64)).save(mask)
    before = datetime.now().astimezone().replace(microsecond=0)
    report = folder / "r.html"
    assert infer(folder / "a.mkv", "--mask", mask, "--yes", "--report", report, "--out", folder / "%d.png") == 0
    page = report.read_text()
    assert f'<th scope="row">Replaced</th><td><bdi>{folder}/&lt;b&gt;&amp;mask.png</bdi></td>' in page
    assert '<th scope="row">Encoder</th><td><bdi>PNG, rgb24</bdi></td>' in page
    when = page.split('<th scope="row">Finished</th><td><bdi>')[1].split("</bdi>")[0]
    assert before <= datetime.strptime(when, "%Y-%m-%d %H:%M:%S %z") <= datetime.now().astimezone()


def test_a_report_of_a_copy_names_no_encoder(folder: Path) -> None:
    Image.new("L", (96, 64)).save(folder / "m.png")
    assert infer(folder / "a.mkv", "--mask", folder / "m.png", "--report", folder / "r.html") == 0
    assert "none: copied packet by packet" in (folder / "r.html").read_text()


@pytest.mark.parametrize("several", [False, True])
def test_a_video_that_fails_is_an_object_with_its_error(
    folder: Path, several: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = folder / 'b "quoted"\n.mkv'
    bad.write_bytes(b"no video")
    videos = [folder / "a.mkv", bad] if several else [bad]
    assert infer(*videos, "--box", BOX, "--json") == (4 if several else 2)
    *done, failed = told(capsys)
    assert failed["video"] == str(bad)
    assert "not a video file that can be opened" in str(failed["error"])
    assert set(failed) == {"video", "error"}
    assert [line["frames"] for line in done] == ([6] if several else [])


def test_a_mistake_before_the_first_video_is_an_object_with_the_error_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(folder / "a.mkv", "--box", BOX, "--json", "--resume", "--keep-going") == 2
    (mistake,) = told(capsys)
    assert set(mistake) == {"error"}
    assert str(mistake["error"]).startswith("--resume: cannot be used with --keep-going")


@pytest.mark.parametrize(("box", "regions"), [((BOX,), 1), ((), 0)])
def test_a_preview_is_told_to_programs(
    folder: Path, box: tuple[str, ...], regions: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (96, 64)).save(folder / "m.png")
    masks = ["--box", *box] if box else ["--mask", str(folder / "m.png")]
    assert infer(folder / "a.mkv", *masks, "--preview", folder / "p.png", "--json") == 0
    (line,) = told(capsys)
    assert (line["video"], line["preview"]) == (str(folder / "a.mkv"), str(folder / "p.png"))
    assert line["masks"] == ([f"box {BOX}"] if box else [str(folder / "m.png")])
    assert len(line["regions"]) == regions  # type: ignore[arg-type]


def test_backends_are_told_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-backends", "--json"]) == 0
    lines = told(capsys)
    assert [line["backend"] for line in lines] == list(backends.names())
    for line in lines:
        assert line["runs"] is (backends.get(str(line["backend"])).why_not() is None)
        assert str(line["says"]).startswith("can run here" if line["runs"] else "cannot run here: ")


def test_graphs_in_int8_are_told_of_backends_that_run_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-backends"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    able = {name for name, _ in lines if backends.get(name).why_not() is None}
    assert {name for name, says in lines if says.endswith(", int8 graphs too")} == able & {"onnxruntime", "openvino"}
    assert dict(lines)["null"] == "can run here, in zeros"


ADVICE = " (--resume would keep what is finished)"


@pytest.mark.parametrize(
    ("arguments", "done", "told"),
    [
        ((), 0, f"nothing was written{ADVICE}"),
        (("b.mkv", "c.mkv"), 1, f"of this video nothing was written{ADVICE}; done: 1 of 3 videos"),
        (("b.mkv",), 0, f"of this video nothing was written{ADVICE}; done: 0 of 2 videos"),
        (("--resume",), 0, "nothing was written: no segment was finished yet"),
        (("--resume", "--out", "%d.png"), 0, "nothing was written: no picture was finished yet"),
        (("--keep-going",), 0, "nothing was written"),
        (("--preview", "p.png"), 0, "nothing was written"),
        (("--preview", "p.png", "--resume"), 0, "nothing was written"),
    ],
)
def test_an_interruption_says_what_is_there(
    folder: Path,
    arguments: tuple[str, ...],
    done: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("b.mkv", "c.mkv"):
        write_clip(folder / name, LOSSLESS)
    jobs: list[Job] = []

    def stopped(job: Job, progress: Progress) -> Summary:
        jobs.append(job)
        if len(jobs) > done:
            raise KeyboardInterrupt
        return repair(job, progress)

    monkeypatch.setattr("runtime.cli.repair", stopped)
    monkeypatch.setattr("runtime.cli.preview", lambda job, _target, progress: stopped(job, progress))
    monkeypatch.chdir(folder)
    assert infer("a.mkv", *arguments, "--box", BOX) == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"infer.py: interrupted; {told}"


def test_pictures_of_a_shorter_run_are_all_that_is_left_of_their_pattern(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(folder / "short.mkv", Clip(width=96, height=64, frames=2, codec="ffv1"))
    out = folder / "out" / "%05d.png"
    assert infer(folder / "a.mkv", "--box", BOX, "--out", out) == 0
    (folder / "out" / "5.png").write_text("of another pattern")
    assert infer(folder / "short.mkv", "--box", BOX, "--out", out) == 2
    assert "replace all pictures of that name and a number with --overwrite" in capsys.readouterr().err
    assert len(list((folder / "out").iterdir())) == 7
    assert infer(folder / "short.mkv", "--box", BOX, "--out", out, "--overwrite") == 0
    note = "note: 4 pictures of an earlier, longer result removed: 00002.png to 00005.png"
    assert note in capsys.readouterr().err.splitlines()
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["00000.png", "00001.png", "5.png"]


def opaque(path: Path) -> None:
    Image.new("RGBA", (96, 64), (10, 20, 30, 255)).save(path)


def clear(path: Path) -> None:
    Image.new("RGBA", (96, 64), (10, 20, 30, 128)).save(path)


@pytest.mark.parametrize(("last", "noted"), [(opaque, False), (clear, True)])
def test_transparency_is_said_to_be_dropped_only_where_a_picture_had_some(
    tmp_path: Path, last: Callable[[Path], None], noted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    opaque(tmp_path / "in" / "0.png")
    last(tmp_path / "in" / "1.png")
    assert infer(tmp_path / "in", "--box", BOX, "--out", tmp_path / "out.mp4", "--json") == 0
    (line,) = told(capsys)
    assert any("transparency is dropped" in str(note) for note in line["notes"]) is noted  # type: ignore[attr-defined]


def test_one_frame_is_one_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "one.mp4", Clip(width=96, height=64, frames=1))
    report = tmp_path / "r.html"
    assert infer(tmp_path / "one.mp4", "--box", BOX, "--report", report, "--out", tmp_path / "x.mkv") == 0
    assert ": 1 frame in" in capsys.readouterr().out
    assert "1 of 1 frame repaired" in report.read_text()
    assert "1 frame, 1 of them repaired, 0 cuts" in report.read_text()
    (tmp_path / "m").mkdir()
    for number in range(2):
        Image.new("L", (96, 64)).save(tmp_path / "m" / f"{number}.png")
    assert infer(tmp_path / "one.mp4", "--mask", tmp_path / "m", "--out", tmp_path / "y.mkv") == 2
    assert "2 masks, but the video has 1 frame;" in capsys.readouterr().err
