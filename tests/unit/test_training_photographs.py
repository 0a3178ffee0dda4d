"""Photographs as clips: the camera moves smoothly, cut-outs are in front, and what cannot be used is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models._spec import Size
from runtime.errors import InputError
from tests.archives import encoded, grey, one_line
from tests.pictures import moving_pictures
from tests.tolerances import TOLERANCE
from training import photographs as rules
from training.dataset import Samples, Weighted
from training.photographs import LENGTH, read_photographs
from training.sample import BrokenSample

SIZE = Size(96, 64)
GREEN = (0, 255, 0)


def write_photograph(folder: Path, name: str = "a.png") -> Path:
    """A picture with detail everywhere, four times the sample's size."""
    folder.mkdir(exist_ok=True)
    (picture,) = moving_pictures(1, 384, 256, seed=3)
    (folder / name).write_bytes(encoded(picture))
    return folder


def write_sticker(folder: Path) -> Path:
    """A green square with a see-through rim."""
    folder.mkdir()
    square = np.zeros((40, 40, 4), np.uint8)
    square[4:36, 4:36] = (*GREEN, 255)
    square[:4] = (255, 0, 0, 0)  # a colour that must never be seen
    Image.fromarray(square).save(folder / "square.png")
    return folder


def test_the_same_numbers_give_the_same_clip(tmp_path: Path) -> None:
    source = read_photographs(write_photograph(tmp_path / "p"), write_sticker(tmp_path / "s"))
    one, again, other = (source.draw(np.random.default_rng(seed), 5, SIZE) for seed in (1, 1, 2))
    assert one.frames.shape == (5, 64, 96, 3)
    assert one.length == LENGTH
    assert one.indices == again.indices
    assert np.array_equal(one.frames, again.frames)
    assert not np.array_equal(one.frames, other.frames)
    few = Samples([Weighted(source, 1)], SIZE, 5, seed=0)
    assert few[3].frames.shape == (5, 64, 96, 3)
    assert not few[3].skipped


def test_the_camera_moves_smoothly_and_not_by_whole_pixels(tmp_path: Path) -> None:
    y, x = np.mgrid[0:256, 0:384]
    ramps = np.stack((x * 255 / 383, y * 255 / 255, 0 * x), axis=-1).round().astype(np.uint8)  # where a pixel was
    (tmp_path / "ramps.png").write_bytes(encoded(ramps))
    farthest, fractions = [], []
    for seed in range(12):
        clip = read_photographs(tmp_path).draw(np.random.default_rng(seed), LENGTH, SIZE).frames
        inner = clip[:, 16:48, 24:72, :2].mean(axis=(1, 2)) * (384 / 255, 256 / 255)  # pixels of the photograph
        steps = np.diff(inner, axis=0)
        assert np.hypot(*np.diff(steps, axis=0).T).max() < TOLERANCE["photographs", "pixels a frame, change"]
        farthest.append(np.hypot(*(inner[-1] - inner[0])))
        fractions.append(np.abs(steps - np.rint(steps)).mean())
    assert max(farthest) > 30
    assert np.mean(fractions) > TOLERANCE["photographs", "mean fraction of a pixel"]


def test_a_path_has_neither_corners_nor_jumps() -> None:
    generator = np.random.default_rng(4)
    for _ in range(50):
        path = rules._smooth(generator, 2, 1.0)
        assert path.shape == (LENGTH, 2)
        assert np.abs(path).max() <= 1
        assert np.abs(np.diff(path, axis=0)).max() < 4 / LENGTH
        assert np.abs(np.diff(path, 2, axis=0)).max() < 60 / LENGTH**2


def test_a_pose_takes_the_point_where_it_belongs_turned_and_scaled() -> None:
    matrix = rules._pose(2.0, np.pi / 2, np.array([3.0, 4.0]), np.array([10.0, 20.0]))
    found = matrix @ np.array([[3, 4, 1], [4, 4, 1], [3, 5, 1]]).T
    expected = [[10, 20], [10, 22], [8, 20]]
    assert pytest.approx(np.array(expected, float), abs=TOLERANCE["photographs", "doubles"]) == found.T


