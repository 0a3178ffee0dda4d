"""Several masks as one, their runs, which way round they are, and masks of turned videos."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from runtime._masks.runs import runs_of, united
from runtime.boxes import Box
from runtime.errors import InputError
from runtime.frame import Hole, MaskRun
from runtime.masks import Request, open_masks
from runtime.video import VideoInfo, VideoReader, probe
from tests.clips import Clip, picture_from, write_clip

WIDTH, HEIGHT, FRAMES = 64, 48, 60


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    clip = Clip(WIDTH, HEIGHT, FRAMES, rate=Fraction(10))
    return probe(write_clip(tmp_path_factory.mktemp("masks") / "video.mp4", clip))


def rectangle(left: int, top: int, width: int, height: int, columns: int = WIDTH, rows: int = HEIGHT) -> Hole:
    hole = np.zeros((rows, columns), np.bool_)
    hole[top : top + height, left : left + width] = True
    return hole


def save(path: Path, hole: Hole) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(hole.astype(np.uint8) * 255).save(path)
    return path


def spans(runs: Iterator[MaskRun]) -> list[tuple[int, int | None, int]]:
    return [(run.first, run.last, int(run.hole.sum())) for run in runs]


def test_masks_of_every_kind_are_united(tmp_path: Path, info: VideoInfo) -> None:
    image = save(tmp_path / "m.png", rectangle(0, 0, 4, 4))
    for number in range(FRAMES):
        save(tmp_path / "folder" / f"{number}.png", rectangle(10, 10, 4, 1 + number // 30))
    grey = Clip(WIDTH, HEIGHT, FRAMES, codec="ffv1", pix_fmt="gray")
    levels = (rectangle(20, 20, 4, 4).astype(np.uint8) * np.uint8(255 * (number >= 30)) for number in range(FRAMES))
    video = write_clip(tmp_path / "m.mkv", grey, (picture_from((level,), "gray") for level in levels))
    boxes = (Box(40, 40, 4, 4, 1.0, 2.0), Box(60, 0, 4, 4))
    source = open_masks(Request((image, tmp_path / "folder", video), boxes), info)
    for index in range(FRAMES):
        wanted = rectangle(0, 0, 4, 4) | rectangle(10, 10, 4, 1 + index // 30) | rectangle(60, 0, 4, 4)
        wanted |= rectangle(20, 20, 4, 4) & (index >= 30)
        wanted |= rectangle(40, 40, 4, 4) & (10 <= index < 20)
        hole = source.read(index, index / 10)
        assert hole is not None
        assert np.array_equal(hole, wanted), index
    source.finish(FRAMES)
    source.close()


def test_the_same_hole_is_the_same_object(tmp_path: Path, info: VideoInfo) -> None:
    for number in range(FRAMES):
        save(tmp_path / "folder" / f"{number:02}.png", rectangle(10, 10, 4, 4))
    source = open_masks(Request((tmp_path / "folder",), (Box(0, 0, 4, 4),)), info)
    first = source.read(0, 0.0)
    assert source.read(1, 0.1) is first
    assert source.read(30, 3.0) is first


def test_runs_join_frames_with_the_same_hole(tmp_path: Path, info: VideoInfo) -> None:
    for number in range(FRAMES):
        size = 4 if number < 20 else 0 if number < 25 else 6
        save(tmp_path / "folder" / f"{number:02}.png", rectangle(10, 10, size, 1))
    source = open_masks(Request((tmp_path / "folder",)), info)
    assert spans(source.runs()) == [(0, 19, 4), (25, 59, 6)]
    image = save(tmp_path / "m.png", rectangle(0, 0, 1, 1))
    source = open_masks(Request((tmp_path / "folder", image)), info)
    assert spans(source.runs()) == [(0, 19, 5), (20, 24, 1), (25, 59, 7), (60, None, 1)]


def test_runs_leave_reading_where_it_is(tmp_path: Path, info: VideoInfo) -> None:
    grey = Clip(WIDTH, HEIGHT, FRAMES, codec="ffv1", pix_fmt="gray")
    levels = (rectangle(0, 0, 1 + number, 1).astype(np.uint8) * np.uint8(255) for number in range(FRAMES))
    video = write_clip(tmp_path / "m.mkv", grey, (picture_from((level,), "gray") for level in levels))
    source = open_masks(Request((video,)), info)
    first = source.read(0, 0.0)
    runs = list(source.runs())
    assert [run.first for run in runs] == list(range(FRAMES))
    second = source.read(1, 0.1)
    assert first is not None
    assert second is not None
    assert (first.sum(), second.sum()) == (1, 2)
    source.close()


holes = st.sampled_from([None, *(np.arange(6).reshape(1, 6) == column for column in range(3))])


@given(st.lists(st.lists(holes, max_size=12), max_size=3), st.booleans())
def test_united_runs_tell_each_frames_union(sequences: list[list[Hole | None]], still: bool) -> None:
    always = rectangle(5, 0, 1, 1, 6, 1)
    sources = [runs_of(sequence) for sequence in sequences]
    if still:
        sources.append(iter([MaskRun(0, None, always)]))
    runs = list(united(sources))
    for index in range(14):
        here = [sequence[index] for sequence in sequences if index < len(sequence)] + [always if still else None]
        wanted = np.logical_or.reduce([np.zeros((1, 6), np.bool_), *(hole for hole in here if hole is not None)])
        told = [run.hole for run in runs if run.first <= index and (run.last is None or index <= run.last)]
        assert len(told) <= 1
        assert np.array_equal(told[0] if told else np.zeros((1, 6), np.bool_), wanted)
    assert all(run.hole.any() for run in runs)


def test_black_is_the_hole_where_masks_are_inverted_but_boxes_are_not(tmp_path: Path, info: VideoInfo) -> None:
    most = ~rectangle(0, 0, 8, 8)
    request = Request((save(tmp_path / "m.png", most),), (Box(20, 20, 2, 2),), invert=True)
    hole = open_masks(request, info).read(0, 0.0)
    assert hole is not None
    assert np.array_equal(hole, rectangle(0, 0, 8, 8) | rectangle(20, 20, 2, 2))


@pytest.mark.parametrize(("invert", "remedy"), [(False, "give --invert-mask"), (True, "leave out --invert-mask")])
def test_a_mask_that_covers_most_of_the_frame_is_asked_about(
    tmp_path: Path, info: VideoInfo, invert: bool, remedy: str
) -> None:
    mask = save(tmp_path / "m.png", rectangle(0, 0, WIDTH, 29) ^ invert)  # 60.4%
    with pytest.raises(InputError, match=rf"m\.png: covers 60% of the frame.*{remedy}.*--yes") as caught:
        next(open_masks(Request((mask,), invert=invert), info).runs())
    assert "\n" not in str(caught.value)
    assert len(list(open_masks(Request((mask,), invert=invert, yes=True), info).runs())) == 1
    less = save(tmp_path / "less.png", rectangle(0, 0, WIDTH, 28) ^ invert)
    assert len(list(open_masks(Request((less,), invert=invert), info).runs())) == 1


def test_coverage_is_the_mean_of_the_frames_that_have_a_hole(tmp_path: Path, info: VideoInfo) -> None:
    for number in range(FRAMES):  # a close-up for a while, nothing for a while
        rows = 0 if number < 30 else HEIGHT if number < 40 else 24
        save(tmp_path / "folder" / f"{number:02}.png", rectangle(0, 0, WIDTH, rows))
    with pytest.raises(InputError, match=r"folder: covers 67% of the frame"):
        list(open_masks(Request((tmp_path / "folder",)), info).runs())
    save(tmp_path / "folder" / "00.png", rectangle(0, 0, 1, 1))
    for number in range(1, 20):
        save(tmp_path / "folder" / f"{number:02}.png", rectangle(0, 0, 1, 1))
    assert len(list(open_masks(Request((tmp_path / "folder",)), info).runs())) == 3


def test_boxes_are_never_asked_about(info: VideoInfo) -> None:
    assert spans(open_masks(Request(boxes=(Box(0, 0, WIDTH, HEIGHT),)), info).runs()) == [(0, None, WIDTH * HEIGHT)]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_masks_and_boxes_lie_on_what_the_viewer_sees(tmp_path: Path, rotation: int) -> None:
    path = write_clip(tmp_path / "video.mp4", Clip(WIDTH, HEIGHT, 3, rotation=rotation))
    info = probe(path)
    size = (WIDTH, HEIGHT) if rotation == 180 else (HEIGHT, WIDTH)
    mask = save(tmp_path / "m.png", rectangle(2, 3, 5, 7, *size))
    source = open_masks(Request((mask,), (Box(20, 30, 4, 2),)), info)
    hole = source.read(0, 0.0)
    assert hole is not None
    with VideoReader(path) as reader:
        assert hole.shape == next(iter(reader)).planes[0].shape
    assert np.array_equal(np.rot90(hole, rotation // 90), rectangle(2, 3, 5, 7, *size) | rectangle(20, 30, 4, 2, *size))


def test_a_mask_video_is_turned_as_its_viewer_sees_it(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "video.mp4", Clip(WIDTH, HEIGHT, 3, rotation=90)))
    upright = rectangle(2, 3, 20, 10, HEIGHT, WIDTH)
    stored = np.rot90(upright, -3 % 4).astype(np.uint8) * 255  # players turn it by 270 degrees
    clip = Clip(WIDTH, HEIGHT, 3, codec="libx264", pix_fmt="yuv444p", options=(("crf", "0"),), rotation=270)
    grey = np.full((HEIGHT, WIDTH), 128, np.uint8)
    planes = (np.ascontiguousarray(stored), grey, grey)
    mask = write_clip(tmp_path / "m.mp4", clip, (picture_from(planes, "yuv444p") for _ in range(3)))
    source = open_masks(Request((mask,)), info)
    hole = source.read(0, 0.0)
    assert hole is not None
    assert np.array_equal(np.rot90(hole), upright)
    source.close()


@pytest.mark.parametrize(
    ("rotation", "way", "turn"),
    [
        (90, "counter-clockwise", Image.Transpose.ROTATE_90),  # as Pillow turns
        (270, "clockwise", Image.Transpose.ROTATE_270),
    ],
)
def test_a_mask_of_the_stored_size_is_told_which_way_to_turn(
    tmp_path: Path, rotation: int, way: str, turn: Image.Transpose
) -> None:
    info = probe(write_clip(tmp_path / "video.mp4", Clip(WIDTH, HEIGHT, 3, rotation=rotation)))
    mask = save(tmp_path / "m.png", rectangle(2, 3, 5, 7))
    said = rf"64x48 pixels, but the video has 48x64 as it is shown: players turn it a quarter turn {way}; turn the mask"
    with pytest.raises(InputError, match=said):
        open_masks(Request((mask,)), info)
    with Image.open(mask) as image:
        image.transpose(turn).save(tmp_path / "turned.png")
    hole = open_masks(Request((tmp_path / "turned.png",)), info).read(0, 0.0)
    assert hole is not None
    assert np.array_equal(hole, rectangle(2, 3, 5, 7))
    with pytest.raises(InputError, match=r"--box 50,0,4,4: reaches outside the video's 48x64 pixels"):
        open_masks(Request(boxes=(Box(50, 0, 4, 4),)), info)


def test_a_layer_that_was_painted_on_is_a_hole_where_it_is_opaque(tmp_path: Path, info: VideoInfo) -> None:
    painted = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    painted[..., :3] = 255  # white hides behind what is transparent
    painted[4:8, 4:8] = (255, 0, 0, 255)
    painted[8:10, 4:8] = (255, 255, 255, 1)  # a brush's soft edge
    Image.fromarray(painted).save(tmp_path / "m.png")
    hole = open_masks(Request((tmp_path / "m.png",)), info).read(0, 0.0)
    assert hole is not None
    assert np.array_equal(hole, rectangle(4, 4, 4, 6))
    painted[8:10, 4:8] = (0, 0, 0, 255)  # black beside red stays
    Image.fromarray(painted).save(tmp_path / "m.png")
    hole = open_masks(Request((tmp_path / "m.png",)), info).read(0, 0.0)
    assert hole is not None
    assert np.array_equal(hole, rectangle(4, 4, 4, 4))
    painted[4:8, 4:8] = (0, 0, 0, 255)  # painted in black only
    Image.fromarray(painted).save(tmp_path / "m.png")
    hole = open_masks(Request((tmp_path / "m.png",)), info).read(0, 0.0)
    assert hole is not None
    assert np.array_equal(hole, rectangle(4, 4, 4, 6))


def test_an_image_is_turned_as_viewers_turn_it(tmp_path: Path, info: VideoInfo) -> None:
    image = Image.fromarray(np.rot90(rectangle(2, 3, 20, 10)).astype(np.uint8) * 255)  # stored on its side
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise to view it
    image.save(tmp_path / "m.png", exif=exif)
    hole = open_masks(Request((tmp_path / "m.png",)), info).read(0, 0.0)
    assert hole is not None
    assert np.array_equal(hole, rectangle(2, 3, 20, 10))


def test_what_is_transparent_in_the_video_is_its_hole(tmp_path: Path) -> None:
    clip = Clip(WIDTH, HEIGHT, 4, codec="ffv1", pix_fmt="yuva444p")
    grey = np.full((HEIGHT, WIDTH), 128, np.uint8)
    pictures = []
    for number in range(4):
        alpha = np.where(rectangle(8 * number, 8, 8, 8), 40, 255).astype(np.uint8)
        pictures.append(picture_from((grey, grey, grey, alpha), "yuva444p"))
    info = probe(write_clip(tmp_path / "video.mkv", clip, pictures))
    source = open_masks(Request(alpha=True), info)
    assert [(run.first, run.last) for run in source.runs()] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    for number in range(4):
        hole = source.read(number, number / 25)
        assert hole is not None
        assert np.array_equal(hole, rectangle(8 * number, 8, 8, 8))
    source.finish(4)
    source.close()


def test_a_video_without_transparency_is_refused(info: VideoInfo) -> None:
    with pytest.raises(InputError, match=r"video\.mp4") as caught:
        open_masks(Request(alpha=True), info)
    assert "\n" not in str(caught.value)
