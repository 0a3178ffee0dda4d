"""The command that makes data sets: every layout, whole or nothing, and one line for each mistake."""

from __future__ import annotations

import errno
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models._spec import Size
from runtime.frame import RGB
from tests.archives import encoded, one_line
from tests.clips import Clip, write_clip
from tests.pictures import moving_pictures
from training import pack, packing
from training.archive import open_archive, read_clips

JPEG = "JPEG"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code, and what went to standard output and standard error."""
    try:
        code = pack.main([str(argument) for argument in arguments])
    except SystemExit as left:
        code = int(left.code or 0)
    said, complaints = capsys.readouterr()
    return code, said, complaints


def write_pictures(folder: Path, length: int, kind: str = JPEG, size: tuple[int, int] = (48, 32)) -> list[RGB]:
    """Pictures numbered from 0 on."""
    folder.mkdir(parents=True)
    pictures = moving_pictures(length, *size, seed=length)
    for index, picture in enumerate(pictures):
        (folder / f"{index:05d}.{'jpg' if kind == JPEG else 'png'}").write_bytes(encoded(picture, kind))
    return pictures


def lengths_in(out: Path, split: str = "train") -> dict[str, int]:
    return json.loads((out / f"{split}.json").read_text())


def members_in(out: Path, clip: str) -> dict[str, bytes]:
    with zipfile.ZipFile(out / "JPEGImages" / f"{clip}.zip") as archive:
        return {member.filename: archive.read(member) for member in archive.infolist()}


def test_videos_are_packed_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = [write_clip(tmp_path / f"{name}.mp4", Clip(96, 64, length)) for name, length in (("a", 6), ("b", 9))]
    code, said, _ = run(capsys, tmp_path / "sets" / "mine", *videos)
    assert (code, said) == (0, f"{tmp_path}/sets/mine: 2 clips, 15 frames in train.json\n")
    assert lengths_in(tmp_path / "sets" / "mine") == {"a": 6, "b": 9}
    assert list(members_in(tmp_path / "sets" / "mine", "a")) == [f"{index:05d}.jpg" for index in range(6)]
    source = read_clips(tmp_path / "sets", "mine", "train")
    assert source.draw(np.random.default_rng(0), 5, Size(48, 32)).frames.shape == (5, 32, 48, 3)


def test_jpegs_are_passed_on_as_they_are_and_other_pictures_stay_close(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "photos", 3)
    drawn = write_pictures(tmp_path / "drawn", 4, "PNG")
    assert run(capsys, tmp_path / "out", tmp_path / "photos", tmp_path / "drawn", "--quality", 100)[0] == 0
    assert list(members_in(tmp_path / "out", "photos").values()) == [
        path.read_bytes() for path in sorted((tmp_path / "photos").iterdir())
    ]
    archive = open_archive(tmp_path / "out" / "JPEGImages" / "drawn.zip", 4)
    with archive.file:
        for index, picture in enumerate(drawn):
            assert np.abs(np.asarray(archive.picture(index), int) - picture).max() <= 4  # levels, at quality 100


@pytest.mark.parametrize(
    ("stored", "asked", "packed"),
    [
        ((96, 64), "48x20", (48, 32)),
        ((96, 64), "30x32", (48, 32)),
        ((64, 96), "48x20", (48, 72)),
        ((40, 30), "48x20", (40, 30)),
    ],
)
def test_pictures_are_shrunk_until_they_just_cover_the_size(
    stored: tuple[int, int], asked: str, packed: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "walk", 2, size=stored)
    assert run(capsys, tmp_path / "out", tmp_path / "walk", "--size", asked)[0] == 0
    archive = open_archive(tmp_path / "out" / "JPEGImages" / "walk.zip", 2)
    with archive.file:
        assert archive.picture(1).size == packed


def test_davis_is_packed_by_its_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    davis = tmp_path / "DAVIS"
    for index, name in enumerate(("bear", "bus", "camel")):
        write_pictures(davis / "JPEGImages" / "480p" / name, 2 + index)
    (davis / "ImageSets" / "2017").mkdir(parents=True)
    (davis / "ImageSets" / "2017" / "train.txt").write_text("bear\nbus\n")
    assert run(capsys, tmp_path / "out", davis)[0] == 0
    assert lengths_in(tmp_path / "out") == {"bear": 2, "bus": 3}
    code, _, said = run(capsys, tmp_path / "out", davis, "--split", "test")
    assert code == 2
    assert f"{davis / 'ImageSets' / '2017'}: no list of the split 'test'; wanted test.txt or val.txt" in said
    (davis / "ImageSets" / "2017" / "val.txt").write_text("camel\n")  # as the trainval download calls it
    assert run(capsys, tmp_path / "out", davis, "--split", "test")[0] == 0
    assert lengths_in(tmp_path / "out", "test") == {"camel": 4}


def test_youtube_vos_is_packed_by_its_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "yv" / "train" / "JPEGImages" / "003234408d", 3)
    write_pictures(tmp_path / "yv" / "test" / "JPEGImages" / "0070461469", 2)
    assert run(capsys, tmp_path / "out", tmp_path / "yv")[0] == 0
    assert run(capsys, tmp_path / "out", tmp_path / "yv", "--split", "test")[0] == 0
    assert run(capsys, tmp_path / "other", tmp_path / "yv" / "train")[0] == 0
    assert lengths_in(tmp_path / "out") == lengths_in(tmp_path / "other") == {"003234408d": 3}
    assert lengths_in(tmp_path / "out", "test") == {"0070461469": 2}


def test_of_youtube_vos_every_frame_is_packed_where_it_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`train` has every fifth; STTN's own lists are of all."""
    write_pictures(tmp_path / "yv" / "train" / "JPEGImages" / "003234408d", 2)
    write_pictures(tmp_path / "yv" / "train_all_frames" / "JPEGImages" / "003234408d", 7)
    assert run(capsys, tmp_path / "out", tmp_path / "yv")[0] == 0
    assert lengths_in(tmp_path / "out") == {"003234408d": 7}