def test_cut_outs_move_in_front_of_two_clips_in_three(tmp_path: Path) -> None:
    source = read_photographs(write_photograph(tmp_path / "p"), write_sticker(tmp_path / "s"))
    places: list[np.ndarray] = []
    for seed in range(120):
        frames = source.draw(np.random.default_rng(seed), 4, SIZE).frames.astype(int)
        pure = np.abs(frames - GREEN).max(axis=-1) < 8
        assert not np.any(np.abs(frames - (255, 0, 0)).max(axis=-1) < 60)  # what is see-through stays so
        if pure.any():
            places.append(np.array([np.argwhere(frame).mean(axis=0) for frame in pure if frame.any()]))
    assert len(places) / 120 == pytest.approx(2 / 3, abs=TOLERANCE["photographs", "share with a cut-out"])
    assert max(float(np.ptp(place, axis=0).max()) for place in places) > 10


def test_a_half_transparent_cut_out_lets_half_of_the_picture_through() -> None:
    sticker = np.full((20, 20, 4), (200, 200, 200, 128), np.uint8)
    for seed in range(5):
        frames = np.full((3, 64, 96, 3), 100, np.uint8)
        rules._put_in_front(np.random.default_rng(seed), sticker, (0, 30, 59), frames)
        assert frames.min() == 100
        assert frames.max() in {150, 151}  # 100 + 128 / 255 of 100, whose premultiplied form is rounded once


def test_pictures_are_kept_decoded_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_photograph(tmp_path / "p")
    for name in ("b.png", "c.png"):
        write_photograph(folder, name)
    monkeypatch.setattr(rules, "KEPT", 2)
    source = read_photographs(folder)
    for seed in range(12):
        source.draw(np.random.default_rng(seed), 2, SIZE)
    assert len(source.decoded.pictures) == 2


def test_a_large_photograph_is_shrunk_when_it_is_read(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG"):
        path = tmp_path / f"large.{kind.lower()}"
        Image.fromarray(np.tile(grey(64, 64), (40, 50, 1))).save(path)
        picture = rules._read(path, "RGB")
        assert picture.shape == (1024, 1280, 3)
        assert np.abs(picture.astype(int) - 128).max() <= 1


def test_what_cannot_be_used_is_skipped_in_one_line(tmp_path: Path) -> None:
    folder, good = tmp_path / "p", write_photograph(tmp_path / "good")
    stickers = write_sticker(tmp_path / "s")
    folder.mkdir()
    bad = folder / "bad.jpg"
    small = encoded(grey(90, 200))
    for content, line in (
        (b"hello", "bad.jpg: no picture that decodes"),
        (encoded(grey(200, 200), "JPEG")[:-200], "bad.jpg: no picture that decodes"),
        (small, "bad.jpg: 90x200, wanted 96x64 at least; take it out of the folder"),
    ):
        bad.write_bytes(content)
        with pytest.raises(BrokenSample) as caught:
            read_photographs(folder, stickers).draw(np.random.default_rng(0), 5, SIZE)
        assert line in str(caught.value)
        assert one_line(str(caught.value))
    source = read_photographs(good, good)
    with pytest.raises(BrokenSample, match=r"a\.png: no alpha channel, wanted a cut-out; take it out of the folder"):
        for seed in range(20):
            source.draw(np.random.default_rng(seed), 5, SIZE)
    with pytest.raises(BrokenSample, match=f"clips of {LENGTH} frames, the sample takes {LENGTH + 1}; wanted fewer"):
        source.draw(np.random.default_rng(0), LENGTH + 1, SIZE)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures in this folder or below it; wanted"):
        read_photographs(tmp_path)
    with pytest.raises(InputError, match="nowhere: no pictures"):
        read_photographs(tmp_path / "nowhere")
