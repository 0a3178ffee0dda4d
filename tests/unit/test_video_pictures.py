"""Frames as PNG: the samples of the colour formula, names by the frame's number, folders whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from runtime.frame import Frame
from runtime.pixels import rgb_at
from runtime.video import Encoding, VideoInfo, VideoReader, open_work, open_writer
from tests.clips import Clip, write_clip
from tests.recoded import writing


def source(tmp_path: Path, pix_fmt: str, frames: int = 3) -> tuple[VideoInfo, list[Frame]]:
    path = write_clip(tmp_path / "v.mkv", Clip(63, 47, frames=frames, codec="ffv1", pix_fmt=pix_fmt))
    with VideoReader(path) as reader:
        return reader.info, list(reader)


def write(pattern: Path, info: VideoInfo, frames: list[Frame]) -> None:
    with writing(pattern, info) as writer:
        for frame in frames:
            writer.write(frame)


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray().astype(int)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_eight_bit_video_becomes_eight_bit_rgb(tmp_path: Path, pix_fmt: str) -> None:
    info, frames = source(tmp_path, pix_fmt)
    write(tmp_path / "out" / "%05d.png", info, frames)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    for frame in frames:
        with Image.open(tmp_path / "out" / f"{frame.index:05d}.png") as picture:
            assert picture.mode == "RGB"
            assert np.array_equal(np.asarray(picture), rgb_at(frame, 63, 47))


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "gbrp16le"])
def test_deep_video_becomes_sixteen_bit_rgb(tmp_path: Path, pix_fmt: str) -> None:
    info, frames = source(tmp_path, pix_fmt)
    write(tmp_path / "out" / "%d.png", info, frames)
    for frame in frames:
        assert np.array_equal(decoded(tmp_path / "out" / f"{frame.index}.png"), rgb_at(frame, 63, 47, 65535))


@pytest.mark.parametrize(("pix_fmt", "mode"), [("gray", "L"), ("gray16le", "I;16")])
def test_grey_video_becomes_grey_pictures_of_the_same_samples(tmp_path: Path, pix_fmt: str, mode: str) -> None:
    info, frames = source(tmp_path, pix_fmt)
    write(tmp_path / "out" / "%d.png", info, frames)
    for frame in frames:
        with Image.open(tmp_path / "out" / f"{frame.index}.png") as picture:
            assert picture.mode == mode
            assert np.array_equal(np.asarray(picture), frame.planes[0])


def test_a_new_folder_appears_whole_with_the_usual_permissions(tmp_path: Path) -> None:
    info, frames = source(tmp_path, "yuv420p")
    pattern = tmp_path / "deep" / "out" / "f%03d.png"
    with writing(pattern, info) as writer:
        for frame in frames:
            writer.write(frame)
            assert not pattern.parent.exists()
    usual = tmp_path / "usual"
    usual.mkdir()
    assert stat.S_IMODE(pattern.parent.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_what_lay_in_the_folder_stays_until_the_end(tmp_path: Path) -> None:
    info, frames = source(tmp_path, "yuv420p")
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("0.png", "9.png", "notes.txt"):
        (folder / name).write_text(name)
    with pytest.raises(AttributeError):
        write(folder / "%d.png", info, [frames[0], None])  # type: ignore[list-item]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: name for name in ("0.png", "9.png", "notes.txt")
    }
    write(folder / "%d.png", info, frames)
    assert sorted(path.name for path in folder.iterdir()) == ["0.png", "1.png", "2.png", "notes.txt"]
    with Image.open(folder / "0.png") as picture:
        assert np.array_equal(np.asarray(picture), rgb_at(frames[0], 63, 47))


def test_pictures_of_an_earlier_longer_result_are_gone_and_named(tmp_path: Path) -> None:
    info, frames = source(tmp_path, "yuv420p")
    folder = tmp_path / "out"
    folder.mkdir()
    others = (
        "3.png",
        "x00003.png",
        "00003.png.txt",
        "00003.jpg",
        "000003.png",
        "00003.PNG",
        "\u0660\u0660\u0660\u0660\u0663.png",
    )
    for name in (*others, "00000.png", "00003.png", "00007.png", "100000.png"):
        (folder / name).write_text(name)
    (folder / "00008.png").mkdir()
    with writing(folder / "%05d.png", info) as writer:
        for frame in frames:
            writer.write(frame)
        (folder / "00009.png").write_text("of somebody else, meanwhile")
    made = {f"{number:05d}.png" for number in range(3)}
    assert {path.name for path in folder.iterdir()} == {*others, *made, "00008.png", "00009.png"}
    assert writer.notes == ["3 pictures of an earlier, longer result removed: 00003.png to 100000.png"]


def test_one_picture_that_is_removed_is_one(tmp_path: Path) -> None:
    info, frames = source(tmp_path, "yuv420p")
    (tmp_path / "3.png").write_text("earlier")
    with writing(tmp_path / "%d.png", info) as writer:
        for frame in frames:
            writer.write(frame)
    assert writer.notes == ["1 picture of an earlier, longer result removed: 3.png"]


def test_pictures_that_this_run_lacks_do_not_come_from_an_earlier_one(tmp_path: Path) -> None:
    info, frames = source(tmp_path, "yuv420p")
    (tmp_path / "1.png").write_text("earlier")
    write(tmp_path / "%d.png", info, [frames[0], frames[2]])
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["0.png", "2.png"]


def test_a_run_that_was_killed_while_its_pictures_took_their_names_removes_none_of_them(tmp_path: Path) -> None:
    info, frames = source(tmp_path, "yuv420p")
    out = tmp_path / "%d.png"
    (tmp_path / "3.png").write_text("earlier")
    with (
        pytest.raises(KeyboardInterrupt),
        open_work(out, "a test", resume=True, overwrite=False) as work,
        open_writer(out, info, Encoding(), work) as writer,
    ):
        for frame in frames:
            writer.write(frame)
        raise KeyboardInterrupt
    (work.folder / "pictures" / "0.png").replace(tmp_path / "0.png")
    with (
        open_work(out, "a test", resume=True, overwrite=False) as work,
        open_writer(out, info, Encoding(), work) as writer,
    ):
        assert writer.start == 3
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["0.png", "1.png", "2.png"]


def test_sound_that_pictures_cannot_carry_is_noted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.mp4", Clip(frames=2, audio_codec="aac"))
    with VideoReader(path) as reader, writing(tmp_path / "out" / "%d.png", reader.info) as writer:
        for frame in reader:
            writer.write(frame)
    assert writer.notes == ["pictures carry no sound"]


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gray"])
def test_pictures_of_a_turned_video_stand_upright(tmp_path: Path, rotation: int, pix_fmt: str) -> None:
    clip = Clip(63, 47, frames=2, codec="ffv1", pix_fmt=pix_fmt, rotation=rotation)
    with VideoReader(write_clip(tmp_path / "v.mkv", clip)) as reader:
        frames = list(reader)
    write(tmp_path / "out" / "%d.png", reader.info, frames)
    for frame in frames:
        peak = 255 if frame.layout.bits == 8 else 65535
        upright = np.rot90(rgb_at(frame, 63, 47, peak), rotation // 90)
        picture = decoded(tmp_path / "out" / f"{frame.index}.png")
        assert picture.shape[:2] == ((63, 47) if rotation % 180 else (47, 63))
        assert np.array_equal(picture, upright[..., 0] if pix_fmt == "gray" else upright)
