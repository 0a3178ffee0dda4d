"""infer.py as a user meets it: what it makes, what it says, and that a mistake costs one line and nothing else."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime import backends
from runtime.cli import main
from runtime.video import VideoReader
from tests.clips import Clip, write_clip
from tests.slowed import STREAMS
from tests.tolerances import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clip with its mask beside it."""
    write_clip(tmp_path / "clip.mp4", Clip(frames=FRAMES), movflags="+faststart")
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:44] = 255
    Image.fromarray(mask).save(tmp_path / "clip_mask.png")
    return tmp_path


def infer(folder: Path, *arguments: str) -> int:
    """infer.py on the null backend with paths relative to `folder`."""
    return main([str(folder / a) if a.startswith("clip") or "/" in a else a for a in arguments] + ["--backend", "null"])


def frames_of(path: Path) -> int:
    with VideoReader(path) as reader:
        return sum(1 for _ in reader)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_mask_beside_the_video_is_found_and_the_result_lies_beside_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(folder, "clip.mp4") == 0
    assert frames_of(folder / "clip_repaired.mp4") == FRAMES
    line = capsys.readouterr().out
    assert f"{FRAMES} frames" in line
    assert "null" in line
    assert "transformer" in line


def test_json_is_for_machines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert infer(folder, "clip.mp4", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == FRAMES
    assert summary["fps"] == pytest.approx(FRAMES / summary["seconds"], abs=TOLERANCE["summary", "fps"])
    assert set(summary["busy"]) >= {"decode", "prepare", *STREAMS, "composite", "write"}


def test_a_pattern_gives_lossless_frames(folder: Path) -> None:
    assert infer(folder, "clip.mp4", "--out", str(folder / "out" / "%05d.png")) == 0
    assert len(list((folder / "out").iterdir())) == FRAMES


def test_a_box_needs_no_mask(folder: Path) -> None:
    (folder / "clip_mask.png").unlink()
    assert infer(folder, "clip.mp4", "--box", "0,0,10,10", "--box", "54,38,10,10") == 0


def test_an_existing_result_is_kept_unless_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clip_repaired.mp4").write_bytes(b"precious")
    assert infer(folder, "clip.mp4") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "clip_repaired.mp4").read_bytes() == b"precious"
    assert infer(folder, "clip.mp4", "--overwrite") == 0
    assert frames_of(folder / "clip_repaired.mp4") == FRAMES


def test_an_empty_mask_copies_the_video_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (64, 48)).save(folder / "clip_mask.png")
    assert infer(folder, "clip.mp4") == 0
    assert "mask is empty" in capsys.readouterr().err
    assert (folder / "clip_repaired.mp4").read_bytes() == (folder / "clip.mp4").read_bytes()


def test_a_copy_speaks_of_nothing_that_did_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (64, 48)).save(folder / "clip_mask.png")
    report = folder / "report.html"
    assert infer(folder, "clip.mp4", "--json", "--report", str(report), "--decoder", "cpu") == 0
    summary = json.loads(capsys.readouterr().out)
    told = {key: summary[key] for key in ("backend", "precision", "decoder", "encoder", "busy", "cuts", "regions")}
    none = dict.fromkeys(("backend", "precision", "decoder", "encoder"), "none")
    assert told == {**none, "busy": {}, "cuts": [], "regions": []}
    page = report.read_text(encoding="utf-8")
    assert "copied packet by packet" in page
    for fact in ("Network", "Backend", "Scene cuts", "Feather", "Grain"):
        assert f">{fact}<" not in page


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_keep_going_uses_what_decodes_and_names_what_is_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut(folder / "clip.mp4", 0.7)
    assert infer(folder, "clip.mp4", "--keep-going") == 3
    assert "lost: " in capsys.readouterr().err
    assert 0 < frames_of(folder / "clip_repaired.mp4") < FRAMES