def test_a_name_that_is_packed_is_one_that_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "Screen Recording 3.01.22\u202fPM"  # as macOS calls them
    write_pictures(tmp_path / name, 2)
    write_pictures(tmp_path / "walk", 2)
    assert run(capsys, tmp_path / "out", tmp_path / name)[0] == 0
    assert run(capsys, tmp_path / "out", tmp_path / "walk")[0] == 0
    assert dict(read_clips(tmp_path, "out", "train").lengths) == {name: 2, "walk": 2}


@pytest.mark.parametrize("name", ["C:walk", "a\\b", "two\nlines", "no\udcffletters"])
def test_a_name_that_no_list_can_hold_is_refused_before_anything_is_packed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / name, 2)
    code, _, said = run(capsys, tmp_path / "out", tmp_path / name)
    assert code == 2
    assert said.endswith("in a data set; rename it\n")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = moving_pictures(3, 48, 32)
    (tmp_path / "walk").mkdir()
    for name, picture in zip(("frame9", "frame10", "frame100"), pictures, strict=True):
        (tmp_path / "walk" / f"{name}.jpg").write_bytes(encoded(picture, JPEG))
    (tmp_path / "walk" / ".hidden.jpg").write_bytes(b"no picture")
    assert run(capsys, tmp_path / "out", tmp_path / "walk")[0] == 0
    assert list(members_in(tmp_path / "out", "walk").values()) == [encoded(picture, JPEG) for picture in pictures]


def test_the_same_command_goes_on_and_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_clip(tmp_path / "a.mp4", Clip(96, 64, 4))
    write_pictures(tmp_path / "walk", 3)
    assert run(capsys, tmp_path / "out", video)[0] == 0
    path = tmp_path / "out" / "JPEGImages" / "a.zip"
    content, changed = path.read_bytes(), path.stat().st_mtime_ns
    assert run(capsys, tmp_path / "out", video, tmp_path / "walk")[0] == 0
    assert path.stat().st_mtime_ns == changed
    assert lengths_in(tmp_path / "out") == {"a": 4, "walk": 3}
    assert run(capsys, tmp_path / "out", video, "--overwrite")[0] == 0
    assert path.read_bytes() == content
    assert path.stat().st_mtime_ns != changed


def test_another_clip_of_the_same_name_is_never_replaced_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "one" / "walk", 3)
    write_pictures(tmp_path / "two" / "walk", 4)
    assert run(capsys, tmp_path / "out", tmp_path / "one" / "walk")[0] == 0
    code, _, said = run(capsys, tmp_path / "out", tmp_path / "two" / "walk")
    assert code == 2
    assert "walk.zip: exists already, from another source or packed otherwise (walk, 3 files" in said
    code, _, said = run(capsys, tmp_path / "out", tmp_path / "one" / "walk", "--size", "24x16")
    assert code == 2
    assert lengths_in(tmp_path / "out") == {"walk": 3}
    assert run(capsys, tmp_path / "out", tmp_path / "two" / "walk", "--overwrite")[0] == 0
    assert lengths_in(tmp_path / "out") == {"walk": 4}
    (tmp_path / "out" / "JPEGImages" / "walk.zip").write_bytes(b"no zip")
    code, _, said = run(capsys, tmp_path / "out", tmp_path / "two" / "walk")
    assert code == 2
    assert "walk.zip: exists already and is no zip" in said


