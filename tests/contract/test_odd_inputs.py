"""Inputs that are odd and legal: names, rates, colour profiles, lengths that nobody tells."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from runtime.cli import main
from runtime.options import build_parser
from runtime.video import VideoReader
from tests.clips import Clip, write_clip

ROOT = Path(__file__).resolve().parents[2]
BOX = ("--box", "0,0,9,9", "--backend", "null")


@pytest.mark.parametrize("kind", ["pictures", "animated"])
def test_pngs_with_a_colour_profile(kind: str, tmp_path: Path) -> None:
    """PyAV frees the profile's name twice: a process of its own, since that ends one."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pictures = [Image.new("RGB", (48, 32), (shade * 4, 90, 200 - shade)) for shade in range(40)]
    if kind == "pictures":
        source = tmp_path / "in"
        source.mkdir()
        for number, picture in enumerate(pictures):
            picture.save(source / f"{number:03}.png", icc_profile=profile)
    else:
        source = tmp_path / "in.apng"
        pictures[0].save(source, "PNG", save_all=True, append_images=pictures[1:], icc_profile=profile)
    command = [sys.executable, "infer.py", str(source), "--cuts", "none", *BOX]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f" {len(pictures)} frames " in done.stdout


def test_a_percent_sign_is_a_letter(tmp_path: Path) -> None:
    write_clip(tmp_path / "50% off.mp4", Clip(frames=5))
    assert main([str(tmp_path / "50% off.mp4"), *BOX]) == 0
    assert main([str(tmp_path / "50% off.mp4"), "--out", str(tmp_path / "done") + "/", *BOX]) == 0
    assert main([str(tmp_path / "50% off.mp4"), "--out", str(tmp_path / "100% clean.mp4"), *BOX]) == 0
    for name in ("50% off_repaired.mp4", "done/50% off_repaired.mp4", "100% clean.mp4"):
        with VideoReader(tmp_path / name) as reader:
            assert sum(1 for _ in reader) == 5


@pytest.mark.parametrize("name", ["100%done", "take_%02d", "%d"])
def test_a_place_for_a_number_is_letters_in_the_name_of_a_video(name: str, tmp_path: Path) -> None:
    write_clip(tmp_path / f"{name}.mp4", Clip(frames=5))
    assert main([str(tmp_path / f"{name}.mp4"), *BOX]) == 0
    assert main([str(tmp_path / f"{name}.mp4"), "--out", str(tmp_path / "done_%03d.MKV"), *BOX]) == 0
    for made in (f"{name}_repaired.mp4", "done_%03d.MKV"):
        with VideoReader(tmp_path / made) as reader:
            assert sum(1 for _ in reader) == 5


def test_a_video_with_a_place_for_a_number_that_is_not_there_is_no_pattern(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "take_01.mp4", Clip(frames=2))
    assert main([str(tmp_path / "take_%02d.mp4"), *BOX]) == 2
    assert "take_%02d.mp4: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["%5d.png", "a%d.jpg", "%05d"])
def test_a_pattern_that_cannot_be_used_is_no_name_either(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=2))
    assert main([str(clip), "--out", str(tmp_path / out), *BOX]) == 2
    assert "not a pattern that can be used" in capsys.readouterr().err


@pytest.mark.parametrize("frames", [2, 20])
def test_a_preview_of_a_short_video_that_does_not_tell_its_length(frames: int, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", Clip(frames=frames))
    assert main([str(clip), *BOX, "--preview", str(tmp_path / "seen.png")]) == 0
    with Image.open(tmp_path / "seen.png") as seen:
        assert seen.height > Clip().height


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("23.976023976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("24.0", Fraction(24)),
    ],
)
def test_a_rate_as_people_write_it(text: str, rate: Fraction) -> None:
    assert build_parser().parse_args(["in", "--fps", text]).fps == rate


@pytest.mark.parametrize("arguments", [[""], ["clip.mp4", "--out", ""], ["clip.mp4", "--mask", ""]])
def test_an_empty_argument_is_no_folder(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "an argument is empty" in capsys.readouterr().err


def counted_on(stream: bytes) -> bytes:
    """A transport stream whose packets are counted from beginning to end, as those who put recordings together do."""
    whole, counters = bytearray(stream), dict[int, int]()
    for at in range(0, len(whole), 188):
        identity = (whole[at + 1] & 0x1F) << 8 | whole[at + 2]
        if whole[at + 3] & 0x10:  # it carries something, and so counts
            counters[identity] = (counters.get(identity, -1) + 1) % 16
        whole[at + 3] = whole[at + 3] & 0xF0 | max(0, counters.get(identity, 0))
    return bytes(whole)


def test_times_that_start_again_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two recordings in one transport stream: all of the second would last a few ticks."""
    part = write_clip(tmp_path / "part.ts", Clip(frames=50, options=(("tune", "zerolatency"), ("bf", "0"))))
    whole = tmp_path / "whole.ts"
    whole.write_bytes(counted_on(part.read_bytes() * 2))
    assert main([str(whole), "--cuts", "none", *BOX]) == 2
    said = capsys.readouterr().err
    assert "times start again at frame 50" in said
    assert "cut the video there" in said
    assert not whole.with_name("whole_repaired.mp4").exists()


@pytest.mark.parametrize("hole", [("--mask", "../a_mask.png"), ()], ids=["named", "beside"])
def test_the_folder_that_one_is_in_is_repaired_beside_itself(
    hole: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    for number in range(2):
        Image.new("RGB", (48, 32), (90 * number, 90, 20)).save(tmp_path / "a" / f"{number}.png")
    mask = Image.new("L", (48, 32))
    mask.paste(255, (10, 10, 20, 20))
    mask.save(tmp_path / "a_mask.png")
    monkeypatch.chdir(tmp_path / "a")
    assert main([".", *hole, "--backend", "null"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a_mask.png", "a_repaired"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"0.png", "1.png"}