def test_every_backend_is_listed_with_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-backends"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(backends.names())
    assert all("can run here" in line or "cannot run here: " in line for line in lines)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_missing_library_is_named_with_its_remedy(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([str(folder / "clip.mp4"), "--backend", name]) == 2
    assert f"pip install {name}" in capsys.readouterr().err


def break_bundle(folder: Path) -> None:
    shutil.copytree(ROOT / "assets" / "bundles" / "sttn-small", folder / "broken")
    cut(folder / "broken" / "decoder.onnx", 0.5)


def nothing(folder: Path) -> None:
    """No preparation."""


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return prepare


def small_mask(folder: Path) -> None:
    Image.new("L", (32, 24), 255).save(folder / "clip_mask.png")


def few_masks(folder: Path) -> None:
    (folder / "clip_mask").mkdir()
    for index in range(FRAMES - 2):
        Image.new("L", (64, 48), 255).save(folder / "clip_mask" / f"{index}.png")


def no_mask(folder: Path) -> None:
    (folder / "clip_mask.png").unlink()


def file_as_folder(folder: Path) -> None:
    (folder / "taken").write_bytes(b"a file")


def no_frames(folder: Path) -> None:
    write_clip(folder / "clip.mp4", Clip(frames=0))


MISTAKES: list[tuple[str, Callable[[Path], None], tuple[str, ...], str]] = [
    ("no such file", nothing, ("clip_none.mp4",), "no such file"),
    ("a folder", lambda f: (f / "clip_dir").mkdir(), ("clip_dir",), "folder"),
    ("not a video", write("clip.mp4", b"once upon a time" * 99), ("clip.mp4",), "not a video"),
    ("an empty file", write("clip.mp4", b""), ("clip.mp4",), "empty"),
    ("no frames", no_frames, ("clip.mp4",), "no video stream"),
    ("cut short", lambda f: cut(f / "clip.mp4", 0.7), ("clip.mp4",), "--keep-going"),
    ("no mask", no_mask, ("clip.mp4",), "--mask"),
    ("mask not there", nothing, ("clip.mp4", "--mask", "clip_none.png"), "no such mask"),
    ("mask is text", write("clip_mask.png", b"white"), ("clip.mp4",), "clip_mask.png"),
    ("mask of another size", small_mask, ("clip.mp4",), "32x24"),
    ("too few masks", few_masks, ("clip.mp4",), "10 masks, but the video has 12"),
    ("box of words", nothing, ("clip.mp4", "--box", "here"), "X,Y,W,H"),
    ("box of three", nothing, ("clip.mp4", "--box", "1,2,3"), "X,Y,W,H"),
    ("box without area", nothing, ("clip.mp4", "--box", "1,2,0,3"), "at least 1"),
    ("box outside", nothing, ("clip.mp4", "--box", "60,0,10,10"), "64x48"),
    (
        "boxes the other way round",
        nothing,
        ("clip.mp4", "--box", "0,0,9,9", "--invert-mask"),
        "--invert-mask: has no meaning for boxes",
    ),
    ("output is the input", nothing, ("clip.mp4", "--out", "clip.mp4", "--overwrite"), "clip.mp4"),
    ("output is the mask", nothing, ("clip.mp4", "--out", "clip_mask.png", "--overwrite"), "clip_mask.png"),
    ("output of unknown kind", nothing, ("clip.mp4", "--out", "clip.doc"), "clip.doc"),
    ("output below a file", file_as_folder, ("clip.mp4", "--out", "./taken/clip.mp4"), "taken"),
    ("no bundle", nothing, ("clip.mp4", "--bundle", "nowhere"), "no such bundle"),
    ("broken bundle", break_bundle, ("clip.mp4", "--bundle", "./broken"), "decoder.onnx"),
    ("crf too high", nothing, ("clip.mp4", "--crf", "52"), "0 (best) to 51"),
    ("crf of pictures", nothing, ("clip.mp4", "--crf", "9", "--out", "./%d.png"), "--crf: has no meaning for pictures"),
    ("codec of pictures", nothing, ("clip.mp4", "--codec", "av1", "--out", "./%d.png"), "--codec: has no meaning"),
    ("preset of pictures", nothing, ("clip.mp4", "--preset", "5", "--out", "./%d.png"), "--preset: has no meaning"),
    ("dilation of words", nothing, ("clip.mp4", "--dilate", "much"), "whole number"),
    ("unknown flag", nothing, ("clip.mp4", "--colour"), "--colour"),
    ("unknown schedule", nothing, ("clip.mp4", "--schedule", "random"), "random"),
    ("unknown quality", nothing, ("clip.mp4", "--quality", "fine"), "draft"),
    (
        "the published protocol at another pace",
        nothing,
        ("clip.mp4", "--schedule", "reference", "--quality", "draft"),
        "--quality draft: schedule 'reference'",
    ),
    ("no video at all", nothing, (), "which video"),
]


@pytest.mark.parametrize(("prepare", "arguments", "says"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_costs_one_line_and_exit_code_2(
    folder: Path,
    prepare: Callable[[Path], None],
    arguments: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(folder)
    before = listing(folder)
    try:
        code = infer(folder, *arguments)
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    assert code == 2
    assert len(printed.err.splitlines()) == 1, printed.err
    assert says in printed.err
    assert not printed.out
    assert listing(folder) == before


def test_a_playlist_opens_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = folder / "clip_list.mp4"
    script.write_text(f"ffconcat version 1.0\nfile '{folder / 'clip.mp4'}'\n")
    assert infer(folder, "clip_list.mp4", "--box", "0,0,8,8") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    write_clip(tmp_path / "long.mp4", Clip(frames=1500))
    command = [sys.executable, str(ROOT / "infer.py"), str(tmp_path / "long.mp4"), "--box", "0,0,20,20"]
    process = subprocess.Popen([*command, "--backend", "null"], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.strip() == "infer.py: interrupted; nothing was written (--resume would keep what is finished)"
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]