def test_a_clip_that_fails_leaves_nothing_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "bad", 3)
    broken = tmp_path / "bad" / "00002.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    write_pictures(tmp_path / "mixed", 2)
    (tmp_path / "mixed" / "00002.jpg").write_bytes(encoded(moving_pictures(1, 30, 20)[0], JPEG))
    write_pictures(tmp_path / "good", 2)
    code, said, complaints = run(capsys, tmp_path / "out", *(tmp_path / name for name in ("bad", "mixed", "good")))
    assert code == 4
    assert said.endswith(": 1 clip, 2 frames in train.json; 2 failed\n")
    first, second = complaints.splitlines()
    assert f"{broken}: no picture that decodes" in first
    assert "00002.jpg: 30x20, the first picture is 48x32; wanted one size" in second
    assert [path.name for path in (tmp_path / "out" / "JPEGImages").iterdir()] == ["good.zip"]
    assert lengths_in(tmp_path / "out") == {"good": 2}
    assert run(capsys, tmp_path / "none", tmp_path / "bad")[0] == 2


def test_a_full_disk_costs_one_line_and_leaves_what_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "walk", 3)
    write_pictures(tmp_path / "run", 3)
    assert run(capsys, tmp_path / "out", tmp_path / "walk")[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    def full(_archive: zipfile.ZipFile, member: zipfile.ZipInfo, _content: bytes) -> None:
        if member.filename == "00001.jpg":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    code, _, said = run(capsys, tmp_path / "out", tmp_path / "run", tmp_path / "walk", "--overwrite")
    assert code == 2
    assert said == (
        f"training.pack: {tmp_path}/out/JPEGImages/run.zip: cannot be written (No space left on device); free some "
        f"space there\n"
    )
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_an_interruption_keeps_complete_clips_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "a", 2)
    video = write_clip(tmp_path / "b.mp4", Clip(96, 64, 6))

    def interrupted(_video: Path) -> Iterator[RGB]:
        yield moving_pictures(1, 96, 64)[0]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(packing, "read_pictures", interrupted)
        code, _, said = run(capsys, tmp_path / "out", tmp_path / "a", video)
    assert code == 130
    assert said == "training.pack: interrupted; complete clips are kept, and the same command goes on\n"
    assert [path.name for path in (tmp_path / "out" / "JPEGImages").iterdir()] == ["a.zip"]
    assert run(capsys, tmp_path / "out", tmp_path / "a", video)[0] == 0
    assert lengths_in(tmp_path / "out") == {"a": 2, "b": 6}


def test_mistakes_cost_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "one" / "walk", 2)
    write_pictures(tmp_path / "two" / "walk", 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "file").write_text("")
    walk = tmp_path / "one" / "walk"
    for arguments, line in (
        ((tmp_path / "o", tmp_path / "nowhere"), "nowhere: is not there; wanted"),
        ((tmp_path / "o", tmp_path / "empty"), "empty: no pictures in this folder or below it; wanted"),
        ((tmp_path / "o", tmp_path / "text.mp4"), "text.mp4: "),
        ((tmp_path / "o", walk, tmp_path / "two" / "walk"), "the clip would be named walk as"),
        ((tmp_path / "file", walk), "walk.zip: cannot be written (Not a directory)"),
        ((tmp_path / "o", walk, "--size", "48"), "'48' is no size; wanted"),
        ((tmp_path / "o", walk, "--size", "0x48"), "'0x48' is no size; wanted"),
        ((tmp_path / "o", walk, "--quality", "101"), "'101' is no quality; wanted"),
        ((tmp_path / "o",), "VIDEO|FOLDER"),
    ):
        code, _, said = run(capsys, *arguments)
        assert code == 2
        assert line in said
        assert one_line(said.removesuffix("\n")) or "--help shows how" in said
        assert not (tmp_path / "o").exists()


def test_a_turned_video_is_packed_as_a_viewer_sees_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "a.mp4", Clip(96, 64, 3, rotation=90))
    assert run(capsys, tmp_path / "out", tmp_path / "a.mp4")[0] == 0
    archive = open_archive(tmp_path / "out" / "JPEGImages" / "a.zip", 3)
    with archive.file:
        assert archive.picture(0).size == (64, 96)
