"""Overlays found by what stays put, and every clip in which there is no telling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.errors import Unsure
from runtime.frame import Colour, Frame, Hole, Layout
from runtime.overlay import LEAST_PICTURES, MOST_PICTURES, Overlay, find_overlay
from runtime.video import VideoInfo, open_reader, probe
from tests.clips import Clip, picture_from, write_clip
from tests.tolerances import TOLERANCE

WIDTH, HEIGHT, FRAMES = 320, 180, 40
Luma = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(write_clip(tmp_path_factory.mktemp("overlay") / "clip.mp4", Clip(WIDTH, HEIGHT, 2)))


def landscape(seed: int) -> Luma:
    """A wide picture with detail at every scale."""
    random = np.random.default_rng(seed)
    wide = np.zeros((HEIGHT * 2, WIDTH * 3), np.float32)
    for scale in (4, 8, 16, 32, 64):
        coarse = random.normal(size=(HEIGHT * 2 // scale + 2, WIDTH * 3 // scale + 2)).astype(np.float32)
        wide += cv2.resize(coarse, (WIDTH * 3, HEIGHT * 2), interpolation=cv2.INTER_CUBIC) * np.sqrt(scale)
    return np.clip(wide * 6 + 120, 0, 255).astype(np.uint8)


def camera(seed: int = 0, frames: int = FRAMES, speed: float = 7.0) -> list[Luma]:
    """A camera that pans over a landscape, up and down a little."""
    wide = landscape(seed)
    lumas: list[Luma] = []
    for index in range(frames):
        left, top = round(speed * index) % (2 * WIDTH), round(HEIGHT / 2 + 30 * np.sin(speed * index / 40))
        lumas.append(wide[top : top + HEIGHT, left : left + WIDTH].copy())
    return lumas


def text(words: str = "SAMPLE", left: int = 200, bottom: int = 160) -> Hole:
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.putText(drawn, words, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    return drawn > 0


def ring() -> Hole:
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(drawn, (40, 36), 20, 255, 4)
    cv2.putText(drawn, "7", (32, 46), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    return drawn > 0


def block() -> Hole:
    drawn = np.zeros((HEIGHT, WIDTH), np.bool_)
    drawn[20:60, 220:300] = True
    return drawn


def draw(lumas: Sequence[Luma], shape: Hole, opacity: float, level: int = 235) -> list[Luma]:
    return [np.where(shape, luma * (1 - opacity) + level * opacity, luma).astype(np.uint8) for luma in lumas]


def frames_of(lumas: Sequence[Luma]) -> Iterator[Frame]:
    for index, luma in enumerate(lumas):
        yield Frame(index, index, (luma,), Layout("gray", 8, 0, 0), Colour(2, 2, 2, full_range=True))


def search(lumas: Sequence[Luma], info: VideoInfo) -> Overlay:
    return find_overlay(frames_of(lumas), info)


def outlined(shape: Hole) -> Hole:
    """The shape with what lies between its strokes, and a margin."""
    closed = cv2.morphologyEx(shape.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    inside = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = cv2.drawContours(closed.copy(), inside, -1, 1, cv2.FILLED)
    return cv2.dilate(filled, np.ones((9, 9), np.uint8)) > 0


def followed(lumas: Sequence[Luma], period: int) -> list[Luma]:
    """A textured body that a camera follows, so that it only sways a little, to and fro in `period` frames."""
    texture = landscape(9)[:HEIGHT, :WIDTH]
    shown: list[Luma] = []
    for index, luma in enumerate(lumas):
        left = round(60 + 10 * np.sin(2 * np.pi * index / period))
        body = cv2.ellipse(np.zeros_like(luma), (left + 70, 110), (24, 50), 0, 0, 360, 255, -1)
        shown.append(np.where(body > 0, np.roll(texture, left, axis=1), luma))
    return shown


def assert_marked(overlay: Overlay, shape: Hole) -> None:
    covered = np.count_nonzero(overlay.hole & shape) / np.count_nonzero(shape)
    assert covered >= TOLERANCE["overlay", "share covered"]
    beside = np.count_nonzero(overlay.hole & ~outlined(shape)) / shape.size
    assert beside <= TOLERANCE["overlay", "share of the picture beside"]


@pytest.mark.parametrize("opacity", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("shape", [text, ring, block])
def test_what_is_drawn_is_marked_and_little_else(info: VideoInfo, shape: Callable[[], Hole], opacity: float) -> None:
    overlay = search(draw(camera(), shape(), opacity), info)
    assert_marked(overlay, shape())
    assert 0 < overlay.confidence <= 1


def test_all_that_is_drawn_is_marked(info: VideoInfo) -> None:
    lumas = draw(draw(draw(camera(1), text(), 0.5), ring(), 0.7, 20), text("BURNED IN", 20, 170), 1.0)
    assert_marked(search(lumas, info), text() | ring() | text("BURNED IN", 20, 170))


def test_the_fainter_the_less_confident(info: VideoInfo) -> None:
    confidences = [search(draw(camera(), text(), opacity), info).confidence for opacity in (1.0, 0.5, 0.3)]
    assert confidences == sorted(confidences, reverse=True)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_where_nothing_lies_over_the_picture(info: VideoInfo, seed: int) -> None:
    with pytest.raises(Unsure, match=r"clip\.mp4: no overlay was found.*--mask or --box$") as caught:
        search(camera(seed, speed=3.0 + 3 * seed), info)
    assert "\n" not in str(caught.value)


def test_a_standing_camera_hides_an_overlay(info: VideoInfo) -> None:
    still = camera(0, 1) * FRAMES
    random = np.random.default_rng(0)
    noisy = [np.clip(luma + random.normal(0, 3, luma.shape), 0, 255).astype(np.uint8) for luma in still]
    breathing = [np.clip(luma * (1 + 0.1 * np.sin(n)), 0, 255).astype(np.uint8) for n, luma in enumerate(noisy)]
    for lumas, reason in ((still, "1 different frames"), (noisy, "1 different frames"), (breathing, "hardly moves")):
        with pytest.raises(Unsure, match=reason):
            search(draw(lumas, text(), 1.0), info)


def test_somebody_who_walks_before_a_standing_camera_is_not_movement_enough(info: VideoInfo) -> None:
    lumas = camera(0, 1)[0], camera(1, 1)[0]
    walking: list[Luma] = []
    for index in range(FRAMES):
        luma = lumas[0].copy()
        luma[40:180, 7 * index : 7 * index + 60] = lumas[1][40:180, : luma[:, 7 * index : 7 * index + 60].shape[1]]
        walking.append(luma)
    with pytest.raises(Unsure, match=r"the picture hardly moves"):
        search(draw(walking, text(), 1.0), info)


@pytest.mark.parametrize("level", [0, 16, 128])
def test_letterbox_and_window_bars_are_no_overlay(info: VideoInfo, level: int) -> None:
    for sides in (0, 40):
        lumas = camera(2)
        for luma in lumas:
            luma[:24] = luma[-24:] = level
            if sides:
                luma[:, :sides] = luma[:, -sides:] = level
        with pytest.raises(Unsure, match=r"no overlay was found"):
            search(lumas, info)
        words = text(left=150, bottom=140)
        assert_marked(search(draw(lumas, words, 0.7), info), words)
        on_the_bar = text(left=150, bottom=19)
        assert_marked(search(draw(lumas, on_the_bar, 1.0, 200), info), on_the_bar)


def test_streaks_along_the_movement_are_no_overlay(info: VideoInfo) -> None:
    lumas = [np.roll(landscape(0)[:HEIGHT, :WIDTH], 5 * index, axis=1) for index in range(FRAMES)]
    for luma in lumas:  # a road's edge, a horizon
        luma[90:94] = 250
        luma[130:133] = 10
    with pytest.raises(Unsure, match=r"no overlay was found"):
        search(lumas, info)


@pytest.mark.parametrize("period", [11, 13, 17])
def test_a_body_that_sways_beside_an_overlay_is_not_taken_for_its_neighbour(info: VideoInfo, period: int) -> None:
    words = text("LOGO", 190, 120)
    overlay = search(draw(followed(camera(3), period), words, 1.0), info)
    assert_marked(overlay, words)
    assert not overlay.hole[:, :180].any()  # the body, and the gap


def test_strong_edges_now_and_then_do_not_outvote_a_faint_overlay(info: VideoInfo) -> None:
    lumas = camera()
    random = np.random.default_rng(1)
    for index in range(3, FRAMES, 6):
        lumas[index] = np.kron(random.integers(0, 2, (60, 107)) * 255, np.ones((3, 3)))[:HEIGHT, :WIDTH].astype(
            np.uint8
        )
    assert_marked(search(draw(lumas, text(), 0.3), info), text())


def test_a_title_that_is_shown_for_a_while_is_no_overlay(info: VideoInfo) -> None:
    lumas = camera()
    lumas[:15] = draw(lumas[:15], text("A TITLE", 40, 90), 1.0)
    with pytest.raises(Unsure, match=r"no overlay was found"):
        search(lumas, info)


def test_scenes_of_a_standing_camera_count_once_each(info: VideoInfo) -> None:
    scenes = [camera(seed, 1)[0] for seed in range(LEAST_PICTURES + 8)]
    few = [luma for luma in scenes[: LEAST_PICTURES - 1] for _ in range(5)]
    with pytest.raises(Unsure, match=rf"{LEAST_PICTURES - 1} different frames are too few"):
        search(draw(few, text(), 1.0), info)
    assert_marked(search(draw([luma for luma in scenes for _ in range(3)], text(), 1.0), info), text())


@pytest.mark.parametrize("frames", [0, 1, 24, LEAST_PICTURES - 1])
def test_few_frames_do_not_tell(info: VideoInfo, frames: int) -> None:
    with pytest.raises(Unsure, match=rf"{frames} different frames are too few"):
        search(draw(camera(0, frames), text(), 1.0), info)


@pytest.mark.parametrize("level", [0, 128])
def test_empty_pictures_do_not_tell(info: VideoInfo, level: int) -> None:
    with pytest.raises(Unsure, match=r"1 different frames"):
        search([np.full((HEIGHT, WIDTH), level, np.uint8)] * FRAMES, info)
    with pytest.raises(Unsure, match=r"the picture hardly moves"):
        search([np.full((HEIGHT, WIDTH), level + 5 * (index % 9), np.uint8) for index in range(FRAMES)], info)


def test_what_covers_a_lot_is_asked_about(info: VideoInfo) -> None:
    plate = np.zeros((HEIGHT, WIDTH), np.bool_)
    plate[30:150, 60:260] = True  # 42%
    with pytest.raises(Unsure, match=r"4\d% of the picture stays put, which is much for an overlay"):
        search(draw(camera(), plate, 1.0), info)


def test_few_pictures_of_a_long_clip_are_kept(info: VideoInfo) -> None:
    lumas = draw(camera(0, MOST_PICTURES * 5, 0.7), text(), 0.6)
    overlay = search(lumas, info)
    assert MOST_PICTURES // 2 <= overlay.pictures <= MOST_PICTURES
    assert_marked(overlay, text())


def test_the_mask_stands_as_the_viewer_sees_it_after_lossy_encoding(tmp_path: Path) -> None:
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    lumas = draw(camera(0), text(), 0.6)
    clip = Clip(WIDTH, HEIGHT, FRAMES, options=(("crf", "26"),), rotation=90)
    path = write_clip(tmp_path / "v.mp4", clip, (picture_from((luma, grey, grey), "yuv420p") for luma in lumas))
    with open_reader(path) as reader:
        overlay = find_overlay(reader, reader.info)
    assert overlay.hole.shape == (WIDTH, HEIGHT)
    assert_marked(Overlay(np.rot90(overlay.hole, -1), overlay.confidence, overlay.pictures), text())


def test_large_and_deep_frames_are_searched_small(info: VideoInfo) -> None:
    lumas = draw(camera(4), text(), 0.7)
    wide = [(cv2.resize(luma, (WIDTH * 4, HEIGHT * 4)) * 4.0).astype(np.uint16) for luma in lumas]
    big = replace(info, width=WIDTH * 4, height=HEIGHT * 4)
    frames = (Frame(n, n, (luma,), Layout("gray", 10, 0, 0), Colour(2, 2, 2, True)) for n, luma in enumerate(wide))
    hole = find_overlay(frames, big).hole
    assert hole.shape == (HEIGHT * 4, WIDTH * 4)
    assert_marked(Overlay(hole[::4, ::4], 1.0, 0), text())
