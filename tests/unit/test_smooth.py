"""The mean over neighbouring frames: along the motion, inside the hole, inside the shot, and nowhere else."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from calib.metrics import warping_error
from runtime.frame import RGB, Layout
from runtime.patch import Crop, Painted, Patch
from runtime.smooth import _motion, smoothed
from tests.noise import random_frame
from tests.tolerances import TOLERANCE

WIDTH, HEIGHT = 96, 64
STEP = np.array([1.5, 0.75])  # pixels right and down by which the camera moves from frame to frame
CROP, OTHER_CROP = Crop(0, 0, WIDTH, HEIGHT), Crop(2, 0, WIDTH, HEIGHT)


def hole() -> np.ndarray:
    marked = np.zeros((HEIGHT, WIDTH), np.bool_)
    marked[22:42, 34:62] = True
    return marked


def scene(length: int, *, moving: bool = True) -> list[RGB]:
    """A soft texture under a camera that moves."""
    texture = np.random.default_rng(1).standard_normal((160, 240, 3)).astype(np.float32)
    texture = np.asarray(cv2.GaussianBlur(texture, (0, 0), 2.5))
    texture = 128 + 45 * texture / texture.std()
    pictures: list[RGB] = []
    for time in range(length):
        x, y = 20 + STEP * time * moving
        shift = np.array([[1, 0, x], [0, 1, y]], np.float64)
        part = cv2.warpAffine(texture, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        pictures.append(np.clip(np.rint(part), 0, 255).astype(np.uint8))
    return pictures


def flickering(pictures: Sequence[RGB], strength: float = 12.0) -> list[RGB]:
    """Fills that are the truth plus blotches of their own in every frame."""
    rng = np.random.default_rng(2)
    fills: list[RGB] = []
    for picture in pictures:
        blotches = np.asarray(cv2.GaussianBlur(rng.standard_normal(picture.shape), (0, 0), 3))
        fills.append(np.clip(np.rint(picture + blotches / blotches.std() * strength), 0, 255).astype(np.uint8))
    return fills


def painted(pictures: Sequence[RGB], fills: Sequence[RGB], shots: Sequence[int] | None = None) -> list[Painted]:
    frame = random_frame(Layout("gray", 8, 0, 0), 4, 4)
    return [
        Painted(
            replace(frame, index=index), (Patch(CROP, picture, fill, hole()),), 0 if shots is None else shots[index]
        )
        for index, (picture, fill) in enumerate(zip(pictures, fills, strict=True))
    ]


def fills_of(items: Sequence[Painted]) -> list[RGB]:
    return [item.patches[0].fill for item in items]


def error_in_hole(fills: Sequence[RGB], truth: Sequence[RGB]) -> float:
    """Root of the mean squared error, in levels."""
    inside = hole()
    return float(
        np.sqrt(np.mean([(a[inside].astype(float) - b[inside]) ** 2 for a, b in zip(fills, truth, strict=True)]))
    )


def flicker(items: Sequence[Painted]) -> float:
    """The warping error of the repaired pictures under the known motion, in levels."""
    pictures = [np.where(part.hole[..., None], part.fill, part.view) for item in items for part in item.patches]
    motion = np.broadcast_to(STEP.astype(np.float32), (HEIGHT, WIDTH, 2))
    return warping_error(pictures, [motion] * (len(items) - 1), [hole()] * len(items))


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_flicker_falls_under_known_motion_and_the_fill_comes_nearer_to_the_truth(radius: int) -> None:
    truth = scene(9)
    before = flickering(truth)
    items = painted(truth, before)
    calmer = list(smoothed(items, radius))
    assert flicker(calmer) < TOLERANCE["smooth", f"warping error left, radius {radius}"] * flicker(items)
    after = fills_of(calmer)
    assert error_in_hole(after, truth) < TOLERANCE["smooth", f"error left, radius {radius}"] * error_in_hole(
        before, truth
    )


def test_fills_without_flicker_stay_what_they_are() -> None:
    truth = scene(7)
    after = fills_of(list(smoothed(painted(truth, truth), 3)))
    assert error_in_hole(after, truth) < TOLERANCE["smooth", "levels lost by moving"]


def test_a_neighbour_that_does_not_match_hardly_counts() -> None:
    truth = scene(3, moving=False)
    wrong = [truth[0], truth[1], np.where(truth[2] > 128, 0, 255).astype(np.uint8)]
    after = fills_of(list(smoothed(painted(truth, wrong), 1)))
    assert error_in_hole(after[1:2], truth[1:2]) < TOLERANCE["smooth", "levels of a mismatch"]


def test_only_fill_inside_the_hole_changes() -> None:
    truth = scene(5)
    before = painted(truth, flickering(truth))
    after = list(smoothed(before, 2))
    for one, other in zip(before, after, strict=True):
        old, new = one.patches[0], other.patches[0]
        assert other.frame is one.frame
        assert new.view is old.view
        assert np.array_equal(new.fill[~hole()], old.fill[~hole()])
        assert not np.array_equal(new.fill[hole()], old.fill[hole()])


def test_radius_zero_and_a_lone_frame_pass_as_they_are() -> None:
    truth = scene(3)
    items = painted(truth, flickering(truth))
    assert [a is b for a, b in zip(smoothed(items, 0), items, strict=True)] == [True] * 3
    (alone,) = smoothed(items[:1], 4)
    assert alone.patches[0] is items[0].patches[0]
    assert not list(smoothed([], 2))


@pytest.mark.parametrize("radius", [1, 2])
def test_frames_farther_than_the_radius_do_not_count(radius: int) -> None:
    truth = scene(9)
    fills = flickering(truth)
    others = [255 - fill if abs(index - 4) > radius else fill for index, fill in enumerate(fills)]
    one = fills_of(list(smoothed(painted(truth, fills), radius)))[4]
    other = fills_of(list(smoothed(painted(truth, others), radius)))[4]
    assert np.array_equal(one, other)
    nearer = [255 - fill if index == 4 + radius else fill for index, fill in enumerate(fills)]
    assert not np.array_equal(one, fills_of(list(smoothed(painted(truth, nearer), radius)))[4])


def test_what_begins_later_is_the_same_from_the_radius_on() -> None:
    truth = scene(9)
    items = painted(truth, flickering(truth))
    late = fills_of(list(smoothed(items[3:], 2)))[2:]
    assert all(np.array_equal(a, b) for a, b in zip(fills_of(list(smoothed(items, 2)))[5:], late, strict=True))


def test_shots_are_smoothed_alone() -> None:
    truth = scene(6)
    items = painted(truth, flickering(truth), [0, 0, 0, 1, 1, 1])
    together = fills_of(list(smoothed(items, 3)))
    apart = fills_of([*smoothed(items[:3], 3), *smoothed(items[3:], 3)])
    assert all(np.array_equal(a, b) for a, b in zip(together, apart, strict=True))


def test_crops_are_smoothed_alone_and_a_frame_without_a_patch_is_passed_on() -> None:
    truth = scene(5)
    items = painted(truth, flickering(truth))
    second = [replace(item.patches[0], crop=OTHER_CROP, fill=255 - item.patches[0].fill) for item in items]
    both = [replace(item, patches=(*item.patches, other)) for item, other in zip(items, second, strict=True)]
    both[3] = replace(both[3], patches=())
    items[3] = replace(items[3], patches=())
    wanted, got = list(smoothed(items, 1)), list(smoothed(both, 1))
    assert got[3].patches == ()
    for index in (0, 1, 2, 4):
        assert got[index].patches[1].crop == OTHER_CROP
        assert np.array_equal(got[index].patches[0].fill, wanted[index].patches[0].fill)
    assert np.array_equal(got[4].patches[0].fill, items[4].patches[0].fill)  # its only neighbour has nothing to say


def test_a_picture_that_is_all_hole_is_smoothed_by_its_own_motion() -> None:
    truth = scene(5)
    before = flickering(truth, strength=6)
    everywhere = np.ones((HEIGHT, WIDTH), np.bool_)
    items = [replace(i, patches=(replace(i.patches[0], hole=everywhere),)) for i in painted(truth, before)]
    after = fills_of(list(smoothed(items, 2)))
    assert error_in_hole(after, truth) < error_in_hole(before, truth)


def test_frames_come_one_radius_late_and_are_let_go_of() -> None:
    truth = scene(12)
    items = painted(truth, flickering(truth))
    fills = [weakref.ref(item.patches[0].fill) for item in items]
    taken: list[int] = []

    def source() -> Iterator[Painted]:
        while items:
            item = items.pop(0)
            taken.append(item.frame.index)
            yield item

    stream = smoothed(source(), 2)
    for index in range(8):
        assert next(stream).frame.index == index
        assert taken[-1] == index + 2
    gc.collect()
    alive = [index for index, fill in enumerate(fills[: taken[-1] + 1]) if fill() is not None]
    assert len(alive) <= 2 * 2 + 1 + 2  # the window, and what source and loop hold in hand


def test_smoothing_does_not_write_into_what_it_was_given() -> None:
    truth = scene(4)
    items = painted(truth, flickering(truth))
    before = [fill.copy() for fill in fills_of(items)]
    list(smoothed(items, 2))
    assert all(np.array_equal(a, b) for a, b in zip(before, fills_of(items), strict=True))


def test_a_fill_that_stands_is_not_taken_for_the_motion_around_it() -> None:
    """A wide hole, in which both frames show the same, under a camera that moves."""
    wide = np.zeros((HEIGHT, WIDTH), np.bool_)
    wide[14:50, 20:76] = True
    painted_in = np.asarray(cv2.GaussianBlur(np.random.default_rng(5).standard_normal((HEIGHT, WIDTH, 3)), (0, 0), 2))
    standing = np.clip(128 + painted_in / painted_in.std() * 10, 0, 255).astype(np.uint8)
    one, other = (np.where(wide[..., None], standing, picture) for picture in scene(2))
    known = cv2.dilate(wide.view(np.uint8), np.ones((9, 9), np.uint8)) == 0
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    off = np.abs(_motion(one, other, known, flow)[wide] + STEP).max()
    assert off <= TOLERANCE["smooth", "pixels around a fill that stands"]
